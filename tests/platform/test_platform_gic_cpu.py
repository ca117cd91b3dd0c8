"""The physical CPU interface: acknowledge, end, priorities, preemption, SGIs, both security states."""

import pytest
from gic_bench import REGISTERS, Bench

SPURIOUS = 1023
G0_SIGNAL, G1S_SIGNAL, G1NS_SIGNAL = 1, 2, 4
SPI = 40


@pytest.fixture
def bench() -> Bench:
    return Bench().start()


class TestViews:
    """The Secure view of a priority mask is that of EL3, too, whatever SCR_EL3.NS says."""

    def test_mask(self, bench: Bench) -> None:
        """ICC_PMR_EL1 whole for EL3 and Secure EL1; for Non-secure software shifted, and hidden in the Secure half."""
        cpu, pmr = bench.gic.cpus[0], REGISTERS["ICC_PMR_EL1"]
        for value, hidden in ((0x48, 0), (0xC8, 0x90)):
            for security in (0, 1):
                cpu.write(pmr, value, 3, security, 0)
                assert [cpu.read(pmr, 3, one, 0) for one in (0, 1)] == [value, value]
                assert cpu.read(pmr, 1, 0, 0) == value
                assert cpu.read(pmr, 2, 1, 0) == hidden

    def test_end_of_another_group(self, bench: Bench) -> None:
        """ICC_EOIR0_EL1 ends nothing of Group 1."""
        bench.gic.set_line(40, True)
        assert bench.mrs("NS-EL2", "ICC_IAR1_EL1") == 40
        bench.msr("EL3", "ICC_EOIR0_EL1", 40)
        assert bench.mrs("NS-EL2", "ICC_RPR_EL1") != 0xFF
        bench.msr("NS-EL2", "ICC_EOIR1_EL1", 40)
        assert bench.mrs("NS-EL2", "ICC_RPR_EL1") == 0xFF


class TestAcknowledge:
    """ICC_IAR1_EL1 and ICC_EOIR1_EL1."""

    def test_spurious(self, bench: Bench) -> None:
        """1023 when nothing is pending, and an EOI of it does nothing."""
        assert bench.ack() == SPURIOUS
        before = bench.gic.save()
        bench.eoi(SPURIOUS)
        assert bench.gic.save() == before

    def test_lifecycle(self, bench: Bench) -> None:
        """Pending, active with its priority running, inactive."""
        bench.bits(0x200, SPI, value=True)
        assert bench.mrs("NS-EL2", "ICC_HPPIR1_EL1") == SPI
        assert bench.ack() == SPI
        assert bench.told[0] == 0
        assert bench.mrs("NS-EL2", "ICC_RPR_EL1") == 0xA0
        assert bench.mrs("NS-EL2", "ICC_AP1R0_EL1") == 1 << 26
        assert bench.mrs("NS-EL2", "ICC_HPPIR1_EL1") == SPURIOUS
        bench.eoi(SPI)
        assert bench.mrs("NS-EL2", "ICC_RPR_EL1") == 0xFF
        assert not bench.bits(0x300, SPI)

    def test_nesting(self, bench: Bench) -> None:
        """A higher priority preempts, an equal one waits; EOI drops the highest active priority."""
        bench.priority(SPI + 1, 0x80)
        for intid in (SPI, SPI + 2, SPI + 1):
            bench.bits(0x200, intid, value=True)
            if intid == SPI:
                assert bench.ack() == SPI
        assert bench.told[0] == G1NS_SIGNAL
        assert bench.ack() == SPI + 1
        assert bench.mrs("NS-EL2", "ICC_RPR_EL1") == 0x80
        bench.eoi(SPI + 1)
        assert (bench.told[0], bench.mrs("NS-EL2", "ICC_RPR_EL1")) == (0, 0xA0)
        bench.eoi(SPI)
        assert bench.ack() == SPI + 2

    @pytest.mark.parametrize("who", ["NS-EL1", "R-EL1", "NS-EL2", "R-EL2"])
    def test_realm_state(self, bench: Bench, who: str) -> None:
        """Realm state uses the Non-secure interface, EL1 too while HCR_EL2.IMO is 0."""
        bench.bits(0x200, SPI, value=True)
        assert bench.mrs(who, "ICC_IAR1_EL1") == SPI
        assert bench.msr(who, "ICC_EOIR1_EL1", SPI) == 0
        assert bench.ack() == SPURIOUS

    @pytest.mark.parametrize("intid", [1019, 1020, 1023, 8192, 0xFF_FFFF])
    def test_eoi_of_nothing(self, bench: Bench, intid: int) -> None:
        """The EOI of an INTID that there is not leaves the running priority."""
        bench.bits(0x200, SPI, value=True)
        bench.ack()
        bench.eoi(intid)
        assert bench.mrs("NS-EL2", "ICC_RPR_EL1") == 0xA0


