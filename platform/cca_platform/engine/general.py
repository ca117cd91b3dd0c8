"""Native transfer of X0 to X30, SP, PC and PSTATE, with the PSTATE bits that the engine does not know: DIT and SSBS.

The engine keeps these two as it keeps every bit of PSTATE, but its exception return drops them. So PSTATE gets a mark
besides, a bit that an exception return drops, too. When the mark is gone there has been a return, and the two bits are
those of the SPSR that it took. Which SPSR that was follows from the levels before and after. It does not if EL2 has
returned to EL1, which may have made a return of its own already: while this would make a difference, the PE looks at
each block (SIGNAL_RETURN).
"""

from typing import Final

from cca_arch.sysregs import Pstate, Sctlr, encodings
from cca_platform.engine.registers import PC, PSTATE, SP, X0, X29, get, get_system, jump, put, put_system, touch
from cca_platform.isa.pstate import level
from cca_platform.native import block as w
from cca_platform.native.jit import call_reg_read, call_reg_write, jit, load64, store64

__all__ = [
    "MARK",
    "SOFT",
    "read_general",
    "read_state",
    "return_ahead",
    "settle",
    "speculation",
    "write_general",
    "write_state",
]

SOFT: Final = Pstate.dit.mask | Pstate.ssbs.mask
"""The bits of PSTATE that the engine does not know."""
MARK: Final = 1 << 26  # RES0 in AArch64
_OWN: Final = MARK | Pstate.btype.mask  # what no software sees: without FEAT_BTI, BTYPE is RES0
_DIT, _SSBS = Pstate.dit.mask, Pstate.ssbs.mask
_DSSBS: Final = Sctlr.dssbs.mask
_SPSR_EL1, _SPSR_EL2 = encodings.SPSR_EL1.packed, encodings.SPSR_EL2.packed
_SCTLR_EL1, _SCTLR_EL2 = encodings.SCTLR_EL1.packed, encodings.SCTLR_EL2.packed


@jit("i8(i8, i8)")
def speculation(p: int, target: int) -> int:
    """PSTATE.SSBS after an exception to EL1 or EL2: SCTLR_ELx.DSSBS, if the CPU model has FEAT_SSBS."""
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT == 0:
        return 0
    return _SSBS if get_system(p, _SCTLR_EL2 if target == 2 else _SCTLR_EL1) & _DSSBS else 0


@jit("i8(i8, i8)")
def _settled(p: int, held: int) -> int:
    """PSTATE as the architecture has it, from ``held`` by the engine."""
    if held & MARK:
        return held & ~_OWN
    el = level(held)
    spsr = get_system(p, _SPSR_EL2)
    if el != 2 and (load64(p + 8 * w.P_SOFT_EL) != 2 or level(spsr) != el):
        spsr = get_system(p, _SPSR_EL1)
        if spsr & MARK:  # not a return: the engine has taken a virtual interrupt by HCR_EL2.VI or VF
            put_system(p, _SPSR_EL1, spsr & ~MARK)
            return held & ~(_OWN | SOFT) | spsr & _DIT | speculation(p, 1)
    return held & ~(_OWN | SOFT) | spsr & SOFT


@jit("i8(i8, i8)")
def _watch(p: int, el: int) -> int:
    """Look at each block from now on if the next return from EL2 could not be told from one of EL1 after it."""
    store64(p + 8 * w.P_SOFT_EL, el)
    signals = load64(p + 8 * w.P_SIGNALS) & ~w.SIGNAL_RETURN
    if el == 2 and (get_system(p, _SPSR_EL1) ^ get_system(p, _SPSR_EL2)) & SOFT:
        signals |= w.SIGNAL_RETURN
        store64(load64(p + 8 * w.P_MACHINE) + 8 * w.M_BUDGET, 0)
    store64(p + 8 * w.P_SIGNALS, signals)
    return 0


@jit("i8(i8)")
def settle(p: int) -> int:
    """Put DIT and SSBS in order while code runs, in a hook."""
    held = get(p, PSTATE)
    if held & MARK == 0:
        put(p, PSTATE, _settled(p, held) | MARK)
    return _watch(p, level(held))


