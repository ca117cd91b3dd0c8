"""A stream of typed events: what happened, when, on which PE, in which world.

Emitters cost almost nothing while tracing is off::

    if trace.on:
        trace.emit(GptChange(pa=pa, size=GRANULE_SIZE, old=Gpi.NON_SECURE, new=Gpi.REALM), pe=pe)

An event becomes a record ``seq, time, pe, world, el, event`` followed by its fields in their written form. The classes
are in :mod:`cca_platform.trace.events`, the forms in :mod:`cca_platform.trace.forms`. Times are ticks of the system
counter. Nothing in a record depends on the host, so two runs with the same inputs write the same bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from cca_arch.types import SecurityState
from cca_platform.errors import MachineError
from cca_platform.trace.events import SCHEMA, Event, TraceStart
from cca_platform.trace.fan import Fan, LineSink, Sink
from cca_platform.trace.lines import Line, Record, Writers, record_of
from cca_platform.trace.tail import Tail
from cca_platform.version import __version__

if TYPE_CHECKING:
    from cca_platform.trace.door import Door, Processed

__all__ = ["WORLDS", "LineSink", "Record", "Sink", "Source", "Trace"]

_WORDS: Final = 5
"""What waits of each event: itself, its time, and PE, world and exception level."""
_MANY: Final = 256 * _WORDS
"""What waits is written when it has become so much."""
_LONG: Final = 0.02
"""Seconds that events wait at most while code runs: nobody who looks on sees a difference."""
_NAMES: Final = {
    SecurityState.SECURE: "secure",
    SecurityState.NON_SECURE: "ns",
    SecurityState.ROOT: "root",
    SecurityState.REALM: "realm",
}
WORLDS: Final = tuple(_NAMES[state] for state in sorted(_NAMES))
"""The names of the security states, by number."""
_WRITERS: Final = Writers()


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


class Trace:
    """The stream of one machine. It is off, and emits nothing, until a sink is added.

    ``clock`` gives the virtual time in ticks; the machine sets it. ``processors`` are structlog processors that see
    each record before it is written, for example to drop (``structlog.DropEvent``) or to annotate events.

    A sink gets each record at once. A file (a sink with ``write_lines``) gets events in batches: what happens between
    ``hold`` and ``release`` waits for each other, but not for long.
    """

    def __init__(self, *sinks: Sink, processors: tuple[Callable[..., Any], ...] = ()) -> None:
        self.on = False
        self.clock: Callable[[], int] = int
        self.sinks: list[Sink] = []
        self.keep: Callable[[BaseException], bool] = _raise
        """Takes what a sink or processor raises: True if it keeps it for later, and the emitter goes on."""
        self._seq = 0
        self._held = False
        self._direct = True
        """All sinks are files."""
        self._waiting: list[Any] = []
        """Events and their places, word by word: tuples of them would be work for the garbage collector."""
        self._due = 0.0
        """When it has waited long, by the host's clock."""
        self._tail = Tail()
        self._processors = processors
        self._fan = Fan(self.sinks, bool(processors), self._keep)
        self._door: Door | None = None
        self._processed: Processed | None = None
        for sink in sinks:
            self.add(sink)

    def _keep(self, error: BaseException) -> bool:
        """Ask whoever takes exceptions by then."""
        return self.keep(error)

    @property
    def seq(self) -> int:
        """The number of the next event."""
        return self._seq + len(self._waiting) // _WORDS

    @seq.setter
    def seq(self, number: int) -> None:
        self.flush()
        self._seq = number

    @property
    def tail(self) -> list[Record]:
        """The last records, for error reports."""
        self.flush()
        return self._tail.records()

    # -- sinks --------------------------------------------------------------------------------------------------------
    def add(self, sink: Sink) -> None:
        """Add ``sink``, which gets the head of the trace and all events from now on."""
        self.flush()
        head = TraceStart(schema=SCHEMA, realmlab=__version__)
        sink.write(record_of(_WRITERS[TraceStart](head, None, self.clock(), None, None, None)))
        if self._door is None:
            from cca_platform.trace.door import Door, Processed

            self._door = Door(self._fan)
            if self._processors:
                self._processed = Processed.by(self, self._processors, self._keep)
        self.sinks.append(sink)
        self._sorted()

    def remove(self, sink: Sink) -> None:
        """Remove ``sink``; without sinks, the trace is off."""
        self.flush()
        if sink in self.sinks:
            self.sinks.remove(sink)
        self._sorted()

    def _sorted(self) -> None:
        self._direct = not self._fan.others
        self.on = bool(self.sinks)

    def close(self) -> None:
        """Close every sink; then raise the first MachineError of any of them."""
        self.flush()
        self.on = False
        sinks, self.sinks[:] = list(self.sinks), []
        failed: MachineError | None = None
        for sink in sinks:
            try:
                sink.close()
            except MachineError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    # -- events -------------------------------------------------------------------------------------------------------
    def emit(
        self, event: Event, pe: Source | None = None, world: SecurityState | None = None, el: int | None = None
    ) -> None:
        """Emit an event; create and emit events only ``if trace.on``. Nothing in it may change any more.

        ``world`` and ``el`` default to those of ``pe``.
        """
        if not self.on:
            return
        if pe is None:
            what: tuple[Any, ...] = event, self.clock(), None, None, None
        else:
            place = WORLDS[pe.security if world is None else world]
            what = event, self.clock(), pe.index, place, pe.el if el is None else el
        if self._direct:
            self._waiting += what
            if not self._held:
                self.flush()
        else:
            self._pass_on(what)

    def _pass_on(self, what: tuple[Any, ...]) -> None:
        """Pass an event on to sinks that take records, or to processors."""
        (line,) = _lines(self.seq, what)
        if self._processed is not None:
            self._seq += 1
            self._processed.line(line)
            return
        record = record_of(line)
        if self._fan.files:
            self._waiting += what
        else:
            self._seq += 1
            self._tail.add(record)
        self._fan.record(record)
        if not self._held:
            self.flush()

    def processed(self, record: Record) -> None:
        """Pass on a record that processors have seen."""
        self._tail.add(record)
        self._fan.record(record)

    def flush(self) -> None:
        """Write what waits."""
        waiting = self._waiting
        if waiting:
            self._waiting = []
            first = self._seq
            self._seq = first + len(waiting) // _WORDS
            self._due = monotonic() + _LONG
            if self._door is not None:
                lines = _lines(first, waiting)
                self._tail.add(self._door.lines(lines), len(lines))

    def before_code(self) -> None:
        """Code is about to run: write what waits if it is much, or has waited long."""
        if self._waiting and (len(self._waiting) >= _MANY or monotonic() >= self._due):
            self.flush()

    def hold(self) -> bool:
        """Let events wait for each other until ``release``; False if they do already."""
        if self._held:
            if len(self._waiting) >= _MANY:
                self.flush()
            return False
        self._held = True
        return True

    def release(self) -> None:
        """Write what waits; nothing waits from now on."""
        self._held = False
        self.flush()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let the events inside the ``with`` block wait for each other."""
        outermost = self.hold()
        try:
            yield
        finally:
            if outermost:
                self.release()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Emit no events inside the ``with`` block, for example while a debugger inspects the machine."""
        was, self.on = self.on, False
        try:
            yield
        finally:
            self.on = was


def _lines(first: int, waiting: Sequence[Any]) -> list[Line]:
    """The lines of what has waited, numbered from ``first``."""
    words = iter(waiting)
    numbers = range(first, first + len(waiting) // _WORDS)
    return [
        _WRITERS[event.__class__](event, seq, time, pe, world, el)
        for seq, event, time, pe, world, el in zip(numbers, words, words, words, words, words, strict=True)
    ]
