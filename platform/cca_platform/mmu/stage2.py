"""Stage 2: from the intermediate physical address to the physical one, and what every table walk has in common.

A walk returns one word: the page of the output address (bits 47:12) with flags below, or -1 when it was refused and
the reason is in the P_FAULT words::

    2:0   1 read, 2 write, 4 execute permitted        4:3   Pas of the output
    8:5   MemAttr of the stage 2 leaf                 10:9  SH of the stage 2 leaf
"""

from typing import Final

from cca_platform.mmu.gpc import granule_protection_check, host_address, update_descriptor
from cca_platform.native.block import (
    M_PA_BITS,
    P_EL,
    P_FAULT_FSC,
    P_FAULT_GPF,
    P_FAULT_GPT_LEVEL,
    P_FAULT_IPA,
    P_FAULT_PA,
    P_FAULT_PAS,
    P_FAULT_S1PTW,
    P_FAULT_STAGE,
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

__all__ = [
    "ACCESS_FLAG",
    "ADDRESS_SIZE",
    "EXTERNAL_ABORT_WALK",
    "GPF",
    "GPF_WALK",
    "PERMISSION",
    "TRANSLATION",
    "output_bits",
    "refuse",
    "refuse_gpc",
    "table_entry",
    "walk_stage2",
]

# Fault status codes (DFSC, IFSC): add the level of the lookup (GPF: none).
ADDRESS_SIZE: Final = 0x00
TRANSLATION: Final = 0x04
ACCESS_FLAG: Final = 0x08
PERMISSION: Final = 0x0C
EXTERNAL_ABORT_WALK: Final = 0x14
GPF_WALK: Final = 0x24
GPF: Final = 0x28

_READ: Final = 16  # types.Access, as plain numbers for the compiler
_WRITE: Final = 17
_REALM: Final = 3
_NON_SECURE: Final = 1
_OUTPUT: Final = 0x0000_FFFF_FFFF_F000
_AF: Final = 1 << 10
_S2AP_WRITE: Final = 1 << 7


@jit("i8(i8, i8, i8, i8, i8)")
def refuse(p: int, fsc: int, stage: int, s1ptw: int, address: int) -> int:
    """Record a fault of ``stage`` at ``address``: the faulting IPA (stage 2) or the output address (stage 1). -1."""
    store64(p + 8 * P_FAULT_FSC, fsc)
    store64(p + 8 * P_FAULT_STAGE, stage)
    store64(p + 8 * P_FAULT_S1PTW, s1ptw)
    store64(p + 8 * P_FAULT_IPA, address)
    store64(p + 8 * P_FAULT_PA, address)
    store64(p + 8 * P_FAULT_GPF, 0)
    return -1


@jit("i8(i8, i8, i8, i8)")
def refuse_gpc(p: int, code: int, pa: int, pas: int) -> int:
    """Add to a fault what the granule protection check said (``code``) of ``pa`` in ``pas``. -1."""
    store64(p + 8 * P_FAULT_PA, pa)
    store64(p + 8 * P_FAULT_PAS, pas)
    store64(p + 8 * P_FAULT_GPF, code >> 8)
    store64(p + 8 * P_FAULT_GPT_LEVEL, code & 0xFF)
    return -1


@jit("i8(i8, i8)")
def output_bits(p: int, ps: int) -> int:
    """The width of output addresses for a PS or IPS field (bits 2:0), never more than the PE has."""
    bits = (0x3030_302C_2A28_2420 >> (8 * (ps & 7))) & 0xFF
    return min(bits, load64(load64(p + 8 * P_MACHINE) + 8 * M_PA_BITS))


@jit("i8(i8, i8, i8, i8, i8, i8, i8)")
def table_entry(p: int, pa: int, pas: int, level: int, stage: int, s1ptw: int, ipa: int) -> int:
    """The host address of a descriptor, or 0: the GPC refused it (FSC 0x24 + level), or no DRAM (0x14 + level)."""
    m = load64(p + 8 * P_MACHINE)
    code = granule_protection_check(m, pa, pas)
    if code != 0:
        refuse(p, GPF_WALK + level, stage, s1ptw, ipa)
        refuse_gpc(p, code, pa, pas)
        return 0
    host = host_address(m, pa)
    if host == 0:
        refuse(p, EXTERNAL_ABORT_WALK + level, stage, s1ptw, ipa)
        store64(p + 8 * P_FAULT_PA, pa)
    return host


@jit("i8(i8, i8, i8, i8)")
def walk_stage2(p: int, ipa: int, access: int, s1ptw: int) -> int:
    """Translate ``ipa`` by VTCR_EL2 and VTTBR_EL2 (4K granule, levels 0 to 3, concatenated start tables, XNX).

    ``s1ptw`` = 1 for an access to a stage 1 table. Tables are in the security state's own PAS. VTCR_EL2.HA and HD
    manage the access flag and dirty state, but not for an access that fails.
    """
    vtcr = load64(p + 8 * P_VTCR)
    hcr = load64(p + 8 * P_HCR)
    realm = load64(p + 8 * P_SECURITY) == _REALM
    pas = _REALM if realm else _NON_SECURE
    fault_ipa = ipa if s1ptw != 0 else ipa & ~0xFFF
    bits = 64 - (vtcr & 63)
    level = 2 - ((vtcr >> 6) & 3)  # SL0; 3 would be a start at level 3, which needs FEAT_TTST
    shift = 39 - 9 * level
    # The start level resolves from 1 bit up to a whole table and 4 bits of concatenation (S2InconsistentSL).
    if level < 0 or bits <= shift or bits > min(shift + 13, 48) or ipa >> bits != 0:
        return refuse(p, TRANSLATION, 2, s1ptw, fault_ipa)
    oa_bits = output_bits(p, vtcr >> 16)
    table = load64(p + 8 * P_VTTBR) & 0x0000_FFFF_FFFF_FFFE & ~((8 << (bits - shift)) - 1)
    if table >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE, 2, s1ptw, fault_ipa)
    # Within one translation the tables that the last walk went through are known to be good: go on from there.
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
    while descriptor & 3 == 3 and level < 3:
        table = descriptor & _OUTPUT
        if table >> oa_bits != 0:
            return refuse(p, ADDRESS_SIZE + level, 2, s1ptw, fault_ipa)
        level += 1
        shift -= 9
        entry = table_entry(p, table + 8 * ((ipa >> shift) & 511), pas, level, 2, s1ptw, fault_ipa)
        if entry == 0:
            return -1
        store64(p + 8 * (P_WALK_TABLE + level), entry & ~0xFFF)
        descriptor = load64(entry)
    store64(p + 8 * P_WALK_IPA, ipa)
    store64(p + 8 * P_WALK_DEPTH, level)
    # A page is 0b11 at level 3, a block 0b01 at levels 1 and 2; everything else is invalid.
    if descriptor & 3 != (3 if level == 3 else 1) or level == 0:
        return refuse(p, TRANSLATION + level, 2, s1ptw, fault_ipa)
    low = (1 << shift) - 1
    oa = descriptor & _OUTPUT & ~low | ipa & low & ~0xFFF
    if oa >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE + level, 2, s1ptw, fault_ipa)
    if descriptor & _AF == 0 and (vtcr >> 21) & 1 == 0:
        return refuse(p, ACCESS_FLAG + level, 2, s1ptw, fault_ipa)
    permitted = (descriptor >> 6) & 3  # S2AP is {write, read}
    updated = descriptor | _AF
    if (vtcr >> 21) & (vtcr >> 22) & (descriptor >> 51) & 1 == 1:  # HA, HD, DBM: S2AP[1] = 0 means "not written yet"
        permitted |= 2
        if access == _WRITE:
            updated |= _S2AP_WRITE
    xn = (descriptor >> 53) & 3  # 0 all, 1 EL0 only, 2 none, 3 EL1 only (the field is {XN[1], XN[0]} in bits 54:53)
    if xn == 0 or xn == (1 if load64(p + 8 * P_EL) == 0 else 3):
        permitted |= 4
    attributes = (descriptor >> 2) & 15
    walkable = True
    if realm and (descriptor >> 55) & 1 == 1:
        # NS = 1. Realm EL1&0 neither fetches instructions nor walks its tables in the Non-secure PAS: permission
        # fault of stage 2 (the RME rules; for the walk DDI 0487 leaves no other stage 2 fault that would fit).
        pas = _NON_SECURE
        permitted &= 3
        walkable = False
    if (hcr >> 2) & 1 == 1:  # PTW: no walk through Device memory
        device = (attributes >> 2) & 1 == 0 if (hcr >> 46) & 1 == 1 else attributes >> 2 == 0
        walkable = walkable and not device
    needed = 1 if access == _READ else 2 if access == _WRITE else 4
    if permitted & needed == 0 or (s1ptw != 0 and not walkable):
        return refuse(p, PERMISSION + level, 2, s1ptw, fault_ipa)
    if updated != descriptor:
        update_descriptor(load64(p + 8 * P_MACHINE), entry, updated)
    return oa | (descriptor >> 8 & 3) << 9 | attributes << 5 | pas << 3 | permitted
