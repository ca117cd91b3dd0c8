"""The payloads of Non-secure EL2 run as BL33 of their board, with the real firmware and RMM around them."""

from contextlib import suppress

import pytest

from cca_arch.rmi.v1_0 import Rmi
from cca_firmware.boot import boot
from cca_platform.board import Board
from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import InstructionLimit
from cca_platform.machine.machine import Machine
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.objects import rtt
from cca_rmm.objects.granule import Granules
from cca_rmm.rmm import Rmm
from realmlab import find_payload

_WORLDS = ("Secure", "Realm", "Root")
_WAYS = ("load from", "store to", "fetch from")
OUTPUT = {
    "ns_rmi": "ns_rmi: 1000 calls of RMI_VERSION, 0 wrong\n",
    "ns_gpf": "".join(f"GPF  {way} {world} memory\n" for world in _WORLDS for way in _WAYS) + "ns_gpf: 0 wrong\n",
}


def _boot(payload: str, listing: Listing | None = None) -> Machine:
    """A machine with the payload as BL33."""
    board = "virt" if payload.endswith("_virt") else "fvp"
    machine = Machine(Board.load(board), trace=None if listing is None else Trace(listing))
    boot(machine, rmm=Rmm(machine), ns_image=find_payload(payload).read_bytes())
    return machine


def _go(machine: Machine, max_insns: int = 10_000_000) -> tuple[str, int]:
    """Run to the end, or the limit: what UART0 sent, and the clock."""
    with suppress(InstructionLimit):
        machine.run(max_insns=max_insns)
    uart = machine.bus.devices["uart0"]
    assert isinstance(uart, Pl011)
    return bytes(uart.output).decode(), machine.clock.now


def _run(payload: str, listing: Listing | None = None) -> tuple[str, int]:
    """Boot the payload and run it to its end."""
    machine = _boot(payload, listing)
    try:
        return _go(machine)
    finally:
        machine.close()


def _traced(payload: str) -> tuple[str, int, Listing]:
    listing = Listing()
    return *_run(payload, listing), listing


class TestNonSecure:
    @pytest.mark.parametrize("payload", OUTPUT)
    def test_output_and_trace(self, payload: str) -> None:
        """A payload at NS-EL2 sees the worlds as it should, ends by SYSTEM_OFF, and two runs are the same."""
        output, ticks, listing = _traced(payload)
        assert output == OUTPUT[payload]
        assert _traced(payload) == (output, ticks, listing)


@pytest.fixture(scope="module")
def first() -> tuple[str, int, Listing]:
    """The first run of `rmi`."""
    return _traced("rmi")


class TestRmi:
    """`rmi` is a Host of its own: it checks what the RMM answers and what the Realm it builds tells it."""

    def test_every_check_holds(self, first: tuple[str, int, Listing]) -> None:
        """All 23 commands succeed and (but FEATURES) fail as they should; no check fails."""
        output, *_ = first
        assert [line for line in output.splitlines() if not line.startswith("PASS ")] == [
            f"rmi: {len(Rmi)} commands, 523 passed, 0 failed"
        ]

    def test_on_virt(self) -> None:
        """Its sources, built for the addresses of the virt board, check the same there."""
        output, _ = _run("rmi_virt")
        assert output.splitlines()[-1] == f"rmi: {len(Rmi)} commands, 523 passed, 0 failed"

    @pytest.mark.parametrize("register", ["X5 to X30 survive every REC_ENTER", "V0 to V31 do"])
    def test_registers_are_its_own(self, first: tuple[str, int, Listing], register: str) -> None:
        """What the Host has in its registers is there after each REC_ENTER, and nothing of the Realm."""
        assert f"PASS {register}" in first[0].splitlines()

    def test_every_command_in_the_trace(self, first: tuple[str, int, Listing]) -> None:
        """The trace has each command by SMC from Non-secure code, with its answer."""
        assert {record["cmd"] for record in first[2] if record["event"] == "rmi.call"} == {fid.name for fid in Rmi}
        answers = {(record["cmd"], record["status"]) for record in first[2] if record["event"] == "rmi.return"}
        assert not [fid.name for fid in Rmi if (fid.name, "SUCCESS") not in answers]

    def test_two_runs_are_the_same(self, first: tuple[str, int, Listing]) -> None:
        """Two runs give identical traces; without a trace the same happens at the same time."""
        assert _traced("rmi") == first
        assert _run("rmi") == first[:2]

    @pytest.mark.parametrize("piece", [997, 60_000])
    def test_in_pieces(self, first: tuple[str, int, Listing], piece: int) -> None:
        """A run in pieces is the same run: a PE has the rest of its turn, and then the next one its own."""
        listing = Listing()
        machine = _boot("rmi", listing)
        for _ in range(1_000_000 // piece):
            output, ticks = _go(machine, piece)
        machine.close()
        assert (output, ticks, listing) == first

    @pytest.mark.parametrize("after", [200_000, 430_000, 700_000], ids=["build", "run", "two PEs"])
    def test_snapshot(self, after: int) -> None:
        """From a snapshot in the middle, with two PEs one of which runs the Realm too, it ends the same each time."""
        machine = _boot("rmi")
        _go(machine, after)
        snapshot = machine.snapshot()
        ends = []
        for _ in range(2):
            ends.append(_go(machine))
            machine.restore(snapshot)
        machine.close()
        assert ends[0] == ends[1]
        assert ends[0][0].endswith(" 0 failed\n")


@pytest.mark.pure("what must not be left out is patched")
class TestOmissions:
    """What the RMM has to do for its Host and its Realms, `rmi` notices when it is not done."""

    def test_tlb(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the invalidation of DATA_DESTROY, a vCPU on another PE keeps the page that was taken from it."""
        monkeypatch.setattr(rtt, "invalidate", lambda *_: None)
        output, _ = _run("rmi")
        assert output.endswith("PASS DATA_DESTROY of a page that it uses\nPASS DATA_DESTROY gives the page back\n")

    def test_host_registers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the Host's own register file, it finds what the Realm left."""
        monkeypatch.setattr(Rmm, "restore_host", lambda *_: None)
        output, _ = _run("rmi")
        lost = [line.split()[1] for line in output.splitlines() if line.endswith(" did not survive an entry")]
        assert {"sp_el1", "vbar_el1", "tpidr_el0", "ttbr0_el1", "sctlr_el1"} <= set(lost)
        assert "FAIL V0 to V31 do" in output

    def test_scrubbing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without scrubbing, a granule comes back with what was in it."""
        monkeypatch.setattr(Granules, "release", lambda self, pe, pa, command: self.move(pe, pa, command))
        output, _ = _run("rmi")
        assert "FAIL and is zero" in output