class TestEoiMode:
    """ICC_CTLR_EL1.EOImode splits priority drop and deactivation."""

    def test_split(self, bench: Bench) -> None:
        """EOIR drops the priority, DIR deactivates."""
        bench.msr("NS-EL2", "ICC_CTLR_EL1", 2)
        bench.gic.set_line(SPI, True)
        assert bench.ack() == SPI
        bench.eoi(SPI)
        assert bench.mrs("NS-EL2", "ICC_RPR_EL1") == 0xFF
        assert bench.bits(0x300, SPI)
        assert bench.told[0] == 0
        assert bench.msr("NS-EL2", "ICC_DIR_EL1", SPI) == 0
        assert bench.told[0] == G1NS_SIGNAL

    def test_other_pe(self, bench: Bench) -> None:
        """An SPI may be deactivated by another PE."""
        for pe in (0, 1):
            bench.msr("NS-EL2", "ICC_CTLR_EL1", 2, pe)
        bench.bits(0x200, SPI, value=True)
        bench.ack()
        bench.msr("NS-EL2", "ICC_DIR_EL1", SPI, pe=1)
        assert not bench.bits(0x300, SPI)

    def test_not_split(self, bench: Bench) -> None:
        """Without EOImode DIR is ignored."""
        bench.bits(0x300, SPI, value=True)
        bench.msr("NS-EL2", "ICC_DIR_EL1", SPI)
        assert bench.bits(0x300, SPI)

    def test_secure(self, bench: Bench) -> None:
        """Non-secure software does not deactivate a Secure interrupt, S-EL1 does."""
        bench.secure(SPI)
        bench.bits(0x300, SPI, value=True, secure=True)
        for who in ("NS-EL2", "S-EL1"):
            assert bench.bits(0x300, SPI, secure=True)
            bench.msr(who, "ICC_CTLR_EL1", 2)
            bench.msr(who, "ICC_DIR_EL1", SPI)
        assert not bench.bits(0x300, SPI, secure=True)


class TestMask:
    """ICC_PMR_EL1."""

    @pytest.mark.parametrize(("mask", "signal"), [(0xF0, G1NS_SIGNAL), (0xB0, G1NS_SIGNAL), (0xA0, 0), (0, 0)])
    def test_mask(self, bench: Bench, mask: int, signal: int) -> None:
        """Only higher priorities than the mask are signalled; HPPIR does not look at it."""
        bench.msr("NS-EL2", "ICC_PMR_EL1", mask)
        bench.bits(0x200, SPI, value=True)
        assert bench.told[0] == signal
        assert bench.mrs("NS-EL2", "ICC_HPPIR1_EL1") == SPI
        assert bench.ack() == (SPI if signal else SPURIOUS)

    @pytest.mark.parametrize(("secure", "ns"), [(0xFF, 0xF0), (0xC0, 0x80), (0x80, 0), (0x78, 0), (0, 0)])
    def test_ns_reads(self, bench: Bench, secure: int, ns: int) -> None:
        """Non-secure software sees the lower half of the range, 0 for a mask in the Secure half."""
        bench.msr("EL3", "ICC_PMR_EL1", secure)
        assert bench.mrs("NS-EL2", "ICC_PMR_EL1") == ns
        assert bench.mrs("S-EL1", "ICC_PMR_EL1") == secure & 0xF8

    @pytest.mark.parametrize(("secure", "written", "after"), [(0xFF, 0, 0x80), (0x80, 0xFF, 0xF8), (0x78, 0xFF, 0x78)])
    def test_ns_writes(self, bench: Bench, secure: int, written: int, after: int) -> None:
        """It cannot leave its half, nor undo a mask in the Secure half."""
        bench.msr("EL3", "ICC_PMR_EL1", secure)
        bench.msr("NS-EL2", "ICC_PMR_EL1", written)
        assert bench.mrs("EL3", "ICC_PMR_EL1") == after


