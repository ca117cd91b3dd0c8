"""``--clock host``: the counter is wall time. The host's clock of these tests is one that they turn themselves."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from host_time import FakeTime, restless

from cca_arch.sysregs import Scr
from cca_arch.types import Pas, SecurityState, Ticks
from cca_platform.board import Board
from cca_platform.clock import Clock
from cca_platform.errors import InstructionLimit
from cca_platform.machine.inputs import Journal, Way
from cca_platform.memory.memory import Memory
from cca_platform.state import decode, encode
from cca_platform.trace.sinks import Listing
from cca_platform.trace.trace import Trace

NS, SECURE = SecurityState.NON_SECURE, SecurityState.SECURE
CODE, OTHER, VECTORS, DATA, UART = 0x8010_0000, 0x8014_0000, 0x8013_0000, 0x8012_0000, 0x1C09_0000
TICK: Final = 10  # nanoseconds, at 100 MHz
MS: Final = 1_000_000
READS: Final = ("cntpct_el0", "cntvct_el0")
IRQ_EL1: Final = VECTORS + 0x280  # from EL1 with its own stack pointer
CNTV: Final = 27


@pytest.fixture
def hosted(benches: Callable[..., Any]) -> Callable[..., tuple[Any, FakeTime]]:
    """Makes a bare machine on wall time, by default on a clock that stands still."""

    def make(host: FakeTime | None = None, **options: Any) -> tuple[Any, FakeTime]:
        bench, time = benches(clock="host", **options), host or FakeTime()
        bench.machine.inputs.wall.host = time
        bench.machine.inputs.wall.rebase(Ticks(0))
        return bench, time

    return make


def start(bench: Any, source: str, address: int = CODE, index: int = 0, el: int = 1) -> None:
    """Let a PE begin with this code."""
    pe = bench.machine.pes[index]
    bench.place(address, source)
    pe.elr, pe.spsr = address, 0x3C0 | 4 * el | 1
    pe.eret(NS, el)


def hear(bench: Any) -> None:
    """Let the virtual timer interrupt EL1, which keeps the time in X20 and calls EL3 with X0 = 0."""
    bench.enable_interrupts(CNTV)
    bench.place(IRQ_EL1, "mrs x20, cntvct_el0; mov x0, #0; smc #0")
    bench.pe.write_sysreg("vbar_el1", VECTORS)


class TestReads:
    """Whoever reads the counter sees the host's clock as it is then."""

    @pytest.mark.parametrize("register", READS)
    def test_each(self, hosted: Any, register: str) -> None:
        """Each read in a block of code is a look of its own."""
        bench, host = hosted()
        host.step = 7_000
        x = bench.run("; ".join(f"mrs x{n}, {register}" for n in range(1, 6)) + "; smc #0", el=2)
        assert [later - sooner for sooner, later in itertools.pairwise(x[1:6])] == [700] * 4
        assert x[5] * TICK + 1_000_000_000 in host.looks

    def test_offset(self, hosted: Any) -> None:
        """CNTVOFF_EL2 is subtracted from the virtual one."""
        bench, _host = hosted()
        bench.machine.inputs.idle(None)  # a wait, which takes 10 ms of the host
        x = bench.run("mov x9, #1000; msr cntvoff_el2, x9; mrs x1, cntpct_el0; mrs x2, cntvct_el0; smc #0", el=2)
        assert (x[1], x[2]) == (1_000_000, 999_000)

    def test_unmoved(self, hosted: Any) -> None:
        """Code does not move it, however fast it runs: nobody has to wait for the host to come up."""
        bench, _ = hosted()
        x = bench.run("mov x1, #50000; loop: subs x1, x1, #1; b.ne loop; mrs x2, cntpct_el0; smc #0", el=2)
        assert bench.machine.clock.retired > 100_000
        assert x[2] == bench.machine.clock.now == 0

    def test_timers(self, hosted: Any) -> None:
        """TVAL and ISTATUS of every timer go by the same time: also EL2's virtual one, and EL3's at Secure EL1."""
        kinds = (("cntp", NS, 1), ("cntv", NS, 1), ("cnthp", NS, 2), ("cnthv", NS, 2), ("cntps", SECURE, 1))
        for name, state, el in kinds:
            bench, host = hosted()
            bench.machine.scr = [int(Scr.make(st=1))] * len(SecurityState)
            end = f"el{1 if name == 'cntps' else 2 if 'h' in name else 0}"
            host.step = 5 * MS
            tval, ctl = f"{name}_tval_{end}", f"{name}_ctl_{end}"
            if name == "cnthv":
                tval, ctl = "S3_4_C14_C3_0", "S3_4_C14_C3_1"
            x = bench.run(
                f"mov x9, #3; msr {ctl}, x9; mov x9, #0x10000000; msr {tval}, x9; mrs x1, {tval}; mrs x2, {tval};"
                f"mov x9, #1; msr {tval}, x9; mrs x3, {ctl}; smc #0", state=state, el=el, ticks=1 << 40,
            )  # fmt: skip
            assert x[1] - x[2] == 5 * MS // TICK
            assert x[3] == 7

    def test_frames(self, hosted: Any) -> None:
        """The memory-mapped counters show it, both halves at one time."""
        bench, host = hosted()
        bench.machine.inputs.idle(None)
        host.step = 1_000
        with bench.machine.inputs.running():
            x = bench.run("mrs x1, cntpct_el0; ldr x2, [x9]; mrs x3, cntpct_el0; smc #0", el=2, x9=0x2A80_0000)
        assert 1_000_000 < x[1] < x[2] < x[3] < 1_002_000

    def test_still(self, hosted: Any) -> None:
        """Where somebody looks at the memory-mapped counter of a machine that stands still, so does that."""
        bench, host = hosted()
        host.passes(5 * MS)
        assert bench.machine.bus.read(0x2A80_0000, 8, Pas.NON_SECURE) == 0


