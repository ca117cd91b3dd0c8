"""`board`, a host's test suite at Non-secure EL2, on both boards: every check holds, in each of its lives."""

import re
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby

import pytest

from cca_firmware.boot import boot
from cca_platform.board import Bank, Board
from cca_platform.devices.pl011 import Pl011
from cca_platform.errors import InstructionLimit
from cca_platform.gic import Gic
from cca_platform.machine.machine import Machine
from cca_platform.memory.memory import Memory
from cca_rmm.rmm import Rmm
from realmlab import find_payload

_NONVOLATILE = Bank(0x1800_0000, 0x1000)  # from the start of DRAM
_VOLATILE = Bank(0x5900_0000, 0x1000)  # on the virt board: where the payload looks whether memory is lost
_LIMIT = 1_000_000_000
_UP_TO_DEVICES = 60_000_000
_TIMERS = ("CNTHP", "CNTP", "CNTV", "CNTHV")
_SUITES = ("mmu", "pes", "gic", "timers", *_TIMERS, "vm", "realms", "devices")
_BOARDS = {
    "fvp": (
        "board",
        (*_SUITES, "watchdog", "frames"),
        ("system reset: generic watchdog", "system reset: SP805 watchdog", "system reset: PSCI"),
        943,
    ),
    "virt": ("board_virt", (*_SUITES, "config"), ("system reset: PSCI",), 866),
}
_LINE = re.compile(r"(?:PASS (?P<suite>\w+) (?P<number>\d+): .+|# .+|board: .+)")


def _boot(name: str) -> tuple[Machine, bytearray]:
    """A machine with the payload as BL33, and what its UART0 will have sent."""
    board = Board.load(name)
    machine = Machine(board)
    machine.nonvolatile = (Bank(board.banks[0].base + _NONVOLATILE.base, _NONVOLATILE.size),)
    output = bytearray()
    uart = machine.bus.devices["uart0"]
    assert isinstance(uart, Pl011)
    uart.on_output = output.extend
    _boot_again(machine)
    return machine, output


def _boot_again(machine: Machine) -> None:
    boot(machine, rmm=Rmm(machine), ns_image=find_payload(_BOARDS[machine.board.name][0]).read_bytes())


def _run(name: str, limit: int = _LIMIT) -> tuple[list[str], list[str]]:
    """The lines that UART0 sent, and how each life ended."""
    machine, output = _boot(name)
    ends: list[str] = []
    try:
        while len(ends) < 4:
            ends.append(machine.run(max_insns=limit))
            if not ends[-1].startswith("system reset"):
                break
            machine.reset(ends[-1])
            _boot_again(machine)
    except InstructionLimit:
        ends.append("limit")
    finally:
        machine.close()
    return output.decode().splitlines(), ends


@pytest.fixture(scope="module", params=_BOARDS)
def ran(request: pytest.FixtureRequest) -> tuple[str, list[str], list[str]]:
    """The board, the lines, the ends."""
    return request.param, *_run(request.param)


class TestBoard:
    def test_every_check_holds(self, ran: tuple[str, list[str], list[str]]) -> None:
        """No line is anything but a check that holds, a heading, or the totals."""
        name, lines, _ = ran
        _, suites, ends, passed = _BOARDS[name]
        assert [line for line in lines if not _LINE.fullmatch(line)] == []
        count = len(suites) - len(_TIMERS)
        assert lines[-1] == f"board: {count} suites, {len(ends) + 1} lives, {passed} passed, 0 failed"

    def test_every_suite_runs_to_its_end(self, ran: tuple[str, list[str], list[str]]) -> None:
        """The suites come in their order, then one for each reset, and no check of any of them is left out."""
        name, lines, _ = ran
        _, suites, ends, _ = _BOARDS[name]
        checks = [match for line in lines if (match := _LINE.fullmatch(line)) and match["suite"]]
        runs: list[str] = []
        for suite, group in groupby(checks, key=lambda match: match["suite"]):
            numbers = [int(match["number"]) for match in group]
            starts = [at for at, number in enumerate(numbers) if number == 1]
            assert numbers == [at - max(start for start in starts if start <= at) + 1 for at in range(len(numbers))]
            runs += [suite] * len(starts)
        assert runs == [*suites, *["reset"] * len(ends)]

    def test_each_life_ends_in_its_own_way(self, ran: tuple[str, list[str], list[str]]) -> None:
        """Watchdogs and PSCI reset the system; a word in nonvolatile memory carries the payload through to its end."""
        name, _, ends = ran
        assert ends == [*_BOARDS[name][2], "system off"]

    @pytest.mark.parametrize("line", ["PASS gic 86: ", "PASS vm 55: ", "PASS realms 46: "])
    def test_a_snapshot(self, line: str) -> None:
        """From a snapshot with interrupts, timers and other PEs under way, the rest is the same each time."""
        machine, output = _boot("virt")
        while line.encode() not in output:
            assert machine.stopped is None
            with suppress(InstructionLimit):
                machine.run(max_insns=50_000)
        snapshot, sent = machine.snapshot(), len(output)
        rests = []
        for _ in range(2):
            rests.append((machine.run(max_insns=_LIMIT), machine.clock.now, output[sent:]))
            machine.restore(snapshot)
            del output[sent:]
        machine.close()
        assert rests[0] == rests[1]
        assert b"FAIL" not in rests[0][2]


def _memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    lose = Memory.lose
    monkeypatch.setattr(Memory, "lose", lambda self, kept: lose(self, (*kept, _VOLATILE)))


def _interrupts_stay_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gic, "reset", lambda self: None)


@pytest.mark.pure("what must not be left out is patched")
class TestOmissions:
    """What a machine leaves out, the payload notices."""

    @pytest.mark.parametrize(
        ("omit", "failure"),
        [
            (_memory_stays, "FAIL reset 2: other memory is lost"),
            (_interrupts_stay_enabled, "FAIL reset 5: no interrupt is enabled"),
        ],
        ids=["memory stays", "interrupts stay enabled"],
    )
    def test_an_incomplete_reset(
        self, monkeypatch: pytest.MonkeyPatch, omit: Callable[[pytest.MonkeyPatch], None], failure: str
    ) -> None:
        """A reset that keeps too much fails a check of the next life."""
        omit(monkeypatch)
        lines, _ = _run("virt")
        assert any(line.startswith(failure) for line in lines)

    @pytest.mark.parametrize("intid", [25, 26, 27])
    def test_a_private_interrupt_that_is_not_wired(self, monkeypatch: pytest.MonkeyPatch, intid: int) -> None:
        """Without the line of a timer, or of the maintenance interrupt, a check fails, or the payload does not end."""
        wired = Gic.set_ppi

        def set_ppi(self: Gic, pe_index: int, number: int, level: bool) -> None:
            if number != intid:
                wired(self, pe_index, number, level)

        monkeypatch.setattr(Gic, "set_ppi", set_ppi)
        lines, _ = _run("virt", _UP_TO_DEVICES)
        found = {line.split()[0] for line in lines}
        assert "FAIL" in found or not any(line.startswith("PASS devices") for line in lines)
