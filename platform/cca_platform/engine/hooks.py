"""The native code of the engine's hooks: exception entry, the clock, system registers.

Every function works on the words of :mod:`cca_platform.native.block` and accesses the engine's registers through
:mod:`cca_platform.engine.registers`.
"""

from typing import Final

from cca_arch.sysregs import (
    VECTOR_LOWER,
    VECTOR_SPX,
    VECTOR_TABLE,
    Cnthctl,
    Hcr,
    Pstate,
    Sctlr,
    Vector,
    encodings,
)
from cca_platform.engine import controls, general, icc, interrupts, pmu, sites, timers
from cca_platform.engine.registers import PSTATE, SP_EL0, XZR, get, get_system, load_regime, put, put_system
from cca_platform.isa.pstate import level, stack
from cca_platform.mmu.dram import host_address
from cca_platform.mmu.translate import translate
from cca_platform.mmu.walk import FETCH
from cca_platform.native import block as w
from cca_platform.native.jit import call_address, call_block, callback, jit, load32, load64, store64

__all__ = [
    "NO_FAR",
    "ON_BLOCK",
    "ON_LOOK",
    "ON_MRS",
    "ON_MSR",
    "charge",
    "deliver",
    "instruction",
    "note_served",
    "take_exception",
    "uncount",
    "word_at",
]

_HCR_TID3: Final = Hcr.tid3.mask
_PAN: Final = Pstate.pan.mask
_IL: Final = Pstate.il.mask
_AARCH32: Final = Pstate.aarch32.mask
_NZCV, _Z = Pstate.nzcv.mask, Pstate.z.mask
_SP, _EL_LOW = Pstate.sp.mask, Pstate.el.low
_MODE_RESERVED: Final = Pstate.mode.mask & ~(Pstate.el.mask | Pstate.sp.mask)
_KEPT: Final = Pstate.nzcv.mask | Pstate.dit.mask | Pstate.pan.mask  # of PSTATE at an exception
_MASKED: Final = Pstate.daif.mask
_SPAN: Final = Sctlr.span.mask
_LOWER, _SPX = VECTOR_LOWER, VECTOR_SPX
_SYNCHRONOUS, _SERROR = int(Vector.SYNCHRONOUS), int(Vector.SERROR)
_CNTHCTL_BITS: Final = (
    Cnthctl.el1pcten.mask | Cnthctl.el1pcen.mask | Cnthctl.evnten.mask | Cnthctl.evntdir.mask | Cnthctl.evnti.mask
)
_HCR_EL2: Final = encodings.HCR_EL2.packed
_SCTLR_EL1: Final = encodings.SCTLR_EL1.packed
_VTCR_EL2, _VTTBR_EL2 = encodings.VTCR_EL2.packed, encodings.VTTBR_EL2.packed
_ISR_EL1: Final = encodings.ISR_EL1.packed
_RNDR, _RNDRRS = encodings.RNDR.packed, encodings.RNDRRS.packed
_CNTHCTL_EL2, _CNTVOFF_EL2 = encodings.CNTHCTL_EL2.packed, encodings.CNTVOFF_EL2.packed
_TIMERS_CRN: Final = encodings.CNTFRQ_EL0.crn
_ELR_EL1, _ELR_EL2 = encodings.ELR_EL1.packed, encodings.ELR_EL2.packed
_SPSR_EL1, _SPSR_EL2 = encodings.SPSR_EL1.packed, encodings.SPSR_EL2.packed
_ESR_EL1, _ESR_EL2 = encodings.ESR_EL1.packed, encodings.ESR_EL2.packed
_FAR_EL1, _FAR_EL2 = encodings.FAR_EL1.packed, encodings.FAR_EL2.packed
_VBAR_EL1, _VBAR_EL2 = encodings.VBAR_EL1.packed, encodings.VBAR_EL2.packed
NO_FAR: Final = -(1 << 63)
"""The fault address of an exception that has none."""
_VMPIDR_EL2: Final = encodings.VMPIDR_EL2.packed
_COST: Final = 1_000  # instructions that take the time of an exception: a long step has as many fewer
_MANY: Final = 10_000
_LAST_RECORD: Final = w.RECORDS - 1
_SOON: Final = 4096  # instructions: a handler that does its work takes more, or it returns


@jit("i8(i8, i8, i8)")
def word_at(p: int, el: int, pc: int) -> int:
    """The instruction word at ``pc`` as fetched by ``el``, with its regime loaded; -1 if it cannot be fetched."""
    store64(p + 8 * w.P_EL, el)
    if translate(p, pc, FETCH) != 0:
        return -1
    host = host_address(load64(p + 8 * w.P_MACHINE), load64(p + 8 * w.P_OUT_PA))
    return load32(host) if host else -1


