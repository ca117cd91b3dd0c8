"""Wall time, which the counter shows under ``--clock host``: the host's clock, waiting for it, and how often to look.

The counter runs while the machine does. While the machine is stopped (between two runs, at a breakpoint, while a user
looks at it) it stands still, and it goes on from where it was: no timer expires because somebody thought about what he
saw. A restored snapshot goes on from its own time.
"""

from threading import Event
from time import perf_counter_ns
from typing import Final

from cca_arch.types import Ticks

__all__ = ["HostTime", "Wall"]

_SECOND: Final = 1_000_000_000  # nanoseconds
_NAP: Final = 10_000_000  # nanoseconds at most, until somebody looks whether the run is to end
_AIM: Final = 500_000  # nanoseconds between two looks at the host's clock while code runs
_SLICE: Final = 10_000  # instructions of the first slice,
_SHORTEST, _LONGEST = 1_000, 4_000_000  # and of any


class HostTime:
    """The host's clock; a test puts one of its own in the place of it (``Inputs.wall.host``)."""

    def now(self) -> int:
        """Nanoseconds, which never go backwards."""
        return perf_counter_ns()

    def wait(self, nanoseconds: int, wake: Event) -> None:
        """Wait so long, or until ``wake`` is set."""
        wake.wait(nanoseconds / _SECOND)


class Wall:
    """Wall time as values of a counter of ``counter_hz``.

    ``wake`` ends a wait. ``slice`` is after how many instructions to look at the clock again: as many as took half a
    millisecond, as far as the last looks tell.
    """

    def __init__(self, counter_hz: int) -> None:
        self.host = HostTime()
        self.wake = Event()
        self.slice = _SLICE
        self._hz = counter_hz
        self._zero = self._looked = 0  # on the host's clock: when the counter read zero, and the last look
        self._retired: int | None = None  # instructions at that look, if code has run since
        self.rebase(Ticks(0))

    def rebase(self, now: Ticks) -> None:
        """The counter reads ``now``, and runs from here on."""
        self._looked, self._retired = self.host.now(), None
        self._zero = self._looked - now * _SECOND // self._hz

    def ticks(self) -> Ticks:
        """The value of the counter."""
        return Ticks((self.host.now() - self._zero) * self._hz // _SECOND)

    def wait(self, due: Ticks | None) -> None:
        """Wait until the counter reads ``due`` or ``wake`` is set, but not long, because a run may have to end."""
        nap = _NAP
        if due is not None:
            nap = min(nap, -(-due * _SECOND // self._hz) + self._zero - self.host.now())
        if nap > 0:
            self.host.wait(nap, self.wake)
        self._looked = self.host.now()

    def pause(self, ticks: Ticks | None) -> Ticks:
        """Wait for so many ticks or until ``wake`` is set, but not long; the ticks that have passed, at least one."""
        nap, began = _NAP, self.host.now()
        if ticks is not None:
            nap = min(nap, -(-ticks * _SECOND // self._hz))
        if nap > 0:
            self.host.wait(nap, self.wake)
        return Ticks(max((self.host.now() - began) * self._hz // _SECOND, 1))

    def look(self, retired: int) -> Ticks:
        """The value of the counter between two slices, when ``retired`` instructions have been retired in all."""
        now = self.host.now()
        ran, took = 0 if self._retired is None else retired - self._retired, now - self._looked
        self._retired, self._looked = retired, now
        if took > _AIM and 2 * ran >= self.slice:
            self.slice = max(ran * _AIM // took, _SHORTEST)
        elif 2 * took < _AIM and ran >= self.slice:
            self.slice = min(2 * self.slice, _LONGEST)
        return self.ticks()
