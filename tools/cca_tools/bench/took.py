"""What a piece of work took: time of the CPU, and time on the wall."""

import os
import resource
import sys
from collections.abc import Callable, Iterable
from time import perf_counter, process_time
from typing import Final, NamedTuple

__all__ = ["BATCHES", "Took", "Watch", "best", "held", "least", "most_held", "reported"]

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


def most_held(process: int | str = "self") -> float:
    """The peak memory of a process in bytes, of its program alone; 0 where the system does not tell, or it has ended.

    ``ru_maxrss`` would not do: Linux adds what the parent had when it made the process.
    """
    try:
        with open(f"/proc/{process}/status", encoding="ascii") as file:
            return next((1024.0 * int(line.split()[1]) for line in file if line.startswith("VmHWM")), 0.0)
    except OSError:
        return 0.0


def reported(used: resource.struct_rusage) -> float:
    """The peak memory of a process in bytes as the system reports it: in bytes by macOS, in KiB by others."""
    return float(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


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
