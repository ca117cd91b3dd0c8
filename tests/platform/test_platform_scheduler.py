"""The scheduler, on PEs whose code is a list of what happens in each turn; and two real PEs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cca_arch.gic import GICR_STRIDE
from cca_arch.types import Instructions, Ticks
from cca_platform.board import Board
from cca_platform.clock import Clock, uneven
from cca_platform.errors import InstructionLimit
from cca_platform.halt import Halt
from cca_platform.machine import scheduler
from cca_platform.machine.events import EventQueue
from cca_platform.machine.scheduler import Scheduler
from cca_platform.memory.memory import Memory

TURN = 50_000


class Power:
    """A machine that can be stopped."""

    def __init__(self) -> None:
        self.stopped: str | None = None

    def stop(self, reason: str, halt: Halt = Halt.FAILED) -> None:
        self.stopped = self.stopped or reason


class Fake:
    """A PE that runs in blocks of ten instructions; ``during(fake)`` is called after each."""

    def __init__(self, index: int, bench: "Fakes") -> None:
        self.index = index
        self.on = True
        self.waiting = False
        self.stuck = False
        self.wfe: object | None = None
        self.cleared = 0
        self.wakes_at: int | None = None
        self.ends = False
        self.during: Callable[[Fake], object] = lambda fake: None
        self._bench = bench

    def run(self, *, until: Ticks | None, limit: Instructions | None) -> None:
        clock, log = self._bench.clock, self._bench.log
        start, self.ends = clock.retired, False
        self.waiting = self.asleep()
        while not (self.waiting or self.ends or self._bench.power.stopped):
            if (limit is not None and clock.retired >= limit) or (until is not None and clock.now >= until):
                break
            clock.retire(10)
            self.during(self)
        log.append((self.index, clock.retired - start))

    def end_turn(self) -> None:
        self.ends = True

    def asleep(self) -> bool:
        return self.waiting and (self.wakes_at is None or self._bench.clock.now < self.wakes_at)

    def lost(self) -> bool:
        return self.stuck and self.on

    def deadline(self) -> Ticks | None:
        due = self.wakes_at
        return None if due is None or due <= self._bench.clock.now else Ticks(due)

    def clear_exclusive(self) -> None:
        self.cleared += 1


class Fakes:
    """A scheduler and its PEs; ``log`` has (PE, instructions) of each turn."""

    def __init__(self, count: int = 2, per_tick: int = 1) -> None:
        self.power = Power()
        self.memory = Memory(replace(Board.load("fvp"), instructions_per_tick=per_tick))
        self.clock = Clock(self.memory, 100_000_000, "virtual")
        self.events = EventQueue()
        self.log: list[tuple[int, int]] = []
        self.pes = [Fake(index, self) for index in range(count)]
        self.waits: list[Ticks | None] = []
        self.scheduler = Scheduler(self.power, self.clock, self.events, self.pes, self._idle)

    def _idle(self, due: Ticks | None) -> None:
        self.waits.append(due)
        if due is not None:
            self.clock.skip_to(due)


def wait(pe: Fake) -> None:
    """The PE executes WFI."""
    pe.waiting = True


class TestTurns:
    """Whose turn it is."""

    @pytest.mark.parametrize("per_tick", [1, 10])
    def test_nearly_equal(self, per_tick: int) -> None:
        """PEs that always have something to do take turns of nearly as many instructions, whatever a tick is."""
        fakes = Fakes(3, per_tick)
        with pytest.raises(InstructionLimit, match="the limit of 2998000 instructions is reached"):
            fakes.scheduler.run(60 * TURN - 2_000)
        turns = fakes.log[:58]
        assert [index for index, _ in turns] == [turn % 3 for turn in range(58)]
        assert all(TURN - 512 <= size <= TURN for _, size in turns)
        assert len({size for _, size in turns}) > 25  # of 52 that blocks of ten instructions can have

    @pytest.mark.parametrize(
        "even", [False, pytest.param(True, marks=pytest.mark.pure("the length of turns is patched"))]
    )
    def test_no_lock_step(self, bench: Any, monkeypatch: pytest.MonkeyPatch, even: bool) -> None:
        """A loop must not meet the end of each turn with the same instruction: then another PE finds its lock free."""
        if even:
            monkeypatch.setattr(scheduler, "uneven", lambda length, now: length)
        bench.place(
            0x8010_0000,
            "mov w2, #1; mov x4, #250; first: subs x4, x4, #1; b.ne first;"
            "again: ldaxr w1, [x10]; cbnz w1, again; stxr w3, w2, [x10]; cbnz w3, again;"
            "mov x4, #400; work: subs x4, x4, #1; b.ne work; stlr wzr, [x10];"
            "mov x4, #95; rest: subs x4, x4, #1; b.ne rest; add x5, x5, #1; nop; b again",  # a thousand instructions
        )
        for pe in bench.machine.pes[:2]:
            pe.elr, pe.spsr, pe.x[5], pe.x[10] = 0x8010_0000, 0x3C5, 0, 0x8012_0000
            pe.eret(pe.security, 1)
        with pytest.raises(InstructionLimit):
            bench.machine.run(200 * TURN)
        turns = [pe.x[5] for pe in bench.machine.pes[:2]]
        assert min(turns) == 0 if even else min(turns) > 1_000, turns

    def test_goes_on(self) -> None:
        """A run goes on where the last one has ended, in the middle of a turn."""
        fakes = Fakes()
        for _ in range(2):
            with pytest.raises(InstructionLimit):
                fakes.scheduler.run(TURN - 1000)
        assert fakes.log == [(0, TURN - 1000), (0, 1000), (1, TURN - 2000)]

    def test_saved(self) -> None:
        """So it does in another scheduler with the saved state."""
        fakes, others = Fakes(), Fakes()
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(TURN + 1000)
        others.scheduler.restore(fakes.scheduler.save())
        others.clock.restore(fakes.clock.save())
        for one in (fakes, others):
            one.log.clear()
            with pytest.raises(InstructionLimit):
                one.scheduler.run(10 * TURN)
        assert others.log == fakes.log and others.log[0] == (1, -(-uneven(TURN, TURN) // 10) * 10 - 1000)

    def test_wait(self) -> None:
        """A PE that waits makes room at once."""
        fakes = Fakes()
        fakes.pes[0].during = wait
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(100)
        assert fakes.log == [(0, 10), (1, 90)]

    def test_off(self) -> None:
        """A PE that is off has no turn; when every one is off the machine stops."""
        fakes = Fakes()
        fakes.pes[0].on = False

        def off(pe: Fake) -> None:
            pe.on, pe.ends = False, True

        fakes.pes[1].during = off
        assert fakes.scheduler.run() == "every PE is off"
        assert fakes.log == [(1, 10)]

    def test_make_way(self) -> None:
        """An interrupt for another PE ends the turn at the next block; one for itself does not."""
        fakes = Fakes()
        seen = []

        def interrupt(pe: Fake) -> None:
            if not seen:
                fakes.scheduler.make_way(0)
                assert not pe.ends
                fakes.scheduler.make_way(1)
            seen.append(pe.index)

        fakes.pes[0].during = interrupt
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(100)
        assert fakes.log == [(0, 10), (1, 90)]

    def test_exclusive(self) -> None:
        """The exclusive monitor of a PE is cleared when another one will run before it goes on."""
        fakes = Fakes()
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(2 * TURN)
        assert [pe.cleared for pe in fakes.pes] == [1, 1]
        alone = Fakes(1)
        with pytest.raises(InstructionLimit):
            alone.scheduler.run(2 * TURN)
        assert alone.pes[0].cleared == 0


class TestAlone:
    """A PE that nobody waits for needs no turns."""

    @pytest.mark.parametrize("rest", ["off", "asleep"])
    def test_goes_on(self, rest: str) -> None:
        """It goes on while the others are off or sleep; with a limit, exceptions are looked at now and then."""
        fakes = Fakes(3)
        for pe in fakes.pes[1:]:
            pe.on, pe.waiting = rest == "asleep", True

        def end(pe: Fake) -> None:
            if fakes.clock.retired == 10_000_000:
                fakes.power.stop("enough")

        fakes.pes[0].during = end
        assert fakes.scheduler.run() == "enough"
        assert fakes.log == [(0, 10_000_000)]
        fakes.power.stopped = None
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(1_000_000)
        assert [size for _, size in fakes.log[1:4]] == [125_000, 109_380, 95_710] and fakes.log[-2] == (0, TURN)
        assert sum(size for _, size in fakes.log[1:]) == 1_000_000
        assert fakes.pes[0].cleared == 0

    def test_until_another_wakes(self) -> None:
        """When the timer of another is due, that has the next turn."""
        fakes = Fakes()
        fakes.pes[1].waiting, fakes.pes[1].wakes_at = True, 300_000
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(4_000_000)
        sizes = [size for index, size in fakes.log if index == 0]
        woke = next(at for at, (index, _) in enumerate(fakes.log) if index == 1)
        assert sum(sizes[:woke]) == 300_000 and fakes.log[woke][1] >= TURN - 512

    @pytest.mark.parametrize("how", ["on", "interrupt"])
    def test_until_one_joins(self, how: str) -> None:
        """One that it sends an interrupt has the next turn at once, one that it turns on after what is left of this."""
        fakes = Fakes()
        other = fakes.pes[1]
        other.on, other.waiting = how == "interrupt", how == "interrupt"

        def wake(pe: Fake) -> None:
            if fakes.clock.retired == 200_000:
                other.on, other.waiting = True, False
                (fakes.scheduler.join if how == "on" else fakes.scheduler.make_way)(1)

        fakes.pes[0].during = wake
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(400_000)
        one = next(at for at, (index, _) in enumerate(fakes.log) if index == 1)
        assert sum(size for _, size in fakes.log[:one]) == 200_000 + (TURN if how == "on" else 0)
        assert fakes.log[one][1] >= TURN - 512

    @pytest.mark.parametrize("why", ["runs", "waits for an event", "is lost"])
    def test_not_alone(self, why: str) -> None:
        """There are turns while another runs, waits for what any store may bring, or has to be told lost."""
        fakes = Fakes()
        other = fakes.pes[1]
        other.waiting, other.stuck = why != "runs", why == "is lost"
        other.wfe = (0, b"") if why == "waits for an event" else None
        fakes.events.call_at("device", Ticks(1 << 40), print)
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(3 * TURN)
        assert fakes.log[0] == (0, TURN)
        assert all(size <= TURN for _, size in fakes.log)

    def test_host_clock(self) -> None:
        """Where time follows the host's, it is looked at between turns."""
        fakes = Fakes(1)
        fakes.clock.mode = "host"
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(3 * TURN)
        assert fakes.log[0][1] == TURN and len(fakes.log) == 4

    def test_parts(self, benches: Any) -> None:
        """Wherever a run pauses, two real PEs do the same: one alone, both, one that sleeps until a timer."""
        code = (
            "mov x4, #60000; a: subs x4, x4, #1; b.ne a; mov x9, #50000; lsl x9, x9, #2; msr cntv_tval_el0, x9;"
            "mov x9, #1; msr cntv_ctl_el0, x9; wfi; mrs x6, cntvct_el0; mov x9, #2; msr cntv_ctl_el0, x9; loop: b loop"
        )
        found = []
        for part in (None, 7_001, 40_009):
            bench = benches()
            bench.enable_interrupts(27)
            bench.place(0x8010_0000, "mov x5, #0; loop: add x5, x5, #1; b loop")
            bench.place(0x8010_1000, code)
            for pe, start in zip(bench.machine.pes[:2], (0x8010_0000, 0x8010_1000), strict=True):
                pe.elr, pe.spsr = start, 0x3C5
                pe.eret(pe.security, 1)
            left = 2_000_000
            while left > 0:
                with pytest.raises(InstructionLimit):
                    bench.machine.run(left if part is None else min(part, left))
                left = 2_000_000 - bench.machine.clock.retired
            found.append([(pe.retired, pe.x[5], pe.x[6]) for pe in bench.machine.pes[:2]])
        assert found[0][1][2] > 300_000
        assert found[1] == found[0] and found[2] == found[0]


