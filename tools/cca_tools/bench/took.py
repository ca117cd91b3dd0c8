"""What a piece of work took: time of the CPU, and time on the wall."""

import os
from collections.abc import Callable, Iterable
from time import perf_counter, process_time
from typing import Final, NamedTuple

__all__ = ["BATCHES", "Took", "Watch", "best", "held", "least"]

BATCHES: Final = 5
_STATM: Final = "/proc/self/statm"


class Took(NamedTuple):
    """Seconds of the CPU, and on the wall, which others on the machine make longer."""

    cpu: float
    wall: float

    def each(self, count: float) -> "Took":
        """The part of one of ``count``."""
        return Took(self.cpu / count, self.wall / count)

    def without(self, other: "Took") -> "Took":
        """What is more than in ``other``."""
        return Took(self.cpu - other.cpu, self.wall - other.wall)


class Watch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._cpu, self._wall = process_time(), perf_counter()

    def took(self) -> Took:
        """Since then."""
        return Took(process_time() - self._cpu, perf_counter() - self._wall)


def held() -> float:
    """The memory of this process in bytes; 0 where the system does not tell."""
    try:
        with open(_STATM, encoding="ascii") as file:
            return float(int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"))
    except OSError:
        return 0.0


def least(found: Iterable[Took]) -> Took:
    """The best of several: what disturbs one makes it longer."""
    cpus, walls = zip(*found, strict=True)
    return Took(min(cpus), min(walls))


def best(action: Callable[[], object], count: int = 1, batches: int = BATCHES) -> Took:
    """Per action in the best batch; one call of ``action`` does ``count`` of them."""

    def batch() -> Took:
        watch = Watch()
        action()
        return watch.took()

    return least(batch() for _ in range(batches)).each(count)
