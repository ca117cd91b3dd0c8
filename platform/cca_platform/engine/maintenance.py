"""SYS instructions as native code: AT with the MMU's own walk, DC and IC by VA, broadcast of IC and TLBI.

The engine would walk tables for AT without stage 2 and granule protection, and translates nothing for DC and IC. It
calls its hook before it checks the exception level and the traps.
"""

from typing import Final

from cca_arch.sysregs import MAIR_MEMORY, MAIR_NORMAL_NC, Hcr, Par, ParFault, Pstate, Sctlr, encodings
from cca_arch.types import SecurityState
from cca_platform.engine import general, interrupts
from cca_platform.engine.registers import PAR_EL1, PSTATE, drop_code, get, get_system, load_regime, put, put_system
from cca_platform.isa.pstate import level
from cca_platform.mmu.dram import page_index
from cca_platform.mmu.translate import REFUSED, resolve, translate
from cca_platform.mmu.walk import MAPPED, READ, WRITE
from cca_platform.native import block as w
from cca_platform.native.jit import callback, jit, load8, load32, load64, store8, store64

__all__ = ["ON_SYS", "refused"]

_PAN_BIT: Final = Pstate.pan.low
_EL, _EL_LOW = Pstate.el.mask, Pstate.el.low
_HCR_TPCP_TPU: Final = Hcr.tpcp.mask | Hcr.tpu.mask
_HCR_TGE, _HCR_FB = Hcr.tge.mask, Hcr.fb.mask
_SECURE: Final = int(SecurityState.SECURE)
_UCI: Final = Sctlr.uci.mask
_PAR_ATTR, _PAR_SH, _PAR_PA, _PAR_RES1 = Par.attr.low, Par.sh.low, Par.pa.mask, Par.res1.mask
_PAR_FAILED: Final = ParFault.res1.mask | ParFault.f.mask
_PAR_FST, _PAR_STAGE2, _PAR_WALK = ParFault.fst.low, ParFault.s.mask, ParFault.ptw.mask
_MEMORY, _NON_CACHEABLE = MAIR_MEMORY, MAIR_NORMAL_NC
_MAINTENANCE, _WALK = 3, 4  # P_FAULT_KIND
_HCR_EL2: Final = encodings.HCR_EL2.packed
_IC_IVAU, _DC_IVAC = 5, 6  # CRm, with op2 = 1
_BY_VA: Final = (_IC_IVAU, _DC_IVAC, 10, 11, 14)  # and DC CVAC, CVAU, CIVAC
_PERSISTENT: Final = (12, 13)  # DC CVAP, CVADP


@jit("i8(i8, i8)")
def _translated(p: int, address: int) -> int:
    """PAR_EL1 for a translation to ``address``; Device and Non-cacheable memory is outer shareable."""
    attribute = load64(p + 8 * w.P_OUT_ATTR)
    shareability = load64(p + 8 * w.P_OUT_SH)
    if attribute & _MEMORY == 0 or attribute == _NON_CACHEABLE:
        shareability = 2
    return attribute << _PAR_ATTR | address & _PAR_PA | _PAR_RES1 | shareability << _PAR_SH


@jit("i8(i8, i8, i8, i8, i8, i8)")
def _address_translate(p: int, va: int, el: int, access: int, both: int, pan: int) -> int:
    """AT: walk the tables and set PAR_EL1. ``both`` 0 = stage 1 only; ``pan`` 1 = according to PSTATE.PAN.

    At EL1, a walk that stage 2 refuses aborts instead: the engine stops after this instruction, which ends a block.
    """
    load_regime(p, el)
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, get(p, PSTATE) >> _PAN_BIT & pan)
    failed = resolve(p, va, access) == REFUSED  # AT does not check the granule of the resulting address
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
def _instruction_invalidate(p: int, page: int) -> int:
    """IC IVAU of the page at physical address ``page``: drop its code here now, and on other PEs before they run.

    For a page without translated code, which is the common case, this only costs a check. The same is true of this
    page from now on, because every PE must fill its TLB first.
    """
    m = load64(p + 8 * w.P_MACHINE)
    index = page_index(m, page)
    if index < 0:
        return 0
    executed = load64(m + 8 * w.M_EXECUTED) + index
    if load8(executed) == 0:
        return 0
    store8(executed, 0)
    if load64(m + 8 * w.M_PES_USED) > 1:
        number = load64(m + 8 * w.M_DROPS)
        store64(m + 8 * (w.M_DROPPED + number % w.DROPS), page)
        store64(m + 8 * w.M_DROPS, number + 1)
        if load64(p + 8 * w.P_DROPS_SEEN) == number:
            store64(p + 8 * w.P_DROPS_SEEN, number + 1)
        _tell_tlbs(p)
    return drop_code(p, page)