class TestIdle:
    """Time passes when nothing runs."""

    def test_first_event(self) -> None:
        """It passes to the first event: of a timer, or of the queue; the wait counts as one instruction."""
        fakes = Fakes()
        for pe, due in zip(fakes.pes, (3_000, 2_000), strict=True):
            pe.waiting, pe.wakes_at = True, due
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(1)
        assert fakes.clock.now == 2_000
        fakes.pes[1].wakes_at = 4_000
        fakes.events.call_at("device", Ticks(2_500), print)
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(1)
        assert fakes.clock.now == 2_500

    def test_in_vain(self) -> None:
        """Without one the machine stops."""
        fakes = Fakes()
        for pe in fakes.pes:
            pe.waiting = True
        assert fakes.scheduler.run() == "every PE waits for an interrupt that cannot come"

    def test_host_clock(self) -> None:
        """Where time is the host's, it waits for input from outside, and each wait counts as one instruction."""
        fakes = Fakes()
        fakes.clock.mode = "host"
        for pe in fakes.pes:
            pe.waiting = True
        with pytest.raises(InstructionLimit):
            fakes.scheduler.run(3)
        assert fakes.waits == [None] * 3

    def test_alone(self) -> None:
        """A PE that a host in Python has started waits alone, whatever the others do."""
        fakes = Fakes()
        fakes.pes[1].waiting, fakes.pes[1].wakes_at = True, 700
        fakes.scheduler.wait(fakes.pes[1])
        assert (fakes.clock.now, fakes.power.stopped) == (700, None)
        fakes.pes[1].wakes_at = None
        fakes.scheduler.wait(fakes.pes[1])
        assert fakes.power.stopped == "PE 1 waits for an interrupt that cannot come"

    def test_stuck(self) -> None:
        """One that is stuck needs an interrupt, too."""
        fakes = Fakes()
        fakes.pes[0].waiting = fakes.pes[0].stuck = True
        fakes.scheduler.wait(fakes.pes[0])
        assert fakes.power.stopped == "PE 0 takes exceptions without end"

    def test_lost(self) -> None:
        """One that no interrupt can help ends the run while others go on, unless an event, as of a watchdog, is due."""
        fakes = Fakes()
        calls: list[int] = []
        fakes.events.call_at("watchdog", Ticks(30_000), calls.append)

        def during(fake: Fake) -> None:
            fakes.events.run(fakes.clock.now)

        for fake in fakes.pes:
            fake.during = during
        fakes.pes[1].waiting = fakes.pes[1].stuck = True
        assert fakes.scheduler.run() == "PE 1 takes exceptions without end"
        assert calls and fakes.clock.now == 50_000


