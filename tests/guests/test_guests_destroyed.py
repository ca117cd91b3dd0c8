"""`destroyed`: the Host takes pages away from a Realm that runs, and tries to go on."""

from collections.abc import Iterator

import pytest
from calls import call

import realmlab
from cca_arch.rmi.v1_0 import RecExitReason, Rmi, RmiRecExit, RmiRipas, RmiRttEntryState
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm import Failure, HostCall, System, Vcpu
from cca_host.kvmtool import RunOptions, Vmm
from cca_platform.gic.virtual import VMCR_RESET
from realmlab import find_payload

DATA_ABORT, INSTRUCTION_ABORT = 0x24 << 26, 0x20 << 26
TRANSLATION_3 = 0x07
WAYS = ("load", "store", "pair", "exclusive", "fetch", "walk", "config", "call")


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """The host of one machine; every run takes its Realm down again."""
    with realmlab.Machine() as machine:
        yield machine.host


class Run:
    """A Realm that runs `destroyed`, step by step."""

    def __init__(self, system: System, way: str) -> None:
        self.system = system
        self.vmm = Vmm(system, RunOptions(payload=find_payload("destroyed"), args=(way,)))
        self.vmm.build()
        assert self.vmm.vm is not None
        self.vm = self.vmm.vm
        self.pages: list[int] = []

    @property
    def vcpu(self) -> Vcpu:
        """Its only vCPU."""
        return self.vmm.vcpus[0]

    def until(self, line: str) -> str:
        """Serve the Realm until it prints a line that starts so: the line. It has not gone on since."""
        while True:
            found = [text for text in self.console.splitlines() if text.startswith(line)]
            if found:
                return found[0]
            end = self.vcpu.run()
            assert isinstance(end, HostCall), end
            self.vmm.console.host_call(self.vcpu, end)

    @property
    def console(self) -> str:
        """What it printed."""
        return bytes(self.vmm.console.sent).decode()

    def destroy(self) -> None:
        """Take away the pages that the Realm names."""
        self.pages = [int(word, 16) for word in self.until("destroy").split()[1:]]
        for page in self.pages:
            self.vm.stage2.destroy_data(page, page + GRANULE_SIZE)

    def enter(self) -> bytes:
        """RMI_REC_ENTER: the exit half of the run page."""
        assert call(self.system.pe, Rmi.REC_ENTER, self.vcpu.rec, self.vcpu.run_page)[0] == 0
        return self.system.port.read(self.vcpu.run_page + GRANULE_SIZE - RmiRecExit.size, RmiRecExit.size)

    def entry(self, page: int) -> tuple[int, int]:
        """HIPAS and RIPAS of a page."""
        _, level, state, _, ripas = self.system.rmi(Rmi.RTT_READ_ENTRY, self.vm.rd, page, 3)
        assert level == 3
        return state, ripas


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the Realm touches the page."""
    value: str = request.param
    return value


@pytest.fixture
def run(system: System, way: str) -> Iterator[Run]:
    """A Realm that is about to touch a page that is gone."""
    run = Run(system, way)
    run.destroy()
    run.until("touching")
    yield run
    run.vmm.destroy()
    assert (system.delegated, system.dirty) == (0, 0)


class TestDestroyed:
    def test_exit(self, run: Run, way: str) -> None:
        """The Host gets a data or instruction abort of that page, and not a byte more."""
        esr = (INSTRUCTION_ABORT if way == "fetch" else DATA_ABORT) | TRANSLATION_3
        hpfar = run.pages[1] >> 12 << 4
        expected = RmiRecExit.pack(
            exit_reason=RecExitReason.SYNC, esr=esr, hpfar=hpfar, gicv3_vmcr=VMCR_RESET
        )  # fmt: skip
        assert run.enter() == expected

    def test_no_remedy(self, run: Run) -> None:
        """Another page does not help: the entry is ASSIGNED then, and DESTROYED all the same."""
        page, first = run.pages[1], run.enter()
        assert run.entry(page) == (RmiRttEntryState.UNASSIGNED, RmiRipas.DESTROYED)
        assert run.vm.stage2.fault_in(page)
        assert run.entry(page) == (RmiRttEntryState.ASSIGNED, RmiRipas.DESTROYED)
        assert run.enter() == first
        end = run.vcpu.run()
        assert isinstance(end, Failure)
        assert f"IPA {page:#x}, which is mapped with RIPAS DESTROYED" in end.message

    def test_the_realm_knows(self, run: Run) -> None:
        """The Realm sees the RIPAS, and makes a page RAM again, zero, when it allows that."""
        lines = run.console.splitlines()
        assert not [line for line in lines if line.startswith("FAIL")]
        assert "PASS what is DESTROYED stays so" in lines
        assert "PASS and zero" in lines


class TestUntouched:
    def test_a_host_that_destroys_nothing(self) -> None:
        """Under the ordinary VMM the payload has nothing to see."""
        with realmlab.Machine() as machine:
            result = machine.run_realm("destroyed")
        assert result.status == 0
        assert b"nobody destroyed anything" in result.console