@jit("i8(i8)")
def _returned(p: int) -> int:
    """True if the last block ended with an exception return, at EL1 or EL2, and did not fail at its beginning."""
    if load64(p + 8 * w.P_BLOCK_SIZE) == 0:
        return 0
    last = load64(p + 8 * w.P_BLOCK_PC) + load64(p + 8 * w.P_BLOCK_SIZE) - 4
    for el in range(1, 3):
        load_regime(p, el)
        if word_at(p, el, last) in sites.ERETS:
            return 1
    return 0


@jit("i8(i8, i8, i8, i8, i8)")
def _note(p: int, target: int, esr: int, far: int, vbar: int) -> int:
    """Note a synchronous exception, or count it with one of the last ones that has the same PC and syndrome."""
    r, pc = load64(p + 8 * w.P_RECENT), load64(p + 8 * w.P_PC)
    used = load64(r + 8 * w.R_USED) if load64(p + 8 * w.P_NESTED) > 1 else 0
    for back in range(1, min(used, w.ALIKE) + 1):
        at = r + 8 * (w.R_RECORDS + (used - back & _LAST_RECORD) * w.RECORD)
        if load64(at + 8 * w.T_PC) == pc and load64(at + 8 * w.T_ESR) == esr:
            store64(at + 8 * w.T_COUNT, load64(at + 8 * w.T_COUNT) + 1)
            if load64(r + 8 * w.R_STILL):
                store64(r + 8 * w.R_FOLDED, load64(r + 8 * w.R_FOLDED) + 1)
            else:
                store64(r + 8 * w.R_FOLDED, 0)
            return 0
    at = r + 8 * (w.R_RECORDS + (used & _LAST_RECORD) * w.RECORD)
    store64(at + 8 * w.T_PC, pc)
    store64(at + 8 * w.T_PSTATE, load64(p + 8 * w.P_PSTATE))
    store64(at + 8 * w.T_ESR, esr)
    store64(at + 8 * w.T_FAR, 0 if far == NO_FAR else far)
    store64(at + 8 * w.T_SP, load64(p + 8 * w.P_SP))
    store64(at + 8 * w.T_LR, load64(p + 8 * (w.P_X + 30)))
    store64(at + 8 * w.T_RETIRED, load64(p + 8 * w.P_RETIRED))
    store64(at + 8 * w.T_VBAR, vbar)
    store64(at + 8 * w.T_TARGET, target)
    store64(at + 8 * w.T_COUNT, 1)
    store64(r + 8 * w.R_USED, used + 1)
    store64(r + 8 * w.R_FOLDED, 0)
    return 0


@jit("i8(i8)")
def charge(p: int) -> int:
    """Shorten a long step, as an exception or an access to a device takes the time of many instructions."""
    m = load64(p + 8 * w.P_MACHINE)
    limit = load64(p + 8 * w.P_LIMIT) - _COST
    if limit - load64(m + 8 * w.M_RETIRED) > _MANY:
        store64(p + 8 * w.P_LIMIT, limit)
        store64(m + 8 * w.M_BUDGET, min(load64(m + 8 * w.M_BUDGET), limit))
    return 0


@jit("i8(i8)")
def note_served(p: int) -> int:
    """Note that a refused access has been dealt with here: Python would have counted a run of the engine."""
    served = load64(p + 8 * w.P_RETIRED) + 1
    again = load64(p + 8 * w.P_SERVINGS) if load64(p + 8 * w.P_SERVED) == served else 0
    store64(p + 8 * w.P_SERVED, served)
    store64(p + 8 * w.P_SERVINGS, again + 1)
    return 0


@jit("i8(i8)")
def _nest(p: int) -> int:
    """Count a synchronous exception; 1 when there have been NESTED_LIMIT in a row, and no return from any of them.

    That costs a look at every block, so it is done for one that is suspect alone: many exceptions, one soon after the
    other.
    """
    retired, nested = load64(p + 8 * w.P_RETIRED), load64(p + 8 * w.P_NESTED)
    ran = retired - load64(p + 8 * w.P_TAKEN)
    if ran > _SOON or (ran != 0 and nested >= w.NESTED_SUSPECT and _returned(p) != 0):
        nested = 0
    still = 1 if ran == 0 or nested >= w.NESTED_SUSPECT else 0
    store64(load64(p + 8 * w.P_RECENT) + 8 * w.R_STILL, still)
    m = load64(p + 8 * w.P_MACHINE)
    store64(m + 8 * w.M_TAKEN, load64(m + 8 * w.M_TAKEN) + 1)
    charge(p)
    store64(p + 8 * w.P_TAKEN, retired)
    store64(p + 8 * w.P_NESTED, nested + 1)
    if nested + 1 == w.NESTED_SUSPECT:
        store64(m + 8 * w.M_BUDGET, 0)
    return 1 if nested + 1 >= w.NESTED_LIMIT else 0


