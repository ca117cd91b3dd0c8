"""A PE runs code, counts what it retires, and stops where it has to."""

from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.errors import InstructionLimit, MachineStopped
from cca_platform.native import block as w

CODE = 0x8010_0000
VECTORS = CODE + 0x1000
NS = SecurityState.NON_SECURE


class TestCounting:
    """The clock counts retired instructions exactly, whatever interrupts a block."""

    @pytest.mark.parametrize("turns", [1, 10, 1000])
    def test_loop(self, bench: Any, turns: int) -> None:
        """A loop of two instructions retires twice its turns, the SMC included."""
        before = bench.pe.retired
        bench.run("loop: subs x1, x1, #1; b.ne loop; smc #0", x1=turns)
        assert bench.pe.retired - before == 2 * turns + 1

    def test_aborts(self, bench: Any) -> None:
        """An access that aborts is not retired; what its handler retires is."""
        bench.vectors("mrs x20, elr_el1; add x20, x20, #4; msr elr_el1, x20; eret")
        before = bench.pe.retired
        bench.run("nop; nop; ldr x2, [x1]; nop; smc #0", x1=0x7000_0000)
        assert bench.pe.retired - before == 4 + 4

    def test_counter(self, bench: Any) -> None:
        """CNTVCT_EL0 and CNTPCT_EL0 read the clock, CNTFRQ_EL0 the board's frequency."""
        x = bench.run("mrs x1, cntvct_el0; mrs x2, cntpct_el0; mrs x3, cntfrq_el0; isb; mrs x4, cntvct_el0; smc #0")
        assert (x[1], x[2]) == (0, 1)  # the instructions before each of them
        assert x[3] == 100_000_000
        assert x[4] == 4
        assert x[4] <= bench.machine.clock.now

    def test_counter_within_a_block(self, bench: Any) -> None:
        """Each read of the counter is the number of instructions before it: in a block, after a branch or an access."""
        parts = ["nop", "mrs x1, cntpct_el0", "mrs x2, cntvct_el0", "b there; there: nop", "mrs x3, cntpct_el0"]
        parts += ["ldr w4, [x10, #0x18]", "mrs x4, cntpct_el0", "msr cntv_cval_el0, xzr", "mrs x5, cntv_tval_el0"]
        x = bench.run("; ".join((*parts, "nop", "mrs x6, cntpct_el0", "smc #0")), x10=0x1C09_0000)
        assert x[1:7] == [1, 2, 5, 7, -9 & 0xFFFF_FFFF, 11]

    def test_timer_registers(self, bench: Any) -> None:
        """CTL, CVAL and TVAL of the virtual timer are one state: TVAL is CVAL - counter, ISTATUS the comparison."""
        source = (
            "mov x1, #1000; msr cntv_tval_el0, x1; mov x2, #1; msr cntv_ctl_el0, x2; mrs x3, cntv_ctl_el0;"
            "mrs x4, cntv_cval_el0; mrs x5, cntv_tval_el0; msr cntv_cval_el0, xzr; mrs x6, cntv_ctl_el0; smc #0"
        )
        x = bench.run(source)
        assert x[3] == 1
        assert x[4] - 1000 <= bench.machine.clock.now
        assert 0 < x[5] <= 1000
        assert x[6] == 5

    def test_timer_far_away(self, bench: Any) -> None:
        """A compare value with bit 63 set is far in the future, not in the past."""
        source = "mov x1, #-1; msr cntv_cval_el0, x1; mov x2, #1; msr cntv_ctl_el0, x2; mrs x3, cntv_ctl_el0; smc #0"
        assert bench.run(source)[3] == 1
        assert bench.pe.deadline() is None

    def test_limit(self, bench: Any) -> None:
        """A run stops within one block of its limit of instructions."""
        bench.place(CODE, "loop: b loop")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        with pytest.raises(InstructionLimit, match="5000 instructions"):
            bench.machine.run(5000)
        assert bench.pe.retired == 5000

    def test_nothing_can_wake_it(self, bench: Any) -> None:
        """WFI with no timer anywhere ends the run instead of hanging it."""
        bench.place(CODE, "wfi; smc #0")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        assert "cannot come" in bench.machine.run(1000)

    def test_stuck(self, bench: Any) -> None:
        """A vector that faults on itself is no code that runs: with nothing else to wait for, the run ends."""
        bench.pe.write_sysreg("vbar_el1", 0x7000_0000)
        bench.place(CODE, ".word 0")
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C5
        bench.pe.eret(NS, 1)
        assert bench.machine.run(1_000_000) == "PE 0 takes exceptions without end"
        assert (bench.pe.stuck, bench.pe.retired) == (True, 0)

    @pytest.mark.parametrize("el", [1, 2])
    @pytest.mark.parametrize(
        "vector",
        [
            "sub sp, sp, #16; ldr x0, [x1]",
            "b .+16; .space 12; nop; ldr x0, [x1]",
            "svc #0",
            "mov x2, #100; subs x2, x2, #1; b.ne .-4; .word 0",
            "msr daifclr, #15; br x1",
        ],
    )
    def test_without_end(self, bench: Any, vector: str, el: int) -> None:
        """Nor is a vector whose code does something, be it on a moving stack, and then takes an exception again."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, vector)
        bench.pe.write_sysreg(f"vbar_el{el}", VECTORS)
        bench.place(CODE, ".word 0")
        bench.pe.x[1] = 0x7000_0000
        bench.pe.elr, bench.pe.spsr = CODE, {1: 0x3C5, 2: 0x3C9}[el]
        bench.pe.eret(NS, el)
        assert bench.machine.run(1_000_000) == "PE 0 takes exceptions without end"
        assert bench.pe.stuck

    @pytest.mark.parametrize("el", [0, 1, 2])
    @pytest.mark.parametrize("source", ["svc #0", "ldr x0, [x1]", "br x1"])
    def test_with_an_end(self, bench: Any, source: str, el: int) -> None:
        """Any number of exceptions that return is fine, however short the way from one to the next."""
        target = max(el, 1)
        step = f"mrs x3, elr_el{target}; add x3, x3, #4; msr elr_el{target}, x3; " if source[:3] == "ldr" else ""
        if source == "br x1":
            step = f"msr elr_el{target}, x4; "
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, f"{step}add x6, x6, #1; cmp x6, x5; b.eq .+8; eret; smc #0")
        bench.pe.write_sysreg(f"vbar_el{target}", VECTORS)
        count = 3 * w.NESTED_LIMIT
        bench.place(CODE, f"adr x4, back; again: {source}; back: b again")
        x = bench.pe.x
        x[1], x[5], x[6] = 0x7000_0000, count, 0
        bench.pe.elr, bench.pe.spsr = CODE, {0: 0x3C0, 1: 0x3C5, 2: 0x3C9}[el]
        bench.pe.eret(NS, el)
        assert bench.machine.run(1_000_000) == "SMC"
        assert (bench.pe.stuck, x[6]) == (False, count)

    def test_stopped(self, bench: Any) -> None:
        """After power-off nothing runs."""
        bench.machine.stop("system off")
        bench.pe.eret(NS, 1)
        with pytest.raises(MachineStopped, match="system off"):
            bench.pe.step()


class TestSteps:
    """How long a step takes: signals and limits of wall time are seen between two steps."""

    def test_exceptions(self, bench: Any) -> None:
        """Exceptions take time, so a step has a few thousand of them at most, though each may return."""
        bench.vectors("add x1, x1, #1; eret")
        bench.place(CODE, "again: svc #0; b again")
        pe, clock = bench.pe, bench.machine.clock
        pe.elr, pe.spsr = CODE, 0x3C5
        pe.eret(NS, 1)
        for _ in range(3):
            before = clock.exceptions
            pe.step()
            assert 3_000 < clock.exceptions - before < 8_000
