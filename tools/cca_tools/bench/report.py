"""Measure the rows and print a table of the results."""

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from cca_tools.bench.paths import ROWS
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import Measured

__all__ = ["measure", "table"]


def measure(names: Iterable[str] = ()) -> list[Measured]:
    """Measure the rows whose names contain one of ``names``, or all; a row that fails says why."""
    wanted = list(names)
    bench, measured = Bench(), []
    for row in ROWS:
        if wanted and not any(name in row.name for name in wanted):
            continue
        try:
            measured.append(Measured(row, row.take(bench)))
        except Exception as error:
            measured.append(Measured(row, None, f"{type(error).__name__}: {error}"))
    return measured


def table(rows: Sequence[Measured], stream: TextIO | None = None) -> None:
    """Print the rows: in colour on a terminal, as text otherwise."""
    stream = stream or sys.stdout
    cells = [
        (item.row.path, "-" if item.value is None else f"{item.value:.3g}", f"{item.row.must:g}", f"{item.row.aim:g}",
         item.row.unit, item.verdict)
        for item in rows
    ]  # fmt: skip
    head = ("Path", "Measured", "Must", "Aim", "Unit", "Verdict")
    if not stream.isatty():
        widths = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head))]
        for line in (head, *cells):
            stream.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    grid = Table(*head, box=None, header_style="bold")
    colours = {"aim": "green", "must": "yellow"}
    for line in cells:
        grid.add_row(*line[:-1], f"[{colours.get(line[-1], 'red')}]{line[-1]}[/]")
    Console(file=stream).print(grid)
