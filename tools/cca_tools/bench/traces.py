"""Rows of the trace."""

from cca_tools.bench.rig import PAYLOAD, Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import best

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


ROWS = (Row("trace-off", "trace off, cost", "% of run", 2, 0.5, _trace_off),)
