"""What every machine of the API is: a board with a trace, used in a ``with`` block."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

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

from .cpu import Cpu
from .hooks import Hook, Hooks, Listener, is_event
from .results import Reason
from .symbols import Symbols
from .views import GranuleView

__all__ = ["Session", "Snapshot"]


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """A moment of one machine, kept as long as somebody holds it.

    Snapshots are a tree: going back to one loses no other.
    """

    machine: PlatformSnapshot
    """The hardware, and the software in Python."""
    passing: tuple[int, ...]
    """Where each PE stood before an instruction that has been told already; -1 for nowhere."""
    session: Mapping[str, bytes]
    """What has been read of the consoles, and what has not."""

    @property
    def time(self) -> int:
        """Its virtual time, in ticks of the system counter."""
        return self.machine.time

    @property
    def number(self) -> int:
        """Which one it is of its machine, from 1."""
        return self.machine.number

    @property
    def parent(self) -> int | None:
        """The number of the one after which it was taken, or None."""
        return self.machine.parent

    def __repr__(self) -> str:
        after = "" if self.parent is None else f" after {self.parent}"
        return f"<Snapshot {self.number}{after} at tick {self.time:,}>"


class Session:
    """The hardware of ``board``, with the options of ``MachineOptions``.

    A trace that is given as a path is the session's own, and closed with it.
    """

    platform: Platform
    """The hardware: memory, PEs, bus, clock."""
    trace: Trace
    """The stream of events."""
    inspector: RmmInspector | None = None
    """What the RMM tells of its objects; None before it has booted, or for one that tells nothing."""

    def __init__(self, board: str | os.PathLike[str] | Board, given: Mapping[str, Any]) -> None:
        loaded = board if isinstance(board, Board) else Board.load(os.fspath(board))
        trace, kinds = given["trace"], Kinds()
        for path in given["device_modules"]:
            kinds.load(path)
        for kind, factory in given["devices"].items():
            kinds.register(kind, factory)
        self._owns_trace = not isinstance(trace, Trace)
        if isinstance(trace, Trace):
            self.trace = trace
        else:
            self.trace = Trace() if trace is None else Trace(JsonLines(trace))
        self.platform = Platform(loaded, trace=self.trace, clock=given["clock"], kinds=kinds)
        self._hooks = Hooks(self.platform, Symbols(self._files), self._pause)

    def _files(self) -> Iterable[tuple[bytes, int]]:
        """The files that symbols are in, and what is added to their addresses."""
        return ()

    @property
    def memory(self) -> Memory:
        """Physical memory: ``memory.port(SecurityState.NON_SECURE)`` sees what that world sees."""
        return self.platform.memory

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices of the board by name."""
        return self.platform.bus.devices

    @property
    def cpus(self) -> tuple[Cpu, ...]:
        """The PEs, as they stand."""
        return tuple(Cpu(pe, self._hooks.symbols) for pe in self.platform.pes)

    def granule(self, pa: int) -> GranuleView:
        """The granule at a physical address: its GPT entry, its state in the RMM, its bytes."""
        return GranuleView(self.platform, self.inspector, pa)

    def read(self, pa: int, size: int, world: SecurityState = SecurityState.NON_SECURE) -> bytes:
        """``size`` bytes at a physical address, as ``world`` sees them.

        GranuleProtectionFault for memory of another world, BusError where there is none.
        """
        return self.memory.port(world).read(pa, size)

    def write(self, pa: int, data: bytes, world: SecurityState = SecurityState.NON_SECURE) -> None:
        """Write bytes at a physical address, as ``world`` may."""
        self.memory.port(world).write(pa, data)

    # -- hooks --------------------------------------------------------------------------------------------------
    def on(self, event: str | None, callback: Callable[[Record], object]) -> Listener:
        """Call ``callback`` with the record of every such event of the trace, as it happens.

        ``event`` is a name such as ``rmi.call``, the part before the dot for a family of them, or None for all.
        MachineError for one that does not exist.
        """
        return self._hooks.listen(event, callback)

    def hook(self, where: int | str, callback: Callable[[Cpu], object], *, world: SecurityState | None = None) -> Hook:
        """Call ``callback(cpu)`` each time before the instruction at ``where`` is executed, then go on.

        ``where`` is a virtual address, or a symbol of what runs; ``world`` keeps to one security state. The callback
        may read and change registers and memory, and call ``stop``. Code elsewhere runs as fast as without.
        """
        return self._hooks.add(where, callback, world)

    def break_on(self, where: int | str, *, world: SecurityState | None = None) -> Hook | Listener:
        """Pause runs before the instruction at ``where``, or after events of that name; the next run goes on."""
        if is_event(where):
            return self._hooks.break_on_event(str(where))
        return self._hooks.add(where, None, world)

    def stop(self) -> None:
        """Pause the run, from a callback."""
        self._pause(Reason.STOPPED)

    def _pause(self, why: Reason) -> None:
        """Have the run pause at the first moment at which it can be."""
        raise NotImplementedError

    # -- snapshots ----------------------------------------------------------------------------------------------
    def snapshot(self) -> Snapshot:
        """The whole machine as it is now, to go back to with ``restore``, as often as wanted."""
        passing = tuple(pe.passing for pe in self.platform.pes)
        return Snapshot(self.platform.snapshot(), passing, self._save())

    def restore(self, snapshot: Snapshot) -> None:
        """Put the machine back to a snapshot of it; hooks and listeners stay as they are.

        MachineError for a snapshot of another machine.
        """
        try:
            self.platform.restore(snapshot.machine)
        except ValueError as error:
            raise MachineError(f"{error}: take it from the machine that it is for") from None
        for pe, passing in zip(self.platform.pes, snapshot.passing, strict=True):
            pe.paused = False
            pe.passing = passing
        self._load(snapshot.session)

    def _unfinished(self) -> dict[str, str]:
        """The line of each console of the board that has not ended, where there is one."""
        return {}

    def _save(self) -> dict[str, bytes]:
        """What a snapshot keeps beside the platform."""
        return {}

    def _load(self, data: Mapping[str, bytes]) -> None:
        """Put back what ``_save`` gave."""

    def close(self) -> None:
        """End the machine and give its memory back; MachineError when the trace file could not take everything."""
        self.platform.close()
        if self._owns_trace:
            self.trace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
