"""A level in Python: the exceptions that it takes, and what it may change."""

from typing import Any

from cca_arch.types import SecurityState

CODE = 0x8010_0000
REALM = SecurityState.REALM


class Level2:
    """R-EL2 that notes what it gets and steps over it."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int, int, int]] = []

    def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
        self.seen.append((esr >> 26, esr & 0xFFFFFF, far, hpfar, pe.elr))
        pe.elr += 4 if esr >> 26 != 0x16 else 0
        pe.x[5] = 0x77

    def on_irq(self, pe: Any) -> None:
        self.seen.append((-1, 0, 0, 0, pe.elr))
        pe.host_timer(None)

    def on_eret(self, pe: Any) -> None:
        raise AssertionError("nobody enters this level")


class TestPython:
    """A level in Python: its exceptions, and what it may change."""

    def test_sync(self, bench: Any) -> None:
        """HVC, a trapped WFI and a trapped ID register arrive with their class; a changed X5 is seen by the code."""
        level2 = Level2()
        bench.machine.install(REALM, 2, level2)
        bench.pe.set_el2(1 << 31 | 1 << 13 | 1 << 18, 0, 0, 0x8000_0000)
        x = bench.run("hvc #1; mov x6, x5; wfi; mrs x7, id_aa64pfr0_el1; smc #0", REALM, x5=0, x7=1)
        assert [(ec, elr - CODE) for ec, _, _, _, elr in level2.seen] == [(0x16, 4), (0x01, 8), (0x18, 12)]
        assert x[5:8] == [0x77, 0x77, 1]

    def test_interrupt_generation(self, bench: Any) -> None:
        """Under HCR_EL2.IMO a write of ICC_SGI1R_EL1 is EL2's, with its register in the syndrome; else it is done."""
        level2 = Level2()
        bench.machine.install(REALM, 2, level2)
        bench.vectors()
        bench.pe.set_el2(1 << 31 | 1 << 4, 0, 0, 0x8000_0000)
        bench.run("msr s3_0_c12_c11_5, x9; smc #0", REALM, x9=1)
        ec, iss, _, _, elr = level2.seen[0]
        assert (ec, elr) == (0x18, CODE)
        assert iss == 3 << 20 | 5 << 17 | 0 << 14 | 12 << 10 | 9 << 5 | 11 << 1
        bench.pe.set_el2(1 << 31, 0, 0, 0x8000_0000)
        bench.enable_interrupts(0)
        assert bench.run("msr s3_0_c12_c11_5, x9; mrs x10, s3_0_c12_c12_0; smc #0", REALM, x9=1, x20=7)[20] == 7

    def test_irq(self, bench: Any) -> None:
        """The host's timer interrupts code of a lower level at the first block boundary after its deadline."""
        level2 = Level2()
        bench.machine.install(REALM, 2, level2)
        bench.enable_interrupts(26)
        bench.pe.set_el2(1 << 31 | 1 << 4, 0, 0, 0x8000_0000)
        bench.pe.host_timer(bench.machine.clock.now + 1000)
        bench.run("loop: subs x1, x1, #1; b.ne loop; smc #0", REALM, x1=2000)
        assert level2.seen[0][0] == -1
        assert len(level2.seen) == 1
