"""Stage 2: translates intermediate physical to physical addresses.

A walk returns one word: the page of the output address (bits 47:12) with flags below it, or -1 if it was refused, with
the reason in the P_FAULT words::

    2:0   1 read, 2 write, 4 execute permitted        4:3   Pas of the output
    8:5   MemAttr of the stage 2 leaf                 10:9  SH of the stage 2 leaf
"""

from typing import Final

from cca_arch.descriptors.stage2 import BLOCK, PAGE, TABLE, Stage2Descriptor
from cca_arch.sysregs import Hcr, Vtcr, Vttbr
from cca_arch.types import Pas, SecurityState
from cca_platform.mmu.dram import host_address, update_descriptor
from cca_platform.mmu.gpc import granule_protection_check
from cca_platform.mmu.walk import (
    ACCESS_FLAG,
    ADDRESS_SIZE,
    OUTPUT,
    PERMISSION,
    TRANSLATION,
    WRITE,
    needed,
    output_bits,
    refuse,
    table_entry,
)
from cca_platform.native.block import (
    P_EL,
    P_HCR,
    P_MACHINE,
    P_SECURITY,
    P_VTCR,
    P_VTTBR,
    P_WALK_DEPTH,
    P_WALK_IPA,
    P_WALK_TABLE,
)
from cca_platform.native.jit import jit, load64, store64

__all__ = ["descend", "walk_stage2"]

_REALM: Final = int(SecurityState.REALM)
_PAS_REALM: Final = int(Pas.REALM)
_PAS_NON_SECURE: Final = int(Pas.NON_SECURE)
_HCR_PTW: Final = Hcr.ptw.mask
_HCR_FWB: Final = Hcr.fwb.mask
_T0SZ, _SL0, _SL0_ONES, _PS = Vtcr.t0sz.ones, Vtcr.sl0.low, Vtcr.sl0.ones, Vtcr.ps.low
_HA: Final = Vtcr.ha.low
_HD: Final = Vtcr.hd.low
_BASE: Final = Vttbr.baddr.mask
_TYPE: Final = Stage2Descriptor.type.mask
_BLOCK, _PAGE, _TABLE = BLOCK, PAGE, TABLE
_AF: Final = Stage2Descriptor.af.mask
_S2AP, _S2AP_ONES = Stage2Descriptor.s2ap.low, Stage2Descriptor.s2ap.ones
_WRITABLE: Final = Stage2Descriptor.writable.mask
_DBM: Final = Stage2Descriptor.dbm.low
_XN, _XN_ONES = Stage2Descriptor.xn.low, Stage2Descriptor.xn.ones
_MEMATTR, _MEMATTR_ONES = Stage2Descriptor.memattr.low, Stage2Descriptor.memattr.ones
_SH, _SH_ONES = Stage2Descriptor.sh.low, Stage2Descriptor.sh.ones
_NS: Final = Stage2Descriptor.ns.mask


@jit("i8(i8, i8, i8)")
def _below(descriptor: int, level: int, ipa: int) -> int:
    """The physical address of the entry for ``ipa`` in the table of ``level`` that a table descriptor points to."""
    return (descriptor & OUTPUT) + 8 * ((ipa >> (39 - 9 * level)) & 511)


@jit("i8(i8, i8, i8, i8, i8, i8)")
def descend(m: int, pas: int, at: int, level: int, target: int, ipa: int) -> int:
    """Follow the tables for ``ipa`` from the entry at physical address ``at``, which is of ``level``, to ``target``.

    The physical address of the entry at which that ends, plus its level; -1 if a table is not memory of ``pas``. What
    the entry means is for whoever owns the tables to say.
    """
    while granule_protection_check(m, at, pas) == 0:
        host = host_address(m, at)
        if host == 0:
            break
        descriptor = load64(host)
        if level >= target or descriptor & _TYPE != _TABLE:
            return at + level
        level += 1
        at = _below(descriptor, level, ipa)
    return -1


