"""The event queue: who wants to be called at which value of the system counter."""

from collections.abc import Callable
from typing import Final

from cca_arch.types import Ticks

__all__ = ["EventQueue"]

_FAR: Final = 1 << 62  # no clock gets there, and every deadline fits a word of the hooks

Call = Callable[[Ticks], None]


class EventQueue:
    """What happens at a time: each name has one call to come, or none.

    ``next`` is the value of the counter at which the first one is due, or None. Calls that are due at the same time
    come in the order in which their names were first seen. Nothing of it is saved: after a restore each owner says
    again when it wants to be called, as the bus does for its devices.
    """

    def __init__(self) -> None:
        self.next: Ticks | None = None
        self._calls: dict[str, tuple[Ticks | None, Call]] = {}

    def call_at(self, name: str, ticks: Ticks | None, call: Call) -> None:
        """Have ``call(now)`` when the counter reads ``ticks``, instead of what ``name`` wanted before; None: never."""
        if ticks is not None and ticks >= _FAR:
            ticks = None
        known = self._calls.get(name)
        self._calls[name] = ticks, call
        if known is None or known[0] != ticks:
            self.next = min((due for due, _ in self._calls.values() if due is not None), default=None)

    def run(self, now: Ticks) -> None:
        """Do what is due when the counter reads ``now``: each name once at most."""
        for name in list(self._calls):
            due, call = self._calls[name]
            if due is not None and due <= now:
                self.call_at(name, None, call)
                call(now)
