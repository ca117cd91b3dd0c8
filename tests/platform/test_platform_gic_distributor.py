"""GICD: registers of both views, SPIs, routing."""

import pytest
from gic_bench import MPIDRS, Bench

from cca_platform.gic.gic import Gic

SPI = 40
G1NS_SIGNAL = 4


@pytest.fixture
def bench() -> Bench:
    return Bench().start()


class TestIdentification:
    """A GICv3 with two security states, message-based SPIs, and no LPIs."""

    @pytest.mark.parametrize(
        ("offset", "value"),
        [(0x4, 0x0579_0402), (0x8, 0x43B), (0xFFD0, 0x44), (0xFFE0, 0x92), (0xFFE4, 0xB4), (0xFFE8, 0x3B), (0xFFEC, 0),
         (0xFFF0, 0xD), (0xFFF4, 0xF0), (0xFFF8, 0x5), (0xFFFC, 0xB1)],
    )  # fmt: skip
    def test_value(self, bench: Bench, offset: int, value: int) -> None:
        """GICD_TYPER tells 96 INTIDs, GICD_PIDR2 architecture 3; both states read the same and cannot write it."""
        for secure in (True, False):
            bench.gicd(offset, 4, 0xFFFF_FFFF, secure)
            assert bench.gicd(offset, 4, secure=secure) == value


class TestControl:
    """GICD_CTLR: affinity routing is always on, each state enables its groups."""

    def test_reset(self) -> None:
        """Nothing is enabled after reset."""
        assert Bench().gicd(0, 4, secure=True) == 0x30
        assert Bench().gicd(0, 4) == 0x10

    @pytest.mark.parametrize(("written", "secure", "ns"), [(1, 0x31, 0x10), (2, 0x32, 0x12), (4, 0x34, 0x10)])
    def test_secure_view(self, bench: Bench, written: int, secure: int, ns: int) -> None:
        """EnableGrp0, EnableGrp1NS, EnableGrp1S; the Non-secure view has only its own, as EnableGrp1A."""
        bench.gicd(0, 4, written, secure=True)
        assert (bench.gicd(0, 4, secure=True), bench.gicd(0, 4)) == (secure, ns)

    def test_ns_view(self, bench: Bench) -> None:
        """A Non-secure write leaves the Secure groups as they are, and DS cannot be set."""
        bench.gicd(0, 4, 0, secure=False)
        assert bench.gicd(0, 4, secure=True) == 0x35
        bench.gicd(0, 4, 0xFFFF_FFFF, secure=False)
        assert bench.gicd(0, 4, secure=True) == 0x37
        bench.gicd(0, 4, 0xFFFF_FFFF, secure=True)
        assert bench.gicd(0, 4, secure=True) == 0x37

    def test_disabled(self, bench: Bench) -> None:
        """Interrupts of a disabled group stay pending and are not shown."""
        bench.gic.set_line(SPI, True)
        assert bench.told[0] == G1NS_SIGNAL
        bench.gicd(0, 4, 0)
        assert bench.told[0] == 0
        assert bench.bits(0x200, SPI)


class TestPrivate:
    """With affinity routing INTIDs 0 to 31 are in the redistributors."""

    @pytest.mark.parametrize("offset", [0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x41C, 0xC00, 0xC04])
    @pytest.mark.parametrize("secure", [True, False])
    def test_raz(self, bench: Bench, offset: int, secure: bool) -> None:
        """Their registers in the distributor are RAZ/WI, as are those of INTIDs that there are not."""
        for at in (offset, offset - offset % 0x80 + (0x3FC if offset & 0x400 and offset < 0x800 else 0x7C)):
            bench.gicd(at, 4, 0xFFFF_FFFF, secure)
            assert bench.gicd(at, 4, secure=secure) == 0

    @pytest.mark.parametrize("offset", [0x800, 0x820, 0xE00, 0xE08, 0xF00, 0xF10, 0xF20, 0x10, 0x3000])
    def test_legacy(self, bench: Bench, offset: int) -> None:
        """GICD_ITARGETSR, GICD_NSACR, GICD_SGIR, GICD_CPENDSGIR, GICD_STATUSR and what is reserved: RAZ/WI."""
        bench.gicd(offset, 4, 0xFFFF_FFFF, secure=True)
        assert bench.gicd(offset, 4, secure=True) == 0


