"""A reader of AArch64 ELF files for loaders: headers and segments.

All loaders use this reader: the boot for Non-secure and Secure images, the VMM for Realm payloads. It trusts nothing
and needs no section header table. Other modules read names of sections and symbols,
and :mod:`cca_arch.relocation` what a loader has to do to a program that it moves.
Published: System V ABI, chapters 4 and 5; ELF for the Arm 64-bit Architecture (IHI 0056).
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

__all__ = [
    "FILE_HEADER",
    "MAGIC",
    "PROGRAM_HEADER",
    "PT_DYNAMIC",
    "PT_LOAD",
    "SECTION_HEADER_SIZE",
    "Contents",
    "Elf",
    "ElfError",
    "ElfType",
    "ProgramHeader",
    "sections_broken",
    "without_sections",
]

MAGIC: Final = b"\x7fELF"
FILE_HEADER: Final = struct.Struct("<16s2HI3QI6H")
PROGRAM_HEADER: Final = struct.Struct("<2I6Q")
SECTION_HEADER_SIZE: Final = 64
PT_LOAD, PT_DYNAMIC = 1, 2

_CLASS64, _LITTLE_ENDIAN, _EM_AARCH64 = 2, 1, 183
_CLASSES: Final = {1: "32-bit"}
_ORDERS: Final = {2: "big-endian"}
_MACHINES: Final = {3: "x86", 40: "32-bit Arm", 62: "x86-64", 243: "RISC-V"}
_IDENT_SIZE: Final = 0x10
_SECTIONS: Final = struct.Struct("<Q4x6H")  # e_shoff, then e_ehsize .. e_shstrndx, at offset 0x28
_SECTIONS_AT: Final = 0x28
_MOST_SHARED: Final = 2  # linkers let segments share a page of the file at their ends, no more


class ElfError(ValueError):
    """What is wrong with a file, and what to do: a sentence to which the caller adds the subject, the file's name."""


class ElfType(IntEnum):
    """e_type."""

    ET_NONE = 0
    ET_REL = 1
    ET_EXEC = 2
    ET_DYN = 3
    ET_CORE = 4


class ProgramHeader(NamedTuple):
    """A segment: ``filesz`` bytes at ``offset`` in the file, zero-filled to ``memsz`` in memory."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


class Contents(Protocol):
    """Bytes, or a file that is read where it is looked at."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Elf:
    """A linked (ET_EXEC, ET_DYN) 64-bit little-endian AArch64 program with complete segments.

    ``entry`` is a virtual address; ``segments`` are those to load (PT_LOAD with a size), in file order.
    Raises ElfError for any other file.
    """

    def __init__(self, data: Contents) -> None:
        head = data[: FILE_HEADER.size]
        _check_ident(head)
        _, kind, _, _, entry, table, _, _, _, row, count, *_ = FILE_HEADER.unpack(head)
        if kind not in (ElfType.ET_EXEC, ElfType.ET_DYN):
            names = {int(member): member.name for member in ElfType}
            raise ElfError(f"must be an executable ELF, not {_of(kind, names)}: link it")
        if count and row != PROGRAM_HEADER.size:
            raise ElfError(f"is a damaged ELF, with program headers of {row} bytes: build or copy it again")
        end = table + row * count
        if count and end > len(data):
            raise ElfError(f"is a truncated ELF: its program headers end at {end:#x}, the file at {len(data):#x}")
        self.data = data
        self.type = ElfType(kind)
        self.entry: int = entry
        rows = data[table:end] if count else b""
        self.headers = [ProgramHeader(*fields) for fields in PROGRAM_HEADER.iter_unpack(rows)]
        self.segments = [header for header in self.headers if header.type == PT_LOAD and header.memsz]
        if not self.segments:
            raise ElfError("has no loadable segments (PT_LOAD): link it as an executable")
        for segment in self.segments:
            _check_segment(segment, len(data))
        contents = sum(segment.filesz for segment in self.segments)
        if contents > _MOST_SHARED * len(data):
            raise ElfError(
                f"has segments of {contents:#x} bytes in a file of {len(data):#x}, which share them: link it again"
            )

    def contents(self, header: ProgramHeader) -> bytes:
        """The bytes of a segment in the file."""
        return self.data[header.offset : header.offset + header.filesz]

    def physical(self, va: int) -> int | None:
        """The physical address at which a virtual one is loaded; None outside the segments."""
        for segment in self.segments:
            if segment.vaddr <= va < segment.vaddr + segment.memsz:
                return va - segment.vaddr + segment.paddr
        return None

    def bytes_at(self, va: int, size: int) -> bytes:
        """The bytes of the file at a virtual address; empty if they are not in one segment."""
        for segment in self.segments:
            at = va - segment.vaddr
            if 0 <= at <= segment.filesz - size:
                return self.data[segment.offset + at : segment.offset + at + size]
        return b""


def sections_broken(data: Contents) -> bool:
    """True if the header of a 64-bit little-endian ELF describes an impossible section header table."""
    offset, _, _, _, entry_size, count, names = _SECTIONS.unpack(data[_SECTIONS_AT : FILE_HEADER.size])
    if not offset:
        return bool(count)
    wrong_size = entry_size != SECTION_HEADER_SIZE
    return bool(wrong_size or offset + count * entry_size > len(data) or names >= max(count, 1))


def without_sections(data: bytes | bytearray) -> bytes:
    """The same ELF without its section header table, which loaders do not need."""
    mended = bytearray(data)
    mended[0x28:0x30] = bytes(8)  # e_shoff
    mended[0x3A:0x40] = bytes(6)  # e_shentsize, e_shnum, e_shstrndx
    return bytes(mended)


def _check_ident(data: bytes) -> None:
    """Check what must hold before the headers can be read; ``data`` is the first of them, or all there is."""
    if len(data) < _IDENT_SIZE:
        raise ElfError(f"is a truncated ELF of {len(data)} bytes: copy it again")
    if data[4] != _CLASS64:
        raise ElfError(f"must be a 64-bit ELF, not {_of(data[4], _CLASSES)}: build it for AArch64")
    if data[5] != _LITTLE_ENDIAN:
        raise ElfError(f"must be a little-endian ELF, not {_of(data[5], _ORDERS)}: build it for AArch64")
    if len(data) < FILE_HEADER.size:
        raise ElfError(f"is a truncated ELF of {len(data)} bytes: copy it again")
    machine = int.from_bytes(data[0x12:0x14], "little")
    if machine != _EM_AARCH64:
        raise ElfError(f"must be an AArch64 ELF, not {_of(machine, _MACHINES)}: build it for AArch64")


def _check_segment(segment: ProgramHeader, size: int) -> None:
    end = segment.offset + segment.filesz
    if end > size:
        raise ElfError(f"is a truncated ELF: a segment ends at {end:#x}, the file at {size:#x}: copy it again")
    if segment.filesz > segment.memsz:
        raise ElfError(
            f"has a segment of {segment.filesz:#x} bytes in the file, {segment.memsz:#x} in memory: link it again"
        )


def _of(value: int, names: dict[int, str]) -> str:
    return names.get(value, f"type {value}")
