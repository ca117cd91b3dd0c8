"""The native code of the engine's hook of TLB fills: the MMU's permissions, and what a refused access comes to."""

from typing import Final

from cca_arch.sysregs import Pstate
from cca_platform.engine import aborts, devices, interrupts, sites
from cca_platform.engine.hooks import word_at
from cca_platform.engine.registers import PC, PSTATE, get, load_regime
from cca_platform.isa.pstate import level
from cca_platform.mmu.dram import host_address
from cca_platform.mmu.translate import DEVICE, OK, fill, grant, translate
from cca_platform.mmu.walk import FETCH
from cca_platform.native import block as w
from cca_platform.native.jit import callback, jit, load64, store32, store64

__all__ = ["ON_FILL"]

_PAN_BIT: Final = Pstate.pan.low
_UAO: Final = Pstate.uao.mask
_BY_DESCRIPTOR: Final = 2  # P_OUT_DEVICE


@jit("i8(i8)")
def _is_unprivileged(p: int) -> int:
    """True if the instruction at PC is an LDTR or STTR, whose access at EL1 is checked as at EL0."""
    word = word_at(p, 1, get(p, PC))
    return 1 if word >= 0 and word & 0x3B200C00 == 0x38000800 else 0


@jit("i8(i8, i8, i8)")
def _let_pass(p: int, va: int, access: int) -> int:
    """The permissions for an exclusive or atomic access to DRAM that a descriptor makes Device; 0 for all others.

    These check their alignment themselves, and nothing emulates them. The entry goes at the end of this block.
    """
    m = load64(p + 8 * w.P_MACHINE)
    if load64(p + 8 * w.P_FAULT_KIND) != DEVICE or host_address(m, load64(p + 8 * w.P_OUT_PA)) == 0:
        return 0
    el = load64(p + 8 * w.P_EL)
    word = word_at(p, level(get(p, PSTATE)), get(p, PC))
    store64(p + 8 * w.P_EL, el)
    exclusive = word & 0x3F000000 == 0x08000000 and word & 0x00A00000 != 0x00800000  # CAS, too; no LDAR, STLR
    atomic = word & 0x3F200C00 == 0x38200000 and word & 0xF000 != 0xC000  # no LDAPR
    if not (exclusive or atomic) or translate(p, va, access) != OK:
        return fill(p, va, access)  # which it has been refused: to look at the instruction was a translation, too
    store64(p + 8 * w.P_FAULT_KIND, 0)
    store64(m + 8 * w.M_TLBI, load64(m + 8 * w.M_TLBI) + 1)
    store64(p + 8 * w.P_SLICE_END, 0)
    interrupts.set_budget(p)
    return grant(p, access)


@jit("i8(i8, i8)")
def _serve(p: int, access: int) -> int:
    """Do what a refused access comes to, if native code can: an access to a device, or an abort to real code.

    The PC is then written, and P_RESUMED says so: the engine goes on there. The one of the wheel has to be left and
    started again for that, with an error that is none.
    """
    kind, done = load64(p + 8 * w.P_FAULT_KIND), 0
    if kind != DEVICE:
        done = aborts.take(p)
    elif access != FETCH:
        done = devices.serve(p)
    if done:
        store64(p + 8 * w.P_FAULT_KIND, 0)
        store64(p + 8 * w.P_RESUMED, 1)
    return done


@callback("bool", "i64", "i64", "i32", "i64", "i64")
def ON_FILL(uc: int, va: int, access: int, entry: int, p: int) -> bool:
    """UC_HOOK_TLB_FILL: ``entry`` is a uc_tlb_entry (paddr, perms); False refuses the access."""
    store64(p + 8 * w.P_FILLS, load64(p + 8 * w.P_FILLS) + 1)
    if load64(p + 8 * w.P_FETCHED):
        store64(entry, load64(p + 8 * w.P_FETCHED))
        store32(entry + 8, 4)
        return True
    pstate = get(p, PSTATE)
    el = level(pstate)
    pan = pstate >> _PAN_BIT & 1
    load_regime(p, el)
    if el == 1 and access != FETCH and pstate & _UAO == 0 and _is_unprivileged(p):
        el = 0
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, pan if el else 0)
    permissions = fill(p, va, access)
    if permissions == 0 and load64(p + 8 * w.P_OUT_DEVICE) == _BY_DESCRIPTOR:
        permissions = _let_pass(p, va, access)
    if permissions == 0:
        store64(p + 8 * w.P_RESUMED, 0)
        if load64(p + 8 * w.P_DIRECT) and load64(p + 8 * w.P_TRACED) == 0:
            _serve(p, access)
        return False
    store64(entry, load64(p + 8 * w.P_OUT_PA) & ~0xFFF)
    store32(entry + 8, permissions)
    if access == FETCH:
        sites.watch(p, va)
    return True