class TestSecurity:
    """Non-secure accesses see Non-secure Group 1 only."""

    @pytest.mark.parametrize("group0", [True, False])
    @pytest.mark.parametrize("register", [0x100, 0x200, 0x300])
    def test_bits(self, bench: Bench, group0: bool, register: int) -> None:
        """Enable, pending and active bits of a Secure interrupt are RAZ/WI."""
        bench.secure(SPI, group0)
        bench.bits(register + 0x80, SPI, value=True, secure=True)
        bench.bits(register, SPI, value=True)
        assert not bench.bits(register, SPI, secure=True)
        bench.bits(register, SPI, value=True, secure=True)
        assert bench.bits(register, SPI, secure=True)
        assert not bench.bits(register, SPI)
        bench.bits(register + 0x80, SPI, value=True)
        assert bench.bits(register, SPI, secure=True)

    def test_others(self, bench: Bench) -> None:
        """So are its priority, trigger and route; the group registers are Secure for every interrupt."""
        bench.secure(SPI)
        bench.priority(SPI, 0x48, secure=True)
        bench.priority(SPI, 0xFF)
        bench.gicd(0xC08, 4, 0xFFFF_FFFF)
        bench.gicd(0x6000 + 8 * SPI, 8, 0x100)
        assert bench.gicd(0x400 + SPI, 1) == 0
        assert bench.gicd(0x400 + SPI, 1, secure=True) == 0x48
        assert bench.gicd(0xC08, 4, secure=True) == 0xAAA8_AAAA
        assert bench.gicd(0x6000 + 8 * SPI, 8, secure=True) == 0
        for offset in (0x84, 0xD04):
            bench.gicd(offset, 4, 0)
            assert bench.gicd(offset, 4) == 0
        assert bench.gicd(0x84, 4, secure=True) == 0xFFFF_FEFF


class TestPriority:
    """GICD_IPRIORITYR: 5 bits, in bytes and words, shifted for Non-secure software."""

    @pytest.mark.parametrize(
        ("written", "secure", "ns"), [(0x00, 0x80, 0x00), (0xFF, 0xF8, 0xF0), (0xA0, 0xD0, 0xA0), (0x0F, 0x80, 0x00)]
    )
    def test_ns(self, bench: Bench, written: int, secure: int, ns: int) -> None:
        """The Non-secure range is the lower half of the Secure one."""
        bench.priority(SPI, written)
        assert (bench.gicd(0x400 + SPI, 1, secure=True), bench.gicd(0x400 + SPI, 1)) == (secure, ns)

    def test_word(self, bench: Bench) -> None:
        """A word is four interrupts, the lowest INTID in the lowest byte."""
        bench.gicd(0x400 + SPI, 4, 0x40_3F_18_08, secure=True)
        assert [bench.gicd(0x400 + SPI + byte, 1, secure=True) for byte in range(4)] == [0x08, 0x18, 0x38, 0x40]
        assert bench.gicd(0x400 + SPI, 4, secure=True) == 0x4038_1808

    def test_order(self, bench: Bench) -> None:
        """The lowest value is the highest priority; of equals the lowest INTID is first."""
        for intid in (SPI, SPI + 1, SPI + 2):
            bench.gic.set_line(intid, True)
        bench.priority(SPI + 1, 0x90)
        bench.priority(SPI + 2, 0x90)
        assert [bench.ack(), bench.eoi(SPI + 1), bench.ack()] == [SPI + 1, None, SPI + 1]


