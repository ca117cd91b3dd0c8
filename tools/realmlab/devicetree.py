"""The device tree that Non-secure software finds by X0: that of the board, or a file."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cca_arch.devicetree import DeviceTreeError, checked, flatten
from cca_firmware.base.errors import BootError
from cca_firmware.package.devicetree import board_tree
from cca_firmware.package.nsimage import Layout, NsImage, lay_out
from cca_platform.board import Bank, Board
from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read

from .sizes import format_size

__all__ = ["AUTO", "place", "tree"]

AUTO: Final = "auto"
"""In place of a file: the device tree is made from the board."""
_ALIGNED: Final = 2 << 20  # of Linux's boot protocol: a tree does not cross a multiple of it


def tree(given: str | os.PathLike[str], board: Board) -> NsImage:
    """The device tree of ``board``, or that in a file, without a place; raises MachineError if it is none."""
    if given == AUTO:
        return NsImage(flatten(board_tree(board)), None, "the device tree")
    path = Path(given)
    data = read(path, KINDS["dtb"])
    try:
        data = checked(data)
    except DeviceTreeError as error:
        raise MachineError(f"`dtb` {path} {error}") from None
    return NsImage(data, None, path.name)


def place(blob: NsImage, images: Sequence[NsImage], board: Board, entry: int | None, kept: Iterable[Bank]) -> NsImage:
    """Put a device tree into the DRAM that the entry point is in, beside images and ``kept``.

    At its start, where software looks that expects QEMU's board, or else as high as possible.
    """
    layout: Layout = lay_out(images, board, entry)
    bank = next(bank for bank in board.ns_banks() if bank.base <= layout.entry < bank.top)
    taken = [*((part.address, part.top) for part in layout.parts), *((one.base, one.top) for one in kept)]

    def in_the_way(at: int) -> list[int]:
        return [base for base, top in taken if base < at + len(blob.data) and at < top]

    if bank.base % _ALIGNED == 0 and len(blob.data) <= bank.size and not in_the_way(bank.base):
        return blob._replace(address=bank.base)
    at = (bank.top - len(blob.data)) // _ALIGNED * _ALIGNED
    while at >= bank.base:
        below = in_the_way(at)
        if not below:
            return blob._replace(address=at)
        at = (min(below) - len(blob.data)) // _ALIGNED * _ALIGNED
    where = f"{bank.base:#x}..{bank.top - 1:#x} beside the images and nonvolatile memory"
    raise BootError(f"{blob.name}, {format_size(len(blob.data))}, must fit into {where}: leave room for it")
