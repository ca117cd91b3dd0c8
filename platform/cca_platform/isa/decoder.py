"""The A64 load and store decoder: instruction word -> :class:`MemoryAccess`.

One row per encoding class of "Loads and Stores" (DDI 0487 C4.1) and of the SYS operations by address: mask, value, and
a function that decodes the other fields. Unallocated words decode to None, as do SVE, MTE tag, MOPS and 64-byte
accesses, which this decoder does not handle. CONSTRAINED UNPREDICTABLE register choices (a base that is also loaded)
decode as if the registers were different, which is what the PE does.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cca_platform.isa.access import ALL_LANES, ZVA_SIZE, Kind, MemoryAccess, Mode

__all__ = ["decode"]

_ZR: Final = 31
_WORD, _DOUBLE, _QUAD = 2, 3, 4  # log2 of the size in bytes


def _signed(word: int, low: int, width: int) -> int:
    value = word >> low & ((1 << width) - 1)
    return value - (1 << width) if value >> (width - 1) else value


def _rt(word: int) -> int:
    return word & 31


def _rn(word: int) -> int:
    return word >> 5 & 31


def _rt2(word: int) -> int:
    return word >> 10 & 31


def _rm(word: int) -> int:
    return word >> 16 & 31


# -- one general or vector register -----------------------------------------------------------------------------------

# (size, opc) -> (mnemonic stem, is_write, sign_extend, sf); the stem takes the suffix of the size.
_GENERAL: Final = {
    (size, opc): row
    for size in range(4)
    for opc, row in (
        (0, ("ST", True, False, size == _DOUBLE)),
        (1, ("LD", False, False, size == _DOUBLE)),
        (2, ("LD", False, True, True) if size < _DOUBLE else None),
        (3, ("LD", False, True, False) if size < _WORD else None),
    )
    if row
}
_PRFM: Final = (_DOUBLE, 2)
_SUFFIX: Final = {
    (0, False): "B", (1, False): "H", (2, False): "", (3, False): "",
    (0, True): "SB", (1, True): "SH", (2, True): "SW",
}  # fmt: skip


def _register(
    word: int, family: str, mode: Mode, imm: int = 0, *, rm: int = _ZR, extend: int = 3, shift: int = 0
) -> MemoryAccess | None:
    """Size, V and opc of the forms that move one register: ``family`` is R, UR (unscaled) or TR (unprivileged)."""
    size, opc = word >> 30, word >> 22 & 3
    if word >> 26 & 1:
        scale = (opc & 2) << 1 | size
        if scale > _QUAD or family == "TR":
            return None
        return MemoryAccess(
            f"{'LD' if opc & 1 else 'ST'}{family}", Kind.LOAD if opc & 1 else Kind.STORE, 1 << scale, 1, _rt(word),
            _rn(word), mode, imm, is_write=not opc & 1, fp=True, rm=rm, extend=extend, shift=shift,
        )  # fmt: skip
    if (size, opc) == _PRFM:
        if mode not in (Mode.OFFSET, Mode.REGISTER) or family == "TR":
            return None
        return MemoryAccess(
            "PRFUM" if family == "UR" else "PRFM", Kind.PREFETCH, 8, 1, _rt(word), _rn(word), mode, imm,
            rm=rm, extend=extend, shift=shift,
        )  # fmt: skip
    row = _GENERAL.get((size, opc))
    if row is None:
        return None
    stem, is_write, sign_extend, sf = row
    return MemoryAccess(
        f"{stem}{family}{_SUFFIX[size, sign_extend]}", Kind.STORE if is_write else Kind.LOAD, 1 << size, 1, _rt(word),
        _rn(word), mode, imm, is_write=is_write, sign_extend=sign_extend, sf=sf, unprivileged=family == "TR",
        isv=mode in (Mode.OFFSET, Mode.REGISTER), rm=rm, extend=extend, shift=shift,
    )  # fmt: skip


def _unsigned(word: int) -> MemoryAccess | None:
    scale = word >> 30
    if word >> 26 & 1:
        scale |= (word >> 23 & 1) << 2
    return _register(word, "R", Mode.OFFSET, (word >> 10 & 0xFFF) << scale)


_IMM9: Final = (("UR", Mode.OFFSET), ("R", Mode.POST), ("TR", Mode.OFFSET), ("R", Mode.PRE))


def _imm9(word: int) -> MemoryAccess | None:
    family, mode = _IMM9[word >> 10 & 3]
    return _register(word, family, mode, _signed(word, 12, 9))


def _register_offset(word: int) -> MemoryAccess | None:
    option = word >> 13 & 7
    if not option & 2:
        return None
    scale = word >> 30
    if word >> 26 & 1:
        scale |= (word >> 23 & 1) << 2
    return _register(word, "R", Mode.REGISTER, rm=_rm(word), extend=option, shift=scale if word >> 12 & 1 else 0)


# opc -> (name, kind, size, sign_extend, sf)
_LITERAL_GENERAL: Final = (
    ("LDR", Kind.LOAD, 4, False, False),
    ("LDR", Kind.LOAD, 8, False, True),
    ("LDRSW", Kind.LOAD, 4, True, True),
    ("PRFM", Kind.PREFETCH, 8, False, False),
)


def _literal(word: int) -> MemoryAccess | None:
    opc, imm = word >> 30, _signed(word, 5, 19) * 4
    if word >> 26 & 1:
        if opc == 3:
            return None
        return MemoryAccess("LDR", Kind.LOAD, 4 << opc, 1, _rt(word), mode=Mode.LITERAL, imm=imm, fp=True)
    name, kind, size, sign_extend, sf = _LITERAL_GENERAL[opc]
    return MemoryAccess(
        name, kind, size, 1, _rt(word), mode=Mode.LITERAL, imm=imm, sign_extend=sign_extend, sf=sf,
        isv=kind is Kind.LOAD,
    )  # fmt: skip


def _authenticated(word: int) -> MemoryAccess:
    imm = _signed((word >> 22 & 1) << 9 | word >> 12 & 0x1FF, 0, 10) * 8
    before = word >> 11 & 1
    return MemoryAccess(
        "LDRAB" if word >> 23 & 1 else "LDRAA", Kind.LOAD, 8, 1, _rt(word), _rn(word),
        Mode.PRE if before else Mode.OFFSET, imm, sf=True, authenticated=True, isv=not before,
    )  # fmt: skip


# -- pairs ------------------------------------------------------------------------------------------------------------

_PAIR_MODE: Final = (Mode.OFFSET, Mode.POST, Mode.OFFSET, Mode.PRE)


def _pair(word: int) -> MemoryAccess | None:
    opc, vector, form, load = word >> 30, word >> 26 & 1, word >> 23 & 3, word >> 22 & 1
    sign_extend = not vector and opc == 1
    if opc == 3 or (sign_extend and (not load or not form)):
        return None
    size = 4 << opc if vector else (4, 4, 8)[opc]
    name = f"{'LD' if load else 'ST'}{'P' if form else 'NP'}{'SW' if sign_extend else ''}"
    return MemoryAccess(
        name, Kind.LOAD if load else Kind.STORE, size, 2, _rt(word), _rn(word), _PAIR_MODE[form],
        _signed(word, 15, 7) * size, rt2=_rt2(word), is_write=not load, sign_extend=sign_extend,
        sf=not vector and opc > 0, fp=bool(vector),
    )  # fmt: skip


# -- exclusive, ordered, atomic ---------------------------------------------------------------------------------------


def _exclusive(word: int) -> MemoryAccess:
    """LDXR, LDAXR, STXR, STLXR."""
    size, load, ordered = word >> 30, word >> 22 & 1, word >> 15 & 1
    name = f"{'LD' if load else 'ST'}{('A' if load else 'L') if ordered else ''}XR{_SUFFIX[size, False]}"
    return MemoryAccess(
        name, Kind.LOAD if load else Kind.STORE, 1 << size, 1, _rt(word), _rn(word), rs=_rm(word), is_write=not load,
        sf=size == _DOUBLE, acquire_release=bool(ordered), exclusive=True,
    )  # fmt: skip


def _exclusive_pair(word: int) -> MemoryAccess:
    """LDXP, LDAXP, STXP, STLXP."""
    size, load, ordered = word >> 30, word >> 22 & 1, word >> 15 & 1
    return MemoryAccess(
        f"{'LD' if load else 'ST'}{('A' if load else 'L') if ordered else ''}XP", Kind.LOAD if load else Kind.STORE,
        1 << size, 2, _rt(word), _rn(word), rt2=_rt2(word), rs=_rm(word), is_write=not load, sf=size == _DOUBLE,
        acquire_release=bool(ordered), exclusive=True,
    )  # fmt: skip


def _compare_and_swap(word: int) -> MemoryAccess | None:
    size = word >> 30
    if _rt2(word) != _ZR:
        return None
    return MemoryAccess(
        f"CAS{_order(word >> 22 & 1, word >> 15 & 1)}{_SUFFIX[size, False]}", Kind.ATOMIC, 1 << size, 1,
        _rt(word), _rn(word), rs=_rm(word), is_write=True, sf=size == _DOUBLE, acquire_release=bool(word & 0x408000),
    )  # fmt: skip


def _compare_and_swap_pair(word: int) -> MemoryAccess | None:
    wide = word >> 30 & 1
    if _rt2(word) != _ZR or word & 1 or word >> 16 & 1:
        return None
    return MemoryAccess(
        f"CASP{_order(word >> 22 & 1, word >> 15 & 1)}", Kind.ATOMIC, 8 if wide else 4, 2, _rt(word), _rn(word),
        rt2=_rt(word) + 1, rs=_rm(word), is_write=True, sf=bool(wide), acquire_release=bool(word & 0x408000),
    )  # fmt: skip


def _order(acquire: int, release: int) -> str:
    return f"{'A' if acquire else ''}{'L' if release else ''}"


def _ordered(word: int) -> MemoryAccess:
    """LDAR, STLR; LDLAR and STLLR, whose limited order does not show in ISS.AR."""
    size, load, full = word >> 30, word >> 22 & 1, word >> 15 & 1
    name = f"{'LD' if load else 'ST'}{'' if full else 'L'}{'A' if load else 'L'}R{_SUFFIX[size, False]}"
    return MemoryAccess(
        name, Kind.LOAD if load else Kind.STORE, 1 << size, 1, _rt(word), _rn(word), is_write=not load,
        sf=size == _DOUBLE, acquire_release=bool(full), isv=True,
    )  # fmt: skip


def _ordered_unscaled(word: int) -> MemoryAccess | None:
    """LDAPUR, STLUR: FEAT_LRCPC2."""
    size, opc = word >> 30, word >> 22 & 3
    row = _GENERAL.get((size, opc))
    if row is None:
        return None
    _, is_write, sign_extend, sf = row
    return MemoryAccess(
        f"{'STLUR' if is_write else 'LDAPUR'}{_SUFFIX[size, sign_extend]}", Kind.STORE if is_write else Kind.LOAD,
        1 << size, 1, _rt(word), _rn(word), imm=_signed(word, 12, 9), is_write=is_write, sign_extend=sign_extend, sf=sf,
        acquire_release=True, isv=True,
    )  # fmt: skip


_ATOMIC: Final = ("LDADD", "LDCLR", "LDEOR", "LDSET", "LDSMAX", "LDSMIN", "LDUMAX", "LDUMIN", "SWP")
_LDAPR: Final = 0b1100  # {o3, opc} of LDAPR


def _atomic(word: int) -> MemoryAccess | None:
    size, ordered, operation = word >> 30, word >> 22 & 3, word >> 12 & 0xF
    if operation == _LDAPR:
        if ordered != 0b10 or _rm(word) != _ZR:
            return None
        return MemoryAccess(
            f"LDAPR{_SUFFIX[size, False]}", Kind.LOAD, 1 << size, 1, _rt(word), _rn(word), sf=size == _DOUBLE,
            acquire_release=True, isv=True,
        )  # fmt: skip
    if operation >= len(_ATOMIC):
        return None
    return MemoryAccess(
        f"{_ATOMIC[operation]}{_order(ordered >> 1, ordered & 1)}{_SUFFIX[size, False]}", Kind.ATOMIC, 1 << size, 1,
        _rt(word), _rn(word), rs=_rm(word), is_write=True, sf=size == _DOUBLE, acquire_release=bool(ordered),
    )  # fmt: skip


# -- vector structures ------------------------------------------------------------------------------------------------

# opcode of LD1 to ST4 (multiple structures) -> (groups of registers, registers of one structure)
_STRUCTURE: Final = {0: (1, 4), 2: (4, 1), 4: (1, 3), 6: (3, 1), 7: (1, 1), 8: (1, 2), 10: (2, 1)}


def _post_index(word: int, total: int) -> tuple[Mode, int, int]:
    """(mode, imm, rm) of a structure access: no offset, or after it the size or a register."""
    if not word >> 23 & 1:
        return Mode.OFFSET, 0, _ZR
    if _rm(word) == _ZR:
        return Mode.POST, total, _ZR
    return Mode.POST_REGISTER, 0, _rm(word)


def _multiple(word: int) -> MemoryAccess | None:
    wide, load, scale = word >> 30 & 1, word >> 22 & 1, word >> 10 & 3
    shape = _STRUCTURE.get(word >> 12 & 0xF)
    if shape is None or (scale == _DOUBLE and not wide and shape[1] > 1):
        return None
    groups, selem = shape
    lanes = (16 if wide else 8) >> scale
    count = groups * selem * lanes
    mode, imm, rm = _post_index(word, count << scale)
    return MemoryAccess(
        f"{'LD' if load else 'ST'}{selem}", Kind.LOAD if load else Kind.STORE, 1 << scale, count, _rt(word), _rn(word),
        mode, imm, rm=rm, is_write=not load, fp=True, selem=selem, lanes=lanes,
    )  # fmt: skip


def _single(word: int) -> MemoryAccess | None:
    load, opcode, size = word >> 22 & 1, word >> 13 & 7, word >> 10 & 3
    index = (word >> 30 & 1) << 3 | (word >> 12 & 1) << 2 | size  # Q:S:size
    selem = ((opcode & 1) << 1 | word >> 21 & 1) + 1
    scale = opcode >> 1
    lane, lanes = index >> scale, 0
    replicated = scale == 3
    if replicated:
        if not load or word >> 12 & 1:
            return None
        scale, lane, lanes = size, ALL_LANES, (16 if word >> 30 & 1 else 8) >> size
    elif scale == 1 and size & 1:
        return None
    elif scale == _WORD and size:
        if size != 1 or word >> 12 & 1:
            return None
        scale, lane = _DOUBLE, index >> 3
    mode, imm, rm = _post_index(word, selem << scale)
    return MemoryAccess(
        f"{'LD' if load else 'ST'}{selem}{'R' if replicated else ''}", Kind.LOAD if load else Kind.STORE, 1 << scale,
        selem, _rt(word), _rn(word), mode, imm, rm=rm, is_write=not load, fp=True, selem=selem, lanes=lanes,
        lane=lane,
    )  # fmt: skip


# -- operations by address --------------------------------------------------------------------------------------------

# (op1, CRm, op2) with CRn = 7 -> (name, kind)
_OPERATION: Final = {
    (0, 6, 1): ("DC IVAC", Kind.CACHE),
    (3, 4, 1): ("DC ZVA", Kind.ZERO),
    (3, 5, 1): ("IC IVAU", Kind.CACHE),
    (3, 10, 1): ("DC CVAC", Kind.CACHE),
    (3, 11, 1): ("DC CVAU", Kind.CACHE),
    (3, 12, 1): ("DC CVAP", Kind.CACHE),
    (3, 13, 1): ("DC CVADP", Kind.CACHE),
    (3, 14, 1): ("DC CIVAC", Kind.CACHE),
    (0, 8, 0): ("AT S1E1R", Kind.TRANSLATE),
    (0, 8, 1): ("AT S1E1W", Kind.TRANSLATE),
    (0, 8, 2): ("AT S1E0R", Kind.TRANSLATE),
    (0, 8, 3): ("AT S1E0W", Kind.TRANSLATE),
    (0, 9, 0): ("AT S1E1RP", Kind.TRANSLATE),
    (0, 9, 1): ("AT S1E1WP", Kind.TRANSLATE),
    (4, 8, 0): ("AT S1E2R", Kind.TRANSLATE),
    (4, 8, 1): ("AT S1E2W", Kind.TRANSLATE),
    (4, 8, 4): ("AT S12E1R", Kind.TRANSLATE),
    (4, 8, 5): ("AT S12E1W", Kind.TRANSLATE),
    (4, 8, 6): ("AT S12E0R", Kind.TRANSLATE),
    (4, 8, 7): ("AT S12E0W", Kind.TRANSLATE),
    (6, 8, 0): ("AT S1E3R", Kind.TRANSLATE),
    (6, 8, 1): ("AT S1E3W", Kind.TRANSLATE),
}


def _operation(word: int) -> MemoryAccess | None:
    row = _OPERATION.get((word >> 16 & 7, word >> 8 & 0xF, word >> 5 & 7))
    if row is None:
        return None
    name, kind = row
    zero = kind is Kind.ZERO
    return MemoryAccess(name, kind, ZVA_SIZE if zero else 1, 1, _rt(word), mode=Mode.VALUE, is_write=zero)


# -- the table --------------------------------------------------------------------------------------------------------

_ENCODINGS: Final[tuple[tuple[int, int, Callable[[int], MemoryAccess | None]], ...]] = (
    (0x3B000000, 0x39000000, _unsigned),
    (0x3B200000, 0x38000000, _imm9),
    (0x3A000000, 0x28000000, _pair),
    (0x3B200C00, 0x38200800, _register_offset),
    (0x3B000000, 0x18000000, _literal),
    (0x3FA00000, 0x08000000, _exclusive),
    (0xBFA00000, 0x88200000, _exclusive_pair),
    (0xBFA00000, 0x08200000, _compare_and_swap_pair),
    (0x3FA00000, 0x08800000, _ordered),
    (0x3FA00000, 0x08A00000, _compare_and_swap),
    (0x3F200C00, 0x19000000, _ordered_unscaled),
    (0x3F200C00, 0x38200000, _atomic),
    (0xFF200400, 0xF8200400, _authenticated),
    (0xBFBF0000, 0x0C000000, _multiple),
    (0xBFA00000, 0x0C800000, _multiple),
    (0xBF9F0000, 0x0D000000, _single),
    (0xBF800000, 0x0D800000, _single),
    (0xFFF8F000, 0xD5087000, _operation),
)


@lru_cache(maxsize=1 << 16)
def decode(word: int) -> MemoryAccess | None:
    """Decode an instruction word; returns None if it does not address memory by a register."""
    for mask, value, build in _ENCODINGS:
        if word & mask == value:
            return build(word)
    return None