@jit("i8(i8)")
def _tell_tlbs(p: int) -> int:
    """Make every other PE flush its TLB before it runs; this PE handles its own."""
    m = load64(p + 8 * w.P_MACHINE)
    store64(m + 8 * w.M_TLBI, load64(m + 8 * w.M_TLBI) + 1)
    store64(p + 8 * w.P_TLBI_SEEN, load64(p + 8 * w.P_TLBI_SEEN) + 1)
    return 0


@jit("i8(i8)")
def _broadcasts(p: int) -> int:
    """True if HCR_EL2.FB makes the maintenance of EL1 that of every PE."""
    own = level(get(p, PSTATE)) != 1 or load64(p + 8 * w.P_SECURITY) == _SECURE
    return 0 if own else load64(p + 8 * w.P_HCR) & _HCR_FB


@jit("i8(i8, i8)")
def _drop(p: int, page: int) -> int:
    """Drop the code of the page at physical address ``page``, unless it has none any more."""
    m = load64(p + 8 * w.P_MACHINE)
    executed = load64(m + 8 * w.M_EXECUTED) + page_index(m, page)
    if load8(executed):
        store8(executed, 0)
        drop_code(p, page)
    return 0


@jit("i8(i8)")
def _instruction_invalidate_all(p: int) -> int:
    """IC IALLU and IALLUIS: drop the translated code that may not be what memory holds.

    On the only PE with code that is the code of pages that were writable; the engine has noticed all other stores. If
    these are too many, or others have code, all code goes at the end of this block: before what follows an ISB.
    """
    if level(get(p, PSTATE)) == 0:
        return 0
    m = load64(p + 8 * w.P_MACHINE)
    seen, count = load64(p + 8 * w.P_DROPS_SEEN), load64(m + 8 * w.M_DROPS)
    mixed = load64(m + 8 * w.M_MIXED_COUNT)
    if load64(m + 8 * w.M_PES_USED) > 1 or mixed > w.MIXED or count - seen > w.DROPS:
        store64(m + 8 * w.M_CODE_WRITTEN, 1)
        store64(p + 8 * w.P_SLICE_END, 0)
        return interrupts.set_budget(p)
    for number in range(seen, count):
        _drop(p, load64(m + 8 * (w.M_DROPPED + number % w.DROPS)))
    for number in range(mixed):
        _drop(p, load64(m + 8 * (w.M_MIXED + number)))
    store64(p + 8 * w.P_DROPS_SEEN, count)
    store64(m + 8 * w.M_MIXED_COUNT, 0)
    return 0


@jit("i8(i8, i8)")
def _needed(el: int, invalidates: int) -> int:
    """The kind of access as which DC or IC by VA is checked (DDI 0487, "MMU fault considerations").

    DC IVAC, which may lose stores, counts as a store; the others as a load at EL0, as none above. PAN is ignored.
    """
    if invalidates:
        return WRITE
    return READ if el == 0 else MAPPED


