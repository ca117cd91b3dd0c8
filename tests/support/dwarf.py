"""An ELF file with a function and a DWARF line table, for those who name places in code."""

import struct
from collections.abc import Sequence

__all__ = ["with_lines"]

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<2I6Q")
_SECTION = struct.Struct("<2I4Q2I2Q")
_SYMBOL = struct.Struct("<IBBHQQ")
_ABBREVIATIONS = bytes([1, 0x11, 0, 0x10, 0x17, 0, 0, 0])  # a compilation unit with DW_AT_stmt_list
_UNIT = struct.pack("<IHIBBI", 12, 4, 0, 8, 1, 0)
_LENGTHS = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])


def _table(base: int, file: str, lines: Sequence[int]) -> bytes:
    """A line table of version 4: each instruction from ``base`` on, and its line."""
    program, last = b"\0\x09\x02" + struct.pack("<Q", base), 1
    for line in lines:
        program += bytes([3, line - last & 0x7F, 1, 2, 1])  # advance the line, copy, advance the address
        last = line
    program += b"\0\x01\x01"
    names = b"\0" + file.encode() + b"\0\0\0\0\0"
    head = struct.pack("<BBBbBB", 4, 1, 1, -5, 14, 13) + _LENGTHS + names
    body = struct.pack("<HI", 4, len(head)) + head + program
    return struct.pack("<I", len(body)) + body


def with_lines(code: bytes, base: int, function: str, file: str, lines: Sequence[int], kind: int = 2) -> bytes:
    """``code`` at ``base``, all of it ``function`` of ``file``; ``lines`` are those of its instructions."""
    names = b"\0" + function.encode() + b"\0"
    symbol = _SYMBOL.pack(0, 0, 0, 0, 0, 0) + _SYMBOL.pack(1, 0x12, 0, 1, base, len(code))
    titles = (".text", ".symtab", ".strtab", ".shstrtab", ".debug_abbrev", ".debug_info", ".debug_line")
    strings = b"\0" + b"".join(title.encode() + b"\0" for title in titles)
    table = _table(base, file, lines)
    contents = (code, symbol, names, strings, _ABBREVIATIONS, _UNIT, table)
    kinds = (1, 2, 3, 3, 1, 1, 1)
    at, data, rows = _HEADER.size + _SEGMENT.size, b"", [bytes(_SECTION.size)]
    for number, (title, part) in enumerate(zip(titles, contents, strict=True)):
        name = strings.index(title.encode() + b"\0")
        link, entry = (3, _SYMBOL.size) if kinds[number] == 2 else (0, 0)
        address, flags = (base, 6) if title == ".text" else (0, 0)
        place = at + len(data)
        rows.append(_SECTION.pack(name, kinds[number], flags, address, place, len(part), link, 1, 1, entry))
        data += part.ljust(len(part) + -len(part) % 8, b"\0")
    head = (b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), kind, 183, 1, base, _HEADER.size, at + len(data), 0, 64)
    segment = _SEGMENT.pack(1, 5, at, base, base, len(code), len(code), 8)
    return _HEADER.pack(*head, _SEGMENT.size, 1, _SECTION.size, len(rows), 4) + segment + data + b"".join(rows)
