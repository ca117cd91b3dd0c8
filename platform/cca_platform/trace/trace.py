"""One stream of typed events: what happened, when, on which PE, in which world.

Whoever emits pays nothing while tracing is off::

    if trace.on:
        trace.emit("rmi.return", pe=pe, cmd="REALM_CREATE", status="RMI_SUCCESS")

An event is a record ``seq, time, pe, world, el, event`` followed by the fields of its row in :data:`EVENTS`. Times are
ticks of the machine's counter. Addresses and registers are passed as ints and become strings ``"0x..."``; the fields
of :data:`DECIMAL` stay numbers; members of an Enum become their names; bytes become hex digits. Nothing in a record
depends on the host, so two runs with the same inputs give the same bytes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cca_arch.types import SecurityState
from cca_platform.errors import MachineError

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["DECIMAL", "EVENTS", "WORLDS", "EventType", "Record", "Sink", "Trace"]

Record = dict[str, Any]


class EventType(NamedTuple):
    """A row of the catalogue: the fields that an event of this name may carry, and what it means."""

    fields: tuple[str, ...]
    meaning: str


EVENTS: dict[str, EventType] = {
    "run.start": EventType(
        ("board", "payload", "vcpus", "memory", "clock", "reason", "args"), "a payload is about to be built and run"
    ),
    "run.stop": EventType(("reason", "status", "instructions"), "the run is over and everything is torn down"),
    "boot.stage": EventType(("stage", "entry", "status", "version"), "a stage of the trusted boot begins or answers"),
    "boot.image": EventType(
        ("image", "pa", "size", "algorithm", "digest", "version"), "a boot image was loaded, checked and measured"
    ),
    "smc.call": EventType(("fid", "name", "args"), "an SMC reached the root monitor"),
    "smc.return": EventType(("fid", "name", "results"), "the root monitor returned to the caller of an SMC"),
    "world.switch": EventType(("source", "target", "reason"), "EL3 moved the PE from one security state to another"),
    "gpt.change": EventType(
        ("pa", "size", "old", "new", "gpi", "status", "count"), "EL3 changed the GPT entry of granules"
    ),
    "granule.transition": EventType(
        ("pa", "old", "new", "input", "cmd"), "the RMM moved a granule from one state to another"
    ),
    "rtt.edit": EventType(
        ("rd", "ipa", "level", "old", "new", "rtt", "cmd", "ripas", "state", "pa"), "the RMM changed an RTT entry"
    ),
    "rmi.call": EventType(("fid", "cmd", "args"), "the host called an RMI command"),
    "rmi.return": EventType(
        ("fid", "cmd", "status", "index", "results", "failed"), "an RMI command returned to the host"
    ),
    "rsi.call": EventType(("fid", "cmd", "args", "rec"), "a Realm called an RSI command"),
    "rsi.return": EventType(
        ("fid", "cmd", "status", "results", "failed", "rec"), "an RSI command returned to the Realm"
    ),
    "psci.call": EventType(("fid", "cmd", "args", "status", "rec"), "a PSCI function was called"),
    "rec.enter": EventType(("rec", "rd", "run", "pc", "flags"), "the RMM enters a REC"),
    "rec.exit": EventType(
        ("rec", "rd", "run", "reason", "pc", "esr", "far", "hpfar", "imm", "ipa"), "a REC exits to the host"
    ),
    "measurement.extend": EventType(
        ("rd", "index", "algorithm", "kind", "digest", "value", "ipa"), "a Realm's RIM or REM was extended"
    ),
    "fault.stage2": EventType(
        ("ipa", "va", "pc", "esr", "far", "hpfar", "access", "level", "fault", "rec"), "a stage 2 fault was taken"
    ),
    "fault.gpf": EventType(("pa", "va", "pc", "esr", "access", "pas", "gpi", "level"), "a granule protection fault"),
    "exception.take": EventType(
        ("kind", "esr", "far", "hpfar", "elr", "spsr", "target", "vector"), "an exception was taken to a vector"
    ),
    "interrupt.inject": EventType(
        ("rec", "hcr", "lrs"), "the host puts other virtual interrupts into the list registers of a REC"
    ),
    "interrupt.take": EventType(("kind", "intid", "elr", "target", "virtual", "reason"), "an interrupt was taken"),
    "console.write": EventType(("device", "text", "size"), "a guest wrote to a console"),
    "mmio.read": EventType(("device", "address", "size", "value"), "a device register was read"),
    "mmio.write": EventType(("device", "address", "size", "value"), "a device register was written"),
    "bus.unclaimed": EventType(
        ("device", "address", "size", "access", "pas", "response"),
        "the first access to a place that no device claims, by the name of the window or by the address of the page",
    ),
    "smmu.abort": EventType(
        ("device", "stream", "iova", "access", "fault", "gpf", "pa"),
        "an SMMU terminated a device's access, or granule protection refused one of its own to a table or queue",
    ),
    "system.reset": EventType(("reason",), "the machine was reset: DRAM but for nonvolatile memory is lost"),
}
"""The catalogue: every event that can be in the stream."""

DECIMAL = frozenset(
    {"seq", "time", "pe", "el", "vcpus", "memory", "status", "instructions", "level", "index", "count", "intid"}
)
"""Fields whose ints are numbers; every other int is an address, a size or a register, written in hexadecimal."""

WORLDS = {
    SecurityState.SECURE: "secure",
    SecurityState.NON_SECURE: "ns",
    SecurityState.ROOT: "root",
    SecurityState.REALM: "realm",
}

_HEAD = ("seq", "time", "pe", "world", "el", "event")
_KNOWN = {name: frozenset(row.fields) for name, row in EVENTS.items()}


class Sink(Protocol):
    """Where records go: the ready record, in order; ``close`` reports what could not be kept as a MachineError."""

    def write(self, record: Record) -> None:
        """Take a record."""

    def close(self) -> None:
        """The stream is over."""


def _word(value: Any) -> Any:
    """``value`` as it stands in a record when its field is no number."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): _word(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_word(item) for item in value]
    return value if isinstance(value, str) else str(value)


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, int) and not isinstance(value, Enum) else _word(value)


