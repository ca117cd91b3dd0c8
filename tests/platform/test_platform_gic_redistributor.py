"""GICR: frames of each PE, sleep, SGIs and PPIs."""

import pytest
from gic_bench import Bench

PPI = 27
G1NS_SIGNAL = 4


@pytest.fixture
def bench() -> Bench:
    return Bench().start()


class TestIdentification:
    """Software walks the frames by GICR_TYPER to the one of its PE."""

    @pytest.mark.parametrize(("pe", "value"), [(0, 0), (1, 0x100_0000_0100), (2, 0x1_0000_0000_0210)])
    def test_typer(self, bench: Bench, pe: int, value: int) -> None:
        """Affinity_Value, Processor_Number, and Last in the last frame; as 64 bits or as halves."""
        assert bench.gicr(pe, 8, 8) == value
        assert bench.gicr(pe, 8, 4) | bench.gicr(pe, 12, 4) << 32 == value

    def test_end(self, bench: Bench) -> None:
        """There is nothing after the last frame."""
        bench.gicr(3, 0x14, 4, 0, secure=True)
        assert bench.gicr(3, 0xFFE8, 4) == 0

    @pytest.mark.parametrize(("offset", "value"), [(0x4, 0x43B), (0xFFE8, 0x3B), (0x0, 0), (0x70, 0), (0x1_FFE8, 0)])
    def test_values(self, bench: Bench, offset: int, value: int) -> None:
        """GICR_IIDR and GICR_PIDR2; GICR_CTLR and the registers of LPIs are RAZ/WI."""
        bench.gicr(0, offset, 4, 0xFFFF_FFFF, secure=True)
        assert bench.gicr(0, offset, 4) == value


class TestWaker:
    """GICR_WAKER: a redistributor that sleeps shows nothing to its PE."""

    def test_reset(self) -> None:
        """It sleeps after reset."""
        assert Bench().gicr(1, 0x14, 4, secure=True) == 6

    def test_handshake(self, bench: Bench) -> None:
        """ChildrenAsleep follows ProcessorSleep; what is pending waits."""
        bench.gicr(0, 0x14, 4, 2, secure=True)
        assert bench.gicr(0, 0x14, 4, secure=True) == 6
        bench.gic.set_ppi(0, PPI, True)
        assert bench.told[0] == 0
        bench.gicr(0, 0x14, 4, 0, secure=True)
        assert bench.gicr(0, 0x14, 4, secure=True) == 0
        assert bench.told[0] == G1NS_SIGNAL

    def test_ns(self, bench: Bench) -> None:
        """With two security states it is Secure: Non-secure software finds the PE awake."""
        bench.gicr(0, 0x14, 4, 2)
        assert bench.gicr(0, 0x14, 4, secure=True) == 0
        bench.gicr(0, 0x14, 4, 2, secure=True)
        assert bench.gicr(0, 0x14, 4) == 0


class TestPrivate:
    """SGIs and PPIs belong to one PE each."""

    def test_banked(self, bench: Bench) -> None:
        """The line and the registers of one PE do not show at another."""
        bench.gic.set_ppi(1, PPI, True)
        assert bench.told == [0, G1NS_SIGNAL, 0]
        assert (bench.bits(0x200, PPI, 1), bench.bits(0x200, PPI, 0)) == (True, False)
        bench.bits(0x180, PPI, 0, value=True)
        assert (bench.bits(0x100, PPI, 1), bench.bits(0x100, PPI, 0)) == (True, False)
        assert (bench.ack(0), bench.ack(1)) == (1023, PPI)

    def test_level_ppi(self, bench: Bench) -> None:
        """A PPI is level-sensitive after reset."""
        bench.gic.set_ppi(0, PPI, True)
        assert bench.ack() == PPI
        assert (bench.bits(0x200, PPI), bench.bits(0x300, PPI)) == (True, True)
        bench.gic.set_ppi(0, PPI, False)
        bench.eoi(PPI)
        assert bench.told[0] == 0

    def test_trigger(self, bench: Bench) -> None:
        """GICR_ICFGR0 shows edge-triggered SGIs and cannot be written, GICR_ICFGR1 can."""
        bench.gicr(0, 0x1_0C00, 4, 0)
        assert bench.gicr(0, 0x1_0C00, 4) == 0xAAAA_AAAA
        assert bench.gicr(0, 0x1_0C04, 4) == 0
        bench.gicr(0, 0x1_0C04, 4, 0xFFFF_FFFF)
        assert bench.gicr(0, 0x1_0C04, 4) == 0xAAAA_AAAA
        bench.gic.set_ppi(0, PPI, True)
        bench.gic.set_ppi(0, PPI, False)
        assert bench.ack() == PPI

    def test_software_sgi(self, bench: Bench) -> None:
        """GICR_ISPENDR0 makes an SGI pending, GICR_ICPENDR0 takes it back."""
        bench.bits(0x200, 3, value=True)
        assert bench.told[0] == G1NS_SIGNAL
        bench.bits(0x280, 3, value=True)
        assert bench.told[0] == 0

    def test_active(self, bench: Bench) -> None:
        """GICR_ISACTIVER0 keeps an interrupt back, GICR_ICACTIVER0 lets it go."""
        bench.bits(0x300, PPI, value=True)
        bench.gic.set_ppi(0, PPI, True)
        assert bench.told[0] == 0
        bench.bits(0x380, PPI, value=True)
        assert bench.told[0] == G1NS_SIGNAL

    def test_secure(self, bench: Bench) -> None:
        """A Secure SGI is not there for Non-secure software."""
        bench.secure(9)
        for offset in (0x1_0100, 0x1_0200, 0x1_0300):
            bench.gicr(0, offset + 0x80, 4, 0xFFFF_FFFF, secure=True)
            bench.gicr(0, offset, 4, 0xFFFF_FFFF)
            assert bench.gicr(0, offset, 4) == 0xFFFF_FDFF
        assert bench.gicr(0, 0x1_0080, 4) == 0
        assert bench.gicr(0, 0x1_0080, 4, secure=True) == 0xFFFF_FDFF
        assert bench.gicr(0, 0x1_0D00, 4, secure=True) == 1 << 9
