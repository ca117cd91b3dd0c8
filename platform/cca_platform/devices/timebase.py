"""Device clocks: slower or faster than the system counter, but locked to it, so that runs are repeatable."""

from cca_platform.devices.wiring import Wiring

__all__ = ["Timebase"]


class Timebase:
    """A clock of ``hz`` / ``divider``; edge n is at the first tick of the system counter at or after its time."""

    def __init__(self, wiring: Wiring, hz: int, divider: int = 1) -> None:
        if hz <= 0:
            raise ValueError(f"the frequency of a clock must be positive, not {hz}")
        self._clock = wiring.clock
        self._hz = hz
        self._counter_hz = wiring.clock.counter_hz * divider

    def now(self) -> int:
        """The number of the last edge."""
        return self._clock.now * self._hz // self._counter_hz

    def ticks(self, edge: int) -> int:
        """The value of the system counter at an edge."""
        return -(-edge * self._counter_hz // self._hz)
