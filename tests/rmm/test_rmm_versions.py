"""Versions as objects: two side by side in one process, and two in one RMM, of which the Host chooses one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from rmm_host import PAGE, RAM, Host, Nobody, Realm, machine_host, to_code
from rmm_next_version import NEXT, Next, NextStatus

from cca_arch.el3 import RMM_EL3_VERSION, RMM_EL3_VERSION_2, BootCode
from cca_arch.rmi.v1_0 import ABI_VERSION, RecExitReason, Rmi, RmiRecExit, RmiStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_firmware.boot import boot
from cca_platform.board import Board
from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import InstructionLimit
from cca_platform.machine.machine import Machine
from cca_platform.trace.trace import Record
from cca_rmm.objects.granule import State
from cca_rmm.rmm import Rmm
from cca_rmm.versions.v1_0 import V1_0
from realmlab import find_payload

UNDELEGATED, DELEGATED = int(State.UNDELEGATED), int(State.DELEGATED)
MARKS = [0x4444, 0x5555, 0x6666, 0x7777]


@pytest.fixture
def old() -> Iterator[Host]:
    """A machine with RMM 1.0."""
    host = machine_host()
    yield host
    host.machine.close()


@pytest.fixture
def new() -> Iterator[Host]:
    """A machine with the next version alone."""
    host = machine_host(versions=(NEXT,), rmm_el3=RMM_EL3_VERSION_2)
    yield host
    host.machine.close()


@pytest.fixture
def both() -> Iterator[Host]:
    """A machine whose RMM offers RMM 1.0 and the next version."""
    host = machine_host(versions=(V1_0, NEXT), rmm_el3=RMM_EL3_VERSION_2)
    yield host
    host.machine.close()


def results(host: Host, fid: int, *args: int) -> list[int]:
    """X0..X7 after a call; X4..X7 are MARKS before it where they are no argument."""
    x = [*args, *[0] * (3 - len(args)), *MARKS][: max(len(args), 7)]
    host.call(fid, *x)
    return [int(value) for value in host.pe.x[:8]]


class Events:
    """A sink that keeps the events of the RMI."""

    def __init__(self) -> None:
        self.commands: list[Any] = []

    def write(self, record: Record) -> None:
        """Keep the names."""
        if record["event"] in ("rmi.call", "rmi.return", "smc.call"):
            self.commands.append(record.get("cmd", record.get("name")))

    def close(self) -> None:
        """Nothing to close."""


class TestSideBySide:
    """One process, two machines, a version each."""

    def test_a_number_with_two_meanings(self, old: Host, new: Host) -> None:
        """The same FID is another command with other inputs in the other version; neither knows of the other."""
        fid = int(Rmi.DATA_CREATE_UNKNOWN)
        for host in (old, new, old):
            first = host.granules(2)
            if host is old:
                assert host.status(Rmi.DATA_CREATE_UNKNOWN, first, first + PAGE, 0) == (RmiStatus.ERROR_INPUT, 0)
            else:
                assert results(host, fid, DELEGATED, first, first + 4 * PAGE)[:2] == [0, 2]

    def test_removed_and_added(self, old: Host, new: Host) -> None:
        """A command that a version does not have is NOT_SUPPORTED, in the second RMI range too."""
        realm = Realm(old)
        assert old.ok(Rmi.REC_AUX_COUNT, realm.rd)[0] == 2
        assert results(old, Next.GRANULE_STATES, RAM)[0] == NOT_SUPPORTED
        assert results(new, Rmi.REC_AUX_COUNT, RAM)[0] == NOT_SUPPORTED

    def test_seven_results(self, new: Host) -> None:
        """X1 to X7 arrive; a refused call leaves zeroes there."""
        first = new.granules(2)
        assert results(new, Next.GRANULE_STATES, first) == [0, DELEGATED, DELEGATED, *[UNDELEGATED] * 5]
        assert results(new, Next.GRANULE_STATES, first + 1) == [NextStatus.ERROR_INPUT, *[0] * 7]

    def test_what_is_no_result_is_kept(self, old: Host, new: Host) -> None:
        """X4 to X7 are the Host's own unless a command writes them, whichever of them EL3 carries."""
        for host, number in ((old, V1_0.rmi), (new, NEXT.rmi)):
            assert results(host, Rmi.VERSION, number) == [0, number, number, 0, *MARKS]
            assert results(host, 0xC400_0160) == [NOT_SUPPORTED, 0, 0, 0, *MARKS]

    def test_what_is_kept_outlives_a_realm(self, new: Host) -> None:
        """The Realm's registers do not come back in X4 to X7 of RMI_REC_ENTER, but the Host's."""
        realm = Realm(new)
        realm.write(RAM, to_code("movz x4, #1; movz x5, #2; movz x6, #3; movz x7, #4; wfi; b ."))
        rec = realm.rec()
        realm.activate()
        run = realm.prepare(flags=1 << 2)
        assert results(new, Rmi.REC_ENTER, rec, run) == [0, 0, 0, 0, *MARKS]
        exit = RmiRecExit.unpack(new.memory.read(run + 0x800, 0x800))
        assert exit.exit_reason == RecExitReason.SYNC and exit.esr >> 26 == 1

    def test_several_calls(self, new: Host) -> None:
        """INCOMPLETE is an answer like another: the operation is in memory, so a snapshot has it half done."""
        memory = new.granules()
        first = new.page()
        for _ in range(6):
            new.page()
        top = first + 7 * PAGE
        status, handle = results(new, Next.RANGE_DELEGATE, first, top, memory)[:2]
        assert (status, handle) == (NextStatus.INCOMPLETE, memory)
        assert results(new, Next.OP_CONTINUE, handle)[0] == NextStatus.INCOMPLETE
        half = new.machine.snapshot()
        for _ in range(2):
            assert results(new, Next.GRANULE_COUNT, DELEGATED, first, top)[:2] == [0, 3]
            assert results(new, Next.OP_CONTINUE, handle)[0] == NextStatus.INCOMPLETE
            assert results(new, Next.OP_CONTINUE, handle)[:2] == [0, top]
            assert results(new, Next.OP_CONTINUE, handle)[0] == NextStatus.ERROR_INPUT
            assert results(new, Next.GRANULE_COUNT, DELEGATED, first, top)[:2] == [0, 7]
            new.machine.restore(half)