def to_words(logger: object, method: str, record: Record) -> Record:
    """A structlog processor: the record in its written form and order."""
    words = dict.fromkeys(_HEAD)
    for key, value in record.items():
        words[key] = hex(value) if key == "fid" else _number(value) if key in DECIMAL else _word(value)
    return words


def to_sinks(logger: object, method: str, record: Record) -> tuple[tuple[Record], dict[str, Any]]:
    """The last structlog processor: hand the record over as it is."""
    return (record,), {}


class _Fan:
    """The structlog logger that gives a record to every sink."""

    def __init__(self, sinks: list[Sink]) -> None:
        self.sinks = sinks

    def msg(self, record: Record) -> None:
        for sink in self.sinks:
            sink.write(record)


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
        self._processors = processors
        self._log: Any = None
        for sink in sinks:
            self.add(sink)

    def add(self, sink: Sink) -> None:
        """Send the events from now on to ``sink`` too."""
        self.sinks.append(sink)
        if self._log is None:
            import structlog  # 80 ms that a run without a trace does not pay

            processors: list[Any] = [to_words, *self._processors, to_sinks]
            self._log = structlog.BoundLoggerBase(_Fan(self.sinks), processors, {})._proxy_to_logger
        self.on = True

    def emit(self, name: str, /, pe: "Pe | None" = None, **fields: Any) -> None:
        """Add an event of the catalogue; call it only ``if trace.on``.

        ``world`` and ``el`` are those of ``pe`` unless they are among ``fields``. ValueError for a name or a field
        that the catalogue does not have.
        """
        if not self.on:
            return
        known = _KNOWN.get(name)
        if known is None:
            raise ValueError(f"trace event must be one of the catalogue, not {name!r}")
        record: Record = {"seq": self.seq, "time": self.clock(), "pe": None, "world": None, "el": None}
        if pe is not None:
            record["pe"], record["world"], record["el"] = pe.index, WORLDS[pe.security], pe.el
        for key, value in fields.items():
            if key not in known and key not in record:
                raise ValueError(f"a field of trace event {name} must be one of {sorted(known)}, not {key!r}")
            record[key] = value
        self.seq += 1
        self._log("msg", name, **record)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No events inside the ``with`` block, for instance while a debugger looks around."""
        was, self.on = self.on, False
        try:
            yield
        finally:
            self.on = was

    def close(self) -> None:
        """Close every sink; the first MachineError of one of them is raised when all are closed."""
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
