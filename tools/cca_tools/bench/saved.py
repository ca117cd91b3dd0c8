"""Figures in a file, and how others differ from them.

A figure is worse if its best round is worse than every round was before, by more than what is noise anyway. So one
round that was disturbed, then or now, is no regression.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from cca_platform.errors import MachineError
from cca_platform.schema import SchemaError, fit, parse_json
from cca_platform.userfiles import KINDS, read_text
from cca_tools.bench.guest import Timing
from cca_tools.bench.rows import SHARE, STOCK, Measured, Tier

__all__ = ["Change", "Figure", "Report", "changes", "figures", "load", "report"]

_NOISE: Final = 0.03


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rounds of one figure, those of a time also on the wall; its unit tells whether large is good."""

    unit: str
    rounds: list[float]
    wall: list[float] = []

    @property
    def larger_is_better(self) -> bool:
        """True for shares."""
        return self.unit == SHARE

    @property
    def has_ratio(self) -> bool:
        """False if no ratio tells anything of it: without rounds, or with one of nothing or less."""
        return bool(self.rounds) and all(value > 0 for value in self.rounds)


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``--save`` writes: figures by name, and what they were taken on."""

    versions: dict[str, str]
    machine: str
    date: str
    figures: dict[str, Figure]


class Change(NamedTuple):
    """How a figure differs from an earlier one: ``ratio`` of the best rounds, above 1 is worse."""

    name: str
    before: float
    now: float
    ratio: float
    verdict: Literal["same", "better", "worse"]


def figures(rows: Iterable[Measured], timings: Iterable[Timing]) -> dict[str, Figure]:
    """All figures, those of guest code as LOOP.PLACE in nanoseconds."""
    found = {item.row.name: Figure(item.row.unit, list(item.rounds), list(item.walls)) for item in rows if item.rounds}
    for timing in timings:
        for place, rounds in timing.ns.items():
            found[f"{timing.loop.name}.{place}"] = Figure("ns", rounds, timing.walls.get(place, []))
    return found


def report(found: dict[str, Figure], qemu: str | None, tier: Tier = STOCK) -> Report:
    """The figures, with what they were taken on: versions, processor, date."""
    versions = {name: version(name) for name in ("realmlab", "unicorn")}
    versions |= {"python": platform.python_version(), "tier": tier}
    if qemu is not None:
        versions["qemu"] = qemu
    return Report(versions, _machine(), datetime.now(UTC).strftime("%Y-%m-%d"), found)


def _machine() -> str:
    """The processor's name and the number of cores, as far as the system tells."""
    name = platform.processor() or platform.machine()
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        name = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores"


def load(path: str | Path) -> Report:
    """The report of a file; MachineError if it is none."""
    try:
        return fit(parse_json(read_text(path, KINDS["figures"])), Report, "the report")
    except SchemaError as error:
        raise MachineError(f"{path} must be a file of `realmlab bench --save`: {error}") from None


def changes(before: dict[str, Figure], now: dict[str, Figure]) -> Sequence[Change]:
    """The figures that both have, compared."""
    found = []
    for name, figure in now.items():
        old = before.get(name)
        if old is None or old.unit != figure.unit or not (old.has_ratio and figure.has_ratio):
            continue
        sign = -1 if figure.larger_is_better else 1
        costs, costs_before = ([value**sign for value in one.rounds] for one in (figure, old))
        ratio = min(costs) / min(costs_before)
        verdict: Literal["same", "better", "worse"] = "same"
        if min(costs) > max(costs_before) * (1 + _NOISE):
            verdict = "worse"
        elif max(costs) < min(costs_before) / (1 + _NOISE):
            verdict = "better"
        found.append(Change(name, min(old.rounds, key=lambda v: v**sign), min(figure.rounds, key=lambda v: v**sign),
                            ratio, verdict))  # fmt: skip
    return found