class TestPace:
    """How far apart the two may come while code runs."""

    @pytest.mark.parametrize("pace", [1, 20, 90, 400])
    def test_looks(self, hosted: Any, pace: int) -> None:
        """However fast code is, somebody looks each millisecond, or after the first slice."""
        bench, host = hosted()
        host.more = lambda: pace * bench.machine.clock.retired
        start(bench, "loop: subs x1, x1, #1; b loop")
        with pytest.raises(InstructionLimit):
            bench.machine.run(2 * MS)
        looks = [later - sooner for sooner, later in zip(host.looks, host.looks[1:], strict=False)]
        assert sum(looks) >= 1.9 * MS * pace
        assert max(looks) <= max(1.1 * MS, 10_100 * pace)
        assert sorted(looks)[-2] <= 1.1 * MS or looks.index(max(looks)) < 5

    @pytest.mark.parametrize("pace", [2, 30])
    def test_fires(self, hosted: Any, pace: int) -> None:
        """A timer interrupts running code within a millisecond of its time, and not before."""
        bench, host = hosted()
        host.more = lambda: pace * bench.machine.clock.retired
        hear(bench)
        start(bench, (
            "mrs x1, cntvct_el0; mov x9, #0x70000; add x1, x1, x9; msr cntv_cval_el0, x1; mov x9, #1;"
            "msr cntv_ctl_el0, x9; msr daifclr, #2; loop: b loop"
        ))  # fmt: skip
        bench.machine.run(10_000_000)
        ((*x,),) = bench.el3.calls
        assert 0x70000 <= x[1] <= x[20] <= x[1] + MS // TICK

    def test_calls(self, hosted: Any) -> None:
        """A call that takes long moves the counter, though the code that made it goes on at once: a timer fires."""
        bench, host = hosted()
        hear(bench)
        stop = bench.el3.on_sync
        bench.el3.on_sync = lambda pe, *rest: host.passes(3 * MS) if pe.x[0] else stop(pe, *rest)
        start(bench, (
            "mov x9, #0x30000; msr cntv_tval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; msr daifclr, #2; mov x0, #1;"
            "loop: smc #0; add x3, x3, #1; b loop"
        ))  # fmt: skip
        bench.machine.run(1_000_000)
        ((*x,),) = bench.el3.calls
        assert (x[3], x[20]) == (0, 300_000)

    def test_two_pes(self, hosted: Any) -> None:
        """All PEs share one counter, which never goes back."""
        bench, _host = hosted(restless(1))
        for index, at in enumerate((CODE, OTHER)):
            bench.machine.pes[index].x[10] = DATA
            start(bench, (
                "loop: ldxr x1, [x10]; mrs x2, cntpct_el0; cmp x2, x1; b.lo less; stxr w3, x2, [x10]; cbnz w3, loop;"
                "add x4, x4, #1; b loop; less: add x5, x5, #1; b loop"
            ), at, index)  # fmt: skip
        with pytest.raises(InstructionLimit):
            bench.machine.run(400_000)
        for pe in bench.machine.pes[:2]:
            assert pe.x[4] > 1_000
            assert pe.x[5] == 0


