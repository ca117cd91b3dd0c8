"""Measure the rows, and print tables of the results."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import product
from typing import Final, NamedTuple

from cca_platform.printer import Piece, Printer, Styled
from cca_tools.bench.guest import BARE, BOUNDS, NS, PLACES, QEMU, REALM, SHARED, Timing, mean
from cca_tools.bench.paths import ROWS
from cca_tools.bench.rig import Bench
from cca_tools.bench.rows import STOCK, Measured, Tier, of_tier
from cca_tools.bench.saved import Change

__all__ = ["Summary", "changed", "guest_cells", "guest_table", "measure", "path_cells", "summaries", "table"]

_COLOURS: Final = {"aim": "green", "must": "yellow", "same": "", "better": "green", "worse": "bold red"}
_TITLES: Final = {NS: "NS-EL2", REALM: "Realm", BARE: "Unicorn alone", QEMU: "QEMU"}
_OURS: Final = (NS, REALM)


def measure(
    names: Iterable[str] = (), rounds: int = 1, tell: Callable[[str], None] = lambda what: None, tier: Tier = STOCK
) -> list[Measured]:
    """Measure the rows whose names contain one of ``names``, or all; a row that fails says why.

    A round is one figure of each row, so that what changes meanwhile meets all rows.
    """
    wanted = list(names)
    rows = [row for row in ROWS if not wanted or any(name in row.name for name in wanted)]
    found: dict[str, list[tuple[float, float | None]]] = {row.name: [] for row in rows}
    trouble: dict[str, str] = {}
    with closing(Bench()) as bench:
        for number, row in product(range(rounds), rows):
            if row.name in trouble:
                continue
            tell(f"round {number + 1} of {rounds}: {row.path}")
            try:
                found[row.name].append(row.figure(bench))
            except Exception as error:
                trouble[row.name] = f"{type(error).__name__}: {error}"
    return [
        Measured(row, (), trouble[row.name], tier=tier) if row.name in trouble else
        Measured(row, tuple(figure for figure, _ in found[row.name]),
                 walls=tuple(wall for _, wall in found[row.name] if wall is not None), tier=tier)
        for row in rows
    ]  # fmt: skip


def _spread(value: float) -> str:
    return f"+{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def path_cells(rows: Sequence[Measured]) -> list[list[str]]:
    """The rows as text, with a head."""
    head = ["Path", "Best", "Unit", "Spread", "Wall", "Must", "Aim", "Verdict"]
    return [head] + [
        [item.row.path, _number(item.value), item.row.unit, _spread(item.spread), _number(item.wall),
         f"{item.must:g}", f"{item.aim:g}", item.verdict]
        for item in rows
    ]  # fmt: skip


def guest_cells(timings: Sequence[Timing]) -> list[list[str]]:
    """Guest code as text, with a head: nanoseconds a turn in each place, and the share of QEMU's speed.

    Without QEMU it is the share of the bare engine's. Spread and time on the wall are those of our first place.
    """
    places = [place for place in PLACES if any(timing.ns.get(place) for timing in timings)]
    other = _other(timings)
    ours = [place for place in _OURS if place in places]
    shares = [f"{_TITLES[place]} / {_TITLES[other]}" for place in ours]
    cells = [["Guest code", *(_TITLES[place] for place in places), *shares, "Spread", "Wall", "A turn is"]]
    for timing in timings:
        first = next((place for place in ours if timing.ns.get(place)), "")
        parts = (timing.share(place, other) for place in ours)
        cells.append([
            timing.loop.name, *(_ns(timing.best(place)) for place in places),
            *("-" if share is None else f"{share:.2f}" for share in parts),
            _spread(timing.spread(first)), _ns(timing.wall(first)), timing.loop.does,
        ])  # fmt: skip
    return cells


def _ns(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ns"


def _other(timings: Sequence[Timing]) -> str:
    """What we are compared with."""
    return QEMU if any(timing.ns.get(QEMU) for timing in timings) else BARE


class Summary(NamedTuple):
    """The speed of guest code in a place: shares of another's, and what holds for them."""

    place: str
    of: str
    loops: int
    mean: float
    worst: float
    verdict: str

    def __str__(self) -> str:
        told = f"{_TITLES[self.place]}: {self.mean:.2f} of the speed of {_TITLES[self.of]} (geometric mean of "
        told += f"{self.loops} loops), {self.worst:.2f} at worst"
        return f"{told}: {self.verdict}" if self.verdict else told


def summaries(timings: Sequence[Timing], tier: Tier = STOCK) -> list[Summary]:
    """The speed of the loops that are compared, in each of our places; bounds hold beside QEMU, for all of them."""
    of, found = _other(timings), []
    for place in _OURS:
        shares = [timing.share(place, of) for timing in timings if timing.loop.name in SHARED]
        known = [share for share in shares if share]
        if known:
            figures = mean(known), min(known)
            told = _verdict(figures, tier) if of == QEMU and len(known) == len(SHARED) else ""
            found.append(Summary(place, of, len(known), *figures, told))
    return found


def _verdict(figures: tuple[float, float], tier: Tier) -> str:
    must, aim = ([of_tier(bound, tier) for bound in shares] for shares in BOUNDS)
    met = [
        "aim" if figure >= wanted else "must" if figure >= needed else "MISSED"
        for figure, needed, wanted in zip(figures, must, aim, strict=True)
    ]
    bounds = f"must {must[0]:g} and {must[1]:g}, aim {aim[0]:g} and {aim[1]:g}"
    return f"{' and '.join(dict.fromkeys(met))} ({bounds})"


def _rows(cells: Sequence[Sequence[str]]) -> list[Sequence[Piece]]:
    head, *rows = cells
    return [[Styled(name, "bold") for name in head], *rows]


def table(rows: Sequence[Measured], printer: Printer) -> None:
    """Print the rows."""
    head, *body = _rows(path_cells(rows))
    coloured = [
        [*cells[:-1], Styled(item.verdict, _COLOURS.get(item.verdict, "red"))]
        for item, cells in zip(rows, body, strict=True)
    ]
    printer.rows([head, *coloured])


def guest_table(timings: Sequence[Timing], printer: Printer, tier: Tier = STOCK) -> None:
    """Print guest code, and what it comes to."""
    printer.rows(_rows(guest_cells(timings)))
    for summary in summaries(timings, tier):
        printer.line(str(summary))
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
    printer.rows([[Styled(name, "bold") for name in ("Figure", "Before", "Now", "Cost", "Verdict")], *rows])
