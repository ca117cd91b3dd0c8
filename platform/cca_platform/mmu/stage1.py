"""Stage 1: translates virtual to intermediate physical addresses, at EL1&0 and EL2 (E2H = 0), 4K granule.

Choices that the architecture leaves open:

* a TG0/TG1 of another granule, reserved or not implemented, counts as 4K for all purposes but reading it back
  (so the ID registers must not offer 16K or 64K);
* TnSZ below 16 or above 39 counts as 16 or 39 (no FEAT_LVA, no FEAT_TTST);
* SCTLR.EE is RES0: no big-endian tables;
* an access that fails does not set the access flag.
"""

from typing import Final

from cca_arch.descriptors.stage1 import BLOCK, PAGE, TABLE, Stage1Leaf, Stage1Table
from cca_arch.sysregs import MAIR_MEMORY, MAIR_NORMAL_NC, MAIR_NORMAL_WB, MAIR_NORMAL_WT, Hcr, Sctlr, Tcr, TcrEl2, Ttbr
from cca_arch.types import Pas, SecurityState
from cca_platform.mmu.dram import update_descriptor
from cca_platform.mmu.regime import EL2
from cca_platform.mmu.stage2 import walk_stage2
from cca_platform.mmu.walk import (
    ACCESS_FLAG,
    ADDRESS_SIZE,
    FETCH,
    OUTPUT,
    PERMISSION,
    READ,
    TRANSLATION,
    WRITE,
    needed,
    output_bits,
    refuse,
    table_entry,
)
from cca_platform.native.block import (
    M_PA_BITS,
    P_EL,
    P_HCR,
    P_MACHINE,
    P_MAIR,
    P_OUT_ATTR,
    P_OUT_DEVICE,
    P_OUT_NG,
    P_OUT_SH,
    P_PAN,
    P_REGIME,
    P_SCTLR,
    P_SECURITY,
    P_TCR,
    P_TTBR0,
    P_TTBR1,
)
from cca_platform.native.jit import jit, load64, store64

__all__ = ["walk_stage1"]

_SECURE: Final = int(SecurityState.SECURE)
_REALM: Final = int(SecurityState.REALM)
_PAS_NON_SECURE: Final = int(Pas.NON_SECURE)
_MEMORY: Final = MAIR_MEMORY
_NORMAL_NC, _NORMAL_WT, _NORMAL_WB = MAIR_NORMAL_NC, MAIR_NORMAL_WT, MAIR_NORMAL_WB
_DC: Final = Hcr.dc.mask
_STAGE1_OFF: Final = Hcr.dc.mask | Hcr.tge.mask  # either turns stage 1 of EL1&0 off
_M, _I, _WXN = Sctlr.m.mask, Sctlr.i.mask, Sctlr.wxn.mask
_SIZE_ONES: Final = Tcr.t0sz.ones
_T1SZ: Final = Tcr.t1sz.low  # T0SZ is at 0, also at EL2
_EPD0: Final = Tcr.epd0.low
# Those of the upper range come next:
_TBI0, _TBID0, _HPD0, _E0PD0 = Tcr.tbi0.low, Tcr.tbid0.low, Tcr.hpd0.low, Tcr.e0pd0.low
assert Tcr.epd1.low == _EPD0 + _T1SZ
_HA, _IPS = Tcr.ha.low, Tcr.ips.low
_EL2_TBI, _EL2_TBID, _EL2_HPD = TcrEl2.tbi.low, TcrEl2.tbid.low, TcrEl2.hpd.low
_EL2_HA, _EL2_PS = TcrEl2.ha.low, TcrEl2.ps.low
_HA_ON, _HD_ON, _FLAT, _FLAT_LOW = 1, 2, 4, 2  # {HPD, HD, HA}
assert (Tcr.hd.low, TcrEl2.hd.low) == (Tcr.ha.low + 1, TcrEl2.ha.low + 1)
_BASE: Final = Ttbr.baddr.mask
_TYPE: Final = Stage1Leaf.type.mask
_PAGE, _BLOCK, _TABLE = PAGE, BLOCK, TABLE
_ATTRINDX, _ATTRINDX_ONES = Stage1Leaf.attrindx.low, Stage1Leaf.attrindx.ones
_NS: Final = Stage1Leaf.ns.low
_USER, _READ_ONLY = Stage1Leaf.user.mask, Stage1Leaf.read_only.mask
_CLEAN: Final = Stage1Leaf.read_only.low
_SH, _SH_ONES = Stage1Leaf.sh.low, Stage1Leaf.sh.ones
_AF: Final = Stage1Leaf.af.mask
_NG, _DBM = Stage1Leaf.ng.low, Stage1Leaf.dbm.low
_PXN, _UXN = Stage1Leaf.pxn.mask, Stage1Leaf.uxn.mask
_PXNTABLE, _UXNTABLE = Stage1Table.pxntable.mask, Stage1Table.uxntable.mask
_NO_USER, _ALL_READ_ONLY = Stage1Table.no_user.mask, Stage1Table.read_only.mask
_NSTABLE: Final = Stage1Table.nstable.low


