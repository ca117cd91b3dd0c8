"""Stage 1: from the virtual address to the intermediate physical one, at EL1&0 and EL2 (E2H = 0), 4K granule.

Choices where the architecture leaves one:

* a TG0/TG1 of another granule, reserved or not implemented, counts as 4K for all purposes but reading it back
  (so the ID registers must not offer 16K or 64K);
* TnSZ below 16 or above 39 counts as 16 or 39 (no FEAT_LVA, no FEAT_TTST);
* SCTLR.EE is RES0: no big-endian tables;
* an access that fails does not set the access flag.
"""

from typing import Final

from cca_platform.mmu.gpc import update_descriptor
from cca_platform.mmu.stage2 import (
    ACCESS_FLAG,
    ADDRESS_SIZE,
    PERMISSION,
    TRANSLATION,
    output_bits,
    refuse,
    table_entry,
    walk_stage2,
)
from cca_platform.native.block import (
    M_PA_BITS,
    P_EL,
    P_HCR,
    P_MACHINE,
    P_MAIR,
    P_OUT_ATTR,
    P_OUT_NG,
    P_OUT_SH,
    P_PAN,
    P_SCTLR,
    P_SECURITY,
    P_TCR,
    P_TTBR0,
    P_TTBR1,
)
from cca_platform.native.jit import jit, load64, store64

__all__ = ["walk_stage1"]

_READ: Final = 16
_WRITE: Final = 17
_FETCH: Final = 18
_SECURE: Final = 0
_NON_SECURE: Final = 1
_REALM: Final = 3
_OUTPUT: Final = 0x0000_FFFF_FFFF_F000
_AF: Final = 1 << 10
_READ_ONLY: Final = 1 << 7  # AP[2]


@jit("i8(i8, i8, i8, i8)")
def _flat(p: int, va: int, top: int, access: int) -> int:
    """Stage 1 is off: the address is its own translation, if the PE has that many bits (else address size, level 0)."""
    pa_bits = load64(load64(p + 8 * P_MACHINE) + 8 * M_PA_BITS)
    if (va >> pa_bits) & ((1 << (top - pa_bits + 1)) - 1) != 0:
        return refuse(p, ADDRESS_SIZE, 1, 0, va)
    attribute = 0x00  # data: Device-nGnRnE; instructions: Normal, cacheable by SCTLR.I; HCR_EL2.DC: Write-Back
    if load64(p + 8 * P_EL) < 2 and (load64(p + 8 * P_HCR) >> 12) & 1 == 1:
        attribute = 0xFF
    elif access == _FETCH:
        attribute = 0xAA if (load64(p + 8 * P_SCTLR) >> 12) & 1 == 1 else 0x44
    store64(p + 8 * P_OUT_ATTR, attribute)
    store64(p + 8 * P_OUT_NG, 0)
    store64(p + 8 * P_OUT_SH, 0 if attribute == 0xFF else 2)
    return va & _OUTPUT | load64(p + 8 * P_SECURITY) << 3 | 7


@jit("i8(i8, i8, i8, i8)")
def _permitted(p: int, leaf: int, tables: int, clean: int) -> int:
    """What a leaf descriptor permits at P_EL: 1 read, 2 write, 4 execute.

    ``tables`` is the OR of the table descriptors above it; ``clean`` = 1: hardware may make the page writable (DBM).
    """
    el = load64(p + 8 * P_EL)
    wxn = (load64(p + 8 * P_SCTLR) >> 19) & 1
    writable = ((leaf >> 7) & 1 == 0 or clean != 0) and (tables >> 62) & 1 == 0
    readable = True
    if el == 2:
        execute = (leaf >> 54) & 1 == 0 and (tables >> 60) & 1 == 0
    else:
        user = (leaf >> 6) & 1 == 1 and (tables >> 61) & 1 == 0
        if el == 0:
            readable = user
            writable = writable and user
            execute = (leaf >> 54) & 1 == 0 and (tables >> 60) & 1 == 0
        else:
            # What EL0 may write EL1 never executes.
            execute = (leaf >> 53) & 1 == 0 and (tables >> 59) & 1 == 0 and not (user and writable)
    if wxn == 1 and writable:
        execute = False
    if el == 1 and user and load64(p + 8 * P_PAN) == 1:
        readable = writable = False
    return (1 if readable else 0) | (2 if writable else 0) | (4 if execute else 0)


@jit("i8(i8, i8, i8, i8, i8)")
def _update(p: int, entry: int, descriptor: int, ipa: int, staged: int) -> int:
    """Write a descriptor back (access flag, dirty state): a store, which stage 2 must permit. 0, or -1 for a fault."""
    if staged != 0 and walk_stage2(p, ipa, _WRITE, 1) < 0:
        return -1
    return update_descriptor(load64(p + 8 * P_MACHINE), entry, descriptor)


