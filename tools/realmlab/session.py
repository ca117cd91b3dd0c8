"""The common base of the API's machines: a board with a trace, used in a ``with`` block."""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from cca_arch.types import SecurityState
from cca_platform.board import Board
from cca_platform.devices.base import Device
from cca_platform.devices.kinds import Kinds
from cca_platform.errors import MachineError
from cca_platform.machine.inspection import RmmInspector
from cca_platform.machine.machine import Machine as Platform
from cca_platform.machine.snapshot import Snapshot as PlatformSnapshot
from cca_platform.memory.memory import Memory
from cca_platform.trace.sinks import JsonLines
from cca_platform.trace.trace import Record, Trace
from cca_rmm.rmm import Rmm
from cca_rmm.versions.v1_0 import V1_0

from .calls import Calls
from .checks import at_least, function, instance, name_or_path, octets, optional, whole
from .cpu import Cpu
from .hooks import Hook, Hooks, Listener, is_event
from .results import Reason
from .symbols import Symbols
from .views import GranuleView

__all__ = ["Session", "Snapshot"]


class Snapshot(Struct, frozen=True):
    """A saved moment of one machine, kept as long as it is referenced.

    Snapshots form a tree: restoring one does not lose the others.
    """

    machine: PlatformSnapshot
    """The hardware, and the software written in Python."""
    passing: tuple[int, ...]
    """The instruction of each PE whose hooks have fired already; -1 for none."""
    session: Mapping[Any, bytes]
    """The unread output of the consoles, by UART or by Realm; it has every Realm of that moment."""

    @property
    def time(self) -> int:
        """The virtual time, in ticks of the system counter."""
        return self.machine.time

    @property
    def number(self) -> int:
        """Its number on its machine, from 1."""
        return self.machine.number

    @property
    def parent(self) -> int | None:
        """The number of the snapshot that it follows, or None."""
        return self.machine.parent

    def __repr__(self) -> str:
        after = "" if self.parent is None else f" after {self.parent}"
        return f"<Snapshot {self.number}{after} at tick {self.time:,}>"


def _world(world: SecurityState) -> SecurityState:
    found: SecurityState = instance(SecurityState, "a SecurityState")("world", world)
    return found