@jit("i8(i8, i8, i8, i8)")
def walk_stage2(p: int, ipa: int, access: int, s1ptw: int) -> int:
    """Translate ``ipa`` with VTCR_EL2 and VTTBR_EL2 (4K granule, levels 0 to 3, concatenated start tables, XNX).

    ``s1ptw`` = 1 for an access to a stage 1 table. Tables are in the security state's own PAS. VTCR_EL2.HA and HD
    manage the access flag and dirty state, but not for failing accesses.
    """
    vtcr = load64(p + 8 * P_VTCR)
    hcr = load64(p + 8 * P_HCR)
    realm = load64(p + 8 * P_SECURITY) == _REALM
    pas = _PAS_REALM if realm else _PAS_NON_SECURE
    fault_ipa = ipa if s1ptw != 0 else ipa & ~0xFFF
    bits = 64 - (vtcr & _T0SZ)
    level = 2 - ((vtcr >> _SL0) & _SL0_ONES)  # SL0; 3 would be a start at level 3, which needs FEAT_TTST
    shift = 39 - 9 * level
    # The start level resolves from 1 bit up to a whole table and 4 bits of concatenation (S2InconsistentSL).
    if level < 0 or bits <= shift or bits > min(shift + 13, 48) or ipa >> bits != 0:
        return refuse(p, TRANSLATION, 2, s1ptw, fault_ipa)
    oa_bits = output_bits(p, vtcr >> _PS)
    table = load64(p + 8 * P_VTTBR) & _BASE & ~((8 << (bits - shift)) - 1)
    if table >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE, 2, s1ptw, fault_ipa)
    # Within one translation, the tables of the last walk are known to be valid: continue from there.
    differs = ipa ^ load64(p + 8 * P_WALK_IPA)
    common = 3 if differs >> 21 == 0 else 2 if differs >> 30 == 0 else 1 if differs >> 39 == 0 else 0
    common = min(common, load64(p + 8 * P_WALK_DEPTH))
    if common > level:
        level = common
        shift = 39 - 9 * level
        entry = load64(p + 8 * (P_WALK_TABLE + level)) + 8 * ((ipa >> shift) & 511)
    else:
        entry = table_entry(p, table + 8 * (ipa >> shift), pas, level, 2, s1ptw, fault_ipa)
        if entry == 0:
            return -1
    descriptor = load64(entry)
    while descriptor & _TYPE == _TABLE and level < 3:
        table = descriptor & OUTPUT
        if table >> oa_bits != 0:
            return refuse(p, ADDRESS_SIZE + level, 2, s1ptw, fault_ipa)
        level += 1
        shift -= 9
        entry = table_entry(p, _below(descriptor, level, ipa), pas, level, 2, s1ptw, fault_ipa)
        if entry == 0:
            return -1
        store64(p + 8 * (P_WALK_TABLE + level), entry & ~0xFFF)
        descriptor = load64(entry)
    store64(p + 8 * P_WALK_IPA, ipa)
    store64(p + 8 * P_WALK_DEPTH, level)
    # A page is 0b11 at level 3, a block 0b01 at levels 1 and 2; everything else is invalid.
    if descriptor & _TYPE != (_PAGE if level == 3 else _BLOCK) or level == 0:
        return refuse(p, TRANSLATION + level, 2, s1ptw, fault_ipa)
    low = (1 << shift) - 1
    oa = descriptor & OUTPUT & ~low | ipa & low & ~0xFFF
    if oa >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE + level, 2, s1ptw, fault_ipa)
    if descriptor & _AF == 0 and (vtcr >> _HA) & 1 == 0:
        return refuse(p, ACCESS_FLAG + level, 2, s1ptw, fault_ipa)
    permitted = (descriptor >> _S2AP) & _S2AP_ONES  # {write, read}
    updated = descriptor | _AF
    if (vtcr >> _HA) & (vtcr >> _HD) & (descriptor >> _DBM) & 1 == 1:  # S2AP[1] = 0 means "not written yet"
        permitted |= 2
        if access == WRITE:
            updated |= _WRITABLE
    xn = (descriptor >> _XN) & _XN_ONES  # {XN[1], XN[0]}: 0 all, 1 EL0 only, 2 none, 3 EL1 only
    if xn == 0 or xn == (1 if load64(p + 8 * P_EL) == 0 else 3):
        permitted |= 4
    attributes = (descriptor >> _MEMATTR) & _MEMATTR_ONES
    walkable = True
    if realm and descriptor & _NS != 0:
        # Realm EL1&0 neither fetches instructions nor walks its tables in the Non-secure PAS: permission
        # fault of stage 2 (the RME rules; for the walk DDI 0487 leaves no other stage 2 fault that would fit).
        pas = _PAS_NON_SECURE
        permitted &= 3
        walkable = False
    if hcr & _HCR_PTW != 0:  # no walk through Device memory
        device = (attributes >> 2) & 1 == 0 if hcr & _HCR_FWB != 0 else attributes >> 2 == 0
        walkable = walkable and not device
    if needed(access) & ~permitted != 0 or (s1ptw != 0 and not walkable):
        return refuse(p, PERMISSION + level, 2, s1ptw, fault_ipa)
    if updated != descriptor:
        update_descriptor(load64(p + 8 * P_MACHINE), entry, updated)
    return oa | (descriptor >> _SH & _SH_ONES) << 9 | attributes << 5 | pas << 3 | permitted
