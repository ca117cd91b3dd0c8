"""Curves: the costs of a step at all sizes, each measured in a process of its own, and how fast they grow."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from cca_platform.child import environment
from cca_platform.errors import MachineError
from cca_tools.bench.scale.families import FAMILIES, MEMORY, Family, Step

__all__ = ["Curve", "measure"]

_LONG: Final = 3.0  # seconds of the CPU after which one round of a point is enough
_SLACK: Final = 0.15  # of an exponent, for noise
_FEW: Final = 3  # sizes at least, the upper half otherwise, tell how a cost grows
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Curve:
    """The cost of a step at each of ``sizes``, in seconds or bytes: the least of the rounds."""

    family: Family
    step: Step
    sizes: tuple[int, ...]
    costs: tuple[float, ...]

    @property
    def is_memory(self) -> bool:
        """True if the costs are bytes."""
        return self.step.name == MEMORY

    def each(self, at: int) -> float:
        """The cost of one more page, REC or Realm, from the smallest size to number ``at``; or of the whole step."""
        if not self.step.grows or not at:
            return self.costs[at] / (self.sizes[at] if self.step.grows else 1)
        return (self.costs[at] - self.costs[0]) / (self.sizes[at] - self.sizes[0])

    @property
    def exponent(self) -> float:
        """The power of the size that the cost follows, over the larger sizes: 1 in proportion, 0 the same for all."""
        points = [
            (math.log(size), math.log(max(cost, _LEAST))) for size, cost in zip(self.sizes, self.costs, strict=True)
        ]
        points = points[-max(_FEW, (len(points) + 1) // 2) :]
        if len(points) < 2:
            return 0.0
        x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
        slope: float = sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
        return slope

    @property
    def good(self) -> bool:
        """False if it grows faster than its work."""
        return self.exponent <= self.step.grows + _SLACK

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "family": self.family.name, "unit": self.family.unit, "step": self.step.name, "does": self.step.does,
            "in": "bytes" if self.is_memory else "seconds", "sizes": list(self.sizes), "costs": list(self.costs),
            "each": self.each(-1), "exponent": self.exponent, "work": "grows" if self.step.grows else "same",
            "verdict": "ok" if self.good else "FASTER",
        }  # fmt: skip


def measure(
    names: Iterable[str] = (), rounds: int = 1, most: int | None = None,
    tell: Callable[[str], None] = lambda what: None,
) -> list[Curve]:  # fmt: skip
    """Measure the families whose names contain one of ``names``, or all, at their sizes up to ``most``."""
    wanted = [name.casefold() for name in names]
    found = []
    for family in FAMILIES:
        if wanted and not any(name in family.name.casefold() for name in wanted):
            continue
        sizes = tuple(size for size in family.sizes if most is None or size <= most) or family.sizes[:1]
        points = [_point(family, size, rounds, tell) for size in sizes]
        found += [Curve(family, step, sizes, tuple(point[step.name] for point in points)) for step in family.steps]
    return found


def _point(family: Family, size: int, rounds: int, tell: Callable[[str], None]) -> dict[str, float]:
    """The least costs of a size."""
    best: dict[str, float] = {}
    for number in range(rounds):
        tell(f"{family.name}: {size:,}, round {number + 1} of {rounds}")
        costs = _child(family.name, size)
        best = {name: min(cost, best.get(name, cost)) for name, cost in costs.items()}
        if sum(cost for name, cost in costs.items() if name != MEMORY) > _LONG:
            break
    return best


def _child(family: str, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "cca_tools.bench.scale", family, str(size)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
        raise MachineError(f"{family} of size {size:,} cannot be measured here ({why}): measure smaller ones (--most)")
    costs: dict[str, float] = json.loads(done.stdout)
    return costs
