"""Where records and lines go: the sinks of a trace."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from cca_platform.trace.lines import Record

__all__ = ["Fan", "Keep", "LineSink", "Sink"]

Keep = Callable[[BaseException], bool]
"""Takes an exception; True if it keeps it for later."""


class Sink(Protocol):
    """Takes finished records in order; ``close`` raises MachineError if some could not be kept."""

    def write(self, record: Record) -> None:
        """Take a record."""

    def close(self) -> None:
        """End the stream."""


@runtime_checkable
class LineSink(Sink, Protocol):
    """A sink that takes lines as they stand in a file."""

    def write_lines(self, lines: bytes, count: int) -> None:
        """Take ``count`` whole lines."""


class Fan:
    """The structlog logger: lines go to the ``sinks`` that take them, records to the others, or to all.

    ``processed`` says that processors change records, so that all sinks get these. What a sink raises goes to ``keep``.
    """

    def __init__(self, sinks: list[Sink], processed: bool, keep: Keep) -> None:
        self._sinks = sinks
        self._processed = processed
        self._keep = keep
        self._sorted: list[Sink] = []
        self._files: tuple[LineSink, ...] = ()
        self._others: tuple[Sink, ...] = ()

    @property
    def files(self) -> tuple[LineSink, ...]:
        """The sinks that get lines."""
        if self._sorted != self._sinks:
            self._sort()
        return self._files

    @property
    def others(self) -> tuple[Sink, ...]:
        """The sinks that get records."""
        if self._sorted != self._sinks:
            self._sort()
        return self._others

    def _sort(self) -> None:
        self._sorted = list(self._sinks)
        self._files = () if self._processed else tuple(sink for sink in self._sinks if isinstance(sink, LineSink))
        self._others = tuple(sink for sink in self._sinks if self._processed or not isinstance(sink, LineSink))

    def msg(self, lines: bytes, count: int) -> None:
        """Write this many lines."""
        for sink in self.files:
            try:
                sink.write_lines(lines, count)
            except BaseException as error:
                if not self._keep(error):
                    raise

    def record(self, record: Record) -> None:
        """Pass on a record."""
        for sink in self.others:  # one may take itself away
            try:
                sink.write(record)
            except BaseException as error:
                if not self._keep(error):
                    raise