class TestNegotiated:
    """One RMM with two versions."""

    def test_range(self, both: Host) -> None:
        """RMI_VERSION names the nearest version that is not above the one asked for, and the highest."""
        low, high = V1_0.rmi, NEXT.rmi
        for req, answer in (
            (low, [0, low, high]),
            (high, [0, high, high]),
            (0x1_0001, [RmiStatus.ERROR_INPUT, low, high]),
            (0x2_0001, [RmiStatus.ERROR_INPUT, high, high]),
            (0, [RmiStatus.ERROR_INPUT, low, high]),
        ):
            assert results(both, Rmi.VERSION, req)[:3] == answer

    def test_choice(self, both: Host) -> None:
        """The table is that of the version asked for last; a Host that has not asked has the first."""
        states, count = (Next.GRANULE_STATES, both.page()), (Rmi.DATA_CREATE_UNKNOWN, UNDELEGATED, RAM, RAM + PAGE)
        before = both.machine.snapshot()
        assert results(both, *states)[0] == NOT_SUPPORTED
        both.machine.restore(before)
        for number in (NEXT.rmi, V1_0.rmi, NEXT.rmi):
            assert results(both, Rmi.VERSION, number)[0] == 0
        assert results(both, *states)[0] == 0
        assert results(both, *count)[:2] == [0, 1]
        assert results(both, Rmi.REC_AUX_COUNT, RAM)[0] == NOT_SUPPORTED

    @pytest.mark.parametrize(("number", "other"), [(V1_0.rmi, NEXT.rmi), (NEXT.rmi, V1_0.rmi)])
    def test_settled(self, both: Host, number: int, other: int) -> None:
        """Once the Host has used a version it has no other; RMI_FEATURES commits to nothing."""
        assert results(both, Rmi.VERSION, other)[0] == 0
        both.ok(Rmi.FEATURES, 0)
        assert results(both, Rmi.VERSION, number)[0] == 0
        both.granules()
        assert results(both, Rmi.VERSION, other)[:3] == [RmiStatus.ERROR_INPUT, number, number]
        assert results(both, Rmi.VERSION, number)[:3] == [0, number, number]

    def test_not_chosen(self, both: Host) -> None:
        """A Host of RMM 1.0 that never asks gets what it knows."""
        both.granules()
        assert results(both, Rmi.VERSION, NEXT.rmi)[:3] == [RmiStatus.ERROR_INPUT, ABI_VERSION, ABI_VERSION]

    def test_snapshot(self, both: Host) -> None:
        """The choice is in memory: a restore brings the version back that was in force, and the freedom to choose."""
        start = both.machine.snapshot()
        for number in (NEXT.rmi, V1_0.rmi):
            assert results(both, Rmi.VERSION, number)[0] == 0
            pa = both.granules()
            chosen = both.machine.snapshot()
            both.machine.restore(start)
            assert results(both, Rmi.VERSION, V1_0.rmi + NEXT.rmi - number)[0] == 0
            both.machine.restore(chosen)
            known = results(both, Next.GRANULE_STATES, pa)[0] == 0
            assert known == (number == NEXT.rmi)
            both.machine.restore(start)

    def test_realms(self, both: Host) -> None:
        """A Realm of the version chosen asks its RMM as before: services are the version's too."""
        assert results(both, Rmi.VERSION, NEXT.rmi)[0] == 0
        realm = Realm(both)
        realm.write(RAM, to_code("movz x0, #0xC400, lsl #16; movk x0, #0x190; movz x1, #1, lsl #16; smc #0; wfi"))
        realm.rec()
        realm.activate()
        exit = realm.enter(flags=1 << 2)
        assert exit.exit_reason == RecExitReason.SYNC
        assert both.peek.read64(realm.aux[0][0]) == 0

    def test_trace(self, both: Host) -> None:
        """The RMM's events name the command of the version in force; EL3, which does not know it, gives the number."""
        fid, sink = int(Rmi.DATA_CREATE_UNKNOWN), Events()
        before = both.machine.snapshot()
        for number, name in ((V1_0.rmi, "DATA_CREATE_UNKNOWN"), (NEXT.rmi, "GRANULE_COUNT")):
            both.machine.restore(before)
            assert results(both, Rmi.VERSION, number)[0] == 0
            sink.commands.clear()
            both.machine.trace.add(sink)
            results(both, fid, 0, RAM, 0)
            both.machine.trace.close()
            assert [one for one in sink.commands if one != "RMM_RMI_REQ_COMPLETE"] == [f"{fid:#x}", name, name]


