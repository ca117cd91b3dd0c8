"""The SP804 dual timer and its clocks in the SP810, by the rules of DDI 0271 and DDI 0254."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LOAD, VALUE, CONTROL, INTCLR, RIS, MIS, BGLOAD = range(0, 0x1C, 4)
SECOND_TIMER, ITCR, ITOP = 0x20, 0xF00, 0xF04
ONE_SHOT, WIDE, INTENABLE, PERIODIC, ENABLE = 1, 2, 0x20, 0x40, 0x80
COUNTER_HZ, REFERENCE_HZ, TIMER_HZ, RAW_HZ = 100_000_000, 32_768, 1_000_000, 35_000_000
SCCTRL = 0


@pytest.fixture
def timer(rig: Any) -> Any:
    """The first dual timer of the default board."""
    return rig.device("dual-timer0")


def at_timer_clock(rig: Any) -> None:
    """1 MHz for all timers."""
    rig.device("system-controller").write(SCCTRL, 0x55 << 15)


class TestRegisters:
    """What there is."""

    def test_reset_values(self, timer: Any) -> None:
        """After reset both timers are off, of 16 bits, free-running, and would interrupt."""
        for base in (0, SECOND_TIMER):
            assert [timer.read(base + at) for at in range(0, 0x1C, 4)] == [0, 0xFFFF_FFFF, INTENABLE, 0, 0, 0, 0]

    def test_identity(self, rig: Any, timer: Any) -> None:
        """The PrimeCell identification registers name an SP804 and an SP810."""
        cell = [0x0D, 0xF0, 0x05, 0xB1]
        assert [timer.read(0xFE0 + 4 * n) for n in range(8)] == [0x04, 0x18, 0x14, 0x00, *cell]
        controller = rig.device("system-controller")
        assert [controller.read(0xFE0 + 4 * n) for n in range(8)] == [0x10, 0x18, 0x04, 0x00, *cell]

    def test_background_load(self, rig: Any, timer: Any) -> None:
        """BGLoad is the next value after zero, and does not disturb the count; Load does."""
        at_timer_clock(rig)
        timer.write(LOAD, 1000)
        timer.write(CONTROL, ENABLE | WIDE | PERIODIC)
        timer.write(BGLOAD, 10)
        assert [timer.read(at) for at in (LOAD, BGLOAD, VALUE)] == [10, 10, 1000]
        rig.go(100 * 1001)
        assert timer.read(VALUE) == 10
        timer.write(LOAD, 500)
        assert timer.read(VALUE) == 500


class TestClock:
    """The frequencies."""

    @pytest.mark.parametrize(("bits", "hz"), [(0, REFERENCE_HZ), (1, TIMER_HZ), (2, RAW_HZ), (3, RAW_HZ)])
    @pytest.mark.parametrize("number", range(4))
    def test_selection(self, rig: Any, number: int, bits: int, hz: int) -> None:
        """Each of the four timers counts the clock that its own two bits in SCCTRL select."""
        rig.device("system-controller").write(SCCTRL, bits << 15 + 2 * number)
        timer, base = rig.device(f"dual-timer{number // 2}"), SECOND_TIMER * (number % 2)
        timer.write(base + LOAD, 0xFFFF_FFFF)
        timer.write(base + CONTROL, ENABLE | WIDE)
        rig.go(COUNTER_HZ // 2)
        assert timer.read(base + VALUE) == 0xFFFF_FFFF - hz // 2

    @pytest.mark.parametrize(("prescale", "divider"), [(0, 1), (1, 16), (2, 256)])
    def test_prescale(self, rig: Any, timer: Any, prescale: int, divider: int) -> None:
        """TimerPre divides the clock by 1, 16 or 256."""
        at_timer_clock(rig)
        timer.write(LOAD, 0xFFFF_FFFF)
        timer.write(CONTROL, ENABLE | WIDE | prescale << 2)
        rig.go(256 * 100 * 10)
        assert timer.read(VALUE) == 0xFFFF_FFFF - 2560 // divider

    def test_change(self, rig: Any, timer: Any) -> None:
        """A timer that runs keeps its count when its clock changes, and is due at the time of the new clock."""
        at_timer_clock(rig)
        timer.write(LOAD, 35_000)
        timer.write(CONTROL, ENABLE | WIDE | INTENABLE)
        rig.go(COUNTER_HZ // 1000)
        assert timer.read(VALUE) == 34_000
        rig.device("system-controller").write(SCCTRL, 1 << 16)
        assert timer.read(VALUE) == 34_000
        due = rig.machine.events.next - rig.machine.clock.now
        assert abs(due - COUNTER_HZ * 34_000 // RAW_HZ) <= COUNTER_HZ // RAW_HZ + 1
        rig.go(due - 1)
        assert not timer.irq
        rig.go(1)
        assert (timer.irq, timer.read(VALUE)) == (True, 0)


class TestInterrupt:
    """The combined interrupt."""

    def test_both(self, rig: Any, timer: Any) -> None:
        """The line is up while either timer's masked interrupt is."""
        at_timer_clock(rig)
        for base, load in ((0, 10), (SECOND_TIMER, 20)):
            timer.write(base + LOAD, load)
            timer.write(base + CONTROL, ENABLE | WIDE | INTENABLE | ONE_SHOT)
        rig.go(1000 - 1)
        assert not timer.irq
        rig.go(1)
        assert (timer.irq, timer.read(MIS), timer.read(SECOND_TIMER + MIS)) == (True, 1, 0)
        timer.write(INTCLR, 1)
        assert not timer.irq
        rig.go(1000)
        assert (timer.irq, timer.read(SECOND_TIMER + MIS)) == (True, 1)
        timer.write(SECOND_TIMER + CONTROL, ENABLE | WIDE | ONE_SHOT)
        assert (timer.irq, timer.read(SECOND_TIMER + RIS)) == (False, 1)

    def test_zero(self, rig: Any, timer: Any) -> None:
        """Loading zero into a timer that is on interrupts at once."""
        at_timer_clock(rig)
        timer.write(CONTROL, ENABLE | WIDE | INTENABLE | ONE_SHOT)
        timer.write(LOAD, 0)
        assert timer.irq

    def test_integration(self, timer: Any) -> None:
        """In test mode the line is what TimerITOP says."""
        timer.write(ITCR, 1)
        timer.write(ITOP, 2)
        assert timer.irq
        timer.write(ITOP, 0)
        assert not timer.irq


