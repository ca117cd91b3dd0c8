"""Alignment of LDAR, STLR and their kind, which the engine does not check: without FEAT_LSE2 any memory requires it.

A hook on each such instruction is affordable in programs that have few of them, as firmware and tests do. A kernel has
thousands, which would double the time to translate its code. So up to ``ORDERED`` addresses of them count in a PE; with
one more, none is checked any more. The addresses are state, so that a restored machine decides as the first one did.
"""

from typing import Final

from cca_platform.engine.registers import SP, X0, X29, get
from cca_platform.native import block as w
from cca_platform.native.jit import jit, load64, store64

__all__ = ["is_ordered", "note", "unaligned"]

_SP: Final = 31


@jit("i8(i8, i8)")
def is_ordered(p: int, word: int) -> int:
    """True for a load-acquire or store-release of more than a byte that the CPU model has."""
    features = load64(p + 8 * w.P_FEATURES)
    if word >> 30 == 0 or load64(p + 8 * w.P_ORDERED_USED) > w.ORDERED:
        return 0
    if word & 0x3FA00000 == 0x08800000:  # LDAR, STLR; LDLAR, STLLR
        return 1 if word & 0x8000 or features & w.HAS_LOR else 0
    if features & w.HAS_RCPC == 0:
        return 0
    return 1 if word & 0x3FFFFC00 == 0x38BFC000 or word & 0x3F200C00 == 0x19000000 else 0  # LDAPR; LDAPUR, STLUR


@jit("i8(i8, i8)")
def note(p: int, address: int) -> int:
    """Count the address of such an instruction; returns 0 if it is one too many, and from then on."""
    found, used = load64(p + 8 * w.P_ORDERED), load64(p + 8 * w.P_ORDERED_USED)
    for number in range(min(used, w.ORDERED)):
        if load64(found + 8 * number) == address:
            return 1
    if used >= w.ORDERED:
        store64(p + 8 * w.P_ORDERED_USED, w.ORDERED + 1)
        return 0
    store64(found + 8 * used, address)
    store64(p + 8 * w.P_ORDERED_USED, used + 1)
    return 1


@jit("i8(i8, i8)")
def unaligned(p: int, word: int) -> int:
    """True if the address of such an instruction is not a multiple of the size of its access."""
    rn = word >> 5 & 31
    base = get(p, SP if rn == _SP else X0 + rn if rn < 29 else X29 + rn - 29)
    if word & 0x3F200C00 == 0x19000000:
        base += word >> 12 & 0x1FF  # the sign changes no multiple
    return 1 if base & (1 << (word >> 30)) - 1 else 0
