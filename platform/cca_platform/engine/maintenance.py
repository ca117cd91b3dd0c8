"""SYS instructions as native code: AT answered by the MMU's own walk, TLBI and IC told to other PEs, DC and IC by VA.

The engine would walk tables for AT without stage 2 and granule protection, and translates nothing for DC and IC. Its
hook comes before it checks the exception level and the traps.
"""

from typing import Final

from cca_arch.sysregs import MAIR_MEMORY, MAIR_NORMAL_NC, Hcr, Par, ParFault, Pstate, Sctlr, encodings
from cca_platform.engine import interrupts
from cca_platform.engine.registers import PAR_EL1, PSTATE, get, get_system, load_regime, put, put_system
from cca_platform.isa.pstate import level
from cca_platform.mmu.dram import page_index
from cca_platform.mmu.translate import REFUSED, translate
from cca_platform.mmu.walk import READ, WRITE
from cca_platform.native import block as w
from cca_platform.native.jit import callback, jit, load8, load32, load64, store64

__all__ = ["ON_SYS", "refused"]

_PAN_BIT: Final = Pstate.pan.low
_HCR_TPCP_TPU: Final = Hcr.tpcp.mask | Hcr.tpu.mask
_HCR_TGE: Final = Hcr.tge.mask
_UCI: Final = Sctlr.uci.mask
_PAR_ATTR, _PAR_SH, _PAR_PA, _PAR_RES1 = Par.attr.low, Par.sh.low, Par.pa.mask, Par.res1.mask
_PAR_FAILED: Final = ParFault.res1.mask | ParFault.f.mask
_PAR_FST, _PAR_STAGE2, _PAR_WALK = ParFault.fst.low, ParFault.s.mask, ParFault.ptw.mask
_MEMORY, _NON_CACHEABLE = MAIR_MEMORY, MAIR_NORMAL_NC
_MAINTENANCE, _WALK = 3, 4  # P_FAULT_KIND
_HCR_EL2: Final = encodings.HCR_EL2.packed


@jit("i8(i8, i8)")
def _translated(p: int, address: int) -> int:
    """PAR_EL1 of a translation to ``address``; Device and Non-cacheable memory is outer shareable."""
    attribute = load64(p + 8 * w.P_OUT_ATTR)
    shareability = load64(p + 8 * w.P_OUT_SH)
    if attribute & _MEMORY == 0 or attribute == _NON_CACHEABLE:
        shareability = 2
    return attribute << _PAR_ATTR | address & _PAR_PA | _PAR_RES1 | shareability << _PAR_SH


@jit("i8(i8, i8, i8, i8, i8, i8)")
def _address_translate(p: int, va: int, el: int, access: int, both: int, pan: int) -> int:
    """AT: the walk of the MMU, its answer in PAR_EL1. ``both`` 0 = stage 1 only, ``pan`` 1 = as PSTATE.PAN has it.

    At EL1 a walk that stage 2 refuses is an abort instead: the engine stops after this instruction, which ends a block.
    """
    load_regime(p, el)
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, get(p, PSTATE) >> _PAN_BIT & pan)
    failed = translate(p, va, access) == 1
    stage2 = failed and load64(p + 8 * w.P_FAULT_STAGE) == 2
    walk = stage2 and load64(p + 8 * w.P_FAULT_S1PTW) != 0
    if walk and not both and level(get(p, PSTATE)) == 1:
        store64(p + 8 * w.P_FAULT_VA, va)
        store64(p + 8 * w.P_FAULT_ACCESS, access)
        store64(p + 8 * w.P_FAULT_KIND, _WALK)
        store64(p + 8 * w.P_SLICE_END, 0)
        interrupts.set_budget(p)
        return 1
    if stage2 and not walk and not both:
        par = _translated(p, load64(p + 8 * w.P_FAULT_IPA))
    elif failed:
        par = _PAR_FAILED | load64(p + 8 * w.P_FAULT_FSC) << _PAR_FST
        if stage2:
            par |= _PAR_STAGE2
        if walk:
            par |= _PAR_WALK
    else:
        par = _translated(p, load64(p + 8 * (w.P_OUT_PA if both else w.P_OUT_IPA)))
    put(p, PAR_EL1, par)
    return 1