@jit("i8(i8, i8, i8, i8, i8)")
def take_exception(p: int, target: int, esr: int, far: int, kind: int) -> int:
    """Architectural entry into the vector table of EL1 or EL2 (DDI 0487, AArch64.TakeException).

    Works on PC, PSTATE and SP in the block. ``kind`` is a ``Vector``; ``far`` is written unless -1 << 63, ``esr`` for
    synchronous exceptions and SErrors. 1 when synchronous exceptions come without end.
    """
    vbar = get_system(p, _VBAR_EL2 if target == 2 else _VBAR_EL1)
    endless = 0
    if kind == _SYNCHRONOUS:
        endless = _nest(p)
        _note(p, target, esr, far, vbar)
    pstate = load64(p + 8 * w.P_PSTATE)
    put(p, SP_EL0 + stack(pstate), load64(p + 8 * w.P_SP))
    put_system(p, _ELR_EL2 if target == 2 else _ELR_EL1, load64(p + 8 * w.P_PC))
    put_system(p, _SPSR_EL2 if target == 2 else _SPSR_EL1, pstate)
    if kind in (_SYNCHRONOUS, _SERROR):
        put_system(p, _ESR_EL2 if target == 2 else _ESR_EL1, esr)
    if far != NO_FAR:
        put_system(p, _FAR_EL2 if target == 2 else _FAR_EL1, far)
    offset = _LOWER
    if level(pstate) == target:
        offset = _SPX if pstate & _SP else 0
    kept = pstate & _KEPT
    if load64(p + 8 * w.P_FEATURES) & w.HAS_PAN and target == 1 and get_system(p, _SCTLR_EL1) & _SPAN == 0:
        kept |= _PAN
    store64(p + 8 * w.P_PC, (vbar & -VECTOR_TABLE) + offset + kind)
    kept |= general.speculation(p, target)
    store64(p + 8 * w.P_PSTATE, kept | _MASKED | target << _EL_LOW | _SP)
    store64(p + 8 * w.P_SP, get(p, SP_EL0 + target))
    return endless


@jit("i8(i8, i8, i8, i8)")
def deliver(p: int, target: int, esr: int, far: int) -> int:
    """Take a synchronous exception to real code, and leave the engine there. The block has the engine's state."""
    el = level(load64(p + 8 * w.P_PSTATE))
    take_exception(p, target, esr, far, _SYNCHRONOUS)
    general.write_state(p)
    if el != target:
        pmu.follow(p, target)
        interrupts.set_budget(p)
    return 0


@jit("i8(i8, i8)")
def instruction(p: int, offset: int) -> int:
    """The instruction word at PC of the block plus ``offset``, or -1 if it cannot be fetched (any more)."""
    el = level(load64(p + 8 * w.P_PSTATE))
    load_regime(p, el)
    return word_at(p, el, load64(p + 8 * w.P_PC) + offset)


@jit("i8(i8)")
def uncount(p: int) -> int:
    """Subtract from the counts the instructions of the last block that PC has not reached."""
    m, pc = load64(p + 8 * w.P_MACHINE), load64(p + 8 * w.P_PC)
    start, size = load64(p + 8 * w.P_BLOCK_PC), load64(p + 8 * w.P_BLOCK_SIZE)
    if start <= pc < start + size:
        rest = (start + size - pc) >> 2
        store64(m + 8 * w.M_RETIRED, load64(m + 8 * w.M_RETIRED) - rest)
        store64(p + 8 * w.P_RETIRED, load64(p + 8 * w.P_RETIRED) - rest)
        store64(p + 8 * w.P_BLOCK_SIZE, pc - start)
    return 0


@jit("i8(i8, i8, i8)")
def _count(p: int, address: int, size: int) -> int:
    """Count the block that is about to run."""
    m = load64(p + 8 * w.P_MACHINE)
    store64(m + 8 * w.M_RETIRED, load64(m + 8 * w.M_RETIRED) + (size >> 2))
    store64(p + 8 * w.P_RETIRED, load64(p + 8 * w.P_RETIRED) + (size >> 2))
    store64(p + 8 * w.P_BLOCK_PC, address)
    store64(p + 8 * w.P_BLOCK_SIZE, size)
    return 0


