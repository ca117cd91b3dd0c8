"""The Non-secure generic watchdog, by the rules of the Arm Base System Architecture (DEN0094)."""

from typing import Any

import pytest

CONTROL_FRAME, REFRESH_FRAME = 0x0, 0x1_0000
WCS, WOR, WOR_HIGH, WCV, WCV_HIGH, IIDR = 0x0, 0x8, 0xC, 0x10, 0x14, 0xFCC
WRR = REFRESH_FRAME
WEN, WS0, WS1 = 1, 2, 4


@pytest.fixture
def watchdog(rig: Any) -> Any:
    """The generic watchdog of the default board, 50 ticks after power-on."""
    rig.go(50)
    return rig.device("generic-watchdog")


class TestRegisters:
    """The frames."""

    def test_reset_values(self, rig: Any, watchdog: Any) -> None:
        """After reset the watchdog is disabled and signals nothing."""
        rig.go(1 << 40)
        assert (watchdog.read(WCS), watchdog.irq, rig.machine.events.next) == (0, False, None)

    def test_identity(self, watchdog: Any) -> None:
        """Both frames have W_IIDR: architecture version 1, implementer Arm."""
        assert watchdog.read(IIDR) == watchdog.read(REFRESH_FRAME + IIDR) == 0x1_043B

    def test_wor_is_48_bits(self, watchdog: Any) -> None:
        """WOR has 48 bits in two words; it can be accessed whole too."""
        watchdog.write(WOR, 0x1234_5678)
        watchdog.write(WOR_HIGH, 0xFFFF_9ABC)
        assert (watchdog.read(WOR), watchdog.read(WOR_HIGH)) == (0x1234_5678, 0x9ABC)
        assert watchdog.read(WOR, 8) == 0x9ABC_1234_5678
        watchdog.write(WOR, 0x7_0000_0001, 8)
        assert (watchdog.read(WOR), watchdog.read(WOR_HIGH)) == (1, 7)

    def test_other_offsets(self, watchdog: Any) -> None:
        """The refresh frame does not show control registers; between the frames there is nothing."""
        watchdog.write(WOR, 5)
        assert [watchdog.read(offset) for offset in (REFRESH_FRAME + WOR, WRR, 0x1008, 0xFC8)] == [0, 0, 0, 0]
        watchdog.write(REFRESH_FRAME + WCS + WOR, 9)
        assert watchdog.read(WOR) == 5


class TestRefresh:
    """Explicit refreshes: the compare value becomes counter + offset, the signals fall."""

    def test_wor(self, watchdog: Any) -> None:
        """Writing WOR is a refresh, with the new offset."""
        watchdog.write(WOR, 1_000)
        assert watchdog.read(WCV, 8) == 1_050

    def test_wcs_and_wrr(self, rig: Any, watchdog: Any) -> None:
        """So is writing WCS, and writing WRR."""
        watchdog.write(WOR, 1_000)
        rig.go(100)
        watchdog.write(WCS, WEN)
        assert watchdog.read(WCV) == 1_150
        rig.go(200)
        watchdog.write(WRR, 0)
        assert (watchdog.read(WCV), watchdog.read(WCV_HIGH)) == (1_350, 0)

    def test_wcv(self, rig: Any, watchdog: Any) -> None:
        """The compare value can be written, by words or whole, which is no refresh."""
        watchdog.write(WOR, 1_000)
        watchdog.write(WCS, WEN)
        watchdog.write(WCV, 1 << 62, 8)
        watchdog.write(WCV, 60)
        watchdog.write(WCV_HIGH, 0)
        rig.go(10)
        assert watchdog.read(WCS) == WEN
        rig.go(1)
        assert watchdog.read(WCS) == WEN | WS0

    def test_never(self, rig: Any, watchdog: Any) -> None:
        """A compare value that no counter reaches is no deadline."""
        watchdog.write(WCS, WEN)
        watchdog.write(WCV, (1 << 64) - 1, 8)
        assert rig.machine.events.next is None


class TestTimeout:
    """The two stages."""

    def test_first(self, rig: Any, watchdog: Any) -> None:
        """When the counter exceeds the compare value WS0 rises, and the second stage of the same length begins."""
        watchdog.write(WOR, 1_000)
        watchdog.write(WCS, WEN)
        rig.go(1_000)
        assert (watchdog.read(WCS), watchdog.irq) == (WEN, False)
        rig.go(1)
        assert (watchdog.read(WCS), watchdog.irq) == (WEN | WS0, True)
        assert watchdog.read(WCV) == 1_051 + 1_000

    def test_second(self, rig: Any, watchdog: Any) -> None:
        """When it exceeds that too WS1 rises and the system is reset."""
        watchdog.write(WOR, 1_000)
        watchdog.write(WCS, WEN)
        rig.go(2_001)
        assert rig.machine.stopped is None
        rig.go(1)
        assert rig.machine.stopped == "system reset: generic watchdog"
        assert watchdog.read(WCS) == WEN | WS0 | WS1

    @pytest.mark.parametrize("offset", [WRR, WOR, WCS])
    def test_refreshed(self, rig: Any, watchdog: Any, offset: int) -> None:
        """A refresh in the second stage lowers WS0 and begins again."""
        watchdog.write(WOR, 1_000)
        watchdog.write(WCS, WEN)
        for _ in range(5):
            rig.go(1_500)
            assert watchdog.irq
            watchdog.write(offset, {WRR: 0, WOR: 1_000, WCS: WEN}[offset])
            assert (watchdog.read(WCS), watchdog.irq) == (WEN, False)
        assert rig.machine.stopped is None

    def test_disabled(self, rig: Any, watchdog: Any) -> None:
        """Disabling stops both stages."""
        watchdog.write(WOR, 1_000)
        watchdog.write(WCS, WEN)
        rig.go(1_500)
        watchdog.write(WCS, 0)
        rig.go(1 << 30)
        assert (watchdog.read(WCS), watchdog.irq, rig.machine.stopped) == (0, False, None)

    def test_zero_offset(self, rig: Any, watchdog: Any) -> None:
        """An offset of zero runs through both stages at once."""
        watchdog.write(WCS, WEN)
        rig.go(2)
        assert rig.machine.stopped is not None
