"""The MMU: one function translates for every regime, another fills a TLB entry.

``p`` is the address of the PE block. Before a call, its P_SECURITY .. P_VTTBR words hold the regime's registers; the
result is in its P_OUT words, or the reason of a refusal in its P_FAULT words (see :mod:`cca_platform.native.block`).
The order is the architecture's: stage 1, stage 2 for each of its table accesses and for the result, granule protection
check for every table access and for the final address. Nothing is cached here; the TLB is the engine's.
"""

from typing import Final

from cca_arch.sysregs import MAIR_MEMORY, MAIR_NORMAL_NC, MAIR_NORMAL_WB, Hcr, Tcr, TcrEl2, Vtcr
from cca_arch.types import SecurityState
from cca_platform.mmu.dram import host_address, mark_written, page_index
from cca_platform.mmu.gpc import granule_protection_check
from cca_platform.mmu.regime import EL2
from cca_platform.mmu.stage1 import walk_stage1
from cca_platform.mmu.stage2 import walk_stage2
from cca_platform.mmu.walk import FETCH, GPF, OUTPUT, WRITE, refuse, refuse_gpc
from cca_platform.native.block import (
    EXECUTED,
    M_DIRTY,
    M_EXECUTED,
    M_MIXED,
    M_MIXED_COUNT,
    MIXED,
    P_EL1_FILLED,
    P_FAULT_ACCESS,
    P_FAULT_KIND,
    P_FAULT_VA,
    P_HCR,
    P_MACHINE,
    P_OUT_ATTR,
    P_OUT_DEVICE,
    P_OUT_IPA,
    P_OUT_PA,
    P_OUT_PAS,
    P_OUT_PROT,
    P_OUT_SH,
    P_REGIME,
    P_SECURITY,
    P_TCR,
    P_TLB_ERA,
    P_TLB_PAGES,
    P_VTCR,
    P_WALK_IPA,
)
from cca_platform.native.jit import jit, load8, load64, store8, store64

__all__ = [
    "DEVICE",
    "OK",
    "REFUSED",
    "combine_attributes",
    "fill",
    "grant",
    "resolve",
    "translate",
]

OK: Final = 0  # results of translate: P_OUT_PA is DRAM
REFUSED: Final = 1  # P_FAULT_* tell why
DEVICE: Final = 2  # permitted, but P_OUT_PA is not DRAM: a device or nothing

_SECURE: Final = int(SecurityState.SECURE)
_MEMORY, _NORMAL_NC, _NORMAL_WB = MAIR_MEMORY, MAIR_NORMAL_NC, MAIR_NORMAL_WB
_STAGE2_ON: Final = Hcr.vm.mask | Hcr.dc.mask  # DC implies VM
_FWB: Final = Hcr.fwb.low
_HD, _EL2_HD, _STAGE2_HD = Tcr.hd.low, TcrEl2.hd.low, Vtcr.hd.low


@jit("i8(i8, i8)")
def _cacheability(one: int, two: int) -> int:
    """The weaker of two cacheabilities (4-bit MAIR fields): Non-cacheable, then Write-Through, then Write-Back."""
    if one == 4 or two == 4:
        return 4
    return one if one & 4 == 0 else two


@jit("i8(i8, i8, i8)")
def combine_attributes(one: int, two: int, fwb: int) -> int:
    """The memory type from a stage 1 MAIR byte and a stage 2 MemAttr field (4 bits), with or without HCR_EL2.FWB."""
    device = one & _MEMORY == 0
    if fwb == 1:
        if two & 4 == 0:
            return min(one, (two & 3) << 2) if device else (two & 3) << 2
        if two & 3 == 3:
            return one
        if two & 3 == 2:
            return _NORMAL_WB
        return one if device else _NORMAL_NC
    if two >> 2 == 0:
        return min(one, (two & 3) << 2) if device else (two & 3) << 2
    if device:
        return one
    # MemAttr says 1 Non-cacheable, 2 Write-Through, 3 Write-Back: outer in 3:2, inner in 1:0 (inner 0 is reserved).
    outer = 4 if two >> 2 == 1 else 0xB if two >> 2 == 2 else 0xF
    inner = 4 if two & 3 <= 1 else 0xB if two & 3 == 2 else 0xF
    return _cacheability(one >> 4, outer) << 4 | _cacheability(one & 15, inner)