class TestPending:
    """Level-sensitive and edge-triggered SPIs."""

    def test_level(self, bench: Bench) -> None:
        """Pending follows the line; active and pending while it stays high."""
        bench.gic.set_line(SPI, True)
        assert bench.ack() == SPI
        assert bench.bits(0x200, SPI)
        assert bench.bits(0x300, SPI)
        bench.eoi(SPI)
        assert bench.told[0] == G1NS_SIGNAL
        bench.gic.set_line(SPI, False)
        assert bench.told[0] == 0
        assert not bench.bits(0x200, SPI)

    def test_level_cannot_be_cleared(self, bench: Bench) -> None:
        """GICD_ICPENDR takes away what GICD_ISPENDR made, not the line."""
        bench.gic.set_line(SPI, True)
        bench.bits(0x280, SPI, value=True)
        assert bench.bits(0x200, SPI)
        bench.bits(0x200, SPI, value=True)
        bench.gic.set_line(SPI, False)
        assert bench.bits(0x200, SPI)
        bench.bits(0x280, SPI, value=True)
        assert not bench.bits(0x200, SPI)

    def test_edge(self, bench: Bench) -> None:
        """A rising edge latches until it is acknowledged; a second one while active pends again."""
        bench.edge(SPI)
        bench.gic.set_line(SPI, True)
        bench.gic.set_line(SPI, False)
        assert bench.bits(0x200, SPI)
        assert bench.ack() == SPI
        assert not bench.bits(0x200, SPI)
        bench.gic.set_line(SPI, True)
        assert bench.bits(0x200, SPI)
        bench.eoi(SPI)
        assert bench.ack() == SPI

    def test_software(self, bench: Bench) -> None:
        """GICD_ISPENDR makes a level-sensitive SPI pending once."""
        bench.bits(0x200, SPI, value=True)
        assert bench.ack() == SPI
        bench.eoi(SPI)
        assert bench.told[0] == 0

    @pytest.mark.parametrize("size", [2, 4])
    def test_message_level(self, bench: Bench, size: int) -> None:
        """GICD_SETSPI_NSR is the line of a level-sensitive SPI until GICD_CLRSPI_NSR."""
        bench.gicd(0x40, size, SPI)
        assert bench.ack() == SPI
        bench.eoi(SPI)
        assert bench.ack() == SPI
        bench.gicd(0x48, size, SPI)
        bench.eoi(SPI)
        assert bench.told[0] == 0

    def test_message_edge(self, bench: Bench) -> None:
        """A message latches an edge-triggered SPI once."""
        bench.edge(SPI)
        bench.gicd(0x40, 4, SPI)
        assert bench.ack() == SPI
        bench.eoi(SPI)
        assert bench.told[0] == 0

    @pytest.mark.parametrize(("offset", "secure", "sent"), [(0x40, False, 0), (0x50, False, 0), (0x50, True, 1)])
    def test_secure_message(self, bench: Bench, offset: int, secure: bool, sent: bool) -> None:
        """Non-secure messages do not reach Secure SPIs; nothing reaches an SPI that is not there."""
        bench.secure(SPI)
        bench.gicd(offset, 4, SPI, secure)
        assert bench.bits(0x200, SPI, secure=True) == bool(sent)
        bench.gicd(offset, 4, 1000, secure)

    def test_enable(self, bench: Bench) -> None:
        """A disabled SPI pends but is not shown; GICD_ISENABLER and ICENABLER change what is written as one."""
        bench.bits(0x180, SPI, value=True)
        assert bench.gicd(0x104, 4) == 0xFFFF_FEFF
        bench.gic.set_line(SPI, True)
        assert bench.told[0] == 0
        bench.bits(0x100, SPI, value=True)
        assert bench.told[0] == G1NS_SIGNAL


class TestRouting:
    """GICD_IROUTER sends an SPI to one PE, or to any."""

    @pytest.mark.parametrize("pe", [0, 1, 2])
    def test_affinity(self, bench: Bench, pe: int) -> None:
        """To the PE of that affinity."""
        bench.gicd(0x6000 + 8 * SPI, 8, MPIDRS[pe] & 0xFF_FFFF)
        bench.gic.set_line(SPI, True)
        assert bench.told == [G1NS_SIGNAL if index == pe else 0 for index in range(3)]

    def test_moves(self, bench: Bench) -> None:
        """A pending SPI moves with its route, but not one that is active."""
        bench.gic.set_line(SPI, True)
        bench.gicd(0x6000 + 8 * SPI, 8, 0x1_0000)
        assert bench.told == [0, 0, G1NS_SIGNAL]
        assert bench.ack(2) == SPI
        bench.gicd(0x6000 + 8 * SPI, 8, 0)
        assert bench.told == [0, 0, 0]
        bench.eoi(SPI, 2)
        assert bench.told == [G1NS_SIGNAL, 0, 0]

    def test_halves(self, bench: Bench) -> None:
        """Either half by itself; what is reserved stays zero."""
        bench.gicd(0x6004 + 8 * SPI, 4, 0xFFFF_FFFF)
        bench.gicd(0x6000 + 8 * SPI, 4, 0xFFFF_FFFF)
        assert bench.gicd(0x6000 + 8 * SPI, 8) == 0xFF_80FF_FFFF
        assert bench.gicd(0x6004 + 8 * SPI, 4) == 0xFF
        for offset in (0x6000 + 8 * 31, 0x6000 + 8 * 96):
            bench.gicd(offset, 8, 0xFF)
            assert bench.gicd(offset, 8) == 0

    def test_nobody(self, bench: Bench) -> None:
        """An SPI for a PE that is not there stays pending."""
        bench.gicd(0x6000 + 8 * SPI, 8, 0x42)
        bench.gic.set_line(SPI, True)
        assert bench.told == [0, 0, 0]
        assert bench.bits(0x200, SPI)

    def test_any(self, bench: Bench) -> None:
        """Interrupt_Routing_Mode 1: the first PE that is awake and has the group enabled."""
        bench.gicd(0x6000 + 8 * SPI, 8, 1 << 31)
        bench.gic.set_line(SPI, True)
        assert bench.told == [G1NS_SIGNAL, 0, 0]
        bench.msr("NS-EL2", "ICC_IGRPEN1_EL1", 0, pe=0)
        assert bench.told == [0, G1NS_SIGNAL, 0]
        bench.gicr(1, 0x14, 4, 2, secure=True)
        assert bench.told == [0, 0, G1NS_SIGNAL]


