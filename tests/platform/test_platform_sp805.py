"""The SP805 watchdog, by the rules of DDI 0270."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LOAD, VALUE, CONTROL, INTCLR, RIS, MIS, LOCK, ITCR, ITOP = 0x0, 0x4, 0x8, 0xC, 0x10, 0x14, 0xC00, 0xF00, 0xF04
INTEN, RESEN = 1, 2
HZ, COUNTER_HZ = 32_768, 100_000_000
SECOND = COUNTER_HZ


@pytest.fixture
def watchdog(rig: Any) -> Any:
    """The watchdog of the default board."""
    return rig.device("watchdog")


class TestCounter:
    """Counting down."""

    def test_reset_values(self, watchdog: Any) -> None:
        """After reset the counter stands at all ones, and nothing is enabled, locked or raised."""
        names = (LOAD, VALUE, CONTROL, RIS, MIS, LOCK)
        assert [watchdog.read(name) for name in names] == [0xFFFF_FFFF, 0xFFFF_FFFF, 0, 0, 0, 0]

    def test_identity(self, watchdog: Any) -> None:
        """The PrimeCell identification registers name an SP805."""
        expected = [0x05, 0x18, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1]
        assert [watchdog.read(0xFE0 + 4 * n) for n in range(8)] == expected

    def test_counts(self, rig: Any, watchdog: Any) -> None:
        """It counts at 32,768 Hz from WDOGLOAD while INTEN is set, and stands still while it is not."""
        watchdog.write(LOAD, HZ)
        rig.go(SECOND)
        assert watchdog.read(VALUE) == HZ
        watchdog.write(CONTROL, INTEN)
        rig.go(SECOND // 4)
        assert watchdog.read(VALUE) == HZ * 3 // 4
        watchdog.write(CONTROL, 0)
        rig.go(SECOND)
        assert watchdog.read(VALUE) == HZ * 3 // 4
        watchdog.write(CONTROL, INTEN)
        assert watchdog.read(VALUE) == HZ

    def test_load_restarts(self, rig: Any, watchdog: Any) -> None:
        """Writing WDOGLOAD restarts the counter at once from the new value."""
        watchdog.write(CONTROL, INTEN)
        rig.go(SECOND)
        watchdog.write(LOAD, 100)
        assert watchdog.read(VALUE) == 100


class TestTimeout:
    """Interrupt and reset."""

    def test_interrupt(self, rig: Any, watchdog: Any) -> None:
        """The first time-out raises the interrupt exactly when the counter reaches zero; WDOGINTCLR lowers it."""
        watchdog.write(LOAD, HZ)
        watchdog.write(CONTROL, INTEN)
        rig.go(SECOND - 1)
        assert (watchdog.read(RIS), watchdog.irq) == (0, False)
        rig.go(1)
        assert (watchdog.read(RIS), watchdog.read(MIS), watchdog.read(VALUE), watchdog.irq) == (1, 1, 0, True)
        watchdog.write(INTCLR, 1)
        assert (watchdog.read(RIS), watchdog.read(VALUE), watchdog.irq) == (0, HZ, False)

    def test_reset(self, rig: Any, watchdog: Any) -> None:
        """The second time-out with the interrupt still up resets the system when RESEN is set."""
        watchdog.write(LOAD, HZ - 1)
        watchdog.write(CONTROL, INTEN | RESEN)
        rig.go(2 * SECOND - SECOND // HZ - 100)
        assert (rig.machine.stopped, watchdog.irq) == (None, True)
        rig.go(SECOND // HZ)
        assert rig.machine.stopped == "system reset: SP805 watchdog"

    def test_served(self, rig: Any, watchdog: Any) -> None:
        """Software that clears the interrupt in time is never reset."""
        watchdog.write(LOAD, HZ)
        watchdog.write(CONTROL, INTEN | RESEN)
        for _ in range(10):
            rig.go(SECOND + SECOND // 2)
            assert watchdog.irq
            watchdog.write(INTCLR, 0)
        assert rig.machine.stopped is None

    def test_no_reset(self, rig: Any, watchdog: Any) -> None:
        """Without RESEN the interrupt stays up, and the counter goes round."""
        watchdog.write(LOAD, HZ - 1)
        watchdog.write(CONTROL, INTEN)
        rig.go(10 * SECOND + SECOND // 2)
        assert (rig.machine.stopped, watchdog.irq, watchdog.read(VALUE)) == (None, True, HZ // 2 - 1)

    def test_reset_enabled_later(self, rig: Any, watchdog: Any) -> None:
        """RESEN set after many rounds counts from the next time-out."""
        watchdog.write(LOAD, HZ - 1)
        watchdog.write(CONTROL, INTEN)
        rig.go(10 * SECOND + SECOND // 2)
        watchdog.write(CONTROL, INTEN | RESEN)
        assert rig.machine.stopped is None
        rig.go(SECOND // 2)
        assert rig.machine.stopped is not None

    def test_disabled(self, rig: Any, watchdog: Any) -> None:
        """With INTEN clear there is neither interrupt nor reset."""
        watchdog.write(LOAD, 1)
        watchdog.write(CONTROL, RESEN)
        rig.go(SECOND)
        assert (rig.machine.stopped, watchdog.irq, rig.machine.events.next) == (None, False, None)


class TestLock:
    """WDOGLOCK."""

    def test_lock(self, watchdog: Any) -> None:
        """Anything but the key closes the lock: no other register takes writes, until the key opens it."""
        watchdog.write(LOCK, 1)
        watchdog.write(LOAD, 5)
        watchdog.write(CONTROL, 3)
        assert [watchdog.read(name) for name in (LOCK, LOAD, CONTROL)] == [1, 0xFFFF_FFFF, 0]
        watchdog.write(LOCK, 0x1ACC_E551)
        watchdog.write(LOAD, 5)
        assert [watchdog.read(name) for name in (LOCK, LOAD)] == [0, 5]

    def test_integration(self, rig: Any, watchdog: Any) -> None:
        """With WDOGITCR set the outputs are what WDOGITOP says."""
        watchdog.write(ITCR, 1)
        watchdog.write(ITOP, 2)
        assert watchdog.irq
        watchdog.write(ITOP, 0)
        assert not watchdog.irq
        watchdog.write(ITOP, 1)
        assert rig.machine.stopped == "system reset: SP805 watchdog"


class Model:
    """The watchdog one edge at a time."""

    def __init__(self) -> None:
        self.load = self.value = 0xFFFF_FFFF
        self.control = self.raw = 0
        self.resets = 0

    def edge(self) -> None:
        if not self.control & INTEN:
            return
        self.value = self.load if self.value == 0 else self.value - 1
        self.check()

    def check(self) -> None:
        if self.control & INTEN and self.value == 0:
            self.resets += bool(self.raw and self.control & RESEN)
            self.raw = 1

    def write(self, register: int, value: int) -> None:
        if register == LOAD:
            self.load = self.value = value
        elif register == INTCLR:
            self.raw, self.value = 0, self.load
        else:
            if value & INTEN and not self.control & INTEN:
                self.value = self.load
            self.control = value


class TestAgainstModel:
    """Any sequence of writes and time."""

    @settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just(LOAD), st.integers(1, 6)),
                st.tuples(st.just(CONTROL), st.integers(0, 3)),
                st.tuples(st.just(INTCLR), st.just(0)),
                st.tuples(st.none(), st.integers(1, 20)),
            ),
            max_size=20,
        )
    )
    def test_steps(self, rig: Any, steps: list[tuple[int | None, int]]) -> None:
        """Value, interrupt and reset are those of a counter that is stepped edge by edge."""
        rig.fresh()
        model, edges = Model(), 0
        watchdog = rig.device("watchdog")
        for register, value in steps:
            if register is None:
                for _ in range(value):
                    edges += 1
                    model.edge()
                rig.go(-(-edges * COUNTER_HZ // HZ) - rig.machine.clock.now)
            else:
                watchdog.write(register, value)
                model.write(register, value)
            assert watchdog.read(VALUE) == model.value
            assert watchdog.read(RIS) == model.raw
            assert watchdog.irq == bool(model.raw and model.control & INTEN)
            assert (rig.machine.stopped is not None) == bool(model.resets)
