"""Relocations of AArch64 programs: what a loader adds to words of a program that it does not load where it is linked.

Applied are the relative kind, in each of its tables (DT_RELA, DT_REL, DT_RELR), and those that only need symbols which
the program defines itself, as one linked with -shared or -z notext has them. Any other kind needs other modules, a
run-time library or code of the program, and is refused by name: a program with such a word left as it is fails later.
Published: System V ABI, chapters 4 and 5, and the generic ABI's DT_RELR; ELF for the Arm 64-bit Architecture (IHI 0056)
and its extension for pointer authentication.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from cca_arch.elf import PT_DYNAMIC, Elf, ElfError

__all__ = ["DynamicTag", "RelocationKind", "relocated"]

_DYNAMIC: Final = struct.Struct("<2Q")
_RELA: Final = struct.Struct("<2Qq")
_REL: Final = struct.Struct("<2Q")
_WORD: Final = struct.Struct("<Q")
_SYMBOL: Final = struct.Struct("<I2BH2Q")  # name, info, other, section, value, size
_KIND: Final = 0xFFFF_FFFF  # of r_info; the symbol is above
_SYMBOL_AT: Final = 32
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1  # sections of symbols
_WEAK: Final = 2
_TLS, _IFUNC = 6, 10
_LONGEST_NAME: Final = 80
_BITMAP: Final = 63  # words that one odd entry of a RELR table stands for


class DynamicTag(IntEnum):
    """d_tag, of the tags that matter for relocation."""

    DT_NULL = 0
    DT_NEEDED = 1
    DT_PLTRELSZ = 2
    DT_STRTAB = 5
    DT_SYMTAB = 6
    DT_RELA = 7
    DT_RELASZ = 8
    DT_REL = 17
    DT_RELSZ = 18
    DT_PLTREL = 20
    DT_JMPREL = 23
    DT_RELRSZ = 35
    DT_RELR = 36
    DT_CREL = 0x4000_0026
    DT_ANDROID_REL = 0x6000_000F
    DT_ANDROID_RELA = 0x6000_0011
    DT_ANDROID_RELR = 0x6FFF_E000
    DT_ANDROID_RELRSZ = 0x6FFF_E001
    DT_AARCH64_AUTH_RELR = 0x7000_0012


class RelocationKind(IntEnum):
    """The type in r_info, of those that a linked program can have."""

    R_AARCH64_NONE = 0
    R_AARCH64_WITHDRAWN = 256
    R_AARCH64_ABS64 = 257
    R_AARCH64_ABS32 = 258
    R_AARCH64_ABS16 = 259
    R_AARCH64_PREL64 = 260
    R_AARCH64_PREL32 = 261
    R_AARCH64_PREL16 = 262
    R_AARCH64_AUTH_ABS64 = 0x244
    R_AARCH64_COPY = 1024
    R_AARCH64_GLOB_DAT = 1025
    R_AARCH64_JUMP_SLOT = 1026
    R_AARCH64_RELATIVE = 1027
    R_AARCH64_TLS_DTPMOD = 1028
    R_AARCH64_TLS_DTPREL = 1029
    R_AARCH64_TLS_TPREL = 1030
    R_AARCH64_TLSDESC = 1031
    R_AARCH64_IRELATIVE = 1032
    R_AARCH64_AUTH_RELATIVE = 0x411
    R_AARCH64_AUTH_GLOB_DAT = 0x412
    R_AARCH64_AUTH_TLSDESC = 0x413
    R_AARCH64_AUTH_IRELATIVE = 0x414


class _Form(NamedTuple):
    """How a kind changes its place: the size of that, and whether its own address is taken off."""

    size: int
    distance: bool = False


_APPLIED: Final = {
    RelocationKind.R_AARCH64_RELATIVE: _Form(8),
    RelocationKind.R_AARCH64_ABS64: _Form(8),
    RelocationKind.R_AARCH64_GLOB_DAT: _Form(8),
    RelocationKind.R_AARCH64_JUMP_SLOT: _Form(8),
    RelocationKind.R_AARCH64_ABS32: _Form(4),
    RelocationKind.R_AARCH64_ABS16: _Form(2),
    RelocationKind.R_AARCH64_PREL64: _Form(8, distance=True),
    RelocationKind.R_AARCH64_PREL32: _Form(4, distance=True),
    RelocationKind.R_AARCH64_PREL16: _Form(2, distance=True),
}
_NOTHING: Final = (RelocationKind.R_AARCH64_NONE, RelocationKind.R_AARCH64_WITHDRAWN)
_NAMES: Final = {int(kind): kind.name for kind in RelocationKind}
_REASONS: Final = {
    "COPY": "which takes a variable from a shared library: link it with -static",
    "TLS": "for thread-local data, which nothing sets up: build it without thread-local variables",
    "AUTH": "for a signed pointer, which only its own code can make: build it without signed pointers in data",
    "IRELATIVE": "whose value a function of the program chooses (ifunc): build it without such functions",
}
"""What is said of kinds whose names begin so, without R_AARCH64_."""
_OTHERWISE: Final = "which only a linker can apply: link it as a static PIE"
_PACKED: Final = (
    DynamicTag.DT_CREL,
    DynamicTag.DT_ANDROID_REL,
    DynamicTag.DT_ANDROID_RELA,
    DynamicTag.DT_AARCH64_AUTH_RELR,
)


class _Relocation(NamedTuple):
    """An entry of a table; without an addend, its place holds that."""

    place: int
    kind: int
    symbol: int
    addend: int | None


def relocated(program: Elf, bias: int) -> list[bytearray]:
    """The contents of each of ``program.segments`` for a load ``bias`` above the addresses that it is linked to.

    ElfError for a relocation of a kind that cannot be applied, for symbols that are not there, and for tables that
    cannot be right.
    """
    contents = [bytearray(program.contents(segment)) for segment in program.segments]
    tags = _tags(program)
    for one in _relocations(program, tags):
        form = _form(one)
        word = _bytes_at(program, contents, one.place, form.size)
        value = int.from_bytes(word, "little", signed=True) if one.addend is None else one.addend
        if one.kind == RelocationKind.R_AARCH64_RELATIVE:
            value += bias
        else:
            value += _symbol(program, tags, one, bias)
        bits = 8 * form.size
        if form.distance:
            value -= one.place + bias
        if bits < 64 and not -1 << bits - 1 <= value < 1 << bits:
            raise ElfError(
                f"has a relocation {_NAMES[one.kind]} at {one.place:#x} whose value {value:#x} has more than {bits} "
                "bits: build it with 64-bit addresses in data, or not position-independent"
            )
        word[:] = (value & (1 << bits) - 1).to_bytes(form.size, "little")
    return contents


def _form(one: _Relocation) -> _Form:
    """How a relocation is applied; ElfError if it cannot be."""
    form = _APPLIED.get(RelocationKind(one.kind)) if one.kind in _NAMES else None
    if form:
        return form
    name = _NAMES.get(one.kind, f"type {one.kind}")
    short = name.removeprefix("R_AARCH64_")
    why = next((why for start, why in _REASONS.items() if short.startswith(start)), _OTHERWISE)
    raise ElfError(f"has a relocation {name} at {one.place:#x}, {why}")


def _symbol(program: Elf, tags: dict[int, int], one: _Relocation, bias: int) -> int:
    """The value of the symbol of a relocation, which the program must define; 0 for a weak one that it does not."""
    if not one.symbol:
        return 0
    kind = _NAMES[one.kind]
    row = program.bytes_at(tags.get(DynamicTag.DT_SYMTAB, -1) + one.symbol * _SYMBOL.size, _SYMBOL.size)
    if DynamicTag.DT_SYMTAB not in tags or not row:
        raise ElfError(
            f"has a relocation {kind} at {one.place:#x} with symbol {one.symbol}, outside its symbol table: "
            "build or copy it again"
        )
    name, info, _, section, value, _ = _SYMBOL.unpack(row)
    if info & 0xF in (_TLS, _IFUNC):
        why = _REASONS["TLS" if info & 0xF == _TLS else "IRELATIVE"]
        raise ElfError(f"has a relocation {kind} at {one.place:#x}, {why}")
    if section == _UNDEFINED:
        if info >> 4 == _WEAK:
            return 0
        shown = _name(program, tags, name) or f"number {one.symbol}"
        raise ElfError(
            f"has a relocation {kind} at {one.place:#x} with the symbol {shown}, which it does not define: "
            "link it with what does"
        )
    return int(value) if section == _ABSOLUTE else int(value) + bias


def _name(program: Elf, tags: dict[int, int], at: int) -> str:
    """A name in the string table, as far as it can be shown; empty if there is none."""
    start = tags.get(DynamicTag.DT_STRTAB, -1) + at
    for size in range(_LONGEST_NAME, 0, -1):  # the table may end before
        if found := program.bytes_at(start, size):
            name = found.partition(b"\0")[0].decode("ascii", "replace")
            return name if name.isprintable() else ""
    return ""


def _bytes_at(program: Elf, contents: list[bytearray], va: int, size: int) -> memoryview:
    """Bytes of the file at a virtual address."""
    for segment, data in zip(program.segments, contents, strict=True):
        at = va - segment.vaddr
        if 0 <= at <= len(data) - size:
            return memoryview(data)[at : at + size]
    raise ElfError(f"has a relocation at {va:#x}, outside the contents of its segments: build or copy it again")


def _relocations(program: Elf, tags: dict[int, int]) -> Iterator[_Relocation]:
    """Each relocation, table by table."""
    if DynamicTag.DT_NEEDED in tags:
        raise ElfError("needs shared libraries, as a program for Linux does: link it with -static and without libc")
    for tag in _PACKED:
        if tag in tags:
            raise ElfError(f"has relocations of the kind {tag.name}: link it without packed or signed relocations")
    yield from _entries(program, tags, DynamicTag.DT_RELA, DynamicTag.DT_RELASZ, _RELA)
    yield from _entries(program, tags, DynamicTag.DT_REL, DynamicTag.DT_RELSZ, _REL)
    codec = _REL if tags.get(DynamicTag.DT_PLTREL) == DynamicTag.DT_REL else _RELA
    yield from _entries(program, tags, DynamicTag.DT_JMPREL, DynamicTag.DT_PLTRELSZ, codec)
    for tag, size in (
        (DynamicTag.DT_RELR, DynamicTag.DT_RELRSZ),
        (DynamicTag.DT_ANDROID_RELR, DynamicTag.DT_ANDROID_RELRSZ),
    ):
        for place in _compact(_table(program, tags, tag, size, _WORD.size)):
            yield _Relocation(place, RelocationKind.R_AARCH64_RELATIVE, 0, None)


def _tags(program: Elf) -> dict[int, int]:
    """The dynamic section up to its end, DT_NULL."""
    tags: dict[int, int] = {}
    for header in program.headers:
        if header.type == PT_DYNAMIC:
            data = program.contents(header)
            if len(data) < header.filesz:
                raise ElfError("is a truncated ELF: its dynamic section ends behind the file: copy it again")
            for tag, value in _DYNAMIC.iter_unpack(data[: len(data) // _DYNAMIC.size * _DYNAMIC.size]):
                if tag == DynamicTag.DT_NULL:
                    break
                tags[tag] = value
    return tags


def _table(program: Elf, tags: dict[int, int], tag: DynamicTag, size_tag: DynamicTag, row: int) -> bytes:
    """The table that two tags describe, of rows of ``row`` bytes; nothing when there is none."""
    size = tags.get(size_tag, 0)
    if tag not in tags or not size:
        return b""
    table = program.bytes_at(tags[tag], size)
    if not table or size % row:
        where = f"{size:#x} bytes at {tags[tag]:#x}"
        raise ElfError(f"has a relocation table {tag.name} of {where}, which cannot be: build or copy it again")
    return table


def _entries(
    program: Elf, tags: dict[int, int], tag: DynamicTag, size_tag: DynamicTag, codec: struct.Struct
) -> Iterator[_Relocation]:
    """The entries of a REL or RELA table that do something."""
    for place, info, *addend in codec.iter_unpack(_table(program, tags, tag, size_tag, codec.size)):
        kind = info & _KIND
        if kind not in _NOTHING:
            yield _Relocation(place, kind, info >> _SYMBOL_AT, addend[0] if addend else None)


def _compact(table: bytes) -> Iterator[int]:
    """The places of a RELR table: an even entry is one, an odd entry a bitmap of the words that follow."""
    following: int | None = None
    for (entry,) in _WORD.iter_unpack(table):
        if not entry & 1:
            yield entry
            following = entry + _WORD.size
            continue
        if following is None:
            raise ElfError("has a relocation table DT_RELR that begins with a bitmap: build or copy it again")
        for number in range(_BITMAP):
            if entry >> 1 + number & 1:
                yield following + number * _WORD.size
        following += _BITMAP * _WORD.size
