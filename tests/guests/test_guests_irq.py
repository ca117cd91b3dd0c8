"""`irq`: a Realm that takes virtual interrupts of the host's GIC, through list registers that the RMM loads."""

import pytest

import realmlab
from cca_host.kvmtool import RunResult
from realmlab import Listing, Trace

SGI1R_WRITE = 0x18 << 26 | 1 << 25 | 3 << 20 | 5 << 17 | 12 << 10 | 11 << 1  # EC, IL, encoding; Rt is not given


def _run(vcpus: int, listing: Listing | None = None) -> RunResult:
    with realmlab.Machine(trace=None if listing is None else Trace(listing)) as machine:
        return machine.run_realm("irq", args=(str(vcpus),), vcpus=vcpus, max_insns=20_000_000)


class TestInterrupts:
    """Everything that the payload checks."""

    @pytest.mark.parametrize(("vcpus", "checks"), [(1, 19), (2, 22), (4, 24), (8, 28)])
    def test_checks(self, vcpus: int, checks: int) -> None:
        """All of them hold, on any number of vCPUs."""
        result = _run(vcpus)
        lines = result.console.decode().splitlines()
        assert [line for line in lines if not line.startswith("PASS ")] == [f"{checks} passed, 0 failed"]
        assert (result.status, result.reason, result.granules_dirty) == (0, "exit", 0)

    def test_what_the_host_sees(self) -> None:
        """GIC registers by emulated MMIO, SGIs by trapped writes, the timers by interrupts; two runs are the same."""
        listing = Listing()
        _run(2, listing)
        exits = [record for record in listing if record["event"] == "rec.exit"]
        sgis = [record for record in exits if record["esr"] == hex(SGI1R_WRITE)]
        assert len(sgis) >= 13
        timers = [record for record in listing if record["event"] == "interrupt.take" and record["el"] == 1]
        assert len(timers) >= 3
        injected = {int(lr, 16) & 0xFFFF for record in listing if "lrs" in record for lr in record["lrs"]}
        assert injected == {0, *range(1, 12), 27, 30, 40}
        devices = {record["device"] for record in listing if record["event"].startswith("mmio.")}
        assert "gic" in devices
        again = Listing()
        _run(2, again)
        assert again == listing