@jit("i8(i8, i8, i8, i8)")
def _flat(p: int, va: int, top: int, access: int) -> int:
    """Stage 1 is off: the address translates to itself if the PE has enough bits (else address size, level 0)."""
    pa_bits = load64(load64(p + 8 * P_MACHINE) + 8 * M_PA_BITS)
    if (va >> pa_bits) & ((1 << (top - pa_bits + 1)) - 1) != 0:
        return refuse(p, ADDRESS_SIZE, 1, 0, va)
    attribute = 0x00  # data: Device-nGnRnE; instructions: Normal, cacheable by SCTLR.I; HCR_EL2.DC: Write-Back
    if load64(p + 8 * P_REGIME) != EL2 and load64(p + 8 * P_HCR) & _DC != 0:
        attribute = _NORMAL_WB
    elif access == FETCH:
        attribute = _NORMAL_WT if load64(p + 8 * P_SCTLR) & _I != 0 else _NORMAL_NC
    store64(p + 8 * P_OUT_ATTR, attribute)
    store64(p + 8 * P_OUT_DEVICE, 1 if attribute & _MEMORY == 0 else 0)
    store64(p + 8 * P_OUT_NG, 0)
    store64(p + 8 * P_OUT_SH, 0 if attribute == _NORMAL_WB else 2)
    return va & OUTPUT | load64(p + 8 * P_SECURITY) << 3 | 7


@jit("i8(i8, i8, i8, i8)")
def _permitted(p: int, leaf: int, tables: int, clean: int) -> int:
    """The permissions of a leaf descriptor at P_EL: 1 read, 2 write, 4 execute.

    ``tables`` is the OR of the table descriptors above it; ``clean`` = 1: hardware may make the page writable (DBM).
    """
    el = load64(p + 8 * P_EL)
    writable = (leaf & _READ_ONLY == 0 or clean != 0) and tables & _ALL_READ_ONLY == 0
    readable = True
    if load64(p + 8 * P_REGIME) == EL2:
        execute = leaf & _UXN == 0 and tables & _UXNTABLE == 0
    else:
        user = leaf & _USER != 0 and tables & _NO_USER == 0
        if el == 0:
            readable = user
            writable = writable and user
            execute = leaf & _UXN == 0 and tables & _UXNTABLE == 0
        else:
            # EL1 never executes what EL0 may write.
            execute = leaf & _PXN == 0 and tables & _PXNTABLE == 0 and not (user and writable)
    if writable and load64(p + 8 * P_SCTLR) & _WXN != 0:
        execute = False
    if el == 1 and user and load64(p + 8 * P_PAN) == 1:
        readable = writable = False
    return (1 if readable else 0) | (2 if writable else 0) | (4 if execute else 0)


@jit("i8(i8, i8, i8, i8, i8)")
def _update(p: int, entry: int, descriptor: int, ipa: int, staged: int) -> int:
    """Write a descriptor back (access flag, dirty state); stage 2 must permit the store. 0, or -1 for a fault."""
    if staged != 0 and walk_stage2(p, ipa, WRITE, 1) < 0:
        return -1
    return update_descriptor(load64(p + 8 * P_MACHINE), entry, descriptor)


