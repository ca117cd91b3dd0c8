"""Non-secure images: the layout of files in Non-secure DRAM, and the entry point.

An ELF file is loaded where its program headers say; anything else is a raw image and is loaded as is at an address.
The results are parts, which the package carries as BL33, BL33-1, BL33-2 ...
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from cca_arch.elf import MAGIC, Elf, ElfError, ElfType
from cca_arch.foreign import no_program
from cca_arch.linking import stray
from cca_arch.relocation import relocated
from cca_arch.types import GRANULE_SIZE
from cca_arch.unpacking import UnpackError, unpacked
from cca_firmware.base.errors import BootError
from cca_platform.board import Board
from cca_platform.userfiles import KINDS

__all__ = ["Layout", "NsImage", "Part", "elf_parts", "lay_out"]


class NsImage(NamedTuple):
    """A file to load into Non-secure memory; ``name`` is for messages.

    A raw image is loaded at ``address``, by default the board's NS entry. An ELF executable defines its addresses and
    must not have another; a position-independent one (ET_DYN) is loaded at ``address`` and relocated to it.
    """

    data: bytes
    address: int | None = None
    name: str = "NS image"


class Part(NamedTuple):
    """``data`` at PA ``address``, ``size`` bytes in all. The rest keeps its reset value: zero or nonvolatile."""

    name: str
    address: int
    data: bytes
    size: int

    @property
    def top(self) -> int:
        """The first address after the part."""
        return self.address + self.size


class Layout(NamedTuple):
    """The parts, and the PA at which Non-secure software starts."""

    parts: tuple[Part, ...]
    entry: int


def lay_out(images: Sequence[NsImage], board: Board, entry: int | None = None) -> Layout:
    """Lay out ``images``. They start at ``entry``, by default that of the first ELF file, else the first raw image.

    If the one that starts is compressed, it is unpacked; the others are data for it.
    Raises BootError for a file that is damaged or for another machine, for images that overlap or do not fit into
    Non-secure DRAM, and for an entry point outside them or in a file that is no program.
    """
    images = _unpacked(images, board, entry)
    parts: list[Part] = []
    starts: list[int] = []
    raw: list[Part] = []
    for number, image in enumerate(images):
        if not image.data:
            raise BootError(f"{image.name} must not be empty: give an ELF file or a raw image")
        if image.data.startswith(MAGIC):
            loaded, start = elf_parts(image, min(bank.base for bank in board.ns_banks()))
            parts += loaded
            starts.append(start)
        else:
            if image.address is None and number:
                raise BootError(f"{image.name} must be given an address, as in {image.name}@{board.ns_entry:#x}")
            at = board.ns_entry if image.address is None else image.address
            raw.append(Part(image.name, at, image.data, len(image.data)))
            parts.append(raw[-1])
    _check_places(parts, board)
    chosen = entry if entry is not None else (*starts, *(part.address for part in raw))[0]
    for part in raw:
        foreign = no_program(part.data) if part.address <= chosen < part.top else ""
        if foreign:
            raise BootError(f"{part.name} {foreign}")
    if chosen % 4 or not any(part.address <= chosen < part.top for part in parts):
        raise BootError(f"the NS entry point must be the address of an instruction in an image, not {chosen:#x}")
    return Layout(tuple(parts), chosen)


def _unpacked(images: Sequence[NsImage], board: Board, entry: int | None) -> list[NsImage]:
    """The images, of which the raw one that starts is not compressed."""
    found = list(images)
    if entry is None and any(image.data.startswith(MAGIC) for image in found):
        return found
    for number, image in enumerate(found):
        at = board.ns_entry if image.address is None else image.address
        if (not number if entry is None else at == entry) and not image.data.startswith(MAGIC):
            try:
                found[number] = image._replace(data=unpacked(image.data, KINDS["image"].limit))
            except UnpackError as error:
                raise BootError(f"{image.name} {error}") from None
    return found


def elf_parts(image: NsImage, lowest: int) -> tuple[list[Part], int]:
    """The parts and entry point of an ELF file; raises BootError if it is damaged or for another machine.

    So is one whose headers the linker put below ``lowest``, where no part can be.
    """
    base = image.address or 0
    try:
        program = Elf(image.data)
        contents = relocated(program, base)
        if wrong := stray(program, lowest - base):
            raise ElfError(wrong)
    except ElfError as error:
        raise BootError(f"{image.name} {error}") from None
    if program.type is ElfType.ET_EXEC and image.address is not None:
        raise BootError(f"{image.name} must go where it is linked, not to {image.address:#x}: give no address")
    entry = program.physical(program.entry)
    return _joined(image.name, base, program, contents), base + (program.entry if entry is None else entry)


def _joined(name: str, base: int, program: Elf, placed: list[bytearray]) -> list[Part]:
    """Merge segments that are less than a granule apart into one part."""
    parts: list[Part] = []
    for segment, data in sorted(zip(program.segments, placed, strict=True), key=lambda pair: pair[0].paddr):
        at, last, contents = base + segment.paddr, parts[-1] if parts else None, bytes(data)
        gap = GRANULE_SIZE if last is None else at - last.address - len(last.data)
        if last is not None and at >= last.top and gap < GRANULE_SIZE:
            joined = last.data + bytes(gap) + contents
            parts[-1] = Part(name, last.address, joined, at + segment.memsz - last.address)
        else:
            parts.append(Part(name, at, contents, segment.memsz))
    return parts


def _check_places(parts: list[Part], board: Board) -> None:
    """Check that every part is in Non-secure DRAM and that parts do not overlap."""
    banks = board.ns_banks()
    for part in parts:
        if not any(bank.base <= part.address and part.top <= bank.top for bank in banks):
            taken = (one for one in board.regions if one.base < part.top and part.address < one.top)
            where = next((f", in the region {region.name!r} of the firmware" for region in taken), "")
            room = ", ".join(f"{bank.base:#x}..{bank.top - 1:#x}" for bank in banks)
            raise BootError(
                f"{part.name} must lie in Non-secure DRAM ({room}), not at {part.address:#x}..{part.top - 1:#x}{where}"
            )
    for low, high in pairwise(sorted(parts, key=lambda part: part.address)):
        if low.top > high.address:
            raise BootError(
                f"{high.name} at {high.address:#x} must not overlap {low.name}, "
                f"which ends at {low.top - 1:#x}: give another address"
            )
