"""A copy of an ELF file with only what a loader needs, and its symbols: as `strip --strip-debug` would leave it.

A kernel with debug information has hundreds of MB of it. The file is read in parts, its headers first, so that neither
its size nor what its headers claim decides how much is read.
Published: System V ABI, chapter 4 (object files) and 5 (program loading).
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final

from cca_arch.elf import (
    FILE_HEADER,
    PROGRAM_HEADER,
    PT_DYNAMIC,
    PT_LOAD,
    SECTION_HEADER_SIZE,
    Elf,
    ElfError,
    sections_broken,
    without_sections,
)

__all__ = ["TooLarge", "stripped"]

_SECTION: Final = struct.Struct("<2I4Q2I2Q")
_SHT_SYMTAB, _SHT_STRTAB, _SHT_NOBITS = 2, 3, 8
_TYPE, _OFFSET, _SIZE, _LINK = 1, 4, 5, 6
_PHOFF, _SHOFF, _SHNUM, _SHSTRNDX = 5, 6, 12, 13
_ALIGNED: Final = 1 << 16
"""Places in the copy are those in the file modulo this, the largest page: segments stay loadable by any loader."""

Range = tuple[int, int]
"""The first and the last place, that behind it."""


class TooLarge(ValueError):
    """More has to be loaded than may be: ``needed`` bytes."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed:,} bytes")
        self.needed = needed


class _Window:
    """A file as a sequence of bytes, read where it is looked at."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        return self._read(start, max(stop - start, 0))


def stripped(read: Callable[[int, int], bytes], size: int, limit: int) -> bytes:
    """A copy of the ELF file of ``size`` bytes that ``read(offset, size)`` gives, with at most ``limit`` of them.

    Symbols are left out if there is no room for them. Raises TooLarge, or ElfError for what :class:`Elf` refuses.
    """
    window = _Window(read, size)
    program = Elf(window)
    needed = sum(header.filesz for header in program.segments)
    if needed > limit:
        raise TooLarge(needed)
    loaded = [(one.offset, one.offset + one.filesz) for one in program.headers if one.type in (PT_LOAD, PT_DYNAMIC)]
    head = list(FILE_HEADER.unpack(window[: FILE_HEADER.size]))
    sections = [] if sections_broken(window) else _sections(window, head)
    symbols = [(row[_OFFSET], row[_OFFSET] + row[_SIZE]) for row in _named(sections, head[_SHSTRNDX])]
    if any(end > size for _, end in symbols) or _room(_merged([*loaded, *symbols], size)) > limit:
        sections, symbols = [], []
    ranges = _merged([*loaded, *symbols], size)
    if _room(ranges) > limit:
        raise TooLarge(_room(ranges))
    copy = _Copy(window, ranges, FILE_HEADER.size + PROGRAM_HEADER.size * len(program.headers))
    head[_PHOFF] = FILE_HEADER.size
    rows = []
    for header in program.headers:
        place = copy.place(header.offset, header.filesz)
        offset, contents = (0, 0) if place is None else (place, header.filesz)
        rows.append(PROGRAM_HEADER.pack(*header._replace(offset=offset, filesz=contents)))
    table = b"".join(_moved(row, copy) for row in sections)
    head[_SHOFF] = len(copy.data) if table else 0
    headers = FILE_HEADER.pack(*head) + b"".join(rows)
    copy.data[: len(headers)] = headers
    copy.data += table
    return bytes(copy.data) if table else without_sections(copy.data)


def _room(ranges: list[Range]) -> int:
    """What the ranges take in a copy at the most."""
    return sum(end - at + _ALIGNED for at, end in ranges)


def _sections(window: _Window, head: list[int]) -> list[tuple[int, ...]]:
    at = head[_SHOFF]
    table = window[at : at + head[_SHNUM] * SECTION_HEADER_SIZE]
    if len(table) % SECTION_HEADER_SIZE:
        raise ElfError("is a truncated ELF: its section headers end behind the file: copy it again")
    return list(_SECTION.iter_unpack(table))


def _named(sections: list[tuple[int, ...]], names: int) -> Iterable[tuple[int, ...]]:
    """The sections that have symbols, and the names of symbols and sections."""
    tables = [row for row in sections if row[_TYPE] == _SHT_SYMTAB]
    wanted = {names, *(row[_LINK] for row in tables)}
    texts = [sections[at] for at in sorted(wanted) if at < len(sections) and sections[at][_TYPE] == _SHT_STRTAB]
    return [*tables, *texts]


def _merged(ranges: Iterable[Range], size: int) -> list[Range]:
    """The ranges in order and apart; those that share a place are one."""
    merged: list[Range] = []
    for at, end in sorted(one for one in ranges if one[0] < one[1] <= size):
        if merged and at <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((at, end))
    return merged


def _moved(row: tuple[int, ...], copy: "_Copy") -> bytes:
    """A section header for the copy; a section that is not in it has no contents."""
    place = copy.place(row[_OFFSET], row[_SIZE]) if row[_TYPE] != _SHT_NOBITS else None
    kind = row[_TYPE] if place is not None or not row[_TYPE] else _SHT_NOBITS
    return _SECTION.pack(row[0], kind, *row[2:_OFFSET], place or 0, *row[_SIZE:])


class _Copy:
    """The copy: ``data``, with room for the headers, and where each range of the file is in it."""

    def __init__(self, window: _Window, ranges: list[Range], headers: int) -> None:
        self.data = bytearray(headers)
        self._ranges = ranges
        self._places: list[int] = []
        for at, end in ranges:
            contents = window[at:end]
            if len(contents) < end - at:
                raise ElfError("is a truncated ELF: it has become shorter: copy it again")
            self.data += bytes((at - len(self.data)) % _ALIGNED)
            self._places.append(len(self.data))
            self.data += contents

    def place(self, offset: int, size: int) -> int | None:
        """Where a part of the file is in the copy; None if it is not."""
        at = bisect_right(self._ranges, (offset, 1 << 64)) - 1
        if at < 0 or offset + size > self._ranges[at][1]:
            return None
        return self._places[at] + offset - self._ranges[at][0]
