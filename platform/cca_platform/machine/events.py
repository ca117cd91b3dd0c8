"""The event queue: calls at given values of the system counter."""

from collections.abc import Callable
from typing import Final

from cca_arch.types import Ticks

__all__ = ["EventQueue"]

_FAR: Final = 1 << 62  # beyond any clock; every deadline fits a word of the hooks

Call = Callable[[Ticks], None]


class EventQueue:
    """The pending calls: one or none per name.

    ``next`` is the counter value at which the first one is due, or None. Calls due at the same time are made in the
    order in which their names were first seen. The queue is not saved: after a restore, each owner schedules its call
    again, as the bus does for its devices.
    """

    def __init__(self) -> None:
        self.next: Ticks | None = None
        self._calls: dict[str, tuple[Ticks | None, Call]] = {}

    def call_at(self, name: str, ticks: Ticks | None, call: Call) -> None:
        """Schedule ``call(now)`` when the counter reads ``ticks``, replacing the call of ``name``; None cancels it."""
        if ticks is not None and ticks >= _FAR:
            ticks = None
        known = self._calls.get(name)
        self._calls[name] = ticks, call
        if known is None or known[0] != ticks:
            self.next = min((due for due, _ in self._calls.values() if due is not None), default=None)

    def run(self, now: Ticks) -> None:
        """Make the calls that are due at counter value ``now``, each name at most once."""
        for name in list(self._calls):
            due, call = self._calls[name]
            if due is not None and due <= now:
                self.call_at(name, None, call)
                call(now)
