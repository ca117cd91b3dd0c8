"""Measure the rows, and print tables of the results."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import product
from typing import Final

from cca_platform.printer import Piece, Printer, Styled
from cca_tools.bench.guest import PLACES, SHARED, Timing, mean
from cca_tools.bench.paths import ROWS
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import Measured
from cca_tools.bench.saved import Change

__all__ = ["changed", "guest_table", "measure", "table"]

_COLOURS: Final = {"aim": "green", "must": "yellow", "same": "", "better": "green", "worse": "bold red"}
_TITLES: Final[dict[str, str]] = {"ns-el2": "NS-EL2", "realm": "Realm", "bare": "Unicorn alone", "qemu": "QEMU"}


def measure(
    names: Iterable[str] = (), rounds: int = 1, tell: Callable[[str], None] = lambda what: None
) -> list[Measured]:
    """Measure the rows whose names contain one of ``names``, or all; a row that fails says why.

    A round is one figure of each row, so that what changes meanwhile meets all rows.
    """
    wanted = list(names)
    rows = [row for row in ROWS if not wanted or any(name in row.name for name in wanted)]
    found: dict[str, list[float]] = {row.name: [] for row in rows}
    trouble: dict[str, str] = {}
    with closing(Bench()) as bench:
        for number, row in product(range(rounds), rows):
            if row.name in trouble:
                continue
            tell(f"round {number + 1} of {rounds}: {row.path}")
            try:
                found[row.name].append(row.take(bench))
            except Exception as error:
                trouble[row.name] = f"{type(error).__name__}: {error}"
    return [
        Measured(row, () if row.name in trouble else tuple(found[row.name]), trouble.get(row.name, "")) for row in rows
    ]


def _head(*names: str) -> list[Piece]:
    return [Styled(name, "bold") for name in names]


def _spread(value: float) -> str:
    return f"+{100 * value:.0f} %"


def table(rows: Sequence[Measured], printer: Printer) -> None:
    """Print the rows."""
    cells: list[Sequence[Piece]] = [
        (
            item.row.path, "-" if item.value is None else f"{item.value:.3g}", _spread(item.spread),
            f"{item.row.must:g}", f"{item.row.aim:g}", item.row.unit,
            Styled(item.verdict, _COLOURS.get(item.verdict, "red")),
        )
        for item in rows
    ]  # fmt: skip
    printer.rows([_head("Path", "Best", "Spread", "Must", "Aim", "Unit", "Verdict"), *cells])


def guest_table(timings: Sequence[Timing], printer: Printer) -> None:
    """Print guest code: nanoseconds a turn in each place, and the share of QEMU's speed, or of the bare engine's."""
    places = [place for place in PLACES if any(timing.ns.get(place) for timing in timings)]
    other = "qemu" if "qemu" in places else "bare"
    ours: list[str] = [place for place in ("ns-el2", "realm") if place in places]
    heads = (f"{_TITLES[place]} / {_TITLES[other]}" for place in ours)
    table: list[Sequence[Piece]] = [_head("Guest code", *(_TITLES[place] for place in places), *heads, "A turn is")]
    for timing in timings:
        best = (timing.best(place) for place in places)
        parts = (timing.share(place, other) for place in ours)
        table.append((
            timing.loop.name, *("-" if ns is None else f"{ns:,.1f} ns" for ns in best),
            *("-" if share is None else f"{share:.2f}" for share in parts), timing.loop.does,
        ))  # fmt: skip
    printer.rows(table)
    for place in ours:
        shares = [timing.share(place, other) for timing in timings if timing.loop.name in SHARED]
        known = [share for share in shares if share]
        if known:
            printer.line(
                f"{_TITLES[place]}: {mean(known):.2f} of the speed of {_TITLES[other]} (geometric mean of {len(known)} "
                f"loops), {min(known):.2f} at worst"
            )
    for timing in timings:
        for where, why in timing.trouble.items():
            printer.line(Styled(f"{timing.loop.name}, {_TITLES[where]}: no figure: {why}", "red"))


def changed(changes: Sequence[Change], printer: Printer) -> None:
    """Print what differs from an earlier report."""
    rows: list[Sequence[Piece]] = [
        (one.name, f"{one.before:.4g}", f"{one.now:.4g}", f"{one.ratio:.2f}",
         Styled(one.verdict, _COLOURS[one.verdict]))
        for one in changes
    ]  # fmt: skip
    printer.rows([_head("Figure", "Before", "Now", "Cost", "Verdict"), *rows])
