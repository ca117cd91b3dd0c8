"""DRAM for native code: the host address of a physical address, and the tracking of stores.

Each function takes ``m``, the address of the machine block, and runs natively or as plain Python (see
:mod:`cca_platform.native.jit`).
"""

from cca_platform.native.block import (
    DROPS,
    LOGGED,
    M_BANK,
    M_BANKS,
    M_DIRTY,
    M_DROPPED,
    M_DROPS,
    M_EXECUTED,
    M_LOG,
    M_SHADOW,
    REWRITTEN,
)
from cca_platform.native.jit import copy_page, jit, load8, load64, store8, store64

__all__ = ["host_address", "mark_written", "page_address", "page_index", "update_descriptor"]


@jit("i8(i8, i8)")
def host_address(m: int, pa: int) -> int:
    """The host address of ``pa``, or 0 if it is in no DRAM bank."""
    for bank in range(load64(m + 8 * M_BANKS)):
        entry = m + 8 * M_BANK + 32 * bank
        offset = pa - load64(entry)
        if 0 <= offset < load64(entry + 8):
            return load64(entry + 16) + offset
    return 0


@jit("i8(i8, i8)")
def page_index(m: int, pa: int) -> int:
    """The index of the page of ``pa`` in the page maps, or -1 if it is in no DRAM bank."""
    for bank in range(load64(m + 8 * M_BANKS)):
        entry = m + 8 * M_BANK + 32 * bank
        offset = pa - load64(entry)
        if 0 <= offset < load64(entry + 8):
            return load64(entry + 24) + (offset >> 12)
    return -1


@jit("i8(i8, i8)")
def page_address(m: int, page: int) -> int:
    """The physical address of the page with this index in the page maps."""
    for bank in range(load64(m + 8 * M_BANKS)):
        entry = m + 8 * M_BANK + 32 * bank
        offset = (page - load64(entry + 24)) << 12
        if 0 <= offset < load64(entry + 8):
            return load64(entry) + offset
    return -1


@jit("i8(i8, i8)")
def _rewrite(m: int, page: int) -> int:
    """Have every PE drop its translated code of a page that is about to be written. Once is enough until they do."""
    executed = load64(m + 8 * M_EXECUTED) + page
    known = load8(executed)
    if known & REWRITTEN == 0:
        store8(executed, known | REWRITTEN)
        number = load64(m + 8 * M_DROPS)
        store64(m + 8 * (M_DROPPED + number % DROPS), page_address(m, page))
        store64(m + 8 * M_DROPS, number + 1)
    return 0


@jit("i8(i8, i8)")
def mark_written(m: int, page: int) -> int:
    """Record that page ``page`` is about to be written; call this before the first byte changes.

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
        log = load64(m + 8 * M_LOG)
        count = load64(log) + 1
        store64(log, count)
        if count <= LOGGED:
            store64(log + 8 * count, page)
    if load8(load64(m + 8 * M_EXECUTED) + page) != 0:
        _rewrite(m, page)
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