class TestIdle:
    """Idle time is waited for."""

    def test_timer(self, hosted: Any) -> None:
        """WFI takes the host's time until the timer, in naps after which the end of a run is noticed."""
        bench, host = hosted()
        bench.enable_interrupts(CNTV)
        start(bench, (
            "mov x9, #0x260000; msr cntv_tval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; wfi; mrs x2, cntvct_el0;"
            "smc #0"
        ))  # fmt: skip
        bench.machine.run(1_000)
        ((*x,),) = bench.el3.calls
        assert x[2] == 0x260000
        assert sum(host.waits) == 0x260000 * TICK
        assert max(host.waits) == 10 * MS

    def test_input(self, hosted: Any) -> None:
        """What comes from outside ends a wait."""
        bench, host = hosted()
        bench.enable_interrupts(CNTV)
        uart = bench.machine.bus.devices["uart0"]
        came = iter([None, None, b"x"])
        host.during = lambda: None if (data := next(came)) is None else uart.receive(data)
        start(bench, (
            "mov x9, #0x10; lsl x9, x9, #32; msr cntv_cval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; wfi; b ."
        ))  # fmt: skip
        with pytest.raises(InstructionLimit):
            bench.machine.run(5 + 3)
        assert host.waits == [10 * MS] * 2
        assert not bench.machine.inputs.save().queued

    def test_nothing(self, hosted: Any) -> None:
        """With nothing that is due the machine waits on, as input may still come."""
        bench, host = hosted()
        start(bench, "wfi; b .")
        with pytest.raises(InstructionLimit):
            bench.machine.run(4)
        assert bench.machine.stopped is None
        assert host.waits and set(host.waits) == {10 * MS}