class TestMachine:
    """Real PEs."""

    def test_turns(self, bench: Any) -> None:
        """Two PEs that loop retire nearly the same number of instructions."""
        bench.place(0x8010_0000, "loop: b loop")
        for pe in bench.machine.pes[:2]:
            pe.elr, pe.spsr = 0x8010_0000, 0x3C5
            pe.eret(pe.security, 1)
        with pytest.raises(InstructionLimit):
            bench.machine.run(4 * TURN)
        assert all(abs(pe.retired - 2 * TURN) < 1024 for pe in bench.machine.pes[:2])

    @pytest.mark.parametrize("wait", ["wfi", "wfe; wfe"])
    def test_long_wait(self, bench: Any, monkeypatch: pytest.MonkeyPatch, wait: str) -> None:
        """A PE may wait for thousands of turns of another: that is not without end, as exceptions are."""
        monkeypatch.setattr(scheduler, "_TURN", 20)
        bench.place(0x8010_0000, "loop: b loop")
        bench.place(0x8010_1000, f"{wait}; loop: b loop")
        pes = bench.machine.pes[:2]
        for pe, code in zip(pes, (0x8010_0000, 0x8010_1000), strict=True):
            pe.elr, pe.spsr = code, 0x3C5
            pe.eret(pe.security, 1)
        with pytest.raises(InstructionLimit):
            bench.machine.run(300_000)
        assert pes[1].waiting and not pes[1].stuck
        assert pes[1].retired == len(wait.split(";")) and pes[0].retired > 290_000


