"""Payloads on the default board, where ten instructions are a tick of the system counter, and on one where one is."""

from pathlib import Path

import pytest
from exact import exact_file

import realmlab
from cca_rmm.costs import SCRUB
from realmlab import Listing, RunResult, Trace


@pytest.fixture
def board(tmp_path: Path) -> str:
    """The file of a board that takes one."""
    return str(exact_file(tmp_path))


def run(payload: str, board: str, vcpus: int = 1, limit: int | None = None) -> tuple[RunResult, Listing]:
    """A run of a payload in a Realm, and its trace."""
    listing = Listing()
    with realmlab.Machine(board=board, trace=Trace(listing)) as machine:
        return machine.run_realm(payload, vcpus=vcpus, max_insns=limit), listing


class TestTenToATick:
    """Ten instructions to a tick."""

    @pytest.mark.parametrize("payload", ["hello", "irq", "uart"])
    def test_passes(self, board: str, payload: str) -> None:
        """The payload says what it says where an instruction is a tick, and time is a tenth, idle time apart."""
        slow, fast = (run(payload, name)[0] for name in ("fvp", board))
        assert slow.status == fast.status == 0
        assert slow.console.count(b"PASS") == fast.console.count(b"PASS")
        assert slow.ticks < fast.ticks

    def test_time(self) -> None:
        """Without idle time the counter takes exactly a tenth of the instructions, up to a limit in instructions.

        The granules that the Host delegates meanwhile are scrubbed, which takes its own time.
        """
        result, listing = run("compute", "fvp", limit=1_000_000)
        assert result.reason == "limit"
        assert 1_000_000 <= result.instructions < 1_000_100
        events = [(record["event"], record.get("cmd")) for record in listing]
        first = events.index(("rec.enter", None))
        last = len(events) - events[::-1].index(("rec.exit", None))
        scrubbed = events[first:last].count(("rmi.call", "GRANULE_DELEGATE"))
        work = scrubbed * (SCRUB * result.counter_hz // 1_000_000_000)
        assert result.ticks - work == result.instructions // 10

    def test_repeatable(self, board: str) -> None:
        """Two runs are the same to the last event, with time slices, and two PEs."""
        assert list(run("irq", board, 2)[1]) == list(run("irq", board, 2)[1])
