"""A stream of typed events: what happened, when, on which PE, in which world.

Emitters cost almost nothing while tracing is off::

    if trace.on:
        trace.emit(GptChange(pa=pa, size=GRANULE_SIZE, old=Gpi.NON_SECURE, new=Gpi.REALM), pe=pe)

An event becomes a record ``seq, time, pe, world, el, event`` followed by its fields in their written form. The classes
are in :mod:`cca_platform.trace.events`, the forms in :mod:`cca_platform.trace.forms`. Times are ticks of the system
counter. Nothing in a record depends on the host, so two runs with the same inputs write the same bytes.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, Protocol

from cca_arch.types import SecurityState
from cca_platform.errors import MachineError
from cca_platform.trace.events import SCHEMA, Event, TraceStart, name_of
from cca_platform.trace.forms import UNSET, Written, fields_of
from cca_platform.version import __version__

__all__ = ["WORLDS", "Record", "Sink", "Source", "Trace"]

Record = dict[str, Any]
_TAIL: Final = 200

WORLDS = {
    SecurityState.SECURE: "secure",
    SecurityState.NON_SECURE: "ns",
    SecurityState.ROOT: "root",
    SecurityState.REALM: "realm",
}


class Sink(Protocol):
    """Takes finished records in order; ``close`` raises MachineError if some could not be kept."""

    def write(self, record: Record) -> None:
        """Take a record."""

    def close(self) -> None:
        """End the stream."""


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


@cache
def _plan(event: type[Event]) -> tuple[str, tuple[tuple[str, Written], ...]]:
    """The written form of an event type: its name, and the form of each field."""
    return name_of(event), tuple((field.name, field.written) for field in fields_of(event))


def to_words(logger: object, method: str, record: Record) -> Record:
    """The first structlog processor: converts the typed event in ``event`` to its written form."""
    event: Event = record["event"]
    record["event"], plan = _plan(type(event))
    for name, written in plan:
        value = getattr(event, name)
        if value is not UNSET:
            record[name] = written(value)
    return record


def to_sinks(logger: object, method: str, record: Record) -> tuple[tuple[Record], dict[str, Any]]:
    """The last structlog processor: passes the record on unchanged."""
    return (record,), {}


def _raise(error: BaseException) -> bool:
    """Keep no exception."""
    return False


class _Fan:
    """The structlog logger, which passes records to every sink."""

    def __init__(self, trace: "Trace") -> None:
        self.trace = trace

    def msg(self, record: Record) -> None:
        trace = self.trace
        trace.tail.append(record)
        for sink in tuple(trace.sinks):  # one may take itself away
            try:
                sink.write(record)
            except BaseException as error:
                if not trace.keep(error):
                    raise


class Trace:
    """The stream of one machine. It is off, and emits nothing, until a sink is added.

    ``clock`` gives the virtual time in ticks; the machine sets it. ``processors`` are structlog processors that see
    each record before it is written, for example to drop (``structlog.DropEvent``) or to annotate events.
    """

    def __init__(self, *sinks: Sink, processors: tuple[Callable[..., Any], ...] = ()) -> None:
        self.on = False
        self.clock: Callable[[], int] = int
        self.seq = 0
        self.sinks: list[Sink] = []
        self.tail: deque[Record] = deque(maxlen=_TAIL)
        """The last records, for error reports."""
        self.keep: Callable[[BaseException], bool] = _raise
        """Takes what a sink or processor raises: True if it keeps it for later, and the emitter goes on."""
        self._processors = processors
        self._log: Any = None
        for sink in sinks:
            self.add(sink)

    def add(self, sink: Sink) -> None:
        """Add ``sink``, which gets the head of the trace and all events from now on."""
        self.sinks.append(sink)
        head = {"seq": None, "time": self.clock(), "pe": None, "world": None, "el": None}
        sink.write(to_words(None, "", {**head, "event": TraceStart(schema=SCHEMA, realmlab=__version__)}))
        if self._log is None:
            import structlog  # takes 80 ms, which a run without a trace saves

            processors: list[Any] = [
                to_words,
                *(self._guarded(one, structlog.DropEvent) for one in self._processors),
                to_sinks,
            ]
            self._log = structlog.BoundLoggerBase(_Fan(self), processors, {})._proxy_to_logger
        self.on = True

    def _guarded(self, processor: Callable[..., Any], drop: type[BaseException]) -> Callable[..., Any]:
        """The processor of a user: a record that it fails on goes on as it is, if the exception is kept."""

        def process(logger: object, method: str, record: Record) -> Any:
            try:
                return processor(logger, method, record)
            except drop:
                raise
            except BaseException as error:
                if not self.keep(error):
                    raise
                return record

        return process

    def remove(self, sink: Sink) -> None:
        """Remove ``sink``; without sinks, the trace is off."""
        if sink in self.sinks:
            self.sinks.remove(sink)
        self.on = bool(self.sinks)

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
        if pe is None:
            self._log("msg", event, seq=seq, time=self.clock(), pe=None, world=None, el=None)
            return
        place = WORLDS[pe.security if world is None else world]
        self._log("msg", event, seq=seq, time=self.clock(), pe=pe.index, world=place, el=pe.el if el is None else el)

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
