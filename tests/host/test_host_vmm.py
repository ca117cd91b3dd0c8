"""Whole runs: from a payload file to the last granule back."""

import signal
import struct
from pathlib import Path

import pytest
from exact import exact_board

from cca_arch.rsi.v1_0 import Rsi
from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import RunOptions, run_realm
from cca_host.kvmtool.layout import RAM_BASE
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine
from cca_rmm.rmm import Rmm

CALL = RAM_BASE + 0x10_0000


def host_call(code, function, argument, *words):
    """A Realmlab host call: gprs[0] = function, gprs[1] = argument, gprs[2..] = words."""
    code.mov(20, CALL).mov(21, 0x524C).store(21, 20)
    for index, value in enumerate((function, argument, *words)):
        code.mov(21, value).store(21, 20, 8 + 8 * index)
    return code.smc(Rsi.HOST_CALL, CALL)


@pytest.fixture
def run(system, tmp_path: Path):
    """Run a program as a raw payload."""

    def go(program, **options):
        path = tmp_path / "payload.bin"
        path.write_bytes(bytes(program))
        return run_realm(system, RunOptions(payload=path, memory=options.pop("memory", 4 << 20), **options))

    return go


class TestEnds:
    """How a run ends is its status, reason and message."""

    def test_exit(self, code, run):
        """The exit status is the payload's."""
        result = run(host_call(code, 2, 42).loop())
        assert (result.status, result.reason, result.message) == (42, "exit", "")

    def test_off(self, code, run):
        """A payload that just turns itself off succeeded."""
        result = run(code.smc(0x8400_0008))
        assert (result.status, result.reason) == (0, "system_off")

    def test_limit(self, code, run):
        """An endless loop ends at the tick of the instruction limit, and the Realm is destroyed."""
        result = run(code.loop(), max_insns=10_000)
        assert (result.status, result.reason) == (4, "limit")
        assert result.message == "the limit of 10000 instructions is reached in the run"
        assert 10_000 <= result.instructions < 10_010

    def test_exact_limit(self, code, tmp_path: Path):
        """Where each instruction is a tick, the limit is exact."""
        machine = Machine(exact_board())
        system = System(machine)
        boot(machine, rmm=Rmm(machine), ns_program=system)
        path = tmp_path / "payload.bin"
        path.write_bytes(bytes(code.loop()))
        result = run_realm(system, RunOptions(payload=path, max_insns=10_000))
        assert (result.status, result.reason, result.instructions) == (4, "limit", 10_000)
        machine.close()

    def test_idle(self, code, run):
        """WFI with nothing to wait for is idle for ever."""
        result = run(code.wfi().loop())
        assert (result.status, result.reason) == (3, "idle")
        assert result.message == "the Realm is idle for ever: the vCPU waits for an interrupt that cannot come"

    def test_sleep(self, code, run, system):
        """WFI with a timer takes virtual time, and none of the host's."""
        when = system.machine.clock.now + 500_000_000
        code.mov(1, when).word(0xD51B_E341).mov(1, 1).word(0xD51B_E321).wfi()
        result = run(host_call(code, 2, 0))
        assert result.reason == "exit"
        assert result.ticks > 490_000_000 > 1000 > result.instructions

    @pytest.mark.pure("it makes slices shorter")
    def test_limit_of_exceptions(self, run, monkeypatch):
        """The limit counts an exception as an instruction, at the end of each slice."""
        monkeypatch.setattr("cca_host.kvmtool.schedule._SLICE_ALONE", 50_000)
        adr_vectors, msr_vbar, isb = 0x1000_4001, 0xD518_C001, 0xD503_3FDF
        svc, back, eret = 0xD400_0001, 0x17FF_FFFF, 0xD69F_03E0
        start = struct.pack("<5I", adr_vectors, msr_vbar, isb, svc, back).ljust(0xA00, b"\0")
        result = run(start + struct.pack("<I", eret), vcpus=2, max_insns=4_000_000)
        assert (result.status, result.reason) == (4, "limit")
        assert 2_900_000 < result.instructions < 3_600_000  # three instructions for each exception

    def test_stuck(self, code, run):
        """A Realm that takes exceptions without end, for want of vectors, ends at once and says why."""
        result = run(code.mov(1, 0x4000_0000).word(0xD61F_0020))  # br x1
        assert (result.status, result.reason) == (3, "stuck")
        assert result.message == "vCPU 0 takes exceptions without end"

    def test_interrupt(self, code, run):
        """Ctrl-C ends the run at the next exit, with everything taken down; the handler is the old one again."""
        before = signal.getsignal(signal.SIGINT)
        result = run(host_call(code, 1, 1, 0x2E).loop(), on_console=lambda data: signal.raise_signal(signal.SIGINT))
        assert (result.status, result.reason, result.console) == (130, "interrupted", b".")
        assert result.granules_left == 0
        assert signal.getsignal(signal.SIGINT) is before

    def test_random_bytes(self, run, system):
        """Garbage that takes exceptions without end ends with a report, and the next run is unaffected."""
        result = run(bytes(range(256)) * 16, max_insns=100_000)
        assert (result.status, result.reason) == (3, "stuck")
        assert result.message == "vCPU 0 takes exceptions without end"


