"""A board on which each instruction is a tick, for tests that name the instruction at which something is due."""

from dataclasses import replace
from pathlib import Path

from cca_platform.board import Board

__all__ = ["exact_board", "exact_file"]


def exact_board() -> Board:
    """The default board with a tick for each instruction."""
    return replace(Board.load("fvp"), instructions_per_tick=1)


def exact_file(folder: Path) -> Path:
    """Its board file, made in ``folder``."""
    path = folder / "exact.toml"
    path.write_text('like = "fvp"\n[pe]\ninstructions_per_tick = 1\n', encoding="utf-8")
    return path