class Model:
    """One timer, an edge at a time."""

    def __init__(self) -> None:
        self.load = self.raw = 0
        self.count = 0xFFFF_FFFF
        self.control = INTENABLE

    @property
    def most(self) -> int:
        return 0xFFFF_FFFF if self.control & WIDE else 0xFFFF

    def edge(self) -> None:
        if not self.control & ENABLE or (not self.count & self.most and self.control & ONE_SHOT):
            return
        if self.count & self.most:
            self.count = (self.count & self.most) - 1
        else:
            self.count = self.load & self.most if self.control & PERIODIC else self.most
        if self.count == 0:
            self.raw = 1

    def write(self, register: int, value: int) -> None:
        if register == LOAD:
            self.load, self.count = value, value
            if not value & self.most and self.control & ENABLE:
                self.raw = 1
        elif register == BGLOAD:
            self.load = value
        elif register == INTCLR:
            self.raw = 0
        else:
            self.control = value


class TestAgainstModel:
    """Any sequence of writes and time."""

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.sampled_from([0, SECOND_TIMER]),
        st.lists(
            st.one_of(
                st.tuples(st.just(LOAD), st.one_of(st.integers(0, 5), st.integers(0xFFFE, 0x1_0002))),
                st.tuples(st.just(BGLOAD), st.integers(0, 5)),
                st.tuples(st.just(CONTROL), st.sampled_from([
                    mode | size | on | irq
                    for mode in (0, ONE_SHOT, PERIODIC) for size in (0, WIDE) for on in (0, ENABLE)
                    for irq in (0, INTENABLE)
                ])),
                st.tuples(st.just(INTCLR), st.just(0)),
                st.tuples(st.none(), st.integers(1, 20)),
            ),
            max_size=20,
        ),
    )  # fmt: skip
    def test_steps(self, rig: Any, base: int, steps: list[tuple[int | None, int]]) -> None:
        """Value, interrupt and their times are those of a counter that is stepped edge by edge."""
        rig.fresh()
        at_timer_clock(rig)
        model, timer, edges = Model(), rig.device("dual-timer0"), 0
        for register, value in steps:
            if register is None:
                for _ in range(value):
                    edges += 1
                    model.edge()
                    rig.go(edges * COUNTER_HZ // TIMER_HZ - rig.machine.clock.now)
                    assert timer.irq == bool(model.raw and model.control & INTENABLE)
            else:
                timer.write(base + register, value)
                model.write(register, value)
            assert [timer.read(base + at) for at in (VALUE, RIS, LOAD)] == [model.count, model.raw, model.load]

    def test_snapshot(self, rig: Any, timer: Any) -> None:
        """A snapshot in the middle of a run has count and clock."""
        at_timer_clock(rig)
        timer.write(LOAD, 100)
        timer.write(CONTROL, ENABLE | WIDE | INTENABLE | PERIODIC)
        rig.go(100 * 30 + 50)
        machine = rig.machine
        before = machine.snapshot()
        rig.go(12_345)
        rig.device("system-controller").write(SCCTRL, 0)
        machine.restore(before)
        assert (timer.read(VALUE), machine.events.next) == (70, 10_000)
