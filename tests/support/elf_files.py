"""ELF files of a few segments, for those who read them."""

import struct

__all__ = ["BASE", "elf", "moved"]

BASE = 0x1000
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<2I6Q")


def elf(
    *segments: tuple[int, int, bytes, int], kind: int = 2, row: int = 56, sections: tuple[int, int] = (0, 0)
) -> bytes:
    """An ELF of segments (type, virtual address, contents, size in memory), loaded 0x100 above where they run."""
    at, headers, contents = HEADER.size + SEGMENT.size * len(segments), b"", b""
    for number, va, data, size in segments:
        headers += SEGMENT.pack(number, 5, at + len(contents), va, va + 0x100, len(data), size, 8)
        contents += data
    offset, count = sections
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = (ident, kind, 183, 1, BASE, HEADER.size, offset, 0, 64, row, len(segments), 64, count, 0)
    return HEADER.pack(*head) + headers + contents


def moved(tag: int, size_tag: int, table: bytes) -> bytes:
    """A position-independent ELF with a relocation table at the start of its code, and then a word of 0x1234."""
    dynamic = struct.pack("<6Q", tag, BASE, size_tag, len(table), 0, 0)
    contents = table + struct.pack("<Q", 0x1234)
    return elf((1, BASE, contents, len(contents)), (2, 0x9000, dynamic, len(dynamic)), kind=3)
