"""The system counter: virtual time by retired instructions, with idle time skipped, or the host's wall time."""

from time import perf_counter_ns
from typing import TYPE_CHECKING

from cca_platform.native import block as w

if TYPE_CHECKING:
    from cca_platform.memory.memory import Memory

__all__ = ["Clock"]


class Clock:
    """The counter that CNTPCT_EL0 shows, in ticks of ``counter_hz``.

    ``mode`` "virtual": one tick for each instruction that any PE retires, and ``skip_to`` for idle time, so that equal
    inputs give equal runs. "host": in addition it is never behind wall time; ``follow`` is called between slices.
    """

    def __init__(self, memory: "Memory", counter_hz: int, mode: str) -> None:
        if mode not in ("virtual", "host"):
            raise ValueError(f"clock must be virtual or host, not {mode!r}")
        self._words = memoryview(memory.block.data).cast("B").cast("q")
        self.counter_hz = counter_hz
        self.mode = mode
        self._start = perf_counter_ns()

    @property
    def now(self) -> int:
        """Ticks since reset."""
        return self._words[w.M_CLOCK]

    def skip_to(self, ticks: int) -> None:
        """Let idle time pass until the counter reads ``ticks``; never backwards."""
        if ticks > self._words[w.M_CLOCK]:
            self._words[w.M_CLOCK] = ticks

    def follow(self) -> None:
        """With the host's clock: catch up with wall time."""
        if self.mode == "host":
            self.skip_to((perf_counter_ns() - self._start) * self.counter_hz // 1_000_000_000)

    def set(self, ticks: int) -> None:
        """Put the counter back to that of a snapshot."""
        self._words[w.M_CLOCK] = ticks
