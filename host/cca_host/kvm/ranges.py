"""A set of addresses as ranges that neither touch nor overlap: what it costs does not depend on their length."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["Ranges"]


class Ranges:
    """Addresses, as (base, top) in their order; ``top`` is the first address that does not belong to the range."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._bases: list[int] = []
        self._tops: list[int] = []
        for base, top in ranges:
            self.add(base, top)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(tuple(zip(self._bases, self._tops, strict=True)))

    def __contains__(self, address: int) -> bool:
        at = bisect_right(self._bases, address) - 1
        return at >= 0 and address < self._tops[at]

    def within(self, base: int, top: int) -> list[tuple[int, int]]:
        """The parts of the ranges between ``base`` and ``top``."""
        first, last = bisect_right(self._tops, base), bisect_left(self._bases, top)
        return [(max(self._bases[at], base), min(self._tops[at], top)) for at in range(first, last)]

    def add(self, base: int, top: int) -> None:
        """Add the addresses from ``base`` to below ``top``."""
        if base >= top:
            return
        first, last = bisect_left(self._tops, base), bisect_right(self._bases, top)
        if first < last:
            base, top = min(base, self._bases[first]), max(top, self._tops[last - 1])
        self._bases[first:last], self._tops[first:last] = [base], [top]

    def remove(self, base: int, top: int) -> None:
        """Remove the addresses from ``base`` to below ``top``."""
        if base >= top:
            return
        first, last = bisect_right(self._tops, base), bisect_left(self._bases, top)
        if first >= last:
            return
        low, high = self._bases[first], self._tops[last - 1]
        left = [(one, other) for one, other in ((low, base), (top, high)) if one < other]
        self._bases[first:last] = [one for one, _ in left]
        self._tops[first:last] = [other for _, other in left]
