"""A row of the benchmark: its bounds and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cca_tools.bench.rig import Bench

__all__ = ["Measured", "Row"]


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
        return self.unit == "% of bare"


@dataclass(frozen=True, slots=True)
class Measured:
    """A row and its figure, or why there is none."""

    row: Row
    value: float | None
    trouble: str = ""

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
            "must": row.must,
            "aim": row.aim,
            "verdict": self.verdict,
        }