class TestConsole:
    """What a Realm prints comes out."""

    def test_host_call(self, code, run):
        """Text in registers, and the callback sees it as it comes."""
        seen = []
        host_call(code, 1, 5, int.from_bytes(b"hello", "little"))
        host_call(code, 1, 3, int.from_bytes(b" yo", "little"))
        result = run(host_call(code, 2, 0), on_console=seen.append)
        assert (result.console, seen) == (b"hello yo", [b"hello", b" yo"])

    def test_unknown_function(self, code, run):
        """An unknown function, or too long a text, gets all ones; here that becomes the exit status."""
        for function, argument in ((99, 0), (1, 233)):
            host_call(code, function, argument)
            code.load(10, 20, 8)
        code.mov(20, CALL).mov(21, 2).store(21, 20, 8).store(10, 20, 16).smc(Rsi.HOST_CALL, CALL)
        assert run(code).status == 255

    def test_uart(self, code, run):
        """The UART at its unprotected IPA echoes what it receives."""
        code.mov(9, 0x1_0100_0000).word(0x3940_012A)  # ldrb w10, [x9]
        code.word(0x3900_012A)  # strb w10, [x9]
        result = run(host_call(code, 2, 0), console_input=b"Q")
        assert result.console == b"Q"


class TestManyVcpus:
    """vCPUs take turns."""

    def test_spinner_does_not_starve_others(self, code, run):
        """A vCPU that spins until another one has run gets what it waits for."""
        flag = CALL + 0x1000
        code.smc(0xC400_0003, 1, RAM_BASE + 0x400, 0).mov(9, flag)
        code.load(10, 9).word(0xB4FF_FFEA)  # cbz x10, back to the load
        host_call(code, 2, 9)
        code.words += [0] * (0x100 - len(code.words))
        code.mov(9, flag).mov(10, 1).store(10, 9).smc(0x8400_0002)  # CPU_OFF
        result = run(code, vcpus=2, max_insns=1_000_000)
        assert (result.status, result.reason) == (9, "exit")

    def test_all_off(self, code, run):
        """When the last vCPU has turned itself off, nobody can ever turn one on."""
        result = run(code.smc(0x8400_0002), vcpus=2)
        assert (result.status, result.message) == (3, "the Realm is idle for ever: every vCPU is off")

    def test_more_vcpus_than_pes(self, code, run, system):
        """A PE takes several vCPUs."""
        result = run(host_call(code, 2, 1), vcpus=len(system.machine.pes) + 3)
        assert result.status == 1


class TestResult:
    """What a run took is counted."""

    def test_counts(self, code, run):
        """Calls by name, exits by reason, switches, granules: all given back, all clean."""
        result = run(host_call(code, 2, 0))
        assert result.calls["RMI_REALM_CREATE"] == result.calls["RMI_REALM_DESTROY"] == 1
        assert result.calls["RMI_GRANULE_DELEGATE"] == result.calls["RMI_GRANULE_UNDELEGATE"] == result.granules_peak
        assert result.exits == {"SYNC": 1, "HOST_CALL": 1}
        assert result.calls["RMI_REC_ENTER"] == 2
        assert result.world_switches == 2 * sum(result.calls.values())
        assert (result.granules_left, result.granules_dirty) == (0, 0)
        assert 0 < result.instructions < 100
        assert result.wall_seconds > 0

    def test_same_twice(self, code, run, system):
        """Two runs of one machine take the same calls, exits and instructions."""
        host_call(code, 1, 2, 0x6968)
        host_call(code, 2, 0)
        machine = system.machine
        machine.clock.retire(-machine.clock.retired % machine.board.instructions_per_tick)  # both begin with a tick
        first = run(code, vcpus=2)
        machine.clock.retire(-machine.clock.retired % machine.board.instructions_per_tick)
        second = run(code, vcpus=2)
        for name in ("calls", "exits", "instructions", "ticks", "console", "granules_peak"):
            assert getattr(first, name) == getattr(second, name)


class TestOptions:
    """Bad options are one line that says how to mend them."""

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"vcpus": 0}, "a Realm must have at least one vCPU, not 0: give `vcpus` 1 or more"),
            ({"memory": (8 << 20) + 5}, "`memory` must be a multiple of 4 KiB, not 8388613 bytes: round it up"),
            ({"memory": 64}, "`memory` must be at least 4M, not 64 bytes: write M after a number of MiB"),
            ({"memory": 1 << 20}, "`memory` must be at least 4M, not 1024K: give more `memory`"),
            ({"memory": 1 << 40}, "`memory` must be at most 4032M, the Non-secure DRAM of the board, not 1048576M"),
            ({"memory": 3 << 30}, "must end below 0x100000000, the protected half of a 33-bit IPA space"),
            ({"ipa_width": 20}, "the IPA width must be 32 to 48 bits, not 20"),
            ({"vcpus": 5000}, "a Realm must have at most 1023 vCPUs"),
            ({"hash_algo": "crc"}, "the hash algorithm must be sha256 or sha512, not 'crc'"),
            ({"max_insns": 0}, "`max_insns` must be 1 or more, not 0"),
        ],
    )
    def test_message(self, code, run, options, text):
        """Each bad option has its message, and leaves nothing behind."""
        with pytest.raises(MachineError) as caught:
            run(code.loop(), **options)
        assert text in str(caught.value)
        assert "\n" not in str(caught.value)
