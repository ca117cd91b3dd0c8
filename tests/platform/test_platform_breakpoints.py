"""Stopping before an instruction: exactly there, with the registers and the count of that moment."""

import pytest

from cca_arch.types import SecurityState
from cca_platform.pe.running import BREAKPOINT

from .conftest import CODE, Bench

_LOOP = "mov x0, #0; mov x1, #5; again: add x0, x0, #1; nop; add x2, x2, #3; subs x1, x1, #1; b.ne again; smc #0"
_ADD, _NOP, _THREE = (CODE + 4 * word for word in (2, 3, 4))


def begin(bench: Bench, source: str = _LOOP, el: int = 1) -> None:
    """Code at CODE is next."""
    bench.place(CODE, source)
    bench.pe.elr, bench.pe.spsr = CODE, {1: 0x3C5, 2: 0x3C9}[el]
    bench.pe.eret(SecurityState.NON_SECURE, el)


def go(bench: Bench) -> str | None:
    """Run until the machine stops; why."""
    bench.machine.stopped = None
    bench.pe.run(bench.machine.clock.now + 100_000)
    return bench.machine.stopped


class TestStopBefore:
    """``Pe.stop_before``."""

    @pytest.mark.parametrize(("address", "counted"), [(_ADD, 2), (_NOP, 3), (_THREE, 4)])
    def test_exact(self, bench: Bench, address: int, counted: int) -> None:
        """The instruction has not run, what is before it has, whether or not a block begins there."""
        begin(bench)
        bench.pe.stop_before({address})
        for turn in range(5):
            assert go(bench) == BREAKPOINT
            assert bench.pe.elr == address
            assert bench.pe.retired == bench.machine.clock.now == counted + 5 * turn
            assert bench.pe.x[0] == turn + (address > _ADD) and bench.pe.x[2] == 3 * turn
        assert go(bench) == "SMC" and bench.pe.x[0] == 5

    def test_same_count(self, benches: object) -> None:
        """Stops change nothing of what is retired."""
        counts = []
        for stops in ((), (_ADD, _NOP, _THREE)):
            bench = benches()  # type: ignore[operator] # the fixture's maker
            begin(bench)
            bench.pe.stop_before(stops)
            while go(bench) == BREAKPOINT:
                pass
            counts.append((bench.pe.retired, bench.machine.clock.now, list(bench.pe.x)))
        assert counts[0] == counts[1]

    def test_at_once(self, bench: Bench) -> None:
        """The first instruction counts, too."""
        begin(bench)
        bench.pe.stop_before({CODE})
        assert go(bench) == BREAKPOINT and (bench.pe.elr, bench.pe.retired) == (CODE, 0)

    def test_taken_back(self, bench: Bench) -> None:
        """Without addresses nothing stops, also in code that has been translated."""
        begin(bench)
        bench.pe.stop_before({_NOP})
        assert go(bench) == BREAKPOINT
        bench.pe.stop_before(())
        assert go(bench) == "SMC" and bench.pe.x[0] == 5

    def test_budget_elsewhere(self, bench: Bench) -> None:
        """A turn that ends while there are stops elsewhere ends between the right instructions."""
        begin(bench, "mov x0, #0; again: add x0, x0, #1; nop; b again")
        bench.pe.stop_before({CODE + 0x400})
        for ticks in range(3, 1_000, 7):
            bench.pe.run(bench.machine.clock.now + ticks)
            done = bench.pe.retired - 1
            assert bench.pe.elr == CODE + 4 + 4 * (done % 3) and bench.pe.x[0] == -(-done // 3)

    def test_memory(self, bench: Bench) -> None:
        """Stops before loads and stores, which happen once."""
        loop = "again: ldr x6, [x5]; add x6, x6, #1; str x6, [x5]; cmp x6, #9; b.ne again; smc #0"
        begin(bench, f"adr x5, data; {loop}; data: .quad 0")
        bench.pe.stop_before({CODE + 4, CODE + 12})
        stops = 0
        while go(bench) == BREAKPOINT:
            stops += 1
        assert stops == 18 and bench.pe.x[6] == 9


class TestAlone:
    """``Pe.step(alone=True)``: one instruction, or the exception in its place."""

    def test_each(self, bench: Bench) -> None:
        """Every instruction is a step of its own."""
        begin(bench)
        places = []
        while bench.pe.elr != CODE + 4 * 7:
            places.append((bench.pe.elr - CODE) // 4)
            bench.pe.step(alone=True)
            assert bench.pe.retired == bench.machine.clock.now == len(places)
        assert places == [0, 1, *[2, 3, 4, 5, 6] * 5]

    def test_exception(self, bench: Bench) -> None:
        """A fault is taken, and the handler is next."""
        bench.vectors()
        begin(bench, "mov x5, #1; lsl x5, x5, #45; ldr x6, [x5]; smc #0")
        for _ in range(3):
            bench.pe.step(alone=True)
        assert bench.pe.elr & 0x7FF == 0x200 and bench.pe.retired == 2

    def test_then_run(self, bench: Bench) -> None:
        """After a step the code runs on as ever."""
        begin(bench)
        bench.pe.step(alone=True)
        assert go(bench) == "SMC" and bench.pe.retired == 2 + 25 + 1
