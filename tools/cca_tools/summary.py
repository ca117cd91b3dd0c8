"""What a run took, in a few lines for people or as one JSON object."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from cca_host.kvmtool.options import RunResult

__all__ = ["as_json", "rows", "show"]


def _counts(counts: Mapping[str, int], prefix: str = "") -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name.removeprefix(prefix)} {count:,}" for name, count in ranked) or "none"


def _seconds(seconds: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 1e-6:.3g} us"


def rows(payload: str, result: "RunResult", trace: str | None = None, events: int = 0) -> list[tuple[str, str]]:
    """The summary as (label, text)."""
    left = "all back with the host, scrubbed"
    if result.granules_left or result.granules_dirty:
        left = f"{result.granules_left:,} never came back, {result.granules_dirty:,} came back unscrubbed"
    table = [
        ("payload", f"{payload}: exit status {result.status} ({result.reason.replace('_', ' ')})"),
        ("RMI calls", f"{sum(result.calls.values()):,}: {_counts(result.calls, 'RMI_')}"),
        ("REC exits", f"{sum(result.exits.values()):,}: {_counts(result.exits)}"),
        ("world switches", f"{result.world_switches:,}"),
        ("granules", f"{result.granules_peak:,} delegated at the most; {left}"),
        ("guest", f"{result.instructions:,} instructions in {_seconds(result.virtual_seconds)} of its own time"),
        (
            "time",
            f"{_seconds(result.wall_seconds)}: build {_seconds(result.build_seconds)}, "
            f"run {_seconds(result.run_seconds)}, destroy {_seconds(result.destroy_seconds)}",
        ),
    ]
    if trace is not None:
        table.append(("trace", f"{trace}: {events:,} events"))
    return table


def show(table: list[tuple[str, str]], stream: TextIO | None = None) -> None:
    """Print the summary; on a terminal with colour."""
    stream = stream or sys.stderr
    width = max(len(label) for label, _ in table)
    if not stream.isatty():
        stream.write("".join(f"{label:<{width}}  {text}\n" for label, text in table))
        return
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in table:
        grid.add_row(label, text)
    Console(file=stream, highlight=True, markup=False).print(grid)


def as_json(payload: str, result: "RunResult", trace: str | None = None, events: int = 0) -> dict[str, Any]:
    """The same, and the Realm's output, as plain data."""
    return {
        "payload": payload,
        "status": result.status,
        "reason": result.reason,
        "message": result.message,
        "console": result.console.decode(errors="replace"),
        "calls": dict(result.calls),
        "exits": dict(result.exits),
        "world_switches": result.world_switches,
        "granules": {
            "peak": result.granules_peak,
            "left": result.granules_left,
            "dirty": result.granules_dirty,
        },
        "instructions": result.instructions,
        "ticks": result.ticks,
        "seconds": {
            "build": result.build_seconds,
            "run": result.run_seconds,
            "destroy": result.destroy_seconds,
        },
        "trace": None if trace is None else {"path": trace, "events": events},
    }
