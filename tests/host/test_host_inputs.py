"""What is typed for a Realm is an input of the machine: journalled, and the same again in a replay."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_time import FakeTime, restless
from ns_code import OFF, assemble, constant

from cca_arch.types import Ticks
from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import Pause, RunOptions, Vmm
from cca_host.kvmtool.layout import RAM_BASE, UART_BASE
from cca_platform.board import Board
from cca_platform.machine.inputs import Journal
from cca_platform.machine.machine import Machine
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm

ECHO = f"""
    {constant("x9", UART_BASE | 1 << 32)} loop: ldrb w11, [x9, #5]; tbz w11, #0, loop; ldrb w10, [x9]; strb w10, [x9];
    cmp w10, #113; b.ne loop; {OFF}
"""


# The first vCPU sets its timer 25 ms ahead, waits, and reads the counter; the other one is off.
SLEEP = f"""
    mov x9, #0x260000; mrs x1, cntvct_el0; add x1, x1, x9; msr cntv_cval_el0, x1; mov x9, #1; msr cntv_ctl_el0, x9;
    wait: wfi; mrs x2, cntv_ctl_el0; tbz w2, #2, wait; mrs x2, cntvct_el0; sub x3, x2, x1; {OFF}
"""


class Rig:
    """A Realm that echoes what its UART receives."""

    def __init__(self, path: Path, source: str = ECHO, **options: Any) -> None:
        self.events = Listing()
        self.machine = Machine(Board.load("fvp"), trace=Trace(self.events), **options)
        system = System(self.machine)
        boot(self.machine, rmm=Rmm(self.machine), ns_program=system)
        path.write_bytes(assemble(source, RAM_BASE))
        self.vmm = Vmm(system, RunOptions(payload=path, memory=4 << 20, vcpus=2))
        self.vmm.build()

    def end(self) -> tuple[Any, ...]:
        """Run to the end: the result, and the events."""
        assert self.vmm.advance(max_insns=1_000_000) is Pause.ENDED
        self.vmm.destroy()
        result = self.vmm.result()
        return result.console, result.reason, result.instructions, result.ticks, list(self.events)


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Any]:
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(tmp_path / "payload", **options))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


class TestReplay:
    @pytest.mark.parametrize("clock", ["virtual", "host"])
    @pytest.mark.parametrize("seed", range(2))
    def test_typed(self, rigs: Any, clock: str, seed: int) -> None:
        """Typed in pauses of the run, and replayed in a run without a pause."""
        first, dice = rigs(clock=clock, record=True), random.Random(seed)
        for byte in b"hello, q":
            assert first.vmm.advance(max_insns=dice.randrange(1, 300)) is Pause.INSTRUCTIONS
            first.vmm.console.receive(bytes((byte,)))
        expected = first.end()
        assert expected[0] == b"hello, q"
        journal = decode(encode(first.machine.inputs.journal()), Journal)
        again = rigs(clock=clock, replay=journal)
        assert again.end() == expected

    def test_answers(self, rigs: Any) -> None:
        """Typed in answer to what comes, from the callback."""
        answers = iter(b"bcdq")
        first = rigs(record=True)

        def answer(data: bytes) -> None:
            if data != b"q":
                first.vmm.console.receive(bytes((next(answers),)))

        first.vmm.console.on_output = answer
        first.vmm.console.receive(b"a")
        expected = first.end()
        assert expected[0] == b"abcdq"
        assert rigs(replay=first.machine.inputs.journal()).end() == expected


class TestWallTime:
    """``--clock host``, on a clock of the host that the test turns."""

    def test_sleep(self, rigs: Any) -> None:
        """Where every vCPU waits, the host's time is waited for until the timer, and the Realm sees that time."""
        rig, host = rigs(source=SLEEP, clock="host"), FakeTime()
        rig.machine.inputs.wall.host = host
        before = rig.machine.clock.now
        assert rig.end()[1] == "system_off"
        assert sum(host.waits) == 0x260000 * 10
        assert rig.machine.clock.now == before + 0x260000

    @pytest.mark.parametrize("seed", range(2))
    def test_replay(self, rigs: Any, seed: int) -> None:
        """A replay does the same, and waits for nobody."""
        first, host = rigs(source=SLEEP, clock="host", record=True), restless(seed)
        first.machine.inputs.wall.host = host
        expected = first.end()
        assert host.waits
        journal = decode(encode(first.machine.inputs.journal()), Journal)
        again, other = rigs(source=SLEEP, clock="host", replay=journal), restless(seed + 10)
        again.machine.inputs.wall.host = other
        assert again.end() == expected
        assert not other.waits


class TestAttended:
    """Virtual time that is idle passes as the host's does while somebody outside may answer."""

    ASLEEP = f"""
        mov x9, #0x260000; mrs x1, cntvct_el0; add x1, x1, x9; msr cntv_cval_el0, x1; mov x9, #1; msr cntv_ctl_el0, x9;
        wait: wfi; mrs x2, cntv_ctl_el0; tbz w2, #2, wait; {ECHO}
    """

    def _asleep(self, rigs: Any, send: bool, **options: Any) -> tuple[Any, FakeTime]:
        """A Realm that sleeps for 25 ms before it reads; 3 ms after it began, a thread sends something."""
        rig, host = rigs(source=self.ASLEEP, **options), FakeTime()
        inputs = rig.machine.inputs
        inputs.wall.host = host
        inputs.attend("somebody", lambda: bool(send))

        def during() -> None:
            if len(host.waits) == 1:
                host.during = None
                host.passes(3_000_000)
                inputs.deliver(f"vmm.{rig.vmm.vm.vmid}.uart", b"q")

        host.during = during if send else None
        return rig, host

    @pytest.mark.parametrize("seen", [False, True])
    def test_replay(self, rigs: Any, seen: bool) -> None:
        """What a thread sends is let in while the Realm sleeps; a replay does the same, and waits for nobody."""
        first, host = self._asleep(rigs, True, record=True)
        expected = first.end()
        assert expected[0] == b"q"
        assert abs(sum(host.waits) + 3_000_000 - 0x260000 * 10) < 10_000  # by rounding
        journal = decode(encode(first.machine.inputs.journal()), Journal)
        (typed,) = journal.inputs
        assert typed.time - first.vmm.began < 0x260000 // 2 + 300_000
        again, other = self._asleep(rigs, seen, replay=journal)
        assert again.end() == expected
        assert not other.waits

    def test_nobody(self, rigs: Any) -> None:
        """Where nobody is attended, idle time is skipped."""
        rig, host = self._asleep(rigs, False)
        rig.vmm.console.receive(b"q")
        assert rig.end()[0] == b"q"
        assert not host.waits

    def test_no_end(self, rigs: Any) -> None:
        """A Realm that nothing of its own can wake is not idle for ever while somebody is attended."""
        rig, host = rigs(source="wfi"), FakeTime()
        rig.machine.inputs.wall.host = host
        rig.machine.inputs.attend("somebody", lambda: len(host.waits) < 3)
        assert rig.end()[1] == "idle"
        assert len(host.waits) == 3
        rig.machine.inputs.attend("somebody", None)
        assert not rig.machine.inputs.attended

    def test_result(self, rigs: Any) -> None:
        """The result of a thread comes in good time though every vCPU waits."""
        rig = rigs(source="wfi")
        source = f"vmm.{rig.vmm.vm.vmid}.uart"
        rig.machine.inputs.submit(source, lambda: b"q", Ticks(rig.machine.clock.now + 700_000))
        before = rig.machine.clock.now
        assert rig.end()[1] == "idle"
        assert rig.machine.clock.now >= before + 700_000
