"""Measure the rows and print a table of the results."""

from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from cca_platform.printer import Printer, Styled
from cca_tools.bench.paths import ROWS
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import Measured

__all__ = ["measure", "table"]

_COLOURS: Final = {"aim": "green", "must": "yellow"}


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


def table(rows: Sequence[Measured], stream: TextIO) -> None:
    """Print the rows."""
    head = [Styled(name, "bold") for name in ("Path", "Measured", "Must", "Aim", "Unit", "Verdict")]
    cells = [
        (item.row.path, "-" if item.value is None else f"{item.value:.3g}", f"{item.row.must:g}", f"{item.row.aim:g}",
         item.row.unit, Styled(item.verdict, _COLOURS.get(item.verdict, "red")))
        for item in rows
    ]  # fmt: skip
    Printer(stream).rows([head, *cells])