class TestHostOfCode:
    """AArch64 code at Non-secure EL2, which runs Realms of its own."""

    def test_same(self) -> None:
        """RMM 1.0 tells it the same by an EL3 that carries X0 to X7 as by one that carries X0 to X4."""
        image, outputs = find_payload("rmi").read_bytes(), []
        for interface in (RMM_EL3_VERSION, RMM_EL3_VERSION_2):
            machine = Machine(Board.load("fvp"))
            rmm = Rmm(machine, replace(V1_0, el3=interface))
            boot(machine, rmm=rmm, ns_image=image, rmm_el3=interface)
            with suppress(InstructionLimit):
                machine.run(max_insns=10_000_000)
            uart = machine.bus.devices["uart0"]
            assert isinstance(uart, Pl011)
            outputs.append(bytes(uart.output).decode())
            machine.close()
        assert outputs[0] == outputs[1] and "PASS" in outputs[0] and "FAIL" not in outputs[0]


class TestInterface:
    """The RMM-EL3 interface belongs to the version."""

    @pytest.mark.parametrize(
        ("versions", "interface", "code"),
        [
            ((V1_0,), RMM_EL3_VERSION, BootCode.SUCCESS),
            ((V1_0,), RMM_EL3_VERSION_2, BootCode.VERSION_NOT_VALID),
            ((NEXT,), RMM_EL3_VERSION, BootCode.VERSION_NOT_VALID),
            ((NEXT,), RMM_EL3_VERSION_2, BootCode.SUCCESS),
            ((V1_0, NEXT), RMM_EL3_VERSION, BootCode.VERSION_NOT_VALID),
            ((V1_0, NEXT), RMM_EL3_VERSION_2, BootCode.SUCCESS),
        ],
    )
    def test_boot(self, versions: Any, interface: int, code: BootCode) -> None:
        """An RMM that needs eight registers of results does not boot where EL3 carries five, nor the reverse."""
        machine = Machine(Board.load("fvp"))
        firmware = boot(machine, rmm=Rmm(machine, *versions), ns_program=Nobody(), rmm_el3=interface)
        assert firmware.boot_codes[0] == code
        machine.close()


class TestVersion:
    """What a version asserts when it is made."""

    def test_table_is_the_abi(self) -> None:
        """A row for each FID of the ABI, under its name, and no other."""
        fewer = {fid: row for fid, row in V1_0.commands.items() if fid != Rmi.FEATURES}
        with pytest.raises(AssertionError, match=r"the RMI table of RMM 1\.0 must have a row for each FID of its ABI"):
            replace(V1_0, commands=fewer)
        wrong = replace(V1_0.commands[Rmi.FEATURES], name="FEATURE")
        with pytest.raises(AssertionError, match="must have the name of its FID"):
            replace(V1_0, commands={**V1_0.commands, Rmi.FEATURES: wrong})

    def test_results_fit(self) -> None:
        """No command returns more than EL3 carries."""
        with pytest.raises(AssertionError, match="GRANULE_STATES of RMM next must not have more results than EL3"):
            replace(NEXT, el3=RMM_EL3_VERSION)

    def test_services(self) -> None:
        """Every RSI function and the whole PSCI range have a row."""
        for gone in (0xC400_0190, 0x8400_001F):
            with pytest.raises(AssertionError, match="must have a row"):
                replace(V1_0, services={fid: row for fid, row in V1_0.services.items() if fid != gone})
