"""Payload files as contents for a Realm's memory: ELF executables, arm64 Linux ``Image`` files and raw binaries.

Each may be compressed, and a Linux kernel an EFI zboot one.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from msgspec import Struct, field

from cca_arch import elf
from cca_arch.foreign import no_program
from cca_arch.linking import stray
from cca_arch.relocation import relocated
from cca_arch.types import GRANULE_SIZE
from cca_arch.unpacking import UnpackError, unpacked
from cca_host.kvmtool.layout import DTB_SIZE, RAM_BASE, dtb_base
from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read_program

__all__ = ["Image", "LoadError", "Segment", "load", "load_file", "load_offset", "unwrapped"]

_LINUX_MAGIC = b"ARM\x64"
_LINUX_HEADER = struct.Struct("<8x3Q24x4s4x")
_OLD_TEXT_OFFSET = 0x80000  # of images without image_size (Linux before 3.17)


class LoadError(MachineError):
    """A payload cannot be loaded; the message says what is wrong and how to fix it."""


class Segment(Struct):
    """``data`` at the IPA ``base``, zero-filled up to ``size`` bytes."""

    base: int
    data: bytes | bytearray
    size: int

    @property
    def top(self) -> int:
        """The first address after the segment."""
        return self.base + self.size


class Image(Struct):
    """A loaded payload: ``kind`` is ``elf``, ``linux`` or ``raw``; ``entry`` is an IPA."""

    kind: str
    entry: int
    segments: list[Segment]
    notes: list[str] = field(default_factory=list)
    """What the loader repaired."""

    @property
    def top(self) -> int:
        """The first address after the last segment."""
        return max(segment.top for segment in self.segments)

    def pages(self) -> Iterator[tuple[int, bytearray]]:
        """(IPA, contents) of each page that holds bytes of the file, ascending.

        Pages with only zeroes (BSS) are left out: the Realm gets them zeroed on first access.
        """
        numbered = ((number, one) for number, one in enumerate(self.segments) if len(one.data))
        waiting = sorted(numbered, key=lambda pair: pair[1].base, reverse=True)
        here: list[tuple[int, Segment]] = []
        page = 0
        while here or waiting:
            page = page if here else waiting[-1][1].base & -GRANULE_SIZE
            end = page + GRANULE_SIZE
            while waiting and waiting[-1][1].base < end:
                here.append(waiting.pop())
            contents = bytearray(GRANULE_SIZE)
            for _, segment in sorted(here, key=lambda pair: pair[0]):  # the last one counts where two are
                first, last = max(page, segment.base), min(end, segment.base + len(segment.data))
                contents[first - page : last - page] = segment.data[first - segment.base : last - segment.base]
            yield page, contents
            here = [pair for pair in here if end < pair[1].base + len(pair[1].data)]
            page = end


def load_file(path: str | Path, memory: int) -> Image:
    """Load the file ``path`` for a Realm with ``memory`` bytes of RAM; raises LoadError if it is not a payload."""
    return load(read_program(path, KINDS["payload"], error=LoadError), memory, str(path))


def load(data: bytes, memory: int, name: str = "payload") -> Image:
    """Load the payload in ``data``, which may be compressed; ``name`` is for messages."""
    data = unwrapped(data, name)
    if not data:
        raise LoadError(f"{name} is empty: give an ELF, a Linux Image or a raw binary")
    if data.startswith(elf.MAGIC):
        image = _load_elf(data, memory, name)
    elif data[56:60] == _LINUX_MAGIC:
        image = _load_linux(data, name)
    elif foreign := no_program(data):
        raise LoadError(f"{name} {foreign}")
    else:
        image = Image("raw", RAM_BASE, [Segment(RAM_BASE, data, len(data))])
    _check_place(image, memory, name)
    return image


def unwrapped(data: bytes, name: str) -> bytes:
    """The payload in a compressed file or an EFI zboot kernel; any other file as it is."""
    try:
        return unpacked(data, KINDS["payload"].limit)
    except UnpackError as error:
        raise LoadError(f"{name} {error}") from None


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
    return Image("linux", base, [Segment(base, data, max(image_size, len(data)))])


# -- ELF ------------------------------------------------------------------------------------------------------------
def _load_elf(data: bytes, memory: int, name: str) -> Image:
    try:
        program = elf.Elf(data)
        bias = load_offset(program)
        if sum(header.filesz for header in program.segments) > memory:  # before there is a copy of it
            places = [(header.paddr + bias, header.paddr + bias + header.memsz) for header in program.segments]
            _check_top(min(places)[0], max(top for _, top in places), memory, name)
        contents = relocated(program, bias)
        if wrong := stray(program, RAM_BASE - bias):
            raise elf.ElfError(wrong)
    except elf.ElfError as error:
        raise LoadError(f"{name} {error}") from None
    broken = elf.sections_broken(data)
    notes = [f"{name}: its section header table is broken and was left out"] if broken else []
    segments = [
        Segment(header.paddr + bias, placed, header.memsz)
        for header, placed in zip(program.segments, contents, strict=True)
    ]
    _check_overlap(segments, name)
    entry = program.physical(program.entry)
    if entry is None:
        raise LoadError(f"{name} has its entry {program.entry:#x} outside its segments: set ENTRY in its linker script")
    return Image("elf", entry + bias, segments, notes)


def load_offset(program: elf.Elf) -> int:
    """How far a program is moved: a position-independent one is linked at 0, and relocated to the start of RAM."""
    moved = program.type is elf.ElfType.ET_DYN and min(header.paddr for header in program.segments) < RAM_BASE
    return RAM_BASE if moved else 0


def _check_overlap(segments: list[Segment], name: str) -> None:
    ordered = sorted(segments, key=lambda segment: segment.base)
    for low, high in pairwise(ordered):
        if low.top > high.base:
            raise LoadError(
                f"{name} has overlapping segments, {low.base:#x}..{low.top:#x} and {high.base:#x}..{high.top:#x}: "
                "fix its linker script"
            )


# -- placement ------------------------------------------------------------------------------------------------------
def _check_place(image: Image, memory: int, name: str) -> None:
    """Check that everything is in RAM below the device tree."""
    lowest = min(segment.base for segment in image.segments)
    if lowest < RAM_BASE:
        raise LoadError(f"{name} must load from the start of RAM, {RAM_BASE:#x}, not at {lowest:#x}: link it there")
    _check_top(lowest, image.top, memory, name)


def _check_top(lowest: int, top: int, memory: int, name: str) -> None:
    limit = dtb_base(memory)
    if top > limit:
        needed = (-(-(top - RAM_BASE) // DTB_SIZE) + 1) * DTB_SIZE >> 20
        raise LoadError(
            f"{name} lies at {lowest:#x}..{top - 1:#x}, not within the {limit - RAM_BASE >> 20} MiB of RAM from "
            f"{RAM_BASE:#x} on that {memory >> 20}M and a device tree leave: give `memory` {needed}M or more"
        )
