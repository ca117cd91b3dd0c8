"""The check of a program that has just been linked, by the loaders of ``realmlab run`` and in their words."""

from pathlib import Path

from cca_arch.elf import Elf
from cca_arch.linking import oddities
from cca_firmware.base.carveout import required_region
from cca_firmware.package.nsimage import NsImage, lay_out
from cca_firmware.package.secure_image import flatten
from cca_host.kvmtool.loader import load
from cca_host.kvmtool.options import RunOptions
from cca_platform.board import Board
from cca_platform.userfiles import KINDS, read_program

from .project import Project

__all__ = ["check_linked"]


def check_linked(path: Path, project: Project) -> tuple[str, ...]:
    """Load the program as a run would; the notes on what is odd. Raises MachineError if it could not be run."""
    data = read_program(path, KINDS["payload"])
    if project.world == "realm":
        load(data, RunOptions(payload="").memory, str(path))
    else:
        board = Board.load(project.board)
        if project.world == "ns":
            lay_out([NsImage(data, None, path.name)], board)
        else:
            flatten(data, required_region(board, "secure"))
    return tuple(f"{path} {odd}" for odd in oddities(Elf(data)))