class TestBinaryPoint:
    """ICC_BPR0_EL1, ICC_BPR1_EL1 and CBPR decide which priorities preempt."""

    @pytest.mark.parametrize(("point", "preempts"), [(3, True), (4, True), (5, True), (6, False), (7, False)])
    def test_group1(self, bench: Bench, point: int, preempts: bool) -> None:
        """The group priority of Non-secure Group 1 is bits 7 down to the binary point (0xC0 against 0xE0)."""
        bench.msr("NS-EL2", "ICC_BPR1_EL1", point)
        bench.priority(SPI + 1, 0x80)
        bench.priority(SPI, 0xC0)
        bench.bits(0x200, SPI, value=True)
        bench.ack()
        bench.bits(0x200, SPI + 1, value=True)
        assert bench.told[0] == (G1NS_SIGNAL if preempts else 0)

    @pytest.mark.parametrize(
        ("who", "register", "minimum"),
        [("NS-EL2", "ICC_BPR1_EL1", 3), ("S-EL1", "ICC_BPR1_EL1", 2), ("EL3", "ICC_BPR0_EL1", 2)],
    )
    def test_minimum(self, bench: Bench, who: str, register: str, minimum: int) -> None:
        """5 bits of priority need a binary point of 2, one more in the Non-secure copy."""
        assert bench.mrs(who, register) == minimum
        for value in range(8):
            bench.msr(who, register, value)
            assert bench.mrs(who, register) == max(value, minimum)

    def test_common(self, bench: Bench) -> None:
        """CBPR, which EL3 sets: Non-secure software reads that of Group 0 plus one and cannot write."""
        bench.msr("EL3", "ICC_CTLR_EL3", 3)
        for point in (2, 5, 7):
            bench.msr("EL3", "ICC_BPR0_EL1", point)
            bench.msr("NS-EL2", "ICC_BPR1_EL1", 4)
            assert bench.mrs("NS-EL2", "ICC_BPR1_EL1") == min(point + 1, 7)
            assert bench.mrs("S-EL1", "ICC_BPR1_EL1") == point
        bench.msr("S-EL1", "ICC_BPR1_EL1", 3)
        assert bench.mrs("EL3", "ICC_BPR0_EL1") == 3

    def test_cbpr_is_read_only(self, bench: Bench) -> None:
        """ICC_CTLR_EL1.CBPR cannot be written while there are two security states."""
        bench.msr("NS-EL2", "ICC_CTLR_EL1", 3)
        assert bench.mrs("NS-EL2", "ICC_CTLR_EL1") == 0x4_8402


class TestControl:
    """ICC_CTLR_EL1, ICC_CTLR_EL3 and the enables are banked by security state."""

    def test_values(self, bench: Bench) -> None:
        """5 priority bits, 16-bit INTIDs, affinity level 3, range selector; system registers only."""
        assert bench.mrs("NS-EL2", "ICC_CTLR_EL1") == 0x4_8400
        assert bench.mrs("EL3", "ICC_CTLR_EL3") == 0x6_8400
        assert bench.mrs("NS-EL1", "ICC_SRE_EL1", hcr=0x18) == 7
        assert [bench.mrs("NS-EL2", "ICC_SRE_EL2"), bench.mrs("EL3", "ICC_SRE_EL3")] == [0xF, 0xF]
        for who, register in (("NS-EL1", "ICC_SRE_EL1"), ("NS-EL2", "ICC_SRE_EL2"), ("EL3", "ICC_SRE_EL3")):
            assert bench.msr(who, register, 0) == 0
            assert bench.mrs(who, register) & 1

    @pytest.mark.parametrize("bit", range(5))
    def test_el3(self, bench: Bench, bit: int) -> None:
        """ICC_CTLR_EL3 holds both copies, and an EOImode of its own."""
        bench.msr("EL3", "ICC_CTLR_EL3", 1 << bit)
        assert bench.mrs("EL3", "ICC_CTLR_EL3") == 0x6_8400 | 1 << bit
        copies = {0: (1, 0), 1: (0, 1), 2: (0, 0), 3: (2, 0), 4: (0, 2)}[bit]
        assert (bench.mrs("S-EL1", "ICC_CTLR_EL1") & 3, bench.mrs("NS-EL2", "ICC_CTLR_EL1") & 3) == copies

    def test_enables(self, bench: Bench) -> None:
        """ICC_IGRPEN1_EL1 is the bit of its state in ICC_IGRPEN1_EL3."""
        assert bench.mrs("EL3", "ICC_IGRPEN1_EL3") == 1
        bench.msr("S-EL1", "ICC_IGRPEN1_EL1", 1)
        assert bench.mrs("EL3", "ICC_IGRPEN1_EL3") == 3
        bench.msr("EL3", "ICC_IGRPEN1_EL3", 2)
        assert (bench.mrs("NS-EL2", "ICC_IGRPEN1_EL1"), bench.mrs("S-EL1", "ICC_IGRPEN1_EL1")) == (0, 1)

    def test_group_disabled(self, bench: Bench) -> None:
        """Interrupts of a group that is disabled at the PE are not even shown by HPPIR."""
        bench.bits(0x200, SPI, value=True)
        bench.msr("NS-EL2", "ICC_IGRPEN1_EL1", 0)
        assert (bench.told[0], bench.mrs("NS-EL2", "ICC_HPPIR1_EL1")) == (0, SPURIOUS)