@jit("i8(i8)")
def return_ahead(p: int) -> int:
    """An SPSR is about to be written: what a return has taken from it is settled before, and watched after."""
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT:
        settle(p)
        if load64(p + 8 * w.P_SOFT_EL) == 2:
            store64(p + 8 * w.P_SIGNALS, load64(p + 8 * w.P_SIGNALS) | w.SIGNAL_RETURN)
            store64(load64(p + 8 * w.P_MACHINE) + 8 * w.M_BUDGET, 0)
    return 0


@jit("i8(i8)")
def read_state(p: int) -> int:
    """Read X30, SP, PC and PSTATE of the engine into the words from P_X on; 0 if PSTATE has lost its mark."""
    function, engine = load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC)
    to = p + 8 * w.P_X
    call_reg_read(function, engine, X29 + 1, to + 8 * 30)
    call_reg_read(function, engine, SP, to + 8 * 31)
    call_reg_read(function, engine, PC, to + 8 * 32)
    store64(to + 8 * 33, 0)
    call_reg_read(function, engine, PSTATE, to + 8 * 33)
    store64(p + 8 * w.P_SHADOW_VALID, 0)
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT == 0:
        return 1
    held = load64(to + 8 * 33)
    store64(to + 8 * 33, _settled(p, held))
    return held & MARK


@jit("i8(i8)")
def read_general(p: int) -> int:
    """Read X0..X30, SP, PC and PSTATE of the engine into the words from P_X on, with a copy from P_HELD on."""
    function, engine = load64(p + 8 * w.P_UC_REG_READ), load64(p + 8 * w.P_UC)
    to = p + 8 * w.P_X
    for number in range(29):
        call_reg_read(function, engine, X0 + number, to + 8 * number)
    call_reg_read(function, engine, X29, to + 8 * 29)
    marked = read_state(p)
    held = p + 8 * w.P_HELD
    for number in range(34):
        store64(held + 8 * number, load64(to + 8 * number))
    if marked == 0:
        store64(held + 8 * 33, -1)  # to be written back
    return 0


@jit("i8(i8)")
def _write_pstate(p: int) -> int:
    """Write PSTATE to the engine, with its mark, and make the engine look at it."""
    pstate = load64(p + 8 * w.P_PSTATE)
    soft = load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT
    store64(p + 8 * w.P_SCRATCH, pstate | MARK if soft else pstate)
    call_reg_write(load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC), PSTATE, p + 8 * w.P_SCRATCH)
    return touch(p)


@jit("i8(i8)")
def write_state(p: int) -> int:
    """Write SP, PC and PSTATE to the engine, after an exception that native code took."""
    _write_pstate(p)
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT:
        _watch(p, level(load64(p + 8 * w.P_PSTATE)))
    put(p, SP, load64(p + 8 * w.P_SP))
    return jump(p, load64(p + 8 * w.P_PC))


@jit("i8(i8)")
def write_general(p: int) -> int:
    """Write those of X0..X30, SP, PC and PSTATE that differ to the engine, before code runs."""
    store64(p + 8 * w.P_SHADOW_VALID, 0)
    function, engine = load64(p + 8 * w.P_UC_REG_WRITE), load64(p + 8 * w.P_UC)
    source, held = p + 8 * w.P_X, p + 8 * w.P_HELD
    pstate = load64(source + 8 * 33)
    if pstate != load64(held + 8 * 33):
        _write_pstate(p)
        store64(held + 8 * 33, pstate)
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT:
        _watch(p, level(pstate))
    for number in range(33):
        value = load64(source + 8 * number)
        if value != load64(held + 8 * number):
            register = X0 + number
            if number >= 29:
                register = X29 + number - 29
            if number == 31:
                register = SP
            if number == 32:
                register = PC
            call_reg_write(function, engine, register, source + 8 * number)
            store64(held + 8 * number, value)
    return 0
