"""Non-secure images: what of a file goes where in Non-secure DRAM, and where the boot hands over.

An ELF file goes where its program headers say; anything else is raw and goes to an address as it is. What comes of it
are parts, which the package carries as BL33, BL33-1, BL33-2 ...
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from cca_arch.types import GRANULE_SIZE
from cca_firmware.errors import BootError
from cca_platform.machine.board import Board

__all__ = ["Layout", "NsImage", "Part", "elf_parts", "lay_out"]

_ELF: Final = b"\x7fELF"
_HEADER: Final = struct.Struct("<4s4B8xHHIQQQIHHHHHH")
_PROGRAM: Final = struct.Struct("<2I6Q")
_PT_LOAD: Final = 1
_ET_EXEC, _ET_DYN = 2, 3
_EM_AARCH64: Final = 183
_MACHINES: Final = {3: "x86", 40: "32-bit Arm", 62: "x86-64", 243: "RISC-V"}


class NsImage(NamedTuple):
    """A file for Non-secure memory; ``name`` is for messages.

    A raw image goes to ``address``, or to the board's NS entry. An ELF executable knows its addresses and must not be
    given another; one that is position-independent (ET_DYN) goes to ``address``, and relocates itself.
    """

    data: bytes
    address: int | None = None
    name: str = "NS image"


class Part(NamedTuple):
    """``data`` at PA ``address``, ``size`` bytes in all: the rest is as reset left it, which is zero or nonvolatile."""

    name: str
    address: int
    data: bytes
    size: int

    @property
    def top(self) -> int:
        """The first address after the part."""
        return self.address + self.size


class Layout(NamedTuple):
    """What goes where, and the PA at which Non-secure software starts."""

    parts: tuple[Part, ...]
    entry: int


class _Segment(NamedTuple):
    """A loadable segment of an ELF file."""

    va: int
    pa: int
    data: bytes
    size: int


def lay_out(images: Sequence[NsImage], board: Board, entry: int | None = None) -> Layout:
    """Where ``images`` go, and where they start: at ``entry``, or that of the first ELF file, or the first raw image.

    BootError for a file that is damaged or for another machine, for images that do not fit into Non-secure DRAM or
    overlap, and for an entry point outside them.
    """
    parts: list[Part] = []
    starts: list[int] = []
    raw: list[int] = []
    for number, image in enumerate(images):
        if not image.data:
            raise BootError(f"{image.name} must not be empty: give an ELF file or a raw image")
        if image.data.startswith(_ELF):
            loaded, start = elf_parts(image)
            parts += loaded
            starts.append(start)
        else:
            if image.address is None and number:
                raise BootError(f"{image.name} must be given an address, as in {image.name}@{board.ns_entry:#x}")
            at = board.ns_entry if image.address is None else image.address
            parts.append(Part(image.name, at, image.data, len(image.data)))
            raw.append(at)
    _check_places(parts, board)
    chosen = entry if entry is not None else (*starts, *raw)[0]
    if chosen % 4 or not any(part.address <= chosen < part.top for part in parts):
        raise BootError(f"the NS entry point must be the address of an instruction in an image, not {chosen:#x}")
    return Layout(tuple(parts), chosen)


def elf_parts(image: NsImage) -> tuple[list[Part], int]:
    """What of an ELF file goes where, and its entry point; BootError for one that is damaged or for another machine."""
    base, segments, entry = _elf(image)
    return _joined(image.name, base, segments), entry


def _elf(image: NsImage) -> tuple[int, list[_Segment], int]:
    """(what is added to its addresses, segments by PA, entry as a PA) of an ELF file."""
    data, name = image.data, image.name
    if len(data) < _HEADER.size:
        raise BootError(f"{name} must be a whole ELF file, not {len(data)} bytes of one")
    (_, bits, order, _, _, kind, machine, _, entry, table, _, _, _, row, count, *_) = _HEADER.unpack_from(data)
    if (bits, order) != (2, 1):
        raise BootError(f"{name} must be a 64-bit little-endian ELF file, not one of class {bits} and encoding {order}")
    if machine != _EM_AARCH64:
        raise BootError(f"{name} must be an AArch64 ELF file, not {_MACHINES.get(machine, f'machine {machine}')}")
    if kind not in (_ET_EXEC, _ET_DYN):
        raise BootError(f"{name} must be a linked ELF file, not one of type {kind}")
    if kind == _ET_EXEC and image.address is not None:
        raise BootError(f"{name} must go where it is linked, not to {image.address:#x}: give no address")
    if row != _PROGRAM.size or table + row * count > len(data):
        raise BootError(f"{name} must be a whole ELF file, not one without its program headers")
    base = image.address or 0
    segments = list(_segments(image, [_PROGRAM.unpack_from(data, table + row * index) for index in range(count)]))
    if not segments:
        raise BootError(f"{name} must have loadable segments, not none")
    shifts = (segment.pa - segment.va for segment in segments if segment.va <= entry < segment.va + segment.size)
    return base, segments, base + entry + next(shifts, 0)


def _segments(image: NsImage, headers: Iterable[tuple[int, ...]]) -> Iterator[_Segment]:
    """What is to be loaded, ascending."""
    for kind, _, offset, va, pa, in_file, in_memory, _ in sorted(headers, key=lambda header: header[4]):
        if kind != _PT_LOAD or not in_memory:
            continue
        if offset + in_file > len(image.data) or in_file > in_memory:
            raise BootError(f"{image.name} must be a whole ELF file, not one without its segment at {pa:#x}")
        yield _Segment(va, pa, image.data[offset : offset + in_file], in_memory)


def _joined(name: str, base: int, segments: list[_Segment]) -> list[Part]:
    """Segments with less than a granule between the bytes of one and the next become one part."""
    parts: list[Part] = []
    for segment in segments:
        at, last = base + segment.pa, parts[-1] if parts else None
        gap = GRANULE_SIZE if last is None else at - last.address - len(last.data)
        if last is not None and at >= last.top and gap < GRANULE_SIZE:
            data = last.data + bytes(gap) + segment.data
            parts[-1] = Part(name, last.address, data, at + segment.size - last.address)
        else:
            parts.append(Part(name, at, segment.data, segment.size))
    return parts


def _check_places(parts: list[Part], board: Board) -> None:
    """Every part in Non-secure DRAM, and no two at one address."""
    banks = board.ns_banks()
    for part in parts:
        if not any(bank.base <= part.address and part.top <= bank.top for bank in banks):
            taken = (one for one in board.regions if one.base < part.top and part.address < one.top)
            where = next((f", in the region {region.name!r} of the firmware" for region in taken), "")
            room = ", ".join(f"{bank.base:#x}..{bank.top - 1:#x}" for bank in banks)
            raise BootError(
                f"{part.name} must lie in Non-secure DRAM ({room}), not at "
                f"{part.address:#x}..{part.top - 1:#x}{where}"
            )
    for low, high in pairwise(sorted(parts, key=lambda part: part.address)):
        if low.top > high.address:
            raise BootError(
                f"{high.name} at {high.address:#x} must not overlap {low.name}, "
                f"which ends at {low.top - 1:#x}: give another address"
            )
