"""Loads and stores in the forms that compilers use, decoded by native code: what an abort has to say of them.

One general or vector register, or two of them; every address form but that relative to PC. No atomics, no exclusives,
nothing that orders. :mod:`cca_platform.isa.decoder` knows all instructions, and a test compares the two.
"""

from typing import Final

from cca_platform.native import block as w
from cca_platform.native.jit import jit, load64, store64

__all__ = ["base", "decode", "index"]

_QUAD: Final = 4  # a vector register of 16 bytes, as a power of two
_NONE: Final = 31  # SP as a base, XZR as an index


@jit("i8(i8)")
def base(word: int) -> int:
    """The number of the base register; 31 is SP."""
    return word >> 5 & 31


@jit("i8(i8)")
def index(word: int) -> int:
    """The number of the index register of a register offset, or 31."""
    return word >> 16 & 31 if word & 0x3B20_0C00 == 0x3820_0800 else _NONE


@jit("i8(i8, i8, i8, i8)")
def _found(p: int, at: int, size: int, pieces: int) -> int:
    store64(p + 8 * w.P_ACCESS_AT, at)
    store64(p + 8 * w.P_ACCESS_SIZE, size)
    store64(p + 8 * w.P_ACCESS_TOTAL, size * pieces)
    return 1


@jit("i8(i8, i8, i8)")
def _offset(p: int, word: int, scale: int) -> int:
    """The extended and shifted index of a register offset."""
    option, number = word >> 13 & 7, index(word)
    value = 0 if number == _NONE else load64(p + 8 * (w.P_X + number))
    if option & 1 == 0:  # UXTW, SXTW
        value &= 0xFFFF_FFFF
        if option & 4:
            value = (value ^ 0x8000_0000) - 0x8000_0000
    return value << scale if word >> 12 & 1 else value


@jit("i8(i8, i8, i8)")
def _single(p: int, word: int, start: int) -> int:
    """One register: unsigned offset, 9 bits in four modes, register offset."""
    size, vector, opc = word >> 30 & 3, word >> 26 & 1, word >> 22 & 3
    scale = (opc & 2) << 1 | size if vector else size
    if scale > _QUAD or (not vector and opc + size > 4):  # unallocated, or PRFM
        return 0
    mode, signed = word >> 10 & 3, (word >> 12 & 0x1FF ^ 0x100) - 0x100
    is_read, described = (opc & 1 if vector else opc), 1 - vector
    if word >> 24 & 1:
        at = start + ((word >> 10 & 0xFFF) << scale)
    elif word >> 21 & 1:
        if mode != 2 or word >> 14 & 1 == 0:  # an atomic, LDRAA; unallocated
            return 0
        at = start + _offset(p, word, scale)
    else:
        if mode == 2 and vector:
            return 0
        at = start if mode == 1 else start + signed
        if mode & 1:  # with writeback
            described = 0
    store64(p + 8 * w.P_ACCESS_WRITES, 0 if is_read else 1)
    store64(p + 8 * w.P_ACCESS_DESCRIBED, described)
    return _found(p, at, 1 << scale, 1)


@jit("i8(i8, i8, i8)")
def _pair(p: int, word: int, start: int) -> int:
    """Two registers."""
    opc, vector, form, is_read = word >> 30 & 3, word >> 26 & 1, word >> 23 & 3, word >> 22 & 1
    if opc == 3 or (opc == 1 and not vector and (not is_read or form == 0)):
        return 0
    size = 4 << opc if vector else 8 if opc == 2 else 4
    distance = ((word >> 15 & 0x7F ^ 0x40) - 0x40) * size
    store64(p + 8 * w.P_ACCESS_WRITES, 1 - is_read)
    store64(p + 8 * w.P_ACCESS_DESCRIBED, 0)
    return _found(p, start if form == 1 else start + distance, size, 2)


@jit("i8(i8, i8)")
def decode(p: int, word: int) -> int:
    """Decode a load or store, with its base and index in the block; 0 if it has another form.

    P_ACCESS_AT is its address, P_ACCESS_SIZE that of an element, P_ACCESS_TOTAL of all. P_ACCESS_DESCRIBED says that
    the syndrome of a stage 2 abort describes its register.
    """
    number = base(word)
    start = load64(p + 8 * (w.P_SP if number == _NONE else w.P_X + number))
    if word & 0x3A00_0000 == 0x3800_0000:
        return _single(p, word, start)
    if word & 0x3A00_0000 == 0x2800_0000:
        return _pair(p, word, start)
    return 0
