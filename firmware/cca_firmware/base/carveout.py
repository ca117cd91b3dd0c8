"""The Root carve-out: the owners of the DRAM that only EL3 can access."""

from typing import NamedTuple

from cca_arch.types import GRANULE_SIZE
from cca_firmware.base.errors import BootError
from cca_platform.board import Board, Region
from cca_platform.errors import MachineError

__all__ = ["Carveout", "Part", "required_region"]


class Part(NamedTuple):
    """A part of a carve-out: whole granules starting at PA ``base``."""

    name: str
    base: int
    size: int


def required_region(board: Board, name: str) -> Region:
    """Return a region that the boot requires; raises BootError if the board has none of this name."""
    try:
        return board.region(name)
    except MachineError as error:
        raise BootError(str(error)) from None


class Carveout:
    """A region of the board that allocates aligned parts in order; parts are never freed."""

    def __init__(self, board: Board, region: str) -> None:
        self.region = required_region(board, region)
        self.parts: list[Part] = []
        self._at = self.region.base

    def take(self, name: str, size: int, align: int = GRANULE_SIZE) -> int:
        """Allocate ``size`` bytes, rounded up to whole granules; returns the PA. BootError if the region is full."""
        base = (self._at + align - 1) & -align
        size = (size + GRANULE_SIZE - 1) & -GRANULE_SIZE
        if base + size > self.region.top:
            raise BootError(
                f"region {self.region.name} must have room for {name} ({size:#x} bytes), "
                f"not end at {self.region.top:#x}; make the region larger in the board file"
            )
        self._at = base + size
        self.parts.append(Part(name, base, size))
        return base