class TestAccesses:
    """What an access of an unsupported size or alignment does is nothing."""

    @pytest.mark.parametrize(("offset", "size"), [(0, 1), (4, 8), (0x104, 8), (0x104, 1), (0x102, 4), (0x428, 2),
                                                  (0x428, 8), (0x6140, 1), (0xFFE8, 1), (0xFFFF, 4)])  # fmt: skip
    def test_raz(self, bench: Bench, offset: int, size: int) -> None:
        """RAZ/WI."""
        before = bench.gic.save()
        bench.gicd(offset, size, (1 << 8 * size) - 1)
        assert bench.gicd(offset, size) == 0
        assert bench.gic.save() == before


class TestLines:
    """Lines of interrupts that there are not."""

    @pytest.mark.parametrize("intid", [0, 31, 96, 1019])
    def test_spi(self, bench: Bench, intid: int) -> None:
        """set_line is for the SPIs of this GIC."""
        with pytest.raises(ValueError, match=f"an SPI must be 32 to 95, not {intid}"):
            bench.gic.set_line(intid, True)

    @pytest.mark.parametrize("intid", [0, 15, 32])
    def test_ppi(self, bench: Bench, intid: int) -> None:
        """set_ppi is for 16 to 31."""
        with pytest.raises(ValueError, match=f"a PPI must be 16 to 31, not {intid}"):
            bench.gic.set_ppi(0, intid, True)


class TestSize:
    """A GIC has INTIDs for 988 SPIs."""

    @pytest.mark.parametrize("spis", [-1, 989])
    def test_refused(self, spis: int) -> None:
        """More than there are INTIDs."""
        with pytest.raises(ValueError, match=f"a GIC must have 0 to 988 SPIs, not {spis}"):
            Gic(MPIDRS, spis, lambda pe, bits: None)

    @pytest.mark.parametrize("spis", [0, 988])
    def test_accepted(self, spis: int) -> None:
        """None, and as many as there are."""
        assert Gic(MPIDRS, spis, lambda pe, bits: None).save()


class TestReset:
    """Reset is the state after construction."""

    def test_routes(self, bench: Bench) -> None:
        """An SPI that was for any PE is for PE 0 again, which does not take it with its group disabled."""
        bench.gicd(0x6000 + 8 * SPI, 8, 1 << 31)
        bench.gic.reset()
        bench.start()
        bench.msr("NS-EL2", "ICC_IGRPEN1_EL1", 0, pe=0)
        bench.gic.set_line(SPI, True)
        assert bench.told == [0, 0, 0]
        bench.msr("NS-EL2", "ICC_IGRPEN1_EL1", 1, pe=0)
        assert bench.told == [G1NS_SIGNAL, 0, 0]

    def test_reset(self, bench: Bench) -> None:
        """Signals too."""
        bench.gic.set_line(SPI, True)
        bench.gicd(0x6000 + 8 * SPI, 8, 1 << 31)
        bench.load(1 << 62 | 27)
        bench.gic.reset()
        assert bench.told == [0, 0, 0]
        assert bench.gic.save() == Bench().gic.save()
