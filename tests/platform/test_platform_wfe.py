"""WFE, SEV, SEVL and the event register, between the PEs of a machine."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import load

from cca_arch.types import SecurityState
from cca_platform.errors import InstructionLimit
from cca_platform.native import block as w
from cca_platform.pe.running import BREAKPOINT

CODE, OTHER, DATA, VECTORS = 0x8010_0000, 0x8010_4000, 0x8012_0000, 0x8011_0000
TURN = 50_000
HYP = 27  # CNTV
_EL1H, _EL2H = 0x3C5, 0x3C9


class Pes:
    """Two PEs of a bare machine at NS-EL2; ``x`` of one is what it had at its SMC, which turns it off."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.machine = bench.machine
        self.x: dict[int, list[int]] = {}
        self.machine.install(SecurityState.ROOT, 3, self)

    def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
        self.x[pe.index] = list(pe.x)
        pe.power_off()

    def on_irq(self, pe: Any) -> None:
        raise AssertionError("no interrupt is routed to EL3")

    def on_eret(self, pe: Any) -> None:
        raise AssertionError("nothing is above EL3")

    def start(self, *sources: str, el: int = 2) -> None:
        """Place the code of the first PEs and put them at its start."""
        for index, source in enumerate(sources):
            pe, at = self.machine.pes[index], CODE + 0x4000 * index
            self.bench.place(at, source)
            pe.elr, pe.spsr = at, {1: _EL1H, 2: _EL2H}[el]
            pe.waiting, pe.wfe = False, None
            pe.eret(SecurityState.NON_SECURE, el)

    def run(self, max_insns: int = 1_000_000) -> str:
        """Run until nothing can run any more."""
        self.machine.stopped = None
        return str(self.machine.run(max_insns))


@pytest.fixture
def pes(bench: Any) -> Pes:
    """Two PEs."""
    return Pes(bench)


OFF = "every PE is off"
IDLE = "every PE waits for an interrupt that cannot come"


class TestEventRegister:
    """What sets it and what clears it; WFE with the register set completes at once."""

    @pytest.mark.parametrize("before", ["sevl", "sev", "wfe; sevl", "sevl; sevl"])
    def test_local(self, pes: Pes, before: str) -> None:
        """SEV and SEVL set the register of their own PE: the next WFE takes it, and one more waits."""
        pes.start(f"{before}; wfe; mov x5, #1; smc #0")
        assert (pes.run(), pes.x[0][5]) == (OFF, 1)
        pes.start(f"{before}; wfe; wfe; smc #0")
        assert pes.run() == IDLE

    def test_exception_return(self, pes: Pes) -> None:
        """ERET sets it, from EL2 to EL1 and from EL1 to EL0, and an exception does not."""
        pes.start(f"wfe; {load('x0', VECTORS)}; msr vbar_el2, x0; mov x1, #5; msr spsr_el2, x1; adr x1, low; "
                  "msr elr_el2, x1; mov x2, #0; msr hcr_el2, x2; eret; low: wfe; hvc #0")  # fmt: skip
        pes.bench.place(VECTORS + 0x400, "wfe; smc #0")
        assert pes.run() == IDLE
        assert pes.machine.pes[0].elr == VECTORS + 0x404

    def test_taken_once(self, pes: Pes) -> None:
        """Several events are one."""
        pes.start("wfe; sev; sev; sev; wfe; wfe; smc #0")
        assert pes.run() == IDLE

    def test_counts(self, pes: Pes) -> None:
        """Each of these instructions is retired once, whether it waits or not."""
        pes.start("sevl; wfe; nop; sev; wfe; smc #0")
        start = pes.machine.clock.retired
        pes.run()
        assert pes.machine.clock.retired - start == 6


