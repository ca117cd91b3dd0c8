"""What every machine of the API is: a board with a trace, used in a ``with`` block."""

import os
from types import TracebackType
from typing import Any, Self

from cca_platform.machine.board import Board
from cca_platform.machine.machine import Machine as Platform
from cca_platform.memory.memory import Memory
from cca_platform.trace.sinks import JsonLines
from cca_platform.trace.trace import Trace

__all__ = ["Session"]


class Session:
    """The hardware of ``board``; a trace that is given as a path is the session's own, and closed with it."""

    platform: Platform
    """The hardware: memory, PEs, bus, clock."""
    trace: Trace
    """The stream of events."""

    def __init__(self, board: str, trace: str | os.PathLike[str] | Trace | None, clock: str) -> None:
        loaded = Board.load(board)
        self._owns_trace = not isinstance(trace, Trace)
        if isinstance(trace, Trace):
            self.trace = trace
        else:
            self.trace = Trace() if trace is None else Trace(JsonLines(trace))
        self.platform = Platform(loaded, trace=self.trace, clock=clock)

    @property
    def memory(self) -> Memory:
        """Physical memory: ``memory.port(SecurityState.NON_SECURE)`` sees what that world sees."""
        return self.platform.memory

    def snapshot(self) -> Any:
        """The whole machine as it is now, to go back to with ``restore``."""
        return self.platform.snapshot()

    def restore(self, snapshot: Any) -> None:
        """Put the machine back to a snapshot of it."""
        self.platform.restore(snapshot)

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
