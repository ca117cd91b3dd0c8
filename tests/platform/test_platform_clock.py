"""Time: instructions that are retired, and ticks of the system counter, as many of the one as a board says to each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_arch.types import SecurityState, Ticks
from cca_platform.board import Board
from cca_platform.clock import Clock
from cca_platform.engine import interrupts, timers
from cca_platform.errors import InstructionLimit
from cca_platform.memory.memory import Memory
from cca_platform.native import block as w

NS = SecurityState.NON_SECURE
CODE: Final = 0x8010_0000
VECTORS_EL2: Final = 0x8013_0000
SPIN: Final = "loop: subs x1, x1, #1; b.ne loop"
PER_TICK = pytest.mark.parametrize("per_tick", [1, 7, 10])


def board(per_tick: int) -> Board:
    """The default board with another relation of instructions and ticks."""
    return replace(Board.load("fvp"), instructions_per_tick=per_tick)


@pytest.fixture
def timed(benches: Callable[..., Any]) -> Callable[[int], Any]:
    """Makes a bare machine by its instructions per tick."""
    return lambda per_tick: benches(board=board(per_tick))


class TestCounter:
    """The counter is made of retired instructions and of idle time."""

    @PER_TICK
    @pytest.mark.parametrize("turns", [1, 4, 5, 1000])
    def test_instructions(self, timed: Any, per_tick: int, turns: int) -> None:
        """It takes a tick when as many instructions as make one have been retired."""
        bench = timed(per_tick)
        bench.run(f"{SPIN}; smc #0", x1=turns, ticks=1 << 30)
        assert bench.machine.clock.retired == bench.pe.retired == 2 * turns + 1
        assert bench.machine.clock.now == (2 * turns + 1) // per_tick

    def test_remainder(self, timed: Any) -> None:
        """What is left of a tick counts for the next one: ten runs of three instructions are three ticks."""
        bench = timed(10)
        for _ in range(10):
            bench.run("nop; nop; smc #0")
        assert bench.machine.clock.now == 3

    @PER_TICK
    def test_guest(self, timed: Any, per_tick: int) -> None:
        """CNTVCT_EL0 shows it: the block that reads it is counted, as everything before."""
        bench = timed(per_tick)
        x = bench.run(f"{SPIN}; isb; mrs x2, cntvct_el0; smc #0", x1=500)
        assert x[2] in range(1000 // per_tick, 1003 // per_tick + 1)

    @PER_TICK
    def test_aborts(self, timed: Any, per_tick: int) -> None:
        """An instruction that aborts takes no time."""
        bench = timed(per_tick)
        bench.vectors("mrs x20, elr_el1; add x20, x20, #4; msr elr_el1, x20; eret")
        for count in range(1, 6):
            bench.run("nop; nop; ldr x2, [x1]; nop; smc #0", x1=0x7000_0000)
            assert bench.machine.clock.now == 8 * count // per_tick

    @PER_TICK
    def test_device(self, timed: Any, per_tick: int) -> None:
        """An access to a device is an instruction like any other."""
        bench = timed(per_tick)
        bench.run("ldr w2, [x1]; ldr w2, [x1]; smc #0", x1=0x1C09_0018)
        assert bench.machine.clock.retired == 3
        assert bench.machine.clock.now == 3 // per_tick

    def test_skip(self) -> None:
        """Idle time is skipped in ticks, never backwards, and leaves what was left of a tick."""
        clock = Clock(Memory(board(10)), 100_000_000, "virtual")
        clock.retire(17)
        clock.skip_to(Ticks(100))
        assert clock.now == 100
        clock.skip_to(Ticks(50))
        clock.retire(3)
        assert clock.now == 101

    def test_saved(self) -> None:
        """The counter is saved with what is left of a tick."""
        clock, other = (Clock(Memory(board(10)), 100_000_000, "virtual") for _ in range(2))
        clock.retire(19)
        clock.skip_to(Ticks(77))
        other.restore(clock.save())
        other.retire(1)
        assert (other.now, other.retired) == (78, 20)

    def test_ticks(self) -> None:
        """A number of instructions is a number of ticks, rounded up."""
        clock = Clock(Memory(board(10)), 100_000_000, "virtual")
        assert [clock.ticks(count) for count in (0, 1, 10, 11)] == [0, 1, 1, 2]

    def test_mode(self) -> None:
        """There are two kinds of clock."""
        with pytest.raises(ValueError, match="clock must be virtual or host, not 'fast'"):
            Clock(Memory(board(1)), 100_000_000, "fast")


class TestBudgets:
    """Where code stops."""

    @PER_TICK
    @pytest.mark.parametrize("limit", [2, 4_998, 5_000])
    def test_limit(self, timed: Any, per_tick: int, limit: int) -> None:
        """A limit of instructions is reached at the same block, however long a tick is."""
        bench = timed(per_tick)
        bench.place(CODE, "loop: nop; b loop")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        with pytest.raises(InstructionLimit):
            bench.machine.run(limit)
        assert bench.machine.clock.retired == limit

    @PER_TICK
    def test_until(self, timed: Any, per_tick: int) -> None:
        """A run until a value of the counter ends before the first block that begins then or later."""
        bench = timed(per_tick)
        bench.place(CODE, "loop: nop; nop; b loop")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        for until in (10, 11, 500):
            bench.pe.run(Ticks(until))
            clock = bench.machine.clock
            assert (clock.retired - 3) // per_tick < until <= clock.now

    @PER_TICK
    @pytest.mark.parametrize("due", [40, 41, 99, 1_000])
    def test_timer(self, timed: Any, per_tick: int, due: int) -> None:
        """A timer interrupts before the first block that begins at its compare value or later."""
        bench = timed(per_tick)
        bench.enable_interrupts(26)
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS_EL2 + offset, "smc #0")
        bench.pe.write_sysreg("vbar_el2", VECTORS_EL2)
        arm = "msr cnthp_cval_el2, x5; mov x2, #1; msr cnthp_ctl_el2, x2; mov x2, #16; msr hcr_el2, x2; msr daifclr, #2"
        bench.run(f"{arm}; loop: add x1, x1, #1; b loop", el=2, ticks=1 << 20, x5=due, x1=0)
        at_interrupt = bench.machine.clock.retired - 1  # without the SMC
        assert (at_interrupt - 2) // per_tick < due <= at_interrupt // per_tick

    @PER_TICK
    def test_skipped_meanwhile(self, timed: Any, per_tick: int) -> None:
        """Time that a level in Python lets pass makes a timer fire at the next block, without a stop in between."""
        bench = timed(per_tick)
        bench.enable_interrupts(26)
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS_EL2 + offset, "mov x7, #1; smc #1")
        bench.pe.write_sysreg("vbar_el2", VECTORS_EL2)
        clock, record = bench.machine.clock, bench.el3.on_sync

        def on_sync(pe: Any, esr: int, far: int, hpfar: int) -> None:
            if esr & 0xFFFF:
                record(pe, esr, far, hpfar)
            else:
                clock.skip_to(Ticks(9_000))

        bench.el3.on_sync = on_sync
        arm = "msr cnthp_cval_el2, x5; mov x2, #1; msr cnthp_ctl_el2, x2; mov x2, #16; msr hcr_el2, x2; msr daifclr, #2"
        x = bench.run(f"{arm}; smc #0; loop: add x1, x1, #1; b loop", el=2, ticks=1 << 20, x5=8_000, x1=0)
        assert (x[7], x[1] <= 1) == (1, True)
        assert clock.now < 9_100

    @settings(max_examples=300)
    @given(
        per_tick=st.integers(1, 1000),
        retired=st.integers(0, 1 << 40),
        skipped=st.integers(0, 1 << 50),
        ahead=st.one_of(st.integers(-5, 5000), st.integers(0, 1 << 60), st.just(timers.NEVER)),
        left=st.integers(1, 4_000_000),
    )
    def test_look(self, per_tick: int, retired: int, skipped: int, ahead: int, left: int) -> None:
        """The block hook looks at the first number of instructions at which the budget or the limit is reached."""
        machine, pe = np.zeros(w.M_WORDS, np.int64), np.zeros(w.P_WORDS, np.int64)
        address: Any = int(pe.ctypes.data)
        pe[w.P_MACHINE] = machine.ctypes.data
        machine[w.M_RETIRED], machine[w.M_SKIPPED], machine[w.M_PER_TICK] = retired, skipped, per_tick
        now = skipped + retired // per_tick
        budget = min(now + ahead, timers.NEVER)
        pe[w.P_SLICE_END], pe[w.P_LIMIT] = budget, retired + left
        interrupts.set_budget(address)
        look = int(machine[w.M_BUDGET])
        assert int(pe[w.P_BUDGET]) == budget
        if budget <= now:
            assert look <= retired
        else:
            assert retired < look <= retired + left
            assert look == retired + left or skipped + look // per_tick == budget
            assert skipped + (look - 1) // per_tick < budget


class TestRepeatable:
    """Equal inputs give equal runs, however long a tick is."""

    @PER_TICK
    def test_equal(self, timed: Any, per_tick: int) -> None:
        """Two machines with two PEs each, timers on, are in the same state after the same number of instructions."""
        found = []
        for bench in (timed(per_tick), timed(per_tick)):
            bench.vectors("mrs x3, cntvct_el0; add x4, x4, x3; add x3, x3, #77; msr cntv_cval_el0, x3; eret")
            bench.enable_interrupts(27)
            bench.place(CODE, f"msr cntv_ctl_el0, x5; msr daifclr, #2; {SPIN.replace('x1, #1', 'x1, #0')}; b loop")
            for pe in bench.machine.pes[:2]:
                pe.write_sysreg("vbar_el1", 0x8011_0000)
                pe.elr, pe.spsr, pe.x[5], pe.x[1] = CODE, 0x3C5, 1, 1
                pe.eret(NS, 1)
            with pytest.raises(InstructionLimit):
                bench.machine.run(200_000)
            found.append([(pe.retired, pe.elr, list(pe.x)) for pe in bench.machine.pes[:2]])
            assert found[-1][0][2][4] > 0, "a timer must have fired"
        assert found[0] == found[1]

    def test_same_code(self, timed: Any) -> None:
        """Code that does not look at the time does the same in more or fewer ticks."""
        found = {}
        for per_tick in (1, 10):
            bench = timed(per_tick)
            found[per_tick] = bench.run(f"{SPIN}; mul x2, x3, x3; smc #0", x1=100, x3=7), bench.pe.retired
        assert found[1] == found[10]
