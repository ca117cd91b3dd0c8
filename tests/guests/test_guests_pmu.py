"""`pmu`: a Realm that counts with its performance monitors, and takes their interrupt from the host."""

import pytest

import realmlab
from cca_arch.gic import Ppi
from cca_host.kvmtool import RunResult
from realmlab import Listing, Trace

CHECKS = {None: 1, 1: 21, 2: 24, 6: 24}
"""Event counters of the Realm, and how many checks the payload makes."""


def _run(counters: int | None, listing: Listing | None = None) -> RunResult:
    with realmlab.Machine(trace=None if listing is None else Trace(listing)) as machine:
        return machine.run_realm("pmu", pmu_counters=counters, max_insns=5_000_000)


class TestPayload:
    """Everything that the payload checks."""

    @pytest.mark.parametrize("counters", CHECKS)
    def test_checks(self, counters: int | None) -> None:
        """All of them hold, with any number of counters and without a PMU."""
        result = _run(counters)
        lines = [line for line in result.console.decode().splitlines() if not line.startswith("PASS ")]
        expected = [f"{CHECKS[counters]} passed, 0 failed"]
        assert lines == ([] if counters is None else [f"PMU version 6, {counters} counters"]) + expected
        assert (result.status, result.reason, result.granules_dirty) == (0, "exit", 0)

    def test_what_the_host_sees(self) -> None:
        """An overflow exits with IRQ; the host injects PPI 23 while it is asserted. It is repeatable."""
        listing = Listing()
        _run(6, listing)
        taken = [record for record in listing if record["event"] == "interrupt.take" and record["intid"] == Ppi.PMU]
        assert [record["virtual"] for record in taken] == [False, True] * 2
        again = Listing()
        _run(6, again)
        assert again == listing

    def test_at_any_instruction(self) -> None:
        """A run that pauses and goes on all the time counts the same."""
        whole = _run(6)
        with realmlab.Machine() as machine:
            realm = machine.realm("pmu", pmu_counters=6)
            while not realm.ended:
                realm.run(max_insns=997)
            assert realm.console == whole.console
