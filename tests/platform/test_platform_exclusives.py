"""The exclusive monitor where PEs take turns, and where an interrupt comes in between."""

from typing import Any, Final

from cca_arch.types import SecurityState
from cca_platform.native import block as w

NS, REALM = SecurityState.NON_SECURE, SecurityState.REALM
CODE, DATA = 0x8010_0000, 0x8012_0000  # where the bench has them
OTHER: Final = 0x8014_0000
IL: Final = 1 << 25


class TestExclusives:
    """A store exclusive fails when another PE has run since the load, also one that put the same value back."""

    def test_same_value(self, bench: Any) -> None:
        """The second PE writes and restores the word while the first one is between its load and its store."""
        first, second = bench.machine.pes[:2]
        spin = "mov x3, #0x20000; wait: subs x3, x3, #1; b.ne wait;"
        bench.place(CODE, f"ldxr x1, [x9]; {spin} stxr w2, x1, [x9]; ldxr x4, [x9]; stxr w5, x4, [x9]; smc #0")
        bench.place(OTHER, "ldr x1, [x9]; str xzr, [x9]; str x1, [x9]; idle: wfi; b idle")
        bench.machine.memory.backdoor.write64(DATA, 77)
        for pe, at in ((first, CODE), (second, OTHER)):
            pe.x[9] = DATA
            pe.elr, pe.spsr = at, 0x3C9
            pe.eret(NS, 2)
        bench.machine.run(1_000_000)
        x = bench.el3.calls[-1]
        assert (x[1], x[2], x[4], x[5]) == (77, 1, 77, 0)

    def test_place(self, bench: Any) -> None:
        """Code that goes where the engine keeps its CLREX gets an exception, once the PE has been there, too."""
        bench.vectors()
        first, second = bench.machine.pes[:2]
        bench.place(OTHER, "idle: b idle")
        bench.place(CODE, "ldxr x1, [x9]; mov x3, #0x40000; wait: subs x3, x3, #1; b.ne wait; br x0")
        for pe, at in ((first, CODE), (second, OTHER)):
            pe.x[0], pe.x[9] = w.CLREX_VA, DATA
            pe.elr, pe.spsr = at, 0x3C5
            pe.eret(NS, 1)
        bench.machine.run(2_000_000)
        x = bench.el3.calls[-1]
        assert (x[20], x[22]) == (IL, w.CLREX_VA + 8)  # undefined, after what the engine keeps there

    def test_alone(self, bench: Any) -> None:
        """Where no other PE is on, nothing clears the monitor."""
        spin = "mov x3, #0x40000; wait: subs x3, x3, #1; b.ne wait;"
        bench.place(CODE, f"ldxr x1, [x9]; {spin} stxr w2, x1, [x9]; smc #0")
        bench.pe.x[9] = DATA
        bench.pe.elr, bench.pe.spsr = CODE, 0x3C9
        bench.pe.eret(NS, 2)
        bench.machine.run(1_000_000)
        assert bench.el3.calls[-1][2] == 0

    def test_interrupt(self, bench: Any) -> None:
        """An exception return clears the monitor, also that of a level in Python."""

        class Level2:
            def on_sync(self, pe: Any, esr: int, far: int, hpfar: int) -> None:
                raise AssertionError(f"unexpected exception {esr:#x}")

            def on_irq(self, pe: Any) -> None:
                pe.host_timer(None)

            def on_eret(self, pe: Any) -> None:
                raise AssertionError("nobody enters this level")

        bench.machine.install(REALM, 2, Level2())
        bench.enable_interrupts(26)
        bench.pe.set_el2(1 << 31 | 1 << 4, 0, 0, 0x8000_0000)
        bench.pe.host_timer(bench.machine.clock.now + 1000)
        source = "ldxr x1, [x9]; mov x3, #2000; wait: subs x3, x3, #1; b.ne wait; stxr w2, x1, [x9]; smc #0"
        assert bench.run(source, REALM, x9=DATA)[2] == 1
        assert bench.run(source, REALM, x9=DATA)[2] == 0