class TestSecureGroups:
    """Group 0 and Secure Group 1."""

    @pytest.fixture
    def secure(self, bench: Bench) -> Bench:
        bench.secure(SPI)
        bench.secure(SPI + 1, group0=True)
        bench.msr("EL3", "ICC_IGRPEN0_EL1", 1)
        bench.msr("EL3", "ICC_IGRPEN1_EL3", 3)
        for intid, priority in ((SPI, 0x40), (SPI + 1, 0x20)):
            bench.priority(intid, priority, secure=True)
        return bench

    def test_secure_group1(self, secure: Bench) -> None:
        """S-EL1 takes it; Non-secure software sees 1023 and no running priority but 0."""
        secure.bits(0x200, SPI, value=True, secure=True)
        assert secure.told[0] == G1S_SIGNAL
        assert secure.mrs("NS-EL2", "ICC_HPPIR1_EL1") == SPURIOUS
        assert secure.mrs("NS-EL2", "ICC_IAR1_EL1") == SPURIOUS
        assert secure.mrs("EL3", "ICC_HPPIR0_EL1") == 1020
        assert secure.mrs("S-EL1", "ICC_IAR1_EL1") == SPI
        assert (secure.mrs("NS-EL2", "ICC_RPR_EL1"), secure.mrs("S-EL1", "ICC_RPR_EL1")) == (0, 0x40)
        secure.eoi(SPI)
        assert secure.bits(0x300, SPI, secure=True)
        assert secure.msr("S-EL1", "ICC_EOIR1_EL1", SPI) == 0
        assert not secure.bits(0x300, SPI, secure=True)

    def test_group0(self, secure: Bench) -> None:
        """EL3 takes it by ICC_IAR0_EL1."""
        secure.bits(0x200, SPI + 1, value=True, secure=True)
        assert secure.told[0] == G0_SIGNAL
        assert secure.mrs("S-EL1", "ICC_IAR1_EL1") == SPURIOUS
        assert secure.mrs("EL3", "ICC_IAR0_EL1") == SPI + 1
        assert secure.mrs("EL3", "ICC_AP0R0_EL1") == 1 << 4
        secure.msr("EL3", "ICC_EOIR1_EL1", SPI + 1)
        assert secure.bits(0x300, SPI + 1, secure=True)
        secure.msr("EL3", "ICC_EOIR0_EL1", SPI + 1)
        assert not secure.bits(0x300, SPI + 1, secure=True)

    def test_group0_peek(self, secure: Bench) -> None:
        """ICC_HPPIR0_EL1 and ICC_IAR0_EL1 tell EL3 whose a Group 1 interrupt is, and leave it."""
        secure.bits(0x200, SPI + 2, value=True)
        assert secure.mrs("EL3", "ICC_HPPIR0_EL1") == 1021
        assert secure.mrs("EL3", "ICC_IAR0_EL1") == 1021
        assert secure.mrs("S-EL1", "ICC_IAR1_EL1") == SPURIOUS
        assert secure.ack() == SPI + 2

    def test_order(self, secure: Bench) -> None:
        """Only the highest priority pending interrupt is signalled, whatever its group."""
        for intid in (SPI + 2, SPI, SPI + 1):
            secure.bits(0x200, intid, value=True, secure=True)
        assert secure.told[0] == G0_SIGNAL
        secure.mrs("EL3", "ICC_IAR0_EL1")
        assert secure.told[0] == 0
        secure.msr("EL3", "ICC_EOIR0_EL1", SPI + 1)
        assert secure.told[0] == G1S_SIGNAL

    def test_foreign_eoi(self, secure: Bench) -> None:
        """EOI by Non-secure software neither ends nor deactivates a Secure interrupt that preempted it."""
        secure.bits(0x200, SPI + 2, value=True)
        secure.ack()
        secure.bits(0x200, SPI, value=True, secure=True)
        secure.mrs("S-EL1", "ICC_IAR1_EL1")
        secure.eoi(SPI + 2)
        secure.eoi(SPI)
        assert secure.mrs("S-EL1", "ICC_RPR_EL1") == 0x40
        assert secure.bits(0x300, SPI, secure=True)