class TestDevices:
    """What a device has for another PE comes before the rest of a long turn."""

    @pytest.mark.parametrize("when", ["at an event", "between two runs"])
    def test_interrupt(self, bench: Any, when: str) -> None:
        """The PE that sleeps takes the interrupt at once, not when the one that is alone has something to wait for."""
        machine, (one, two) = bench.machine, bench.machine.pes[:2]
        bench.enable_interrupts(3)
        bench.place(0x8010_0000, "loop: add x5, x5, #1; b loop")
        bench.place(0x8010_1000, "wfi; mrs x6, cntvct_el0; rest: wfi; b rest")
        for pe, start in ((one, 0x8010_0000), (two, 0x8010_1000)):
            pe.elr, pe.spsr, pe.x[5], pe.x[6] = start, 0x3C5, 0, 0
            pe.eret(pe.security, 1)

        def interrupt(now: Ticks) -> None:
            machine.gic.secure_redistributors.write(GICR_STRIDE + 0x1_0000 + 0x200, 4, 1 << 3)  # GICR_ISPENDR0

        if when == "at an event":
            machine.events.call_at("device", Ticks(777_777), interrupt)
            with pytest.raises(InstructionLimit):
                machine.run(2_000_000)
        else:
            with pytest.raises(InstructionLimit):
                machine.run(777_777)
            interrupt(machine.clock.now)
            with pytest.raises(InstructionLimit):
                machine.run(1_000_000)
        assert 777_777 <= two.x[6] < 777_800
