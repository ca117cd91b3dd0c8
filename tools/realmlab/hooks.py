"""Hooks: callbacks at addresses, breakpoints, and listeners to trace events."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from cca_arch.types import SecurityState
from cca_platform.errors import MachineError
from cca_platform.printable import brief, printable
from cca_platform.trace.events import EVENTS
from cca_platform.trace.trace import Record

from .cpu import Cpu
from .results import Reason

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine as Platform

    from .symbols import Symbols

__all__ = ["Hook", "Hooks", "Listener", "is_event"]


class Hook:
    """A callback or a breakpoint at an address. Remove it with ``remove`` or by leaving a ``with`` block.

    ``hits`` counts how often it has been reached.
    """

    def __init__(
        self,
        owner: "Hooks",
        address: int,
        callback: Callable[[Cpu], object] | None,
        world: SecurityState | None,
        symbols: "Symbols",
        whose: object,
    ) -> None:
        self.address = address
        self.whose = whose
        self.callback = callback
        self.world = world
        self.hits = 0
        self._owner = owner
        self._symbols = symbols

    def remove(self) -> None:
        """Remove the hook."""
        self._owner.remove(self)

    def __enter__(self) -> "Hook":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        what = "breakpoint" if self.callback is None else "hook"
        world = "any world" if self.world is None else self.world.name.lower().replace("_", "-")
        return f"<{what} at {self._symbols.describe(self.address)} in {world}, {self.hits} hits>"


class Listener:
    """A callback for trace events. Remove it with ``remove`` or by leaving a ``with`` block.

    ``event`` is the name of an event, or the part before the dot for a family; None means every event.
    """

    def __init__(self, owner: "Hooks", event: str | None, callback: Callable[[Record], object]) -> None:
        self.event = event
        self.callback = callback
        self._owner = owner

    def write(self, record: Record) -> None:
        """Take a trace record (sink interface)."""
        name = record["event"]
        if record["seq"] is not None and (
            self.event is None or name == self.event or name.partition(".")[0] == self.event
        ):
            self.callback(record)

    def close(self) -> None:
        """Do nothing: a listener keeps nothing."""

    def remove(self) -> None:
        """Remove the listener."""
        self._owner.forget(self)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<listener to {printable(self.event or 'every event')}>"


class Hooks:
    """The hooks of a machine. Only instructions that have a hook run slower."""

    def __init__(
        self,
        platform: "Platform",
        symbols: "Symbols",
        pause: Callable[[Reason], object],
        inside: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.symbols = symbols
        self.owner: object = None
        """Whose code runs, if known. Other owners' hooks do not fire."""
        self._platform = platform
        self._pause = pause
        self._inside = inside  # around a callback
        self._hooks: list[Hook] = []

    def add(
        self,
        where: int | str,
        callback: Callable[[Cpu], object] | None,
        world: SecurityState | None,
        symbols: "Symbols | None" = None,
        whose: object = None,
    ) -> Hook:
        """Call ``callback`` before the instruction at ``where``, or pause the run there if there is none."""
        symbols = symbols or self.symbols
        hook = Hook(self, symbols.address(where), callback, world, symbols, whose)
        self._hooks.append(hook)
        self._arm()
        return hook

    def remove(self, hook: Hook) -> None:
        """Remove a hook if it is present."""
        if hook in self._hooks:
            self._hooks.remove(hook)
            self._arm()

    def _arm(self) -> None:
        addresses = {hook.address for hook in self._hooks}
        for pe in self._platform.pes:
            pe.stop_before(addresses)

    def reached(self) -> bool:
        """Call the hooks at the instruction that a PE has stopped before; returns True if the run pauses."""
        platform, pause = self._platform, False
        pe = next(pe for pe in platform.pes if pe.paused)
        pe.paused = False
        cpu = Cpu(pe, self.symbols)
        place, world, owner = cpu.pc, cpu.world, self.owner
        here = [one for one in self._hooks if one.address == place and one.world in (None, world)]
        for hook in [one for one in here if one.whose in (None, owner)]:
            hook.hits += 1
            if hook.callback is None:
                pause = True
            else:
                with self._inside():
                    hook.callback(cpu)
        return pause

    # -- events -------------------------------------------------------------------------------------------------
    def listen(self, event: str | None, callback: Callable[[Record], object]) -> Listener:
        """Call ``callback`` with the record of every such event; raises MachineError for an unknown event."""
        if event is not None and event not in _known():
            import difflib  # slow, and rarely needed

            near = difflib.get_close_matches(event, _known(), 1)
            guess = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(EVENTS)}"
            raise MachineError(f"an event must be one of the trace, not {brief(event)}; {guess}")
        listener = Listener(self, event, callback)
        self._platform.trace.add(listener)
        return listener

    def forget(self, listener: Listener) -> None:
        """Remove a listener if it is present."""
        self._platform.trace.remove(listener)

    def break_on_event(self, event: str) -> Listener:
        """Pause the run as soon as possible after such an event."""

        def stop(record: Record) -> None:
            self._pause(Reason.BREAKPOINT)

        return self.listen(event, stop)


def _known() -> set[str]:
    return {*EVENTS, *(name.partition(".")[0] for name in EVENTS)}


def is_event(where: object) -> bool:
    """True if the place to break on is an event name (a family, a dot and more), not a symbol."""
    return isinstance(where, str) and "." in where and where.partition(".")[0] in _known()
