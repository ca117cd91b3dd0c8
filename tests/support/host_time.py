"""A clock of the host for tests: it stands still unless a test lets time pass, so that nothing has to be waited for."""

import random
from collections.abc import Callable
from threading import Event

from cca_platform.machine.wall import HostTime

__all__ = ["FakeTime", "restless"]


class FakeTime(HostTime):
    """``step`` nanoseconds pass at each look, and the time of each wait, which ``during()`` may cut short.

    ``looks`` and ``waits`` has what each of these saw. ``more()`` are further nanoseconds, which never become fewer.
    """

    def __init__(self, step: int = 0, start: int = 1_000_000_000) -> None:
        self.step = step
        self.looks: list[int] = []
        self.waits: list[int] = []
        self.during: Callable[[], object] | None = None
        self.more: Callable[[], int] = int
        self._now = start

    def passes(self, nanoseconds: int) -> None:
        """Let time pass."""
        self._now += nanoseconds

    def now(self) -> int:
        """The time, a step later than at the last look."""
        self._now += self.step
        self.looks.append(self._now + self.more())
        return self.looks[-1]

    def wait(self, nanoseconds: int, wake: Event) -> None:
        """Let the time of a wait pass at once, unless something wakes who waits."""
        if self.during is not None:
            self.during()
        if not wake.is_set():
            self.waits.append(nanoseconds)
            self._now += nanoseconds


def restless(seed: int) -> FakeTime:
    """A clock that goes on by another time at each look, as on a busy host."""
    dice, time = random.Random(seed), FakeTime()
    total = [0]

    def more() -> int:
        total[0] += dice.choice((0, 1, 30, 700, 20_000, 900_000))
        return total[0]

    time.more = more
    return time