class TestStopped:
    """While the machine stands still, so does its time."""

    def test_between_runs(self, hosted: Any) -> None:
        """It goes on where it was, however long somebody has looked at the machine."""
        bench, host = hosted(FakeTime(100))
        start(bench, "loop: mrs x1, cntpct_el0; b loop")
        for _ in range(3):
            before = bench.machine.clock.now
            host.passes(10_000 * MS)
            with pytest.raises(InstructionLimit):
                bench.machine.run(200)
            assert before < bench.machine.clock.now < before + 10_000

    def test_restore(self, hosted: Any) -> None:
        """A restored snapshot has the time at which it was taken, and goes on from there."""
        bench, host = hosted(FakeTime(100))
        start(bench, "loop: mrs x1, cntpct_el0; b loop")
        with pytest.raises(InstructionLimit):
            bench.machine.run(1_000)
        saved, then = bench.machine.snapshot(), bench.machine.clock.now
        for _ in range(2):
            with pytest.raises(InstructionLimit):
                bench.machine.run(3_000)
            bench.machine.restore(saved)
            host.passes(10_000 * MS)
            assert bench.machine.clock.now == then
            with pytest.raises(InstructionLimit):
                bench.machine.run(200)
            assert then < bench.machine.clock.now < then + 10_000
            bench.machine.restore(saved)

    @pytest.mark.parametrize("per_tick", [1, 7])
    def test_other_kind(self, per_tick: int) -> None:
        """A state has the same time under either kind of clock."""
        board = replace(Board.load("fvp"), instructions_per_tick=per_tick)
        for first, second in (("virtual", "host"), ("host", "virtual"), ("host", "host")):
            clocks = [Clock(Memory(board), 100_000_000, mode) for mode in (first, second)]
            clocks[0].skip_to(Ticks(77))
            clocks[0].retire(1_003)
            clocks[1].restore(clocks[0].save())
            assert clocks[0].now == clocks[1].now == 77 + (1_003 // per_tick if first == "virtual" else 0)
            assert clocks[0].retired == clocks[1].retired


# Everything at once: reads, an echo of what is typed, a call, a periodic timer, and a wait in each turn.
ALL: Final = """
    mov x9, #0x4000; msr cntv_tval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; msr daifclr, #2;
    loop: mrs x1, cntpct_el0; eor x2, x1, x2, ror #7; mov x3, #300; spin: subs x3, x3, #1; b.ne spin;
    mrs x1, cntvct_el0; mrs x4, cntvct_el0; eor x2, x4, x2, ror #7; mov x0, #1; smc #0; eor x2, x0, x2, ror #7;
    ldr x4, [x12]; eor x2, x4, x2, ror #7; ldr w5, [x10, #0x18]; tbnz w5, #4, none; ldr w5, [x10];
    str w5, [x10]; cmp w5, #113; b.ne none; mov x0, #0; smc #0;
    none: mrs x4, cntv_tval_el0; str x4, [x11], #8; and x11, x11, #-8193; wfi; b loop
"""
PERIOD: Final = "mrs x20, cntvct_el0; eor x21, x20, x21, ror #5; mov x20, #0x4000; msr cntv_tval_el0, x20; eret"


def everything(bench: Any, host: FakeTime) -> None:
    """Ready to run all of it."""
    bench.enable_interrupts(CNTV)
    bench.place(IRQ_EL1, PERIOD)
    pe = bench.pe
    pe.write_sysreg("vbar_el1", VECTORS)
    pe.x[10], pe.x[11], pe.x[12] = UART, DATA, 0x2A80_0000
    stop = bench.el3.on_sync

    def call(pe: Any, *rest: int) -> None:
        if not pe.x[0]:
            stop(pe, *rest)
        host.passes(40_000)
        pe.x[0] = pe.machine.clock.now

    bench.el3.on_sync = call
    start(bench, ALL)


def outcome(bench: Any, events: Listing) -> tuple[Any, ...]:
    """What a run leaves: registers, memory, time, output and events."""
    machine = bench.machine
    table = machine.memory.backdoor.read(DATA, 8192)
    uart = bytes(machine.bus.devices["uart0"].output)
    return [*bench.el3.calls], table, machine.clock.now, machine.clock.retired, uart, list(events)


class TestReplay:
    """A run on wall time is replayed from its journal: the host's clock is an input like any other."""

    @pytest.mark.parametrize("seed", range(4))
    def test_same(self, hosted: Any, seed: int) -> None:
        """Every read, interrupt, wait and event is the same, wherever the two runs pause, on a host of another pace.

        So it is without a trace.
        """
        events, again = Listing(), Listing()
        bench, host = hosted(restless(seed), record=True, trace=Trace(events))
        everything(bench, host)
        uart = bench.machine.bus.devices["uart0"]
        for byte in b"hello, q":
            for _ in range(3):
                with pytest.raises(InstructionLimit):
                    bench.machine.run(2_777)
            uart.receive(bytes((byte,)))
        bench.machine.run(100_000)
        journal = decode(encode(bench.machine.inputs.journal()), Journal)
        ways = {one.way for one in journal.inputs if one.source == "clock"}
        assert ways == {Way.PUSHED, Way.ASKED}
        other, time = hosted(restless(seed + 100), replay=journal, trace=Trace(again))
        everything(other, time)
        while other.machine.stopped is None:
            try:
                other.machine.run(3_001 + 977 * seed)
            except InstructionLimit:
                continue
        assert not other.machine.inputs.replaying
        assert not time.waits
        assert outcome(other, again) == outcome(bench, events)
        silent, _ = hosted(restless(seed + 200), replay=journal)
        everything(silent, FakeTime())
        silent.machine.run(100_000)
        assert outcome(silent, Listing())[:-1] == outcome(bench, events)[:-1]
        assert bench.machine.bus.devices["uart0"].output == b"hello, q"

    def test_goes_on(self, hosted: Any) -> None:
        """After the journal the counter is the host's clock again, from where it was."""
        bench, _host = hosted(FakeTime(1_000), record=True)
        start(bench, "loop: mrs x1, cntpct_el0; b loop")
        with pytest.raises(InstructionLimit):
            bench.machine.run(1_000)
        then = bench.machine.clock.now
        other, _time = hosted(FakeTime(50, start=77), replay=bench.machine.inputs.journal())
        start(other, "loop: mrs x1, cntpct_el0; b loop")
        with pytest.raises(InstructionLimit):
            other.machine.run(1_400)
        assert then < other.machine.clock.now < then + 2_000

    def test_another_run(self, hosted: Any) -> None:
        """A read that the journal does not have is an error at the place of the read."""
        bench, _ = hosted(FakeTime(1_000), record=True)
        start(bench, "loop: mrs x1, cntpct_el0; b loop")
        with pytest.raises(InstructionLimit):
            bench.machine.run(1_000)
        other, _ = hosted(replay=bench.machine.inputs.journal())
        start(other, "nop; loop: mrs x1, cntpct_el0; b loop")
        with pytest.raises(Exception, match="the run must be that of the journal"):
            other.machine.run(1_000)
