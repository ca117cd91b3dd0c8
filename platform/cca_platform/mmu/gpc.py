"""Where a physical address lies in DRAM, who may touch it (granule protection check), what a store leaves behind.

The leaves of the MMU: each function takes ``m``, the address of the machine block, runs natively or as plain Python
(see :mod:`cca_platform.native.jit`), and reads the granule protection tables out of DRAM as the hardware does.
"""

from typing import Final

from cca_platform.native.block import (
    M_BANK,
    M_BANKS,
    M_CODE_WRITTEN,
    M_DIRTY,
    M_EXECUTED,
    M_GPCCR,
    M_GPTBR,
    M_L0GPTSZ_BITS,
    M_PPS_BITS,
    M_SHADOW,
)
from cca_platform.native.jit import copy_page, jit, load8, load64, store8, store64

__all__ = [
    "GPC_ADDRESS_SIZE",
    "GPC_EXTERNAL_ABORT",
    "GPC_GPF",
    "GPC_WALK_FAULT",
    "granule_protection_check",
    "host_address",
    "mark_written",
    "page_index",
    "update_descriptor",
]

# What a granule protection check returns beside 0 (pass): one of these, plus the level of the GPT entry.
GPC_GPF: Final = 0x100  # the GPI is another one: a granule protection fault
GPC_WALK_FAULT: Final = 0x200  # a reserved entry: GPT walk fault
GPC_ADDRESS_SIZE: Final = 0x300  # GPTBR_EL3 points outside the protected space
GPC_EXTERNAL_ABORT: Final = 0x400  # a table lies outside DRAM

_ADDRESS: Final = 0x000F_FFFF_FFFF_F000  # bits 51:12 of an L0 table descriptor
_PAS_NON_SECURE: Final = 1
_GPI_ANY: Final = 15


@jit("i8(i8, i8)")
def host_address(m: int, pa: int) -> int:
    """The host address of ``pa``, or 0 when no DRAM bank holds it."""
    for bank in range(load64(m + 8 * M_BANKS)):
        entry = m + 8 * M_BANK + 32 * bank
        offset = pa - load64(entry)
        if 0 <= offset < load64(entry + 8):
            return load64(entry + 16) + offset
    return 0


@jit("i8(i8, i8)")
def page_index(m: int, pa: int) -> int:
    """The index of the page of ``pa`` in the page maps, or -1 when no DRAM bank holds it."""
    for bank in range(load64(m + 8 * M_BANKS)):
        entry = m + 8 * M_BANK + 32 * bank
        offset = pa - load64(entry)
        if 0 <= offset < load64(entry + 8):
            return load64(entry + 24) + (offset >> 12)
    return -1


@jit("i8(i8, i8)")
def mark_written(m: int, page: int) -> int:
    """Record that page ``page`` is about to be written; to be called before the first byte changes.

    Under a snapshot the first write saves the page's pre-image. Returns 0.
    """
    dirty = load64(m + 8 * M_DIRTY) + page
    if load8(dirty) == 0:
        shadow = load64(m + 8 * M_SHADOW)
        if shadow != 0:
            for bank in range(load64(m + 8 * M_BANKS)):
                entry = m + 8 * M_BANK + 32 * bank
                offset = (page - load64(entry + 24)) << 12
                if 0 <= offset < load64(entry + 8):
                    copy_page(shadow + (page << 12), load64(entry + 16) + offset)
        store8(dirty, 1)
    if load8(load64(m + 8 * M_EXECUTED) + page) != 0:
        store64(m + 8 * M_CODE_WRITTEN, 1)
    return 0


@jit("i8(i8, i8, i8)")
def update_descriptor(m: int, entry: int, descriptor: int) -> int:
    """Hardware update of a translation table: ``entry`` is a host address in DRAM. Returns 0."""
    for bank in range(load64(m + 8 * M_BANKS)):
        words = m + 8 * M_BANK + 32 * bank
        offset = entry - load64(words + 16)
        if 0 <= offset < load64(words + 8):
            mark_written(m, load64(words + 24) + (offset >> 12))
    store64(entry, descriptor)
    return 0


@jit("i8(i8, i8, i8, i8)")
def _judge(gpi: int, pas: int, level: int, reserved: int) -> int:
    """0 when a granule of ``gpi`` admits ``pas``, else the fault; ``reserved`` bits of the entry must be zero."""
    if reserved != 0:
        return GPC_WALK_FAULT | level
    if gpi == (8 | pas) or gpi == _GPI_ANY:
        return 0
    if gpi == 0 or 8 <= gpi <= 11:
        return GPC_GPF | level
    return GPC_WALK_FAULT | level


@jit("i8(i8, i8, i8)")
def granule_protection_check(m: int, pa: int, pas: int) -> int:
    """Whether an access in ``pas`` may reach ``pa``: 0, or ``GPC_*`` plus the level (DDI 0487, RME; 4K granules).

    Beyond the protected space (PPS) only the Non-secure PAS passes.
    """
    if (load64(m + 8 * M_GPCCR) >> 16) & 1 == 0:
        return 0
    pps_bits = load64(m + 8 * M_PPS_BITS)
    if pa >> pps_bits != 0:
        return 0 if pas == _PAS_NON_SECURE else GPC_GPF
    l0_bits = load64(m + 8 * M_L0GPTSZ_BITS)
    size = 4096
    if pps_bits > l0_bits + 9:
        size = 8 << (pps_bits - l0_bits)
    table = ((load64(m + 8 * M_GPTBR) & 0xFF_FFFF_FFFF) << 12) & ~(size - 1)
    if table >> pps_bits != 0:
        return GPC_ADDRESS_SIZE
    host = host_address(m, table + 8 * (pa >> l0_bits))
    if host == 0:
        return GPC_EXTERNAL_ABORT
    entry = load64(host)
    if entry & 15 == 1:
        return _judge((entry >> 4) & 15, pas, 0, entry & ~0xFF)
    table = entry & _ADDRESS
    size = 8 << (l0_bits - 16)
    if entry & ~_ADDRESS != 3 or table & (size - 1) != 0:
        return GPC_WALK_FAULT
    if table >> pps_bits != 0:
        return GPC_ADDRESS_SIZE
    host = host_address(m, table + 8 * ((pa & ((1 << l0_bits) - 1)) >> 16))
    if host == 0:
        return GPC_EXTERNAL_ABORT | 1
    entry = load64(host)
    if entry & 15 == 1:
        reserved = entry & ~0x3FF
        if entry & 0x300 == 0:
            reserved = 1
        return _judge((entry >> 4) & 15, pas, 1, reserved)
    return _judge((entry >> ((pa >> 10) & 60)) & 15, pas, 1, 0)