@jit("i8(i8, i8)")
def _instruction_invalidate(p: int, va: int) -> int:
    """IC by VA with several PEs: code of this page that another PE translated is stale."""
    m = load64(p + 8 * w.P_MACHINE)
    el = level(get(p, PSTATE))
    load_regime(p, el)
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, 0)
    if translate(p, va, READ) == 0 and load8(load64(m + 8 * w.M_EXECUTED) + page_index(m, load64(p + 8 * w.P_OUT_PA))):
        store64(m + 8 * w.M_CODE_WRITTEN, 1)
    return 0


@jit("i8(i8, i8, i8)")
def _maintain(p: int, op1: int, va: int) -> int:
    """DC or IC by VA at EL1 or EL0 (``op1`` 3): it is translated as a load, and may abort as one.

    The engine does neither. It asks this hook before the traps of HCR_EL2: they are how an abort is made of it.
    """
    el = level(get(p, PSTATE))
    key = va >> 12 << 2 | el
    same = load64(p + 8 * w.P_MAINTAINED) == key and load64(p + 8 * w.P_MAINTAINED_ERA) == load64(p + 8 * w.P_TLB_ERA)
    if el == 2 or (el == 0 and op1 != 3) or same:
        return 0
    load_regime(p, el)
    if el == 0 and load64(p + 8 * w.P_SCTLR) & _UCI == 0:
        return 0
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, 0)
    if translate(p, va, READ) != REFUSED:
        store64(p + 8 * w.P_MAINTAINED, key)
        store64(p + 8 * w.P_MAINTAINED_ERA, load64(p + 8 * w.P_TLB_ERA))
        return 0
    hcr = get_system(p, _HCR_EL2)
    if hcr & (_HCR_TPCP_TPU | _HCR_TGE) == 0:
        store64(p + 8 * w.P_FAULT_VA, va)
        store64(p + 8 * w.P_FAULT_ACCESS, READ)
        store64(p + 8 * w.P_FAULT_KIND, _MAINTENANCE)
        store64(p + 8 * w.P_TRAPPED_HCR, hcr)
        put_system(p, _HCR_EL2, hcr | _HCR_TPCP_TPU)
    return 0


@jit("i8(i8)")
def refused(p: int) -> int:
    """Whether the instruction that was trapped is a DC or IC that aborts; the traps are then as they were."""
    if load64(p + 8 * w.P_FAULT_KIND) != _MAINTENANCE:
        return 0
    store64(p + 8 * w.P_FAULT_KIND, 0)
    put_system(p, _HCR_EL2, load64(p + 8 * w.P_TRAPPED_HCR))
    return 1


@callback("i32", "i64", "i32", "i64", "i64")
def ON_SYS(uc: int, register: int, cp: int, p: int) -> int:
    """UC_HOOK_INSN SYS: AT is answered here; TLBI and IC are noted for the other PEs; DC and IC by VA may abort."""
    crn, crm, op1, op2 = load32(cp), load32(cp + 4), load32(cp + 12), load32(cp + 16)
    m = load64(p + 8 * w.P_MACHINE)
    if crn == 8:
        if crm == 3 or crm == 1:
            store64(m + 8 * w.M_TLBI, load64(m + 8 * w.M_TLBI) + 1)
            store64(p + 8 * w.P_TLBI_SEEN, load64(p + 8 * w.P_TLBI_SEEN) + 1)
        store64(p + 8 * w.P_MAINTAINED, -1)
        return 0
    if crn != 7:
        return 0
    if op2 == 1 and (crm == 5 or crm == 6 or crm == 10 or crm == 11 or crm == 14):
        _maintain(p, op1, load64(cp + 24))
    if (crm == 1 or crm == 5) and load64(m + 8 * w.M_PES_USED) > 1:
        if op1 == 3 and op2 == 1:
            _instruction_invalidate(p, load64(cp + 24))
        elif op1 == 0 and op2 == 0:
            store64(m + 8 * w.M_CODE_WRITTEN, 1)
        return 0
    if crm == 8 or (crm == 9 and load64(p + 8 * w.P_HAS_PAN)):  # the engine's own walk would know no stage 2 of ours
        el, access = level(get(p, PSTATE)), WRITE if op2 & 1 else READ
        if el >= 1 and op1 == 0 and op2 < (4 if crm == 8 else 2):
            return _address_translate(p, load64(cp + 24), 1 - (op2 >> 1), access, 0, crm & 1)
        if el == 2 and op1 == 4 and op2 < 2 and crm == 8:
            return _address_translate(p, load64(cp + 24), 2, access, 0, 0)
        if el == 2 and op1 == 4 and op2 > 3 and crm == 8:
            return _address_translate(p, load64(cp + 24), 1 - (op2 >> 1 & 1), access, 1, 0)
    return 0