@jit("i8(i8, i8, i8, i8)")
def walk_stage1(p: int, va: int, access: int, staged: int) -> int:
    """Translate ``va``; ``staged`` = 1: stage 2 applies to every table access. The result word is as in stage2.

    Sets P_OUT_ATTR, P_OUT_NG and P_OUT_SH. Faults at a level, in this order: address size, translation, access flag,
    permission. P_OUT_DEVICE is set for a permission fault, too: alignment faults by the memory type come before it.
    """
    store64(p + 8 * P_OUT_DEVICE, 0)
    regime = load64(p + 8 * P_REGIME)
    tcr = load64(p + 8 * P_TCR)
    security = load64(p + 8 * P_SECURITY)
    upper = 0
    disabled = 0
    if regime == EL2:
        size = tcr & _SIZE_ONES
        tbi = (tcr >> _EL2_TBI) & ~((tcr >> _EL2_TBID) if access == FETCH else 0) & 1
        flags = (tcr >> _EL2_HA) & (_HA_ON | _HD_ON) | (tcr >> _EL2_HPD & 1) << _FLAT_LOW
        ps = tcr >> _EL2_PS
    else:
        upper = (va >> 55) & 1
        size = (tcr >> (_T1SZ * upper)) & _SIZE_ONES
        tbi = (tcr >> (_TBI0 + upper)) & ~((tcr >> (_TBID0 + upper)) if access == FETCH else 0) & 1
        flags = (tcr >> _HA) & (_HA_ON | _HD_ON) | (tcr >> (_HPD0 + upper) & 1) << _FLAT_LOW
        ps = tcr >> _IPS
        disabled = (tcr >> (_EPD0 + _T1SZ * upper)) & 1
        if load64(p + 8 * P_EL) == 0:
            disabled |= (tcr >> (_E0PD0 + upper)) & 1
    top = 55 if tbi == 1 else 63
    off = load64(p + 8 * P_SCTLR) & _M == 0
    if regime != EL2 and security != _SECURE:
        off = off or load64(p + 8 * P_HCR) & _STAGE1_OFF != 0
    if off:
        return _flat(p, va, top, access)
    bits = 64 - min(max(size, 16), 39)
    outside = (1 << (top - bits + 1)) - 1
    if disabled == 1 or (va >> bits) & outside != (outside if upper == 1 else 0):
        return refuse(p, TRANSLATION, 1, 0, 0)
    level = 0 if bits > 39 else 1 if bits > 30 else 2
    shift = 39 - 9 * level
    oa_bits = output_bits(p, ps)
    table = load64(p + 8 * (P_TTBR1 if upper == 1 else P_TTBR0)) & _BASE
    table &= ~((8 << (bits - shift)) - 1)
    if table >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE, 1, 0, table)
    index = (va >> shift) & ((1 << (bits - shift)) - 1)
    tables = 0  # OR of the table descriptors passed: hierarchical permissions, NSTable
    while True:
        ipa = table + 8 * index
        pa = ipa
        pas = security
        if security == _SECURE and (tables >> _NSTABLE) & 1 == 1:
            pas = _PAS_NON_SECURE
        if staged != 0:
            result = walk_stage2(p, ipa, READ, 1)
            if result < 0:
                return -1
            pa = result & OUTPUT | ipa & 0xFFF
            pas = (result >> 3) & 3
        entry = table_entry(p, pa, pas, level, 1, 0, ipa)
        if entry == 0:
            return -1
        descriptor = load64(entry)
        if descriptor & _TYPE != _TABLE or level == 3:
            break
        table = descriptor & OUTPUT
        if table >> oa_bits != 0:
            return refuse(p, ADDRESS_SIZE + level, 1, 0, table)
        tables |= descriptor
        level += 1
        shift -= 9
        index = (va >> shift) & 511
    if descriptor & _TYPE != (_PAGE if level == 3 else _BLOCK) or level == 0:
        return refuse(p, TRANSLATION + level, 1, 0, 0)
    low = (1 << shift) - 1
    oa = descriptor & OUTPUT & ~low | va & low & ~0xFFF
    if oa >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE + level, 1, 0, oa)
    if descriptor & _AF == 0 and flags & _HA_ON == 0:
        return refuse(p, ACCESS_FLAG + level, 1, 0, 0)
    # Dirty state is managed when HA, HD and the descriptor's DBM are set; AP[2] then means "not written yet".
    clean = (descriptor >> _CLEAN) & (descriptor >> _DBM) & 1 if flags & 3 == _HA_ON | _HD_ON else 0
    attribute = (load64(p + 8 * P_MAIR) >> (8 * ((descriptor >> _ATTRINDX) & _ATTRINDX_ONES))) & 0xFF
    store64(p + 8 * P_OUT_DEVICE, 2 if attribute & _MEMORY == 0 else 0)
    nstable = (tables >> _NSTABLE) & 1
    permitted = _permitted(p, descriptor, 0 if flags & _FLAT != 0 else tables, clean)
    if needed(access) & ~permitted != 0:
        return refuse(p, PERMISSION + level, 1, 0, 0)
    updated = descriptor | _AF
    if access == WRITE and clean == 1:
        updated &= ~_READ_ONLY
    if updated != descriptor and _update(p, entry, updated, ipa, staged) < 0:
        return -1
    pas = security
    # NS selects the PAS where stage 1 decides it: Secure EL1&0 and Realm EL2.
    if security == _SECURE:
        pas = (descriptor >> _NS) & 1 | nstable
    elif security == _REALM and regime == EL2 and (descriptor >> _NS) & 1 == 1:
        pas = _PAS_NON_SECURE
    store64(p + 8 * P_OUT_ATTR, attribute)
    store64(p + 8 * P_OUT_SH, (descriptor >> _SH) & _SH_ONES)
    store64(p + 8 * P_OUT_NG, (descriptor >> _NG) & 1 | (nstable if security == _SECURE else 0))
    return oa | pas << 3 | permitted