class TestSgi:
    """ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1."""

    @pytest.mark.parametrize(
        ("value", "targets"),
        [(1 << 0, {0}), (1 << 16 | 1, {1}), (1 << 32 | 1, {2}), (1 << 40, {1, 2}), (1 << 40 | 1, {1, 2}), (0, set()),
         (2, set()), (0xFF << 16 | 1, set()), (1 << 44 | 1, set()), (1 << 48 | 1, set())],
    )  # fmt: skip
    def test_targets(self, bench: Bench, value: int, targets: set[int]) -> None:
        """A list of Aff0 in one cluster, of 16 that the range selector chooses; or all but the sender."""
        assert bench.msr("NS-EL2", "ICC_SGI1R_EL1", value | 5 << 24) == 0
        assert {pe for pe, signals in enumerate(bench.told) if signals} == targets
        for pe in targets:
            assert bench.ack(pe) == 5
            assert not bench.bits(0x200, 5, pe)

    @pytest.mark.parametrize(
        ("who", "register", "configured", "sent"),
        [
            ("NS-EL2", "ICC_SGI1R_EL1", "G1NS", True),
            ("NS-EL2", "ICC_SGI1R_EL1", "G1S", False),
            ("NS-EL2", "ICC_SGI1R_EL1", "G0", False),
            ("NS-EL2", "ICC_ASGI1R_EL1", "G1NS", False),
            ("NS-EL2", "ICC_ASGI1R_EL1", "G1S", False),
            ("NS-EL2", "ICC_SGI0R_EL1", "G0", False),
            ("R-EL2", "ICC_SGI1R_EL1", "G1NS", True),
            ("S-EL1", "ICC_SGI1R_EL1", "G1NS", False),
            ("S-EL1", "ICC_SGI1R_EL1", "G1S", True),
            ("S-EL1", "ICC_SGI1R_EL1", "G0", True),
            ("S-EL1", "ICC_ASGI1R_EL1", "G1NS", True),
            ("S-EL1", "ICC_ASGI1R_EL1", "G1S", False),
            ("S-EL1", "ICC_SGI0R_EL1", "G0", True),
            ("S-EL1", "ICC_SGI0R_EL1", "G1S", False),
            ("S-EL1", "ICC_SGI0R_EL1", "G1NS", False),
        ],
    )
    def test_groups(self, bench: Bench, who: str, register: str, configured: str, sent: bool) -> None:
        """An SGI is sent where its group at the target is the one asked for and the sender may."""
        if configured != "G1NS":
            bench.secure(5, group0=configured == "G0")
        assert bench.msr(who, register, 5 << 24 | 1) == 0
        assert bench.bits(0x200, 5, secure=True) == sent


class TestPowerOff:
    """A PE that is reset loses its CPU interface, not the state of its interrupts."""

    def test_power_off(self, bench: Bench) -> None:
        """What was active stays active, what was pending is taken when the interface is on again."""
        bench.bits(0x200, 3, value=True)
        bench.ack()
        bench.bits(0x200, 4, value=True)
        bench.gic.cpus[0].power_off()
        assert bench.told[0] == 0
        assert bench.mrs("EL3", "ICC_PMR_EL1") == 0
        bench.msr("EL3", "ICC_PMR_EL1", 0xFF)
        bench.msr("NS-EL2", "ICC_IGRPEN1_EL1", 1)
        assert bench.ack() == 4
        assert bench.bits(0x300, 3)


class TestSignals:
    """on_signals tells changes only."""

    def test_once(self, bench: Bench) -> None:
        """The bench refuses a call without a change; a second pending interrupt makes none."""
        bench.bits(0x200, SPI, value=True)
        calls = bench.calls
        bench.bits(0x200, SPI + 1, value=True)
        bench.gic.set_line(SPI, True)
        bench.gic.set_line(SPI, True)
        assert bench.calls == calls


class TestSnapshot:
    """save and restore."""

    def test_unchanged(self, bench: Bench) -> None:
        """Nothing is built anew while nothing changes, reads included; a restore of it does nothing."""
        saved = bench.gic.save()
        bench.mrs("NS-EL2", "ICC_HPPIR1_EL1")
        bench.gicd(0x104, 4)
        assert bench.gic.save() is saved
        bench.gic.restore(saved)
        assert bench.gic.save() is saved

    def test_signals(self, bench: Bench) -> None:
        """A restore tells PEs what has changed for them."""
        saved = bench.gic.save()
        bench.bits(0x200, SPI, value=True)
        pending = bench.gic.save()
        bench.gic.restore(saved)
        assert bench.told[0] == 0
        bench.gic.restore(pending)
        assert bench.told[0] == G1NS_SIGNAL
        assert bench.gic.save() is pending
