"""Payload files: ELF executables, arm64 Linux ``Image`` files and raw binaries, as contents for a Realm's memory."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from cca_arch.types import GRANULE_SIZE
from cca_host.kvmtool.layout import DTB_SIZE, RAM_BASE, dtb_base
from cca_platform.errors import MachineError

__all__ = ["Image", "LoadError", "Segment", "load", "load_file", "sections_broken", "without_sections"]

_EM_AARCH64 = 183
_MACHINES = {3: "x86", 40: "32-bit Arm", 62: "x86-64", 243: "RISC-V"}
_TYPES = ("ET_EXEC", "ET_DYN")
_R_AARCH64_RELATIVE = 1027
_DT_RELA, _DT_RELASZ = 7, 8
_DYNAMIC = struct.Struct("<2Q")
_RELA = struct.Struct("<2Qq")
_MASK = (1 << 64) - 1
_LINUX_MAGIC = b"ARM\x64"
_LINUX_HEADER = struct.Struct("<8x3Q24x4s4x")
_OLD_TEXT_OFFSET = 0x80000  # of images that give no image_size (Linux before 3.17)
_SIZE_FIELDS = struct.Struct("<Q4x6H")  # e_shoff, then e_ehsize .. e_shstrndx, at offset 0x28


class LoadError(MachineError):
    """A payload that cannot be loaded; the message says what is wrong and how to mend it."""


@dataclass(slots=True)
class Segment:
    """``data`` at the IPA ``base``, followed by zeroes up to ``size`` bytes."""

    base: int
    data: bytearray
    size: int

    @property
    def top(self) -> int:
        """The first address after the segment."""
        return self.base + self.size


@dataclass(slots=True)
class Image:
    """A loaded payload: ``kind`` is ``elf``, ``linux`` or ``raw``; ``entry`` is an IPA."""

    kind: str
    entry: int
    segments: list[Segment]
    notes: list[str] = field(default_factory=list)
    """What was mended while loading."""

    @property
    def top(self) -> int:
        """The first address after the last segment."""
        return max(segment.top for segment in self.segments)

    def pages(self) -> Iterator[tuple[int, bytearray]]:
        """(IPA, contents) of each page that holds bytes of the file, ascending.

        Pages with zeroes only (BSS) are left out: the Realm gets them zeroed when it touches them.
        """
        pages: dict[int, bytearray] = {}
        for segment in self.segments:
            at = 0
            while at < len(segment.data):
                ipa = segment.base + at
                page, inside = ipa & -GRANULE_SIZE, ipa % GRANULE_SIZE
                length = min(GRANULE_SIZE - inside, len(segment.data) - at)
                contents = pages.setdefault(page, bytearray(GRANULE_SIZE))
                contents[inside : inside + length] = segment.data[at : at + length]
                at += length
        yield from sorted(pages.items())


def load_file(path: str | Path, memory: int) -> Image:
    """The payload in the file ``path`` for a Realm with ``memory`` bytes of RAM; LoadError when it is none."""
    where = Path(path)
    if where.is_dir():
        raise LoadError(f"payload {where} is a directory: give a file")
    try:
        data = where.read_bytes()
    except FileNotFoundError:
        raise LoadError(f"payload {where} does not exist: check the path") from None
    except OSError as error:
        raise LoadError(f"payload {where} cannot be read ({error.strerror}): check its permissions") from None
    return load(data, memory, str(where))


def load(data: bytes, memory: int, name: str = "payload") -> Image:
    """The payload in ``data``; ``name`` is for messages."""
    if not data:
        raise LoadError(f"{name} is empty: give an ELF, a Linux Image or a raw binary")
    if data[:4] == b"\x7fELF":
        image = _load_elf(data, name)
    elif data[56:60] == _LINUX_MAGIC:
        image = _load_linux(data, name)
    else:
        image = Image("raw", RAM_BASE, [Segment(RAM_BASE, bytearray(data), len(data))])
    _check_place(image, memory, name)
    return image


# -- arm64 Linux ----------------------------------------------------------------------------------------------------
def _load_linux(data: bytes, name: str) -> Image:
    if len(data) < _LINUX_HEADER.size:
        raise LoadError(f"{name} is a truncated Linux Image: copy it again")
    text_offset, image_size, flags, _ = _LINUX_HEADER.unpack_from(data)
    if flags & 1:
        raise LoadError(f"{name} is a big-endian Linux Image: build it with CONFIG_CPU_LITTLE_ENDIAN")
    if not image_size:
        text_offset, image_size = _OLD_TEXT_OFFSET, len(data)
    base = RAM_BASE + text_offset
    return Image("linux", base, [Segment(base, bytearray(data), max(image_size, len(data)))])


# -- ELF ------------------------------------------------------------------------------------------------------------
def _load_elf(data: bytes, name: str) -> Image:
    from elftools.common.exceptions import ELFError  # 45 ms that a raw image need not pay

    _check_ident(data, name)
    broken = sections_broken(data)
    notes = [f"{name}: its section header table is broken and was left out"] if broken else []
    try:
        return _read_elf(without_sections(data) if broken else data, data, name, notes)
    except (ELFError, struct.error, UnicodeDecodeError) as error:
        raise LoadError(f"{name} is a damaged ELF ({error}): build or copy it again") from None


def _check_ident(data: bytes, name: str) -> None:
    """What has to hold before a parser can make sense of the file."""
    if len(data) < 0x10:
        raise LoadError(f"{name} is a truncated ELF of {len(data)} bytes: copy it again")
    if data[4] != 2:
        raise LoadError(f"{name} must be a 64-bit ELF, not {_of(data[4], {1: '32-bit'})}: build it for AArch64")
    if data[5] != 1:
        order = _of(data[5], {2: "big-endian"})
        raise LoadError(f"{name} must be a little-endian ELF, not {order}: build it for AArch64")
    if len(data) < 0x40:
        raise LoadError(f"{name} is a truncated ELF of {len(data)} bytes: copy it again")
    machine = int.from_bytes(data[0x12:0x14], "little")
    if machine != _EM_AARCH64:
        raise LoadError(f"{name} must be an AArch64 ELF, not {_of(machine, _MACHINES)}: build it for AArch64")


def _of(value: int, names: dict[int, str]) -> str:
    return names.get(value, f"type {value}")


def sections_broken(data: bytes) -> bool:
    """Whether the section header table of a 64-bit little-endian ELF cannot be what its header says."""
    offset, _, _, _, entry_size, count, names = _SIZE_FIELDS.unpack_from(data, 0x28)
    if not offset:
        return bool(count)
    return bool(entry_size != 64 or offset + count * entry_size > len(data) or names >= max(count, 1))


def without_sections(data: bytes) -> bytes:
    """The same ELF without its section header table, which loading does not need."""
    mended = bytearray(data)
    mended[0x28:0x30] = bytes(8)
    mended[0x3A:0x40] = bytes(6)
    return bytes(mended)


def _read_elf(readable: bytes, data: bytes, name: str, notes: list[str]) -> Image:
    """``readable`` is what a parser can stand, ``data`` the file, whose bytes are loaded as they are."""
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(BytesIO(readable))
    header = elf.header
    if header["e_type"] not in _TYPES:
        raise LoadError(f"{name} must be an executable ELF, not {header['e_type']}: link it")
    end = header["e_phoff"] + header["e_phnum"] * header["e_phentsize"]
    if header["e_phnum"] and end > len(data):
        raise LoadError(f"{name} is a truncated ELF: its program headers end at {end:#x}, the file at {len(data):#x}")
    headers = [entry for entry in elf.iter_segments("PT_LOAD") if entry["p_memsz"]] if header["e_phnum"] else []
    if not headers:
        raise LoadError(f"{name} has no loadable segments (PT_LOAD): link it as an executable")
    # A position-independent file is linked at 0 and is moved to the start of RAM.
    bias = RAM_BASE if header["e_type"] == "ET_DYN" and min(entry["p_paddr"] for entry in headers) < RAM_BASE else 0
    segments = [_segment(entry.header, data, bias, name) for entry in headers]
    _check_overlap(segments, name)
    entry = _entry(header["e_entry"], [entry.header for entry in headers], bias, name)
    for dynamic in elf.iter_segments("PT_DYNAMIC") if bias else ():
        _relocate(data[dynamic["p_offset"] :][: dynamic["p_filesz"]], segments, bias)
    return Image("elf", entry, segments, notes)


def _segment(header: Any, data: bytes, bias: int, name: str) -> Segment:
    start, filesz, memsz = header["p_offset"], header["p_filesz"], header["p_memsz"]
    if start + filesz > len(data):
        end = start + filesz
        raise LoadError(
            f"{name} is a truncated ELF: a segment ends at {end:#x}, the file at {len(data):#x}: copy it again"
        )
    if filesz > memsz:
        raise LoadError(f"{name} has a segment of {filesz:#x} bytes in the file, {memsz:#x} in memory: link it again")
    return Segment(header["p_paddr"] + bias, bytearray(data[start : start + filesz]), memsz)


def _check_overlap(segments: list[Segment], name: str) -> None:
    ordered = sorted(segments, key=lambda segment: segment.base)
    for low, high in pairwise(ordered):
        if low.top > high.base:
            raise LoadError(
                f"{name} has overlapping segments, {low.base:#x}..{low.top:#x} and {high.base:#x}..{high.top:#x}: "
                "mend its linker script"
            )


def _entry(entry: int, headers: list[Any], bias: int, name: str) -> int:
    """The entry point, a virtual address in the file, as an IPA."""
    for header in headers:
        if header["p_vaddr"] <= entry < header["p_vaddr"] + header["p_memsz"]:
            return int(entry - header["p_vaddr"] + header["p_paddr"] + bias)
    raise LoadError(f"{name} has its entry {entry:#x} outside its segments: set ENTRY in its linker script")


def _relocate(dynamic: bytes, segments: list[Segment], bias: int) -> None:
    """Apply the R_AARCH64_RELATIVE relocations of a static position-independent executable with this PT_DYNAMIC."""
    tags = dict(_DYNAMIC.iter_unpack(dynamic[: len(dynamic) // _DYNAMIC.size * _DYNAMIC.size]))
    table = _bytes_at(segments, tags.get(_DT_RELA, 0) + bias, tags.get(_DT_RELASZ, 0))
    for offset, info, addend in _RELA.iter_unpack(table[: len(table) // _RELA.size * _RELA.size]):
        place = _bytes_at(segments, offset + bias, 8)
        if info == _R_AARCH64_RELATIVE and len(place):
            place[:] = ((addend + bias) & _MASK).to_bytes(8, "little")


def _bytes_at(segments: list[Segment], address: int, size: int) -> memoryview:
    """The bytes of the file that load at an address, or none when they do not lie in one segment."""
    for segment in segments:
        at = address - segment.base
        if 0 <= at <= len(segment.data) - size:
            return memoryview(segment.data)[at : at + size]
    return memoryview(b"")


# -- placement ------------------------------------------------------------------------------------------------------
def _check_place(image: Image, memory: int, name: str) -> None:
    """Everything lies in RAM, below the device tree."""
    lowest, size, limit = min(segment.base for segment in image.segments), image.top - RAM_BASE, dtb_base(memory)
    if lowest < RAM_BASE:
        raise LoadError(f"{name} must load from the start of RAM, {RAM_BASE:#x}, not at {lowest:#x}: link it there")
    if image.top > limit:
        needed = (-(-size // DTB_SIZE) + 1) * DTB_SIZE >> 20
        raise LoadError(
            f"{name} needs {size:#x} bytes from {RAM_BASE:#x} on and a device tree: give `memory` {needed}M or more"
        )
