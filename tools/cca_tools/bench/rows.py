"""A row of the benchmark: its bounds and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cca_tools.bench.took import Took

if TYPE_CHECKING:
    from cca_tools.bench.rig import Bench

__all__ = ["BUILT", "SHARE", "STOCK", "Bound", "Measured", "Row", "Tier", "of_tier"]

Tier = Literal["stock", "built"]
"""What runs: the wheels alone, or what `make fast` has built."""
STOCK: Final[Tier] = "stock"
BUILT: Final[Tier] = "built"
SHARE: Final = "% of bare"
"""The unit of the figures that should be large."""
Bound = float | tuple[float, float]
"""A bound for both tiers, or one for stock and one for built."""
_SCALE: Final = {"s": 1.0, "ms": 1e3, "us": 1e6}


def of_tier(bound: Bound, tier: Tier) -> float:
    """The bound that holds there."""
    return bound[tier == BUILT] if isinstance(bound, tuple) else bound


@dataclass(frozen=True, slots=True)
class Row:
    """A path with ``must`` and ``aim`` in ``unit``. Shares should be large, all other figures small.

    ``take`` measures it: what it took, if the unit is one of time; else the figure.
    """

    name: str
    path: str
    unit: str
    must: Bound
    aim: Bound
    take: "Callable[[Bench], Took | float]"

    @property
    def larger_is_better(self) -> bool:
        """True if the bounds are lower bounds."""
        return self.unit == SHARE

    def figure(self, bench: "Bench") -> tuple[float, float | None]:
        """Measure it once: the figure, and the same on the wall if it is a time."""
        found = self.take(bench)
        if not isinstance(found, Took):
            return found, None
        scale = _SCALE[self.unit]
        return found.cpu * scale, found.wall * scale


@dataclass(frozen=True, slots=True)
class Measured:
    """A row and its figures, one for each round, or why there are none; ``walls`` are those on the wall."""

    row: Row
    rounds: tuple[float, ...] = ()
    trouble: str = ""
    walls: tuple[float, ...] = ()
    tier: Tier = STOCK

    @property
    def must(self) -> float:
        """The bound on this tier."""
        return of_tier(self.row.must, self.tier)

    @property
    def aim(self) -> float:
        """The aim on this tier."""
        return of_tier(self.row.aim, self.tier)

    @property
    def value(self) -> float | None:
        """The best of the rounds: what disturbs a measurement makes it worse."""
        if not self.rounds:
            return None
        return max(self.rounds) if self.row.larger_is_better else min(self.rounds)

    @property
    def wall(self) -> float | None:
        """The best of the rounds on the wall."""
        return min(self.walls, default=None)

    @property
    def spread(self) -> float:
        """How far the worst of the rounds is from the best, as a part of the best."""
        return max(self.rounds) / min(self.rounds) - 1 if self.rounds and min(self.rounds) > 0 else 0.0

    @property
    def verdict(self) -> str:
        """``aim``, ``must``, ``MISSED`` or ``no figure``."""
        if self.value is None:
            return f"no figure: {self.trouble}"
        sign = -1 if self.row.larger_is_better else 1
        if sign * self.value <= sign * self.aim:
            return "aim"
        return "must" if sign * self.value <= sign * self.must else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        row = self.row
        return {
            "name": row.name,
            "path": row.path,
            "unit": row.unit,
            "measured": self.value,
            "rounds": list(self.rounds),
            "wall": list(self.walls),
            "must": self.must,
            "aim": self.aim,
            "verdict": self.verdict,
        }
