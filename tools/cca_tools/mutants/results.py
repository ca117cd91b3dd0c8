"""What is known of the sample: results that a later run resumes, the table of equivalent mutants, and the summary."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cca_tools.mutants.operators import Mutant, source
from cca_tools.mutants.trial import Result, Status

__all__ = ["BOUND", "Results", "equivalent", "seen", "stale", "summary"]

BOUND: Final = 0.93
"""The part of the sample that must be killed, or named equivalent with a reason."""
_TABLE: Final = Path(__file__).with_name("equivalent.toml")


def equivalent(table: Path = _TABLE) -> dict[str, dict[str, str]]:
    """Name -> before, after and reason of each mutant that changes nothing that can be observed."""
    return tomllib.loads(table.read_text(encoding="utf-8"))


def stale(table: Mapping[str, Mapping[str, str]], mutants: Iterable[Mutant]) -> list[str]:
    """The rows of the table that no longer are what the sources say."""
    today = {mutant.name: (mutant.before, mutant.after) for mutant in mutants}
    return [name for name, row in table.items() if today.get(name) != (row["before"], row["after"])]


def _digest(module: str) -> str:
    return hashlib.sha256(source(module).read_bytes()).hexdigest()[:12]


class Results:
    """A file with a line for each trial. A mutant that was killed is not tried again while its module is the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[str, str], Result] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self._known[row["name"], row["module"]] = Result(Status(row["status"]), row["by"])

    def known(self, mutant: Mutant) -> Result | None:
        """The result of an earlier trial."""
        return self._known.get((mutant.name, _digest(mutant.module)))

    def add(self, mutant: Mutant, result: Result, seconds: float) -> None:
        """Keep a result."""
        digest = _digest(mutant.module)
        self._known[mutant.name, digest] = result
        row = {
            "name": mutant.name, "module": digest, "status": result.status, "by": result.by,
            "seconds": round(seconds, 1), "before": mutant.before, "after": mutant.after, "line": mutant.line,
        }  # fmt: skip
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def seen(result: Result | None) -> bool:
    """Whether the tests saw the mutant."""
    return result is not None and result.status in (Status.KILLED, Status.TIMEOUT)


def summary(
    chosen: Mapping[str, list[Mutant]], results: Results, table: Mapping[str, Mapping[str, str]]
) -> tuple[list[str], float]:
    """A line for each area and one for all, and the part that was killed or is equivalent."""
    lines = [f"{'area':12} {'mutants':>7} {'killed':>7} {'equivalent':>10} {'survived':>8}"]
    sums = [0, 0, 0, 0]
    for area, mutants in chosen.items():
        killed = sum(seen(results.known(mutant)) for mutant in mutants)
        same = sum(mutant.name in table and not seen(results.known(mutant)) for mutant in mutants)
        row = [len(mutants), killed, same, len(mutants) - killed - same]
        sums = [old + new for old, new in zip(sums, row, strict=True)]
        lines.append(f"{area:12} {row[0]:7} {row[1]:7} {row[2]:10} {row[3]:8}")
    lines.append(f"{'all':12} {sums[0]:7} {sums[1]:7} {sums[2]:10} {sums[3]:8}")
    return lines, (sums[1] + sums[2]) / max(1, sums[0])
