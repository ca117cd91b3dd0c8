"""Several vCPUs: what `smp` finds out about PSCI, and a Host that refuses."""

import pytest

import realmlab
from cca_arch.psci import PsciStatus
from cca_host.kvmtool import RunOptions, RunResult, run_realm
from cca_platform.errors import MachineError
from realmlab import Listing, Trace, find_payload


def _run(listing: Listing | None = None, vcpus: int = 4, denied: tuple[int, ...] = ()) -> RunResult:
    with realmlab.Machine(trace=None if listing is None else Trace(listing)) as machine:
        options = RunOptions(payload=find_payload("smp"), vcpus=vcpus, deny_cpu_on=denied, max_insns=50_000_000)
        return run_realm(machine.host, options)


@pytest.fixture(scope="module")
def denied() -> tuple[RunResult, Listing]:
    """A run with 4 vCPUs, the third of which must not start."""
    listing = Listing()
    return _run(listing, denied=(2,)), listing


class TestSmp:
    @pytest.mark.parametrize("vcpus", [4, 8])
    def test_ends_by_system_off(self, vcpus: int) -> None:
        """All vCPUs count, one comes back, and the Realm turns itself off."""
        result = _run(vcpus=vcpus)
        assert (result.status, result.reason, result.message) == (0, "system_off", "")
        assert result.console.decode() == f"smp: {vcpus} vCPUs counted to {vcpus}000\nsmp: vCPU 1 came back\n"

    def test_psci_calls(self, denied: tuple[RunResult, Listing]) -> None:
        """Every CPU_ON and AFFINITY_INFO that needs the Host is completed; each vCPU turns itself off."""
        result, listing = denied
        calls = [record["cmd"] for record in listing if record["event"] == "psci.call"]
        asked = calls.count("CPU_ON") + calls.count("AFFINITY_INFO")
        assert result.calls["RMI_PSCI_COMPLETE"] == asked - 1  # CPU_ON of a vCPU that does not exist stays in the RMM
        assert calls.count("CPU_OFF") == 3  # vCPUs 1 and 3, and vCPU 1 again
        assert calls[-1] == "SYSTEM_OFF"


class TestDenial:
    def test_the_realm_sees_it(self, denied: tuple[RunResult, Listing]) -> None:
        """The Realm is told DENIED, the others go on, and the vCPU never runs."""
        result, listing = denied
        assert (result.status, result.reason) == (0, "system_off")
        assert result.console.decode().splitlines() == [
            "smp: vCPU 2 is denied",
            "smp: 3 vCPUs counted to 3000",
            "smp: vCPU 1 came back",
        ]
        answers = [record["args"] for record in listing if record.get("cmd") == "PSCI_COMPLETE" and "args" in record]
        refused = {args["target_rec"] for args in answers if args["status"] == hex(PsciStatus.DENIED)}
        entered = {record["rec"] for record in listing if record["event"] == "rec.enter"}
        assert len(refused) == 1
        assert len(entered) == 3
        assert not refused & entered

    def test_two_runs_are_the_same(self, denied: tuple[RunResult, Listing]) -> None:
        """Two runs give identical traces."""
        listing = Listing()
        _run(listing, denied=(2,))
        assert listing == denied[1]

    def test_everyone_denied(self) -> None:
        """A Realm that gets no other vCPU does it alone."""
        result = _run(vcpus=3, denied=(1, 2))
        assert result.status == 0
        assert result.console.decode().splitlines()[-1] == "smp: 1 vCPUs counted to 1000"

    @pytest.mark.parametrize("index", [-1, 4])
    def test_no_such_vcpu(self, index: int) -> None:
        """A vCPU that does not exist cannot be denied."""
        with pytest.raises(MachineError, match=f"`deny_cpu_on` must name vCPUs 0 to 3, not {index}"):
            _run(denied=(index,))
