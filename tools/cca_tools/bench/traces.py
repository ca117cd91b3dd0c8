"""Rows of the trace."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from cca_tools.bench.rig import PAYLOAD, Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import BATCHES, Took, Watch, best, least

__all__ = ["ROWS"]


def _trace_off(bench: Bench) -> float:
    """The cost of the ``if trace.on`` checks in a run of the payload, as a share of its time."""
    from cca_platform.trace.sinks import Listing
    from cca_platform.trace.trace import Trace
    from realmlab.machine import Machine

    listing, count = Listing(), 100_000
    with Machine(trace=Trace(listing)) as machine:
        machine.run_realm(PAYLOAD)
    trace = Trace()

    def ask() -> None:
        for _ in range(count):
            if trace.on:
                raise AssertionError

    run = bench.machine.run_realm
    run(PAYLOAD)
    return 100 * len(listing) * best(ask, count).cpu / best(lambda: run(PAYLOAD)).cpu


_SUITE: Final = (("smcstorm", ("200",)), ("rsi", ()))
"""Payloads that do nothing but call: their Realms are built, make calls of every kind, and are destroyed."""


class _Suite(NamedTuple):
    """What the suite takes without a trace and with one in a file, and how many events it has."""

    off: Took
    on: Took
    events: int


def _suite(bench: Bench) -> _Suite:
    """Run the suite with and without a trace, in turn."""
    from cca_platform.trace.sinks import JsonLines

    machine, offs, ons, events = bench.machine, [], [], 0
    trace = machine.trace

    def run() -> Took:
        watch = Watch()
        for payload, args in _SUITE:
            machine.run_realm(payload, args=args)
        return watch.took()

    run()
    with TemporaryDirectory() as folder:
        for batch in range(BATCHES):
            offs.append(run())
            sink, first = JsonLines(Path(folder, f"{batch}.jsonl")), trace.seq
            trace.add(sink)
            ons.append(run())
            events = trace.seq - first
            trace.remove(sink)
            sink.close()
    return _Suite(least(offs), least(ons), events)


def _event(bench: Bench) -> Took:
    off, on, events = _suite(bench)
    return on.without(off).each(events)


def _calls(bench: Bench) -> float:
    off, on, _ = _suite(bench)
    return 100 * (on.cpu / off.cpu - 1)


ROWS = (
    Row("trace-event", "trace on: an event", "us", 5, 3, _event),
    Row("trace-calls", "trace on: payloads that do nothing but call", "% more", 60, 30, _calls),
    Row("trace-off", "trace off, cost", "% of run", 2, 0.5, _trace_off),
)
