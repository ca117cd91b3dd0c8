"""The scheduler, on PEs whose code is a list of what happens in each turn; and two real PEs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cca_arch.types import Instructions, Ticks
from cca_platform.board import Board
from cca_platform.clock import Clock
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
        self.cleared = 0
        self.wakes_at: int | None = None
        self.ends = False
        self.during: Callable[[Fake], object] = lambda fake: None
        self._bench = bench

    def run(self, *, limit: Instructions) -> None:
        clock, log = self._bench.clock, self._bench.log
        start, self.ends = clock.retired, False
        self.waiting = self.asleep()
        while not (self.waiting or self.ends or self._bench.power.stopped) and clock.retired < limit:
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
        self.scheduler = Scheduler(self.power, self.clock, self.events, self.pes)


def wait(pe: Fake) -> None:
    """The PE executes WFI."""
    pe.waiting = True


class TestTurns:
    """Whose turn it is."""

    @pytest.mark.parametrize("per_tick", [1, 10])
    def test_equal(self, per_tick: int) -> None:
        """PEs that always have something to do take turns of equally many instructions, whatever a tick is."""
        fakes = Fakes(3, per_tick)
        with pytest.raises(InstructionLimit, match="the limit of 300000 instructions is reached"):
            fakes.scheduler.run(6 * TURN)
        assert fakes.log == [(0, TURN), (1, TURN), (2, TURN)] * 2

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
        with pytest.raises(InstructionLimit):
            others.scheduler.run(TURN)
        assert others.log == [(1, TURN - 1000), (0, 1000)]

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
        """Two PEs that loop retire the same number of instructions."""
        bench.place(0x8010_0000, "loop: b loop")
        for pe in bench.machine.pes[:2]:
            pe.elr, pe.spsr = 0x8010_0000, 0x3C5
            pe.eret(pe.security, 1)
        with pytest.raises(InstructionLimit):
            bench.machine.run(4 * TURN)
        assert [pe.retired for pe in bench.machine.pes[:2]] == [2 * TURN, 2 * TURN]

    def test_long_wait(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A PE may wait for thousands of turns of another: that is not without end, as exceptions are."""
        monkeypatch.setattr(scheduler, "_TURN", 20)
        bench.place(0x8010_0000, "loop: b loop")
        bench.place(0x8010_1000, "wfi; loop: b loop")
        pes = bench.machine.pes[:2]
        for pe, code in zip(pes, (0x8010_0000, 0x8010_1000), strict=True):
            pe.elr, pe.spsr = code, 0x3C5
            pe.eret(pe.security, 1)
        with pytest.raises(InstructionLimit):
            bench.machine.run(300_000)
        assert pes[1].waiting and not pes[1].stuck
        assert pes[1].retired == 1 and pes[0].retired > 290_000
