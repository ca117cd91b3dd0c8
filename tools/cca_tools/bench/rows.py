"""A row of the benchmark: its bounds and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cca_tools.bench.rig import Bench

__all__ = ["SHARE", "Measured", "Row"]

SHARE: Final = "% of bare"
"""The unit of the figures that should be large."""



@dataclass(frozen=True, slots=True)
class Row:
    """A path with ``must`` and ``aim`` in ``unit``. Shares should be large, all other figures small."""

    name: str
    path: str
    unit: str
    must: float
    aim: float
    take: "Callable[[Bench], float]"

    @property
    def larger_is_better(self) -> bool:
        """True if the bounds are lower bounds."""
        return self.unit == SHARE


@dataclass(frozen=True, slots=True)
class Measured:
    """A row and its figures, one for each round, or why there are none."""

    row: Row
    rounds: tuple[float, ...] = ()
    trouble: str = ""

    @property
    def value(self) -> float | None:
        """The best of the rounds: what disturbs a measurement makes it worse."""
        if not self.rounds:
            return None
        return max(self.rounds) if self.row.larger_is_better else min(self.rounds)

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
        if sign * self.value <= sign * self.row.aim:
            return "aim"
        return "must" if sign * self.value <= sign * self.row.must else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        row = self.row
        return {
            "name": row.name,
            "path": row.path,
            "unit": row.unit,
            "measured": self.value,
            "rounds": list(self.rounds),
            "must": row.must,
            "aim": row.aim,
            "verdict": self.verdict,
        }
