"""Relocations of AArch64 programs: what a loader adds to words of a program that it does not load where it is linked.

The relative kinds are applied, in each of their tables (DT_RELA, DT_REL, DT_RELR). Any other kind needs a dynamic
linker or code of the program itself, and is refused by name: a program with such a word left as it is fails later.
Published: System V ABI, chapter 5 and the generic ABI's DT_RELR; ELF for the Arm 64-bit Architecture (IHI 0056).
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from cca_arch.elf import PT_DYNAMIC, Elf, ElfError

__all__ = ["DynamicTag", "RelocationKind", "relocated"]

_DYNAMIC: Final = struct.Struct("<2Q")
_RELA: Final = struct.Struct("<3Q")
_REL: Final = struct.Struct("<2Q")
_WORD: Final = struct.Struct("<Q")
_KIND: Final = 0xFFFF_FFFF  # of r_info; the symbol is above
_MASK: Final = (1 << 64) - 1
_BITMAP: Final = 63  # words that one odd entry of a RELR table stands for


class DynamicTag(IntEnum):
    """d_tag, of the tags that matter for relocation."""

    DT_NULL = 0
    DT_NEEDED = 1
    DT_PLTRELSZ = 2
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


_NOTHING: Final = (RelocationKind.R_AARCH64_NONE, RelocationKind.R_AARCH64_WITHDRAWN)
_NAMES: Final = {int(kind): kind.name for kind in RelocationKind}
_PACKED: Final = (
    DynamicTag.DT_CREL,
    DynamicTag.DT_ANDROID_REL,
    DynamicTag.DT_ANDROID_RELA,
    DynamicTag.DT_AARCH64_AUTH_RELR,
)


def relocated(program: Elf, bias: int) -> list[bytearray]:
    """The contents of each of ``program.segments`` for a load ``bias`` above the addresses that it is linked to.

    ElfError for a relocation of another kind than the relative ones, and for tables that cannot be right.
    """
    contents = [bytearray(program.contents(segment)) for segment in program.segments]
    for place, addend in _relative(program):
        word = _word_at(program, contents, place)
        value = _WORD.unpack(word)[0] if addend is None else addend
        _WORD.pack_into(word, 0, (value + bias) & _MASK)
    return contents


def _word_at(program: Elf, contents: list[bytearray], va: int) -> memoryview:
    """The word of the file at a virtual address."""
    for segment, data in zip(program.segments, contents, strict=True):
        at = va - segment.vaddr
        if 0 <= at <= len(data) - _WORD.size:
            return memoryview(data)[at : at + _WORD.size]
    raise ElfError(f"has a relocation at {va:#x}, outside the contents of its segments: build or copy it again")


def _relative(program: Elf) -> Iterator[tuple[int, int | None]]:
    """(virtual address, addend) of each relative relocation; None stands for an addend in the place itself."""
    tags = _tags(program)
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
        yield from _compact(_table(program, tags, tag, size, _WORD.size))


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
) -> Iterator[tuple[int, int | None]]:
    """The relative ones of a REL or RELA table, which must have no others."""
    for place, info, *addend in codec.iter_unpack(_table(program, tags, tag, size_tag, codec.size)):
        kind = info & _KIND
        if kind == RelocationKind.R_AARCH64_RELATIVE:
            yield place, addend[0] if addend else None
        elif kind not in _NOTHING:
            name = _NAMES.get(kind, f"type {kind}")
            raise ElfError(
                f"has a relocation {name} at {place:#x}; only relative ones are applied: link it as a static PIE"
            )


def _compact(table: bytes) -> Iterator[tuple[int, None]]:
    """The places of a RELR table: an even entry is one, an odd entry a bitmap of the words that follow."""
    following: int | None = None
    for (entry,) in _WORD.iter_unpack(table):
        if not entry & 1:
            yield entry, None
            following = entry + _WORD.size
            continue
        if following is None:
            raise ElfError("has a relocation table DT_RELR that begins with a bitmap: build or copy it again")
        for number in range(_BITMAP):
            if entry >> 1 + number & 1:
                yield following + number * _WORD.size, None
        following += _BITMAP * _WORD.size