@callback("i32", "i64", "i64", "i64")
def ON_LOOK(p: int, address: int, size: int) -> int:
    """The rare part of the block hook: count the block unless the engine does, or tell it to stop, and return 1."""
    if load64(p + 8 * w.P_NESTED) >= w.NESTED_SUSPECT and _returned(p) != 0:
        store64(p + 8 * w.P_NESTED, 0)
    m = load64(p + 8 * w.P_MACHINE)
    if load64(p + 8 * w.P_SIGNALS) & w.SIGNAL_RETURN:
        general.settle(p)
    if load64(p + 8 * w.P_PMU_LOOK):
        el = level(get(p, PSTATE))
        if el != load64(p + 8 * w.P_PMU_EL):
            pmu.update(p, el)
    in_time = load64(m + 8 * w.M_RETIRED) < load64(p + 8 * w.P_LIMIT) and timers.counter(m) < load64(p + 8 * w.P_BUDGET)
    if in_time and address & 3 == 0 and pmu.due(p) == 0 and interrupts.due(p, get(p, PSTATE)) == 0:
        if load64(p + 8 * w.P_SIGNALS) == 0:
            interrupts.set_budget(p)  # time was skipped, so the next check is due at another block
        return 0 if load64(p + 8 * w.P_BUILT) else _count(p, address, size)
    store64(p + 8 * w.P_STOPPED, 1)
    call_address(load64(p + 8 * w.P_UC_EMU_STOP), load64(p + 8 * w.P_UC))
    return 1


@callback("void", "i64", "i64", "i32", "i64")
def ON_BLOCK(uc: int, address: int, size: int, p: int) -> None:
    """UC_HOOK_BLOCK: count the block that is about to run, or stop before it: budget used up, or PC misaligned.

    Half of all that code costs is this. What is rare comes last, as a jump: so no register has to be saved.
    """
    m = load64(p + 8 * w.P_MACHINE)
    # before adding, or a small budget would livelock
    if address & 3 == 0 and load64(m + 8 * w.M_RETIRED) < load64(m + 8 * w.M_BUDGET):
        _count(p, address, size)
    else:
        call_block(load64(p + 8 * w.P_ON_LOOK), p, address, size)


@jit("i8(i8, i8, i8)")
def _answer(p: int, register: int, value: int) -> int:
    """Set the result of an MRS; the hook then returns 1, and the engine does nothing."""
    if register != XZR:
        put(p, register, value)
    return 1


@jit("i8(i8, i8, i8)")
def _identify(p: int, register: int, index: int) -> int:
    """MIDR_EL1 and MPIDR_EL1 at EL2, and the ID registers (CRm 1 to 7) that no level traps: from the PE's table."""
    el = level(get(p, PSTATE))
    if index < 8:
        if (index != 0 and index != 5) or el != 2:
            return 0
    elif el == 0 or (el == 1 and load64(p + 8 * w.P_HCR) & _HCR_TID3):
        return 0
    return _answer(p, register, load64(load64(p + 8 * w.P_ID_TABLE) + 8 * index))


@jit("i8(i8, i8)")
def _no_random(p: int, register: int) -> int:
    """RNDR and RNDRRS, if the model has them (it asks the host): report failure, with 0 and Z."""
    if load64(p + 8 * w.P_FEATURES) & w.HAS_PAN == 0:
        return 0
    put(p, PSTATE, get(p, PSTATE) & ~_NZCV | _Z)
    return _answer(p, register, 0)


@jit("i8(i8, i8, i8)")
def _el2_control(p: int, register: int, word: int) -> int:
    """Read an EL2 control from the block, for EL2; the engine handles the other levels."""
    return _answer(p, register, load64(p + 8 * word)) if level(get(p, PSTATE)) == 2 else 0


@jit("i8(i8, i8)")
def _own_mark(p: int, register: int) -> int:
    """SPSR_EL1 without the mark in PSTATE, if the engine has taken an interrupt with it."""
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT == 0:
        return 0
    spsr = get_system(p, _SPSR_EL1)
    return _answer(p, register, spsr & ~general.MARK) if spsr & general.MARK and level(get(p, PSTATE)) else 0


