"""A stream of typed events: what happened, when, on which PE, in which world.

Emitters cost almost nothing while tracing is off::

    if trace.on:
        trace.emit(GptChange(pa=pa, size=GRANULE_SIZE, old=Gpi.NON_SECURE, new=Gpi.REALM), pe=pe)

An event becomes a record ``seq, time, pe, world, el, event`` followed by its fields in their written form. The classes
are in :mod:`cca_platform.trace.events`, the forms in :mod:`cca_platform.trace.forms`. Times are ticks of the system
counter. Nothing in a record depends on the host, so two runs with the same inputs write the same bytes.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from cca_arch.types import SecurityState
from cca_platform.errors import MachineError
from cca_platform.trace.events import SCHEMA, Event, TraceStart
from cca_platform.trace.lines import Line, Record, record_of, writer
from cca_platform.version import __version__

if TYPE_CHECKING:
    from cca_platform.trace.door import Door, Processed

__all__ = ["WORLDS", "LineSink", "Record", "Sink", "Source", "Trace"]

_TAIL: Final = 200
_MANY: Final = 256
"""Lines that are written at the latest when there are so many."""
_NAMES: Final = {
    SecurityState.SECURE: "secure",
    SecurityState.NON_SECURE: "ns",
    SecurityState.ROOT: "root",
    SecurityState.REALM: "realm",
}
WORLDS: Final = tuple(_NAMES[state] for state in sorted(_NAMES))
"""The names of the security states, by number."""


class Sink(Protocol):
    """Takes finished records in order; ``close`` raises MachineError if some could not be kept."""

    def write(self, record: Record) -> None:
        """Take a record."""

    def close(self) -> None:
        """End the stream."""


@runtime_checkable
class LineSink(Sink, Protocol):
    """A sink that takes lines as they stand in a file."""

    def write_lines(self, lines: bytes) -> None:
        """Take whole lines."""


class Source(Protocol):
    """The PE of an event."""

    @property
    def index(self) -> int:
        """Its number."""

    @property
    def security(self) -> SecurityState:
        """Its security state."""

    @property
    def el(self) -> int:
        """Its exception level."""


def _raise(error: BaseException) -> bool:
    """Keep no exception."""
    return False


class _Fan:
    """The structlog logger: lines go to the sinks that are files, records to the others, or to all."""

    def __init__(self, trace: "Trace") -> None:
        self.trace = trace
        self.files: tuple[LineSink, ...] = ()
        self.others: tuple[Sink, ...] = ()

    def sort(self, sinks: Sequence[Sink], processed: bool) -> None:
        """Divide the sinks by what they get."""
        self.files = () if processed else tuple(sink for sink in sinks if isinstance(sink, LineSink))
        self.others = tuple(sink for sink in sinks if processed or not isinstance(sink, LineSink))

    def msg(self, lines: bytes) -> None:
        """Write lines."""
        for sink in self.files:
            try:
                sink.write_lines(lines)
            except BaseException as error:
                if not self.trace.keep(error):
                    raise

    def processed(self, record: Record) -> None:
        """Pass on a record that processors have seen."""
        self.trace.last.append(record)
        self.record(record)

    def record(self, record: Record) -> None:
        """Pass on a record."""
        for sink in self.others:  # one may take itself away: the next record has new ones
            try:
                sink.write(record)
            except BaseException as error:
                if not self.trace.keep(error):
                    raise


class Trace:
    """The stream of one machine. It is off, and emits nothing, until a sink is added.

    ``clock`` gives the virtual time in ticks; the machine sets it. ``processors`` are structlog processors that see
    each record before it is written, for example to drop (``structlog.DropEvent``) or to annotate events.

    A sink gets each record at once. A file (a sink with ``write_lines``) gets the events of an exception or a call that
    software in Python handles when that is done, before any code goes on, and every other event at once.
    """

    def __init__(self, *sinks: Sink, processors: tuple[Callable[..., Any], ...] = ()) -> None:
        self.on = False
        self.clock: Callable[[], int] = int
        self.seq = 0
        self.sinks: list[Sink] = []
        self.keep: Callable[[BaseException], bool] = _raise
        """Takes what a sink or processor raises: True if it keeps it for later, and the emitter goes on."""
        self.held = False
        """True while lines wait for those that come with them."""
        self._lines: list[Line] = []
        self.last: deque[Line | Record] = deque(maxlen=_TAIL)
        """What has been written last; ``tail`` has it as records."""
        self._fan = _Fan(self)
        self._processors = processors
        self._door: Door | None = None
        self._processed: Processed | None = None
        for sink in sinks:
            self.add(sink)

    @property
    def tail(self) -> list[Record]:
        """The last records, for error reports."""
        lines = [*self.last, *self._lines][-_TAIL:]
        return [record_of(line) if isinstance(line, Line) else line for line in lines]

    def add(self, sink: Sink) -> None:
        """Add ``sink``, which gets the head of the trace and all events from now on."""
        self.flush()
        head = TraceStart(schema=SCHEMA, realmlab=__version__)
        sink.write(record_of(writer(TraceStart)(head, None, self.clock(), None, None, None)))
        if self._door is None:
            from cca_platform.trace.door import Door, Processed

            self._door = Door(self._fan)
            if self._processors:
                self._processed = Processed.by(self._fan, self._processors, self._keep)
        self.sinks.append(sink)
        self._fan.sort(self.sinks, self._processed is not None)
        self.on = True

    def remove(self, sink: Sink) -> None:
        """Remove ``sink``; without sinks, the trace is off."""
        self.flush()
        if sink in self.sinks:
            self.sinks.remove(sink)
        self._fan.sort(self.sinks, self._processed is not None)
        self.on = bool(self.sinks)

    def _keep(self, error: BaseException) -> bool:
        """Ask whoever takes exceptions by then."""
        return self.keep(error)

    def emit(
        self, event: Event, pe: Source | None = None, world: SecurityState | None = None, el: int | None = None
    ) -> None:
        """Emit an event; create and emit events only ``if trace.on``.

        ``world`` and ``el`` default to those of ``pe``.
        """
        if not self.on:
            return
        seq = self.seq
        self.seq = seq + 1
        write = writer(event.__class__)
        if pe is None:
            line = write(event, seq, self.clock(), None, None, None)
        else:
            place = WORLDS[pe.security if world is None else world]
            line = write(event, seq, self.clock(), pe.index, place, pe.el if el is None else el)
        if self._processed is not None:
            self._processed.line(line)
            return
        lines = self._lines
        lines.append(line)
        if self._fan.others:
            self._fan.record(record_of(line))
        if not self.held or len(lines) >= _MANY:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait."""
        lines = self._lines
        if lines:
            self._lines = []
            self.last.extend(lines)
            if self._fan.files and self._door is not None:
                self._door.lines(lines)

    def release(self) -> None:
        """Write what has waited for the end of an exception or a call; nothing waits from now on."""
        self.held = False
        self.flush()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Emit no events inside the ``with`` block, for example while a debugger inspects the machine."""
        was, self.on = self.on, False
        try:
            yield
        finally:
            self.on = was

    def close(self) -> None:
        """Close every sink; then raise the first MachineError of any of them."""
        self.flush()
        self.on = False
        sinks, self.sinks[:] = list(self.sinks), []
        self._fan.sort((), False)
        failed: MachineError | None = None
        for sink in sinks:
            try:
                sink.close()
            except MachineError as error:
                failed = failed or error
        if failed is not None:
            raise failed