class TestBetweenPes:
    """SEV and stores wake other PEs; WFE gives the turn away."""

    def test_send(self, pes: Pes) -> None:
        """SEV ends the WFE of another PE."""
        spend = f"{load('x1', 200_000)}; again: subs x1, x1, #1; b.ne again"
        pes.start("wfe; wfe; mov x5, #1; smc #0", f"{spend}; sev; smc #0")
        assert (pes.run(), pes.x[0][5]) == (OFF, 1)
        assert pes.machine.pes[0].retired < 20

    def test_gives_the_turn(self, pes: Pes) -> None:
        """A PE that spins with WFE for another one costs a few instructions for each turn of that."""
        wait = f"{load('x1', DATA)}; sevl; again: wfe; ldxr x2, [x1]; cbz x2, again; smc #0"
        work = f"{load('x1', DATA)}; {load('x3', 1_000_000)}; again: subs x3, x3, #1; b.ne again; str x1, [x1]; smc #0"
        pes.start(wait, work)
        assert pes.run(10_000_000) == OFF
        assert pes.machine.pes[0].retired < 20
        assert pes.x[0][2] == DATA

    def test_monitor(self, pes: Pes) -> None:
        """A PE that has loaded exclusively goes on when another PE has stored there, and its store fails."""
        wait = f"{load('x1', DATA)}; wfe; ldxr x2, [x1]; wfe; stxr w3, x1, [x1]; ldr x4, [x1]; smc #0"
        pes.start(wait, f"{load('x1', DATA)}; mov x2, #7; str x2, [x1, #8]; smc #0")
        assert pes.run() == OFF
        assert (pes.x[0][2], pes.x[0][3], pes.x[0][4]) == (0, 1, 0)

    def test_all_wait(self, pes: Pes) -> None:
        """When all wait for what cannot come, the run ends."""
        pes.start("again: wfe; b again", "again: wfi; b again")
        assert pes.run() == IDLE


class TestTime:
    """Idle time passes in WFE as in WFI."""

    @pytest.mark.parametrize("source", ["msr cntkctl_el1, x1", "msr cnthctl_el2, x1"])
    @pytest.mark.parametrize(("direction", "first"), [(0, 0x80), (1, 0x100)])
    def test_event_stream(self, pes: Pes, source: str, direction: int, first: int) -> None:
        """An event stream sets the register when its bit of the counter rises or falls, however long nothing runs."""
        waits = "wfe; wfe; mrs x5, cntpct_el0; wfe; mrs x6, cntpct_el0"
        pes.start(f"mov x1, #{7 << 4 | direction << 3 | 4}; {source}; {waits}; smc #0")
        assert pes.run() == OFF
        x = pes.x[0]
        assert (x[5] - first & 0xFF, x[6] - x[5]) in ((0, 0x100), (1, 0x100), (2, 0x100))
        assert pes.machine.clock.retired < 30

    def test_masked_interrupt(self, bench: Any) -> None:
        """A pending interrupt that PSTATE masks ends WFI, and not WFE; one that is not masked is taken."""
        bench.enable_interrupts(HYP)
        pes = Pes(bench)
        timer = "mov x1, #1000; msr cntv_tval_el0, x1; mov x1, #1; msr cntv_ctl_el0, x1; isb; "
        pes.start(f"wfe; {timer} wfi; wfe; smc #0")
        assert pes.run() == IDLE
        bench.place(VECTORS + 0x280, "mov x6, #9; mov x7, xzr; msr cntv_ctl_el0, x7; eret")
        route = "mrs x1, hcr_el2; orr x1, x1, #16; msr hcr_el2, x1; isb; msr daifclr, #2; "
        unmask = f"{load('x1', VECTORS)}; msr vbar_el2, x1; {route}"
        pes.start(f"wfe; {unmask}{timer} wfe; mov x5, #1; smc #0")
        assert pes.run() == OFF
        assert (pes.x[0][5], pes.x[0][6]) == (1, 9)