@callback("i32", "i64", "i32", "i64", "i64")
def ON_MRS(uc: int, register: int, cp: int, p: int) -> int:
    """UC_HOOK_INSN MRS: counter, timers, GIC, ISR_EL1, EL2 controls, identification; others are read natively."""
    crn, crm, op0, op1, op2 = load32(cp), load32(cp + 4), load32(cp + 8), load32(cp + 12), load32(cp + 16)
    if op0 != 3:
        return 0
    if crn == 0 and op1 == 0 and crm < 8:
        return _identify(p, register, 8 * crm + op2)
    encoding = op0 << 16 | op1 << 12 | crn << 8 | crm << 4 | op2
    if icc.is_gic(encoding):
        return icc.access(p, encoding, register, 0)
    if encoding in (_RNDR, _RNDRRS):
        return _no_random(p, register)
    if encoding == _ISR_EL1:
        pstate = get(p, PSTATE)
        return _answer(p, register, interrupts.pending(p, pstate)) if level(pstate) else 0
    if encoding == _SPSR_EL1:
        return _own_mark(p, register)
    if encoding == _HCR_EL2:
        return _el2_control(p, register, w.P_HCR)
    if encoding == _CNTHCTL_EL2:
        return _el2_control(p, register, w.P_CNTHCTL)
    if crn != _TIMERS_CRN:
        return 0
    timer = timers.select(p, op1, crm, op2)
    return _answer(p, register, timers.read_at(p, timer, op2, timers.running(p))) if timer >= 0 else 0


@jit("i8(i8, i8, i8)")
def _set_return_state(p: int, spsr: int, value: int) -> int:
    """SPSR_EL1 or SPSR_EL2 is written: record a value whose ERET is an illegal exception return.

    The engine then sets PSTATE.IL but continues. It would also run AArch32, which is illegal here, too.
    """
    el, highest = level(value), 2 if spsr == _SPSR_EL2 else 1
    if level(get(p, PSTATE)) == 0:
        return 0
    general.return_ahead(p)
    if value & (_IL | _AARCH32 | _MODE_RESERVED) or el > highest or (el == 0 and value & _SP):
        store64(p + 8 * w.P_SIGNALS, load64(p + 8 * w.P_SIGNALS) | w.SIGNAL_ILLEGAL)
        interrupts.set_budget(p)
    kept = value & ~_AARCH32 | _MODE_RESERVED if value & _AARCH32 else value
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT:
        kept &= ~general.MARK
    if kept == value:
        return 0
    put_system(p, spsr, kept)
    return 1


@callback("i32", "i64", "i32", "i64", "i64")
def ON_MSR(uc: int, register: int, cp: int, p: int) -> int:
    """UC_HOOK_INSN MSR: handles timers and GIC, and records writes that change a translation regime."""
    crn, crm, op0, op1, op2 = load32(cp), load32(cp + 4), load32(cp + 8), load32(cp + 12), load32(cp + 16)
    if op0 != 3 or (op1 == 4 and level(get(p, PSTATE)) < 2):
        return 0  # UNDEFINED below EL2: the engine handles it after this hook
    value = load64(cp + 24)
    encoding = op0 << 16 | op1 << 12 | crn << 8 | crm << 4 | op2
    if crn == 1 or crn == 2 or crn == 10:  # SCTLR, HCR; TTBR, TCR, VTTBR, VTCR; MAIR
        store64(p + 8 * w.P_REGIME, -1)
        store64(p + 8 * w.P_MAINTAINED, -1)
        store64(p + 8 * w.P_SITE_ERA, 0)
        if crn == 1:
            return controls.write(p, encoding, value)
        if encoding == _VTCR_EL2:
            store64(p + 8 * w.P_VTCR, value)
        elif encoding == _VTTBR_EL2:
            if value != load64(p + 8 * w.P_VTTBR):
                store64(p + 8 * w.P_NESTED, 0)  # the exceptions that follow are of another VM
            store64(p + 8 * w.P_VTTBR, value)
        return 0
    if icc.is_gic(encoding):
        return icc.access(p, encoding, register, cp)
    if encoding == _VMPIDR_EL2:
        store64(p + 8 * w.P_NESTED, 0)  # or of another vCPU
    if encoding in (_SPSR_EL1, _SPSR_EL2):
        return _set_return_state(p, encoding, value)
    if crn != _TIMERS_CRN:
        return 0
    if op1 == 4 and crm < 2:
        if encoding == _CNTVOFF_EL2:
            store64(p + 8 * w.P_CNTVOFF, value)
        elif encoding == _CNTHCTL_EL2:
            store64(p + 8 * w.P_CNTHCTL, value & _CNTHCTL_BITS)
        interrupts.set_budget(p)
        return 0
    if op1 == 0:
        return controls.write(p, encoding, value)
    timer = timers.select(p, op1, crm, op2)
    if timer < 0 or crm == 0:
        return 0
    timers.write_at(p, timer, op2, value, timers.running(p))
    interrupts.set_budget(p)
    return 1