@jit("i8(i8, i8, i8, i8)")
def walk_stage1(p: int, va: int, access: int, staged: int) -> int:
    """Translate ``va``; ``staged`` = 1: stage 2 applies to every table access. The result word is as in stage2.

    Sets P_OUT_ATTR, P_OUT_NG and P_OUT_SH. Faults at a level, in this order: address size, translation, access flag,
    permission.
    """
    el = load64(p + 8 * P_EL)
    tcr = load64(p + 8 * P_TCR)
    security = load64(p + 8 * P_SECURITY)
    upper = 0
    if el == 2:
        tbi = (tcr >> 20) & 1 & ~((tcr >> 29) & 1 if access == _FETCH else 0)
        flags = (tcr >> 21) & 1 | (tcr >> 21) & 2 | (tcr >> 22) & 4  # HA, HD, HPD
        ps = tcr >> 16
        size = tcr & 63
        disabled = 0
    else:
        upper = (va >> 55) & 1
        tbi = (tcr >> (37 + upper)) & 1 & ~((tcr >> (51 + upper)) & 1 if access == _FETCH else 0)
        flags = (tcr >> 39) & 3 | ((tcr >> (41 + upper)) & 1) << 2
        ps = tcr >> 32
        size = (tcr >> (16 * upper)) & 63
        disabled = (tcr >> (7 + 16 * upper)) & 1  # EPD
    top = 55 if tbi == 1 else 63
    off = load64(p + 8 * P_SCTLR) & 1 == 0
    if el < 2 and security != _SECURE:
        off = off or load64(p + 8 * P_HCR) & (1 << 12 | 1 << 27) != 0  # DC and TGE turn stage 1 of EL1&0 off
    if off:
        return _flat(p, va, top, access)
    bits = 64 - min(max(size, 16), 39)
    outside = (1 << (top - bits + 1)) - 1
    if disabled == 1 or (va >> bits) & outside != (outside if upper == 1 else 0):
        return refuse(p, TRANSLATION, 1, 0, 0)
    level = 0 if bits > 39 else 1 if bits > 30 else 2
    shift = 39 - 9 * level
    oa_bits = output_bits(p, ps)
    table = load64(p + 8 * (P_TTBR1 if upper == 1 else P_TTBR0)) & 0x0000_FFFF_FFFF_FFFE
    table &= ~((8 << (bits - shift)) - 1)
    if table >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE, 1, 0, table)
    index = (va >> shift) & ((1 << (bits - shift)) - 1)
    tables = 0  # OR of the table descriptors passed: hierarchical permissions, NSTable
    while True:
        ipa = table + 8 * index
        pa = ipa
        pas = security
        if security == _SECURE and (tables >> 63) & 1 == 1:
            pas = _NON_SECURE
        if staged != 0:
            result = walk_stage2(p, ipa, _READ, 1)
            if result < 0:
                return -1
            pa = result & _OUTPUT | ipa & 0xFFF
            pas = (result >> 3) & 3
        entry = table_entry(p, pa, pas, level, 1, 0, ipa)
        if entry == 0:
            return -1
        descriptor = load64(entry)
        if descriptor & 3 != 3 or level == 3:
            break
        table = descriptor & _OUTPUT
        if table >> oa_bits != 0:
            return refuse(p, ADDRESS_SIZE + level, 1, 0, table)
        tables |= descriptor
        level += 1
        shift -= 9
        index = (va >> shift) & 511
    if descriptor & 3 != (3 if level == 3 else 1) or level == 0:
        return refuse(p, TRANSLATION + level, 1, 0, 0)
    low = (1 << shift) - 1
    oa = descriptor & _OUTPUT & ~low | va & low & ~0xFFF
    if oa >> oa_bits != 0:
        return refuse(p, ADDRESS_SIZE + level, 1, 0, oa)
    if descriptor & _AF == 0 and flags & 1 == 0:
        return refuse(p, ACCESS_FLAG + level, 1, 0, 0)
    # Dirty state is managed when HA, HD and the descriptor's DBM are set; AP[2] then means "not written yet".
    clean = (descriptor >> 7) & (descriptor >> 51) & 1 if flags & 3 == 3 else 0
    nstable = (tables >> 63) & 1
    permitted = _permitted(p, descriptor, 0 if flags & 4 != 0 else tables, clean)
    if permitted & (1 if access == _READ else 2 if access == _WRITE else 4) == 0:
        return refuse(p, PERMISSION + level, 1, 0, 0)
    updated = descriptor | _AF
    if access == _WRITE and clean == 1:
        updated &= ~_READ_ONLY
    if updated != descriptor and _update(p, entry, updated, ipa, staged) < 0:
        return -1
    pas = security
    # NS selects the PAS where stage 1 has the last word: Secure EL1&0 and Realm EL2.
    if security == _SECURE:
        pas = (descriptor >> 5) & 1 | nstable
    elif security == _REALM and el == 2 and (descriptor >> 5) & 1 == 1:
        pas = _NON_SECURE
    store64(p + 8 * P_OUT_ATTR, (load64(p + 8 * P_MAIR) >> (8 * ((descriptor >> 2) & 7))) & 0xFF)
    store64(p + 8 * P_OUT_SH, (descriptor >> 8) & 3)
    store64(p + 8 * P_OUT_NG, (descriptor >> 11) & 1 | (nstable if security == _SECURE else 0))
    return oa | pas << 3 | permitted
