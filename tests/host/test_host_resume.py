"""A run that pauses, is saved and goes on is the same run, to the last event."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exact import exact_board

from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_firmware.boot import boot
from cca_host.kvm import System
from cca_host.kvmtool import Pause, RunOptions, Vmm
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine
from cca_platform.machine.saved import Checkpoint
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace
from cca_rmm.rmm import Rmm
from realmlab import find_payload

PLAIN = "plain "
"""What begins the name of a payload that runs as a plain VM."""
PAYLOADS = ("smp", "irq", "rsi", "attest", f"{PLAIN}irq")


class Events(Listing):
    """The trace; ``seen`` is called with each event."""

    seen: Callable[[dict[str, Any]], None] | None = None

    def write(self, record: dict[str, Any]) -> None:
        super().write(record)
        if self.seen is not None:
            self.seen(record)


class Rig:
    """A booted machine, one run of it, and its trace."""

    def __init__(self, payload: str | Path, vcpus: int, build: bool = True, board: Board | None = None) -> None:
        self.events = Events()
        self.machine = Machine(board or Board.load("fvp"), trace=Trace(self.events))
        self.system = System(self.machine)
        boot(self.machine, rmm=Rmm(self.machine), ns_program=self.system)
        found = find_payload(str(payload).removeprefix(PLAIN))
        self.vmm = Vmm(self.system, RunOptions(payload=found, realm=not str(payload).startswith(PLAIN), vcpus=vcpus))
        if build:
            self.vmm.build()

    def adopt(self, checkpoint: Checkpoint) -> None:
        """Be the machine with the run that the checkpoint is of."""
        self.machine.adopt(checkpoint, lambda name, state: Vmm.resumed(self.system, state))
        (self.vmm,) = (part for part in self.machine.parts.values() if isinstance(part, Vmm))

    def finish(self) -> tuple[Any, ...]:
        """Let it run to its end and destroy it: the result but for host time."""
        assert self.vmm.advance() is Pause.ENDED
        return self.end()

    def end(self) -> tuple[Any, ...]:
        self.vmm.destroy()
        result = self.vmm.result()
        names = ("status", "reason", "message", "console", "calls", "exits", "instructions", "ticks", "granules_left")
        return tuple(getattr(result, name) for name in names)


@pytest.fixture(scope="module")
def whole() -> Callable[[str, int], tuple[list[Any], tuple[Any, ...]]]:
    """The trace and the result of a run that never pauses."""
    known: dict[tuple[str, int], tuple[list[Any], tuple[Any, ...]]] = {}

    def of(payload: str, vcpus: int) -> tuple[list[Any], tuple[Any, ...]]:
        if (payload, vcpus) not in known:
            rig = Rig(payload, vcpus)
            result = rig.finish()
            known[payload, vcpus] = list(rig.events), result
            rig.machine.close()
        return known[payload, vcpus]

    return of


@pytest.fixture
def rigs() -> Any:
    made: list[Rig] = []

    def make(payload: str, vcpus: int, build: bool = True) -> Rig:
        made.append(Rig(payload, vcpus, build))
        return made[-1]

    yield make
    for rig in made:
        rig.machine.close()


@pytest.mark.parametrize("vcpus", [1, 2, 4])
@pytest.mark.parametrize("payload", PAYLOADS)
class TestPauses:
    """However often a run pauses, the Realm does the same."""

    def test_random(self, rigs: Any, whole: Any, payload: str, vcpus: int) -> None:
        """Pauses after random counts of instructions, with snapshots and single steps between, leave no mark."""
        events, result = whole(payload, vcpus)
        dice = random.Random(f"{payload} {vcpus}")
        rig = rigs(payload, vcpus)
        pauses = 0
        while rig.vmm.advance(max_insns=dice.randrange(1, max(result[6] // 20, 2))) is not Pause.ENDED:
            pauses += 1
            if dice.random() < 0.3:
                rig.machine.snapshot()
            for _ in range(dice.choice((0, 0, 1, 5, 25))):
                rig.vmm.step()
        assert pauses >= 10
        assert rig.end() == result
        assert list(rig.events) == events

    def test_restored(self, rigs: Any, whole: Any, payload: str, vcpus: int) -> None:
        """A run that goes on from a snapshot half-way through, twice, has the rest that it had before."""
        events, result = whole(payload, vcpus)
        dice = random.Random(f"{payload} {vcpus} restored")
        rig = rigs(payload, vcpus)
        assert rig.vmm.advance(max_insns=dice.randrange(result[6] // 4, result[6] * 3 // 4)) is Pause.INSTRUCTIONS
        snapshot, seen = rig.machine.snapshot(), len(rig.events)
        for _ in range(2):
            del rig.events[seen:]
            assert rig.finish() == result
            assert list(rig.events) == events
            rig.machine.restore(snapshot)


@pytest.mark.parametrize(("payload", "vcpus"), [("smp", 2), ("smp", 4), ("irq", 2), ("rsi", 1), ("attest", 4)])
class TestMachines:
    """A run that has begun on one machine ends on another as it would have."""

    def test_adopted(self, whole: Any, rigs: Any, payload: str, vcpus: int) -> None:
        """A machine that adopts the checkpoint of another one, as bytes, has the rest of its trace."""
        events, result = whole(payload, vcpus)
        dice = random.Random(f"{payload} {vcpus} adopted")
        first = rigs(payload, vcpus)
        assert first.vmm.advance(max_insns=dice.randrange(result[6] // 4, result[6] * 3 // 4)) is Pause.INSTRUCTIONS
        data = encode(first.machine.checkpoint())
        second = rigs(payload, vcpus, build=False)
        booted = len(second.events)
        second.adopt(decode(data, Checkpoint))
        assert second.finish() == result
        assert list(second.events)[booted:] == events[len(first.events) :]
        assert first.finish() == result


class TestControl:
    """Who stops a run, and what can be done with one that has stopped."""

    def test_time(self, rigs: Any) -> None:
        """``until`` is a clock value: the next block of code from there on does not run yet."""
        rig = rigs("smp", 2)
        begun = rig.machine.clock.now
        assert rig.vmm.advance(until=begun + 10_000) is Pause.TIME
        assert begun + 10_000 <= rig.machine.clock.now < begun + 10_600
        assert rig.vmm.advance(until=begun) is Pause.TIME

    def test_asked(self, rigs: Any, whole: Any) -> None:
        """A callback of the trace can pause the run at what it sees."""
        events, result = whole("irq", 1)
        rig = rigs("irq", 1)
        rig.events.seen = lambda record: rig.vmm.pause() if record["event"] == "rsi.call" else None
        pauses = []
        while rig.vmm.advance() is Pause.ASKED:
            pauses.append([event["event"] for event in rig.events].count("rsi.call"))
        calls = [event["event"] for event in events].count("rsi.call")
        assert pauses == list(range(1, calls))  # the last one is the end
        assert rig.end() == result

    def test_breakpoint(self, rigs: Any, whole: Any) -> None:
        """A run stops before an instruction that its PE has to stop at, and goes on from there."""
        _, result = whole("smp", 1)
        rig = rigs("smp", 1)
        rig.vmm.advance(max_insns=1000)
        pc = rig.machine.pes[0].elr
        rig.machine.pes[0].stop_before([pc])
        assert rig.vmm.advance() is Pause.BREAKPOINT
        assert rig.machine.pes[0].elr == pc
        rig.machine.pes[0].stop_before([])
        assert rig.finish() == result

    def test_step(self, rigs: Any) -> None:
        """A step is one instruction, of whichever vCPU has its turn, or an exception in its place."""
        rig, straight = rigs("hello", 1), rigs("hello", 1)
        rig.vmm.advance(max_insns=5_000)
        steps = [rig.vmm.retired]
        for _ in range(300):
            assert rig.vmm.step() is Pause.INSTRUCTIONS
            steps.append(rig.vmm.retired)
        assert {after - before for before, after in itertools.pairwise(steps)} <= {0, 1}
        assert steps[-1] > steps[0] + 250
        assert rig.finish() == straight.finish()

    @pytest.mark.pure("it makes slices shorter")
    @pytest.mark.parametrize("before", [1, 20, 41, 42, 43, 100])
    def test_steps_across_a_deadline(self, tmp_path: Path, before: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interrupt that comes due within a block waits for its end, in steps too."""
        payload = tmp_path / "payload.bin"
        words = [0xD280_0009 | 3000 << 5, *[0xD503_201F] * 40, 0xD100_0529]  # mov x9, #3000; nops; sub x9, x9, #1
        words += [0xB500_0009 | (-41 & 0x7_FFFF) << 5]  # cbnz x9, the first nop
        words += [0xD280_0100, 0xF2B0_8000, 0xD400_0003]  # PSCI SYSTEM_OFF
        payload.write_bytes(b"".join(word.to_bytes(4, "little") for word in words))
        monkeypatch.setattr("cca_host.kvmtool.schedule._SLICE_ALONE", 49_999)
        straight, stepped = (Rig(payload, 2, board=exact_board()) for _ in range(2))
        result = straight.finish()
        (first, *_) = (event for event in straight.events if event["event"] == "interrupt.take")
        slice_ticks = 49_999
        assert first["time"] > straight.vmm.began + slice_ticks  # the slice is over, but the block is not
        stepped.vmm.advance(max_insns=slice_ticks - 42 - before)
        for _ in range(before + 100):
            stepped.vmm.step()
        assert stepped.finish() == result
        assert list(stepped.events) == list(straight.events)
        for rig in (straight, stepped):
            rig.machine.close()

    def test_destroyed(self, rigs: Any) -> None:
        """A run that has not ended can be destroyed: the vCPU that is in its REC exits first."""
        rig = rigs("smp", 4)
        rig.vmm.advance(max_insns=100_000)
        assert [vcpu.running for vcpu in rig.vmm.vcpus].count(None) == 3
        rig.vmm.destroy()
        result = rig.vmm.result()
        assert (result.status, result.reason, result.granules_left, result.granules_dirty) == (130, "destroyed", 0, 0)
        assert result.message == "the Realm was destroyed before its end"
        assert rig.events[-1]["event"] == "run.stop"

    def test_commands_meanwhile(self, rigs: Any, whole: Any) -> None:
        """While a REC is on the host's PE, the host's RMI calls go out from another one."""
        _, result = whole("smp", 1)
        rig = rigs("smp", 1)
        rig.vmm.advance(max_insns=1000)
        before = len(rig.events)
        assert rig.system.rmi(Rmi.VERSION, ABI_VERSION)[0] == 0
        assert {event["pe"] for event in rig.events[before:]} == {1}
        rig.system.calls[Rmi.VERSION] -= 1
        assert rig.finish() == result

    def test_undone(self, rigs: Any) -> None:
        """A run that a restore has undone is over, whatever it was at; another one can be built."""
        rig = rigs("smp", 2)
        rig.vmm.destroy()
        snapshot = rig.machine.snapshot()
        undone = Vmm(rig.system, rig.vmm.options)
        undone.build()
        undone.advance(max_insns=10_000)
        rig.machine.restore(snapshot)
        with pytest.raises(MachineError, match="went back to before it was built"):
            undone.advance()
        undone.destroy()
        rig.vmm = Vmm(rig.system, rig.vmm.options)
        rig.vmm.build()
        assert rig.finish()[:2] == (0, "system_off")

    def test_order(self, rigs: Any) -> None:
        """A run is built once, then runs, then is destroyed."""
        rig = rigs("hello", 1)
        with pytest.raises(MachineError, match="must be new for that, not built"):
            rig.vmm.build()
        with pytest.raises(MachineError, match="must be destroyed for that, not built"):
            rig.vmm.result()
        rig.finish()
        with pytest.raises(MachineError, match="must be built for that, not destroyed"):
            rig.vmm.advance()