@jit("i8(i8, i8, i8)")
def resolve(p: int, va: int, access: int) -> int:
    """Translate ``va`` (signed 64 bits) through both stages, without a granule protection check of the result.

    ``access`` is a types.Access or ``MAPPED``. Returns OK, whatever responds at the address, or REFUSED.
    """
    hcr = load64(p + 8 * P_HCR)
    staged = 0
    if load64(p + 8 * P_REGIME) != EL2 and load64(p + 8 * P_SECURITY) != _SECURE and hcr & _STAGE2_ON != 0:
        staged = 1
    store64(p + 8 * P_WALK_IPA, -1)
    result = walk_stage1(p, va, access, staged)
    if result < 0:
        return REFUSED
    ipa = result & OUTPUT | va & 0xFFF
    if staged == 1:
        second = walk_stage2(p, ipa, access, 0)
        if second < 0:
            return REFUSED
        attribute = combine_attributes(load64(p + 8 * P_OUT_ATTR), (second >> 5) & 15, (hcr >> _FWB) & 1)
        store64(p + 8 * P_OUT_ATTR, attribute)
        one, two = load64(p + 8 * P_OUT_SH), (second >> 9) & 3
        store64(p + 8 * P_OUT_SH, 2 if one == 2 or two == 2 else one | two)  # the outermost of both: 0 none, 3 inner
        result = second & (~7 | result & 7)
    store64(p + 8 * P_OUT_IPA, ipa)
    store64(p + 8 * P_OUT_PA, result & OUTPUT | va & 0xFFF)
    store64(p + 8 * P_OUT_PAS, (result >> 3) & 3)
    store64(p + 8 * P_OUT_PROT, result & 7)
    return OK


@jit("i8(i8, i8, i8)")
def translate(p: int, va: int, access: int) -> int:
    """Translate ``va`` (signed 64 bits) for ``access`` (types.Access, ``MAPPED``): OK, REFUSED or DEVICE."""
    if resolve(p, va, access) == REFUSED:
        return REFUSED
    m = load64(p + 8 * P_MACHINE)
    pa, pas = load64(p + 8 * P_OUT_PA), load64(p + 8 * P_OUT_PAS)
    code = granule_protection_check(m, pa, pas)
    if code != 0:
        refuse(p, GPF, 1, 0, load64(p + 8 * P_OUT_IPA))
        refuse_gpc(p, code, pa, pas)
        return REFUSED
    return OK if host_address(m, pa) != 0 else DEVICE


@jit("i8(i8, i8)")
def _note_mixed(m: int, page: int) -> int:
    """Note that stores to the page at physical address ``page`` may not be noticed from now on: see M_MIXED."""
    count = load64(m + 8 * M_MIXED_COUNT)
    if count < MIXED:
        store64(m + 8 * (M_MIXED + count), page)
    if count <= MIXED:
        store64(m + 8 * M_MIXED_COUNT, count + 1)
    return 0


@jit("i8(i8)")
def _stores_are_noted(p: int) -> int:
    """True if the first store to a page may change its descriptor (dirty state)."""
    if load64(p + 8 * P_REGIME) == EL2:
        return load64(p + 8 * P_TCR) >> _EL2_HD & 1
    return (load64(p + 8 * P_TCR) >> _HD | load64(p + 8 * P_VTCR) >> _STAGE2_HD) & 1


@jit("i8(i8, i8)")
def grant(p: int, access: int) -> int:
    """The permissions of a new TLB entry for the DRAM page that ``translate`` has found.

    Write xor execute: a write fill grants write, and marks the page written; a fetch fill grants execute. Each grants
    read, too, if the translation permits it. A read fill also grants write where nothing would come of a write fill:
    the translation permits it, the page is written already, no code of it is translated, no descriptor notes it.
    """
    m = load64(p + 8 * P_MACHINE)
    page = page_index(m, load64(p + 8 * P_OUT_PA))
    store8(load64(p + 8 * P_TLB_PAGES) + page, load64(p + 8 * P_TLB_ERA))
    if load64(p + 8 * P_REGIME) != EL2:
        store64(p + 8 * P_EL1_FILLED, 1)
    permitted = load64(p + 8 * P_OUT_PROT)
    executed = load64(m + 8 * M_EXECUTED) + page
    if access == WRITE:
        mark_written(m, page)
        return permitted & 1 | 2
    written = load8(load64(m + 8 * M_DIRTY) + page)
    if access == FETCH:
        known = load8(executed)
        if known == 0 and written:
            _note_mixed(m, load64(p + 8 * P_OUT_PA) & ~0xFFF)
        store8(executed, known | EXECUTED)
        return permitted & 1 | 4
    if written and load8(executed) == 0 and _stores_are_noted(p) == 0:
        return permitted & 3
    return permitted & 1


@jit("i8(i8, i8, i8)")
def fill(p: int, va: int, access: int) -> int:
    """The permissions of a new TLB entry for ``va``, with its address in P_OUT_PA; 0 if there is none.

    There is none if the translation is refused, for a device, and for data in DRAM that a descriptor makes Device: the
    alignment of each access must be checked. P_FAULT_KIND tells a refusal from a device.
    """
    status = translate(p, va, access)
    if status == OK and access != FETCH and load64(p + 8 * P_OUT_DEVICE) == 2:
        status = DEVICE
    if status == OK:
        return grant(p, access)
    store64(p + 8 * P_FAULT_KIND, status)
    store64(p + 8 * P_FAULT_VA, va)
    store64(p + 8 * P_FAULT_ACCESS, access)
    return 0