@jit("i8(i8, i8, i8, i8)")
def _maintain(p: int, op1: int, va: int, invalidates: int) -> int:
    """Translate a DC or IC by VA (``op1`` 3: available at EL0): the physical address of its page, or -1.

    The engine neither translates nor aborts. It calls this hook before it checks the traps of HCR_EL2, which are used
    here to raise the abort.
    """
    pstate = get(p, PSTATE)
    el = level(pstate)
    if el == 0 and op1 != 3:
        return -1
    key = va >> 12 << 3 | invalidates << 2 | el
    if load64(p + 8 * w.P_MAINTAINED) == key and load64(p + 8 * w.P_MAINTAINED_ERA) == load64(p + 8 * w.P_TLB_ERA):
        return load64(p + 8 * w.P_MAINTAINED_PA)
    load_regime(p, el)
    if el == 0 and load64(p + 8 * w.P_SCTLR) & _UCI == 0:
        return -1
    store64(p + 8 * w.P_EL, el)
    store64(p + 8 * w.P_PAN, 0)
    if translate(p, va, _needed(el, invalidates)) != REFUSED:
        page = load64(p + 8 * w.P_OUT_PA) & ~0xFFF
        store64(p + 8 * w.P_MAINTAINED, key)
        store64(p + 8 * w.P_MAINTAINED_PA, page)
        store64(p + 8 * w.P_MAINTAINED_ERA, load64(p + 8 * w.P_TLB_ERA))
        return page
    if load64(p + 8 * w.P_FEATURES) & w.HAS_SOFT:
        general.settle(p)
        pstate = get(p, PSTATE)
    hcr = get_system(p, _HCR_EL2)
    if el == 2 or hcr & (_HCR_TPCP_TPU | _HCR_TGE) == 0:
        store64(p + 8 * w.P_FAULT_VA, va)
        store64(p + 8 * w.P_FAULT_ACCESS, READ)
        store64(p + 8 * w.P_FAULT_KIND, _MAINTENANCE)
        store64(p + 8 * w.P_TRAPPED_HCR, hcr)
        store64(p + 8 * w.P_TRAPPED_PSTATE, pstate)
        put_system(p, _HCR_EL2, (hcr | _HCR_TPCP_TPU) & ~_HCR_TGE)
        if el == 2:  # which no control of HCR_EL2 traps: for its check of them, the engine is at EL1
            put(p, PSTATE, pstate & ~_EL | 1 << _EL_LOW)
    return -1


@jit("i8(i8)")
def refused(p: int) -> int:
    """True if the trapped instruction is a DC or IC that aborts; restores the state in that case."""
    if load64(p + 8 * w.P_FAULT_KIND) != _MAINTENANCE:
        return 0
    store64(p + 8 * w.P_FAULT_KIND, 0)
    put_system(p, _HCR_EL2, load64(p + 8 * w.P_TRAPPED_HCR))
    store64(p + 8 * w.P_PSTATE, load64(p + 8 * w.P_PSTATE) & ~_EL | load64(p + 8 * w.P_TRAPPED_PSTATE) & _EL)
    return 1


@jit("i8(i8, i8, i8, i8)")
def _by_address(p: int, op1: int, crm: int, va: int) -> int:
    """DC and IC by VA; the engine then handles traps and UNDEFINED instructions."""
    page = _maintain(p, op1, va, crm == _DC_IVAC)
    if page >= 0 and crm == _IC_IVAU:
        _instruction_invalidate(p, page)
    return 0


@callback("i32", "i64", "i32", "i64", "i64")
def ON_SYS(uc: int, register: int, cp: int, p: int) -> int:
    """UC_HOOK_INSN SYS: handles AT, broadcasts TLBI and IC to the other PEs, and aborts DC and IC by VA."""
    crn, crm, op1, op2 = load32(cp), load32(cp + 4), load32(cp + 12), load32(cp + 16)
    if crn == 8:
        if crm == 3 or crm == 1 or (crm == 7 and _broadcasts(p)):
            _tell_tlbs(p)
        store64(p + 8 * w.P_MAINTAINED, -1)
        store64(p + 8 * w.P_SITE_ERA, 0)
        return 0
    if crn != 7:
        return 0
    features = load64(p + 8 * w.P_FEATURES)
    if op2 == 1 and (crm in _BY_VA or (crm in _PERSISTENT and features & w.HAS_DPB)):
        return _by_address(p, op1, crm, load64(cp + 24))
    if (crm == 1 or crm == 5) and op1 == 0 and op2 == 0:
        return _instruction_invalidate_all(p)
    # the engine's own walk would not use our stage 2
    if crm == 8 or (crm == 9 and features & w.HAS_PAN):
        el, access = level(get(p, PSTATE)), WRITE if op2 & 1 else READ
        if el >= 1 and op1 == 0 and op2 < (4 if crm == 8 else 2):
            return _address_translate(p, load64(cp + 24), 1 - (op2 >> 1), access, 0, crm & 1)
        if el == 2 and op1 == 4 and op2 < 2 and crm == 8:
            return _address_translate(p, load64(cp + 24), 2, access, 0, 0)
        if el == 2 and op1 == 4 and op2 > 3 and crm == 8:
            return _address_translate(p, load64(cp + 24), 1 - (op2 >> 1 & 1), access, 1, 0)
    return 0
