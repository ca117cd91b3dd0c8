"""The tables of the benchmark in a page: between two comments, which stay."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cca_platform.errors import MachineError
from cca_platform.userfiles import KINDS, read_text
from cca_tools.bench.guest import Timing
from cca_tools.bench.report import guest_cells, path_cells, summaries
from cca_tools.bench.rows import Measured, Tier
from cca_tools.bench.saved import Report

__all__ = ["blocks", "page", "table"]

_START: Final = "<!-- realmlab bench: {name} -->"
_END: Final = "<!-- end -->"
_BLOCK: Final = re.compile(r"(<!-- realmlab bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def blocks(rows: Sequence[Measured], timings: Sequence[Timing], taken: Report, tier: Tier) -> dict[str, str]:
    """What can stand in a page, by the name in its comment: ``machine``, ``paths``, ``guest``."""
    versions = taken.versions
    told = f"Measured on {taken.machine}, Python {versions['python']}, {taken.date}, tier {tier}"
    if "qemu" in versions:
        told += f"; beside QEMU {versions['qemu']}"
    found = {"machine": f"{told}.\n"}
    if rows:
        found["paths"] = table(path_cells(rows))
    if timings:
        lines = "".join(f"\n{summary}.\n" for summary in summaries(timings, tier))
        found["guest"] = table(guest_cells(timings)) + lines
    return found


def table(cells: Sequence[Sequence[str]]) -> str:
    """A table of the page; the first row is its head."""
    head, *rows = cells
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(path: Path, found: dict[str, str]) -> str:
    """The text of a page with these blocks in their places, or a new page; MachineError if it has no place for any."""
    if not os.path.exists(path):
        return "\n".join(f"{_START.format(name=name)}\n{block}{_END}\n" for name, block in found.items())
    text = read_text(path, KINDS["page"])
    if not _BLOCK.search(text):
        places = f"{_START.format(name='paths')} and {_END}"
        raise MachineError(f"`markdown` {path} has no place for figures: put {places} there, in lines of their own")

    def filled(match: re.Match[str]) -> str:
        block = found.get(match[2])
        return match[0] if block is None else match[1] + block + match[3]

    return _BLOCK.sub(filled, text)
