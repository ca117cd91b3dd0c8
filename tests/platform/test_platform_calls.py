"""Calls of a level in Python: those that complete at once, and those that run code before they do."""

from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.errors import MachineStopped
from cca_platform.pe.pe import Pe

CODE = 0x8010_0000
ANSWER, RUN, OFF = 1, 2, 3
NS = SecurityState.NON_SECURE


class Caller:
    """NS-EL2: counts how often EL3 has given it the PE."""

    returns = 0

    def on_eret(self, pe: Pe) -> None:
        self.returns += 1


class Monitor:
    """EL3: answers ANSWER itself, has code at NS-EL1 answer RUN, whose SMC is the end of that call, and powers off."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine

    def on_sync(self, pe: Pe, esr: int, far: int, hpfar: int) -> None:
        if pe.x[0] == OFF:
            self.machine.stop("off")
        elif pe.x[0] == RUN:
            pe.elr, pe.spsr = CODE, 0x3C5
            pe.eret(NS, 1)
        else:
            pe.x[1] = pe.x[1] + 1
            pe.eret(NS, 2)


@pytest.fixture
def pe(bench: Any) -> Pe:
    """A PE at NS-EL2 in Python; the code at NS-EL1 counts X1 down, one block for each, and gives 77."""
    machine = bench.machine
    machine.install(NS, 2, Caller())
    machine.install(SecurityState.ROOT, 3, Monitor(machine))
    bench.place(CODE, "again: sub x1, x1, #1; cbnz x1, again; mov x0, #1; mov x1, #76; smc #0")
    return machine.pes[0]


class TestAtOnce:
    """``smc`` is a function call."""

    def test_results(self, pe: Pe) -> None:
        """It gives X0..X4 of the answer."""
        assert pe.smc(ANSWER, 5, 6) == [ANSWER, 6, 6, 0, 0]
        assert pe.call_done

    def test_code_is_refused(self, pe: Pe) -> None:
        """A call that has code run is none for ``smc``."""
        with pytest.raises(AssertionError, match="SMC 0x2 must complete without running code: begin it by start_call"):
            pe.smc(RUN, 10)

    def test_power_off(self, pe: Pe) -> None:
        """A call that powers the machine off does not come back."""
        with pytest.raises(MachineStopped, match="off"):
            pe.smc(OFF)


class TestStarted:
    """``start_call`` returns before the code runs; ``step`` runs it."""

    def test_end(self, pe: Pe) -> None:
        """``call_done`` tells the end, the results are in X0..X30, and the level above has heard of it."""
        pe.start_call(RUN, 10)
        assert (pe.call_done, pe.retired) == (False, 0)
        pe.step()
        assert pe.call_done
        assert (pe.x[1], pe.retired) == (77, 2 * 10 + 3)
        assert pe.programs[NS, 2].returns == 1

    def test_done_at_once(self, pe: Pe) -> None:
        """A call without code is done when ``start_call`` returns."""
        pe.start_call(ANSWER, 5)
        assert (pe.call_done, pe.x[1]) == (True, 6)

    def test_paused(self, pe: Pe) -> None:
        """``step(until)`` stops at the first block from there on, and the code then goes on as if it had not."""
        pe.start_call(RUN, 100)
        stops = []
        while not pe.call_done:
            pe.step(pe.clock.now + 7)
            stops.append(pe.retired)
        assert stops == [*range(8, 201, 8), 203]
        assert pe.x[1] == 77

    def test_saved(self, pe: Pe) -> None:
        """A call in progress is state of the machine: restored, it completes once more."""
        pe.start_call(RUN, 100)
        pe.step(50)
        snapshot = pe.machine.snapshot()
        ends = []
        for _ in range(3):
            pe.machine.restore(snapshot)
            assert not pe.call_done
            while not pe.call_done:
                pe.step()
            ends.append((pe.retired, pe.clock.now, list(pe.x)))
        assert ends[0] == ends[1] == ends[2]
        assert ends[0][:2] == (203, 203)
