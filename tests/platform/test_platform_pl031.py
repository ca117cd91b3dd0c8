"""The PL031 real-time clock, by the rules of DDI 0224."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca_platform.devices.pl031 import EPOCH

DR, MR, LR, CR, IMSC, RIS, MIS, ICR = range(0, 0x20, 4)
SECOND = 100_000_000


@pytest.fixture
def rtc(rig: Any) -> Any:
    """The clock of the default board."""
    return rig.device("rtc")


class TestTime:
    """Telling the time."""

    def test_starts(self, rig: Any, rtc: Any) -> None:
        """It runs from a fixed date, in whole seconds of the system counter; RTCCR says that it is enabled."""
        assert (rtc.read(DR), rtc.read(CR)) == (EPOCH, 1)
        rig.go(SECOND - 1)
        assert rtc.read(DR) == EPOCH
        rig.go(1)
        assert rtc.read(DR) == EPOCH + 1

    def test_load(self, rig: Any, rtc: Any) -> None:
        """RTCLR sets the time, and reads back."""
        rig.go(10 * SECOND)
        rtc.write(LR, 0xFFFF_FFFF)
        assert (rtc.read(LR), rtc.read(DR)) == (0xFFFF_FFFF, 0xFFFF_FFFF)
        rig.go(SECOND)
        assert rtc.read(DR) == 0

    def test_host_clock(self, rigs: Any) -> None:
        """With the clock of the host it shows the time of the host."""
        before = int(time.time())
        rtc = rigs(clock="host").device("rtc")
        shown = rtc.read(DR)
        assert before <= shown <= time.time()

    def test_identity(self, rtc: Any) -> None:
        """The PrimeCell identification registers name a PL031."""
        assert [rtc.read(0xFE0 + 4 * n) for n in range(8)] == [0x31, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1]

    def test_virt(self, rigs: Any) -> None:
        """The virt board has one too, with its own interrupt."""
        rig = rigs(board="virt")
        rtc = rig.device("rtc")
        rtc.write(IMSC, 1)
        rtc.write(MR, EPOCH)
        assert rig.lines[34]


class TestAlarm:
    """The match register."""

    def test_alarm(self, rig: Any, rtc: Any) -> None:
        """The interrupt rises when the time equals RTCMR, if it is not masked, and falls when it is cleared."""
        rtc.write(MR, EPOCH + 3)
        rtc.write(IMSC, 1)
        rig.go(3 * SECOND - 1)
        assert (rtc.read(RIS), rtc.irq) == (0, False)
        rig.go(1)
        assert (rtc.read(RIS), rtc.read(MIS), rtc.irq) == (1, 1, True)
        rtc.write(ICR, 1)
        assert (rtc.read(RIS), rtc.irq) == (0, False)

    def test_masked(self, rig: Any, rtc: Any) -> None:
        """A masked match is kept raw; the mask opens on it."""
        rtc.write(MR, EPOCH + 3)
        rig.go(5 * SECOND)
        assert (rtc.read(RIS), rtc.read(MIS), rtc.irq) == (1, 0, False)
        rtc.write(IMSC, 1)
        assert (rtc.read(MIS), rtc.irq) == (1, True)

    @settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just(MR), st.integers(EPOCH - 2, EPOCH + 20)),
                st.tuples(st.just(LR), st.sampled_from([EPOCH, EPOCH + 7, 0, 0xFFFF_FFFE])),
                st.tuples(st.sampled_from([IMSC, ICR]), st.integers(0, 1)),
                st.tuples(st.none(), st.integers(1, 9)),
            ),
            max_size=20,
        )
    )
    def test_steps(self, rig: Any, steps: list[tuple[int | None, int]]) -> None:
        """Time and interrupt are those of a counter that is stepped second by second."""
        rig.fresh()
        rtc = rig.device("rtc")
        now, match, mask, raw = EPOCH, 0, 0, 0
        for register, value in steps:
            if register is None:
                for _ in range(value):
                    now = now + 1 & 0xFFFF_FFFF
                    raw |= now == match
                rig.go(value * SECOND)
            else:
                rtc.write(register, value)
                if register == MR:
                    match = value
                    raw |= now == match
                elif register == LR:
                    now = value
                    raw |= now == match
                elif register == IMSC:
                    mask = value
                else:
                    raw &= ~value
            assert [rtc.read(name) for name in (DR, RIS, MIS)] == [now, raw, raw & mask]
            assert rtc.irq == bool(raw & mask)