class TestTraps:
    """HCR_EL2.TWE and SCTLR_EL1.nTWE."""

    TWE = 1 << 14

    def test_el1(self, guest: Any) -> None:
        """With TWE, a WFE of EL1 that would wait goes to EL2, with TI = 1; one that would not is none."""
        report = guest.enter("wfe; sevl; wfe; wfe", x10=guest.HCR | self.TWE)
        assert (report.level, report.esr) == (2, 1 << 26 | 1 << 25 | 1 << 24 | 0xE << 20 | 1)
        assert report.elr == guest.START + 12

    @pytest.mark.parametrize(("ntwe", "twe", "level"), [(0, 0, 1), (0, 1, 1), (1, 1, 2)])
    def test_el0(self, guest: Any, ntwe: int, twe: int, level: int) -> None:
        """Without nTWE one of EL0 goes to EL1, before it could go to EL2."""
        guest.pe.write_sysreg("sctlr_el1", 0x30D0_0800 & ~(1 << 18) | ntwe << 18)
        report = guest.enter("wfe; wfe", el=0, x10=guest.HCR | twe * self.TWE)
        assert (report.level, report.esr >> 26, report.esr & 3) == (level, 1, 1)

    def test_not_el2(self, pes: Pes) -> None:
        """EL2 itself traps nothing."""
        pes.start(f"mov x1, #{self.TWE}; msr hcr_el2, x1; wfe; wfe; smc #0")
        assert pes.run() == IDLE


class TestState:
    """A PE in WFE, saved and restored."""

    def test_snapshot(self, pes: Pes) -> None:
        """The wait, the event register and what is watched come back."""
        wait = f"{load('x1', DATA)}; wfe; ldxr x2, [x1]; wfe; mov x5, #1; smc #0"
        spend = f"{load('x3', 200_000)}; again: subs x3, x3, #1; b.ne again"
        work = f"{load('x1', DATA)}; {spend}; mov x2, #7; str x2, [x1]; smc #0"
        pes.start(wait, work)
        with pytest.raises(InstructionLimit):
            pes.run(150_000)
        saved = pes.machine.snapshot()
        assert pes.machine.pes[0].wfe is not None
        results = []
        for _ in range(2):
            assert pes.run() == OFF
            results.append((pes.machine.clock.retired, pes.x[0][5]))
            pes.machine.restore(saved)
        assert results[0] == results[1]
        assert results[0][1] == 1

    def test_many_sites(self, benches: Callable[..., Any]) -> None:
        """More such instructions than there is room for hooks: all of them count."""
        pes = Pes(benches())
        pes.start("sevl; wfe; " * 2000 + "sev; smc #0")
        assert pes.run() == OFF
        pes.start("wfe; wfe; smc #0")
        assert pes.run() == IDLE


class TestDebugging:
    """Stops before these instructions, and steps over them."""

    def test_breakpoint(self, pes: Pes) -> None:
        """A stop before WFE comes once for each time that it is reached, whether it waits or not."""
        pes.start("again: sevl; wfe; subs x1, x1, #1; b.ne again; wfe; smc #0")
        pe = pes.machine.pes[0]
        pe.x[1] = 3
        pe.stop_before([CODE + 4, CODE + 16])
        stops = []
        while pes.run() == BREAKPOINT:
            stops.append(pe.elr - CODE)
            pe.paused = False
        assert (stops, pes.machine.stopped) == ([4, 4, 4, 16], IDLE)

    def test_steps(self, pes: Pes) -> None:
        """A step is one instruction; one of a WFE that waits leaves the PE waiting behind it."""
        pes.start("sevl; wfe; sev; wfe; nop; wfe; smc #0")
        pe, found = pes.machine.pes[0], []
        for _ in range(6):
            before = pe.retired
            pe.step(alone=True)
            found.append((pe.elr - CODE, pe.retired - before))
        assert found == [(4 * number, 1) for number in range(1, 7)]
        assert (pe.waiting, pe.wfe) == (True, (-1, b""))
        pe.words[w.P_EVENT] = 1
        assert pes.run() == OFF