class Session:
    """The hardware of ``board``, with the options of ``MachineOptions``.

    The session owns a trace that is given as a path, and closes it.
    """

    platform: Platform
    """The hardware: memory, PEs, bus, clock."""
    trace: Trace
    """The stream of events."""
    inspector: RmmInspector | None = None
    """The RMM's view of its objects; None before it has booted, or if it brings no inspector."""

    def __init__(self, board: str | os.PathLike[str] | Board, given: Mapping[str, Any]) -> None:
        loaded = board if isinstance(board, Board) else Board.load(os.fspath(name_or_path("board", board)))
        trace, kinds = given["trace"], Kinds()
        for path in given["device_modules"]:
            kinds.load(path)
        for kind, factory in given["devices"].items():
            kinds.register(kind, factory)
        self._extensions: tuple[str, ...] = tuple(sorted(set(given["extensions"])))
        self._platform_key: bytes | None = given["platform_key"]
        self._owns_trace = not isinstance(trace, Trace)
        if isinstance(trace, Trace):
            self.trace = trace
        else:
            self.trace = Trace() if trace is None else Trace(JsonLines(trace))
        try:
            self.platform = Platform(loaded, trace=self.trace, clock=given["clock"], cpu=given["cpu"], kinds=kinds)
        except BaseException:
            self._close_trace()
            raise
        self._calls = Calls(lambda: self._pause(Reason.STOPPED), self.trace)
        self._hooks = Hooks(self.platform, Symbols(self._files), self._pause, self._calls.hook)
        self.trace.keep = self._calls.keep

    def _rmm(self) -> Rmm:
        """The RMM that the machine boots."""
        if not self._extensions:
            return Rmm(self.platform)
        from cca_rmm.extensions.offered import with_extensions

        return Rmm(self.platform, with_extensions(V1_0, self._extensions))

    def _boot_options(self) -> dict[str, Any]:
        """What the boot must know of the extensions."""
        given = {} if self._platform_key is None else {"platform_key": self._platform_key}
        return {"extensions": self._extensions, **given}

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions that the RMM has."""
        return self._extensions

    @property
    def has_test_key(self) -> bool:
        """True if the platform's root key is the published one."""
        return self._platform_key is None

    def _files(self) -> Iterable[tuple[bytes, int]]:
        """The files with symbols and their load offsets."""
        return ()

    @property
    def memory(self) -> Memory:
        """Physical memory. ``memory.port(SecurityState.NON_SECURE)`` sees what the Non-secure world sees."""
        return self.platform.memory

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices of the board by name."""
        return self.platform.bus.devices

    @property
    def cpus(self) -> tuple[Cpu, ...]:
        """The PEs in their present state."""
        return tuple(Cpu(pe, self._hooks.symbols) for pe in self.platform.pes)

    def granule(self, pa: int) -> GranuleView:
        """The granule at a physical address: its GPT entry, its state in the RMM, its bytes."""
        self._calls.must_be_open("granule()")
        return GranuleView(self.platform, self.inspector, whole("pa", pa))

    def read(self, pa: int, size: int, world: SecurityState = SecurityState.NON_SECURE) -> bytes:
        """Read ``size`` bytes at a physical address, as ``world`` sees them.

        Raises GranuleProtectionFault for another world's memory, BusError if there is no memory.
        """
        self._calls.must_be_open("read()")
        return self.memory.port(_world(world)).read(whole("pa", pa), at_least(0)("size", size))

    def write(self, pa: int, data: bytes, world: SecurityState = SecurityState.NON_SECURE) -> None:
        """Write bytes at a physical address, with the access rights of ``world``."""
        self._calls.must_be_open("write()")
        self.memory.port(_world(world)).write(whole("pa", pa), octets("data", data))

    # -- hooks --------------------------------------------------------------------------------------------------
    def on(self, event: str | None, callback: Callable[[Record], object]) -> Listener:
        """Call ``callback`` with the record of every such trace event as it happens.

        ``event`` is a name such as ``rmi.call``, the part before the dot for a family, or None for all events.
        The callback may read, and call ``stop``; what it raises pauses the run, which then raises it. Raises
        MachineError for an unknown event.
        """
        self._calls.must_be_open("on()")
        name = optional(instance(str, "the name of an event"))("event", event)
        return self._hooks.listen(name, function("callback", callback))

    def hook(self, where: int | str, callback: Callable[[Cpu], object], *, world: SecurityState | None = None) -> Hook:
        """Call ``callback(cpu)`` each time before the instruction at ``where`` is executed.

        ``where`` is a virtual address or a symbol of the running code; ``world`` limits it to one security state. The
        callback may read and change registers and memory, take a snapshot, and call ``stop``. Other code does not run
        slower.
        """
        self._calls.must_be_open("hook()")
        return self._hooks.add(where, function("callback", callback), world)

    def break_on(self, where: int | str, *, world: SecurityState | None = None) -> Hook | Listener:
        """Pause runs before the instruction at ``where`` or after events of that name; the next run continues."""
        self._calls.must_be_open("break_on()")
        if is_event(where):
            return self._hooks.break_on_event(str(where))
        return self._hooks.add(where, None, world)

    def stop(self) -> None:
        """Pause the run, from a callback."""
        self._pause(Reason.STOPPED)

    def _pause(self, why: Reason) -> None:
        """Pause the run as soon as possible."""
        raise NotImplementedError

    # -- snapshots ----------------------------------------------------------------------------------------------
    def snapshot(self) -> Snapshot:
        """Save the whole machine. Return to it with ``restore``, as often as you like.

        Raises MachineError in a callback, unless it is one of ``hook``.
        """
        self._calls.must_be_free("snapshot", hook=True)
        passing = tuple(pe.passing for pe in self.platform.pes)
        return Snapshot(self.platform.snapshot(), passing, self._save())

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the machine from one of its snapshots; hooks and listeners stay in place.

        Raises MachineError for a snapshot of another machine, and in a callback.
        """
        instance(Snapshot, "a snapshot of this machine")("snapshot", snapshot)
        with self._calls.call("restore"):
            try:
                self.platform.restore(snapshot.machine)
            except ValueError as error:
                raise MachineError(f"{error}: take it from the machine that it is for") from None
            for pe, passing in zip(self.platform.pes, snapshot.passing, strict=True):
                pe.paused = False
                pe.passing = passing
            self._load(snapshot.session)

    def _unfinished(self) -> dict[str, str]:
        """The unfinished line of each console of the board that has one."""
        return {}

    def _save(self) -> Mapping[Any, bytes]:
        """What a snapshot keeps besides the platform."""
        return {}

    def _load(self, data: Mapping[Any, bytes]) -> None:
        """Restore what ``_save`` returned."""

    def close(self) -> None:
        """Shut the machine down and free its memory; raises MachineError if the trace file is incomplete.

        Or a file of nonvolatile memory.
        """
        if not self._calls.close():
            return
        try:
            self._leave()
        finally:
            self.platform.close()
            self._close_trace()

    def _close_trace(self) -> None:
        if self._owns_trace:
            self.trace.close()

    def __del__(self) -> None:
        calls = getattr(self, "_calls", None)  # not of a machine that could not be made
        if calls is None or calls.closed or sys.is_finalizing():
            return
        lost = f"a machine must be closed, not lost{self._loses()}: use a `with` block, or close()"
        warnings.warn(lost, ResourceWarning, stacklevel=2, source=self)
        calls.close()
        with suppress(BufferError):  # what holds views of the memory goes with the machine
            self.platform.close()
        self._close_trace()

    def _loses(self) -> str:
        """What is lost with a machine that is not closed."""
        return ""

    def _leave(self) -> None:
        """Keep what outlasts the machine."""

    def __enter__(self) -> Self:
        self._calls.must_be_open("a `with` block")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
