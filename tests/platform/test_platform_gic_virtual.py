"""The virtual CPU interface: list registers, what a VM does by ICV registers, maintenance."""

import pytest
from gic_bench import Bench, lr

IMO_FMO = 0x18
VIRQ, VFIQ, G1NS_SIGNAL = 8, 16, 4
SPURIOUS = 1023
EN, UIE, LRENPIE, NPIE = 1, 2, 4, 8
PENDING, ACTIVE, BOTH = 1, 2, 3
EOI_BIT, HW_BIT = 41, 61


@pytest.fixture
def bench() -> Bench:
    return Bench().start()


def mrs(bench: Bench, register: str) -> int:
    return bench.mrs("R-EL1", register, hcr=IMO_FMO)


def msr(bench: Bench, register: str, value: int) -> None:
    assert bench.msr("R-EL1", register, value, hcr=IMO_FMO) == 0


def lr_of(bench: Bench, index: int = 0) -> int:
    return bench.gic.cpus[0].virtual.lrs[index]


class TestValues:
    """What software at EL2 finds."""

    def test_vtr(self, bench: Bench) -> None:
        """ICH_VTR_EL2: 5 bits of priority and preemption, affinity 3, TDS, four list registers."""
        assert bench.mrs("NS-EL2", "ICH_VTR_EL2") == 0x9038_0003

    def test_reset(self) -> None:
        """Disabled, with the lowest binary points; VFIQEn is RES1."""
        bench = Bench()
        assert bench.mrs("NS-EL2", "ICH_HCR_EL2") == 0
        assert bench.mrs("NS-EL2", "ICH_VMCR_EL2") == 0x4C_0008
        assert bench.mrs("NS-EL2", "ICH_ELRSR_EL2") == 0xF

    @pytest.mark.parametrize(
        ("register", "written", "read"),
        [
            ("ICH_HCR_EL2", (1 << 64) - 1, 0xF800_7CFF),
            ("ICH_VMCR_EL2", (1 << 64) - 1, 0xF8FC_021B),
            ("ICH_VMCR_EL2", 0, 0x4C_0008),
            ("ICH_LR3_EL2", (1 << 64) - 1, 0xF0F8_1FFF_0000_FFFF),
            ("ICH_AP0R0_EL2", (1 << 64) - 1, 0xFFFF_FFFF),
            ("ICH_AP1R0_EL2", (1 << 64) - 1, 0xFFFF_FFFF),
        ],
    )
    def test_reserved(self, bench: Bench, register: str, written: int, read: int) -> None:
        """Reserved bits are zero."""
        assert bench.msr("NS-EL2", register, written) == 0
        assert bench.mrs("NS-EL2", register) == read

    def test_control(self, bench: Bench) -> None:
        """ICV_CTLR_EL1: as the physical one, CBPR and EOImode can be written and are those of ICH_VMCR_EL2."""
        assert mrs(bench, "ICC_CTLR_EL1") == 0x4_8400
        msr(bench, "ICC_CTLR_EL1", 0xFFFF_FFFF)
        assert mrs(bench, "ICC_CTLR_EL1") == 0x4_8403
        assert bench.mrs("NS-EL2", "ICH_VMCR_EL2") == 0x4C_0218

    def test_vmcr_follows(self, bench: Bench) -> None:
        """ICH_VMCR_EL2 shows what the VM has written."""
        for register, value in (("ICC_PMR_EL1", 0xA7), ("ICC_BPR0_EL1", 4), ("ICC_BPR1_EL1", 6)):
            msr(bench, register, value)
        msr(bench, "ICC_IGRPEN0_EL1", 1)
        msr(bench, "ICC_IGRPEN1_EL1", 1)
        assert bench.mrs("NS-EL2", "ICH_VMCR_EL2") == 0xA0 << 24 | 4 << 21 | 6 << 18 | 0b1011


class TestInterrupt:
    """A virtual interrupt from list register to EOI."""

    def test_lifecycle(self, bench: Bench) -> None:
        """Pending, active, invalid; the running priority in between."""
        bench.load(lr(27))
        assert bench.told[0] == VIRQ
        assert mrs(bench, "ICC_HPPIR1_EL1") == 27
        assert mrs(bench, "ICC_IAR1_EL1") == 27
        assert (bench.told[0], lr_of(bench)) == (0, lr(27, ACTIVE))
        assert mrs(bench, "ICC_RPR_EL1") == 0xA0
        assert mrs(bench, "ICC_AP1R0_EL1") == 1 << 20
        msr(bench, "ICC_EOIR1_EL1", 27)
        assert lr_of(bench) == lr(27, 0)
        assert mrs(bench, "ICC_RPR_EL1") == 0xFF
        assert mrs(bench, "ICC_IAR1_EL1") == SPURIOUS

    def test_group0(self, bench: Bench) -> None:
        """Group 0 is a VFIQ, by its own registers."""
        bench.load(lr(3, group=0))
        assert bench.told[0] == VFIQ
        assert mrs(bench, "ICC_IAR1_EL1") == SPURIOUS
        assert mrs(bench, "ICC_IAR0_EL1") == 3
        msr(bench, "ICC_EOIR1_EL1", 3)
        assert lr_of(bench) == lr(3, ACTIVE, group=0)
        msr(bench, "ICC_EOIR0_EL1", 3)
        assert lr_of(bench) == lr(3, 0, group=0)

    @pytest.mark.parametrize(
        ("hcr", "vmcr"), [(0, 0xF800_0003), (EN, 0xF800_0001), (EN, 0xA000_0003), (EN, 0x0000_0003)]
    )
    def test_not_shown(self, bench: Bench, hcr: int, vmcr: int) -> None:
        """Interface or group disabled, or masked."""
        bench.load(lr(27), hcr=hcr, vmcr=vmcr)
        assert bench.told[0] == 0
        assert mrs(bench, "ICC_IAR1_EL1") == SPURIOUS

    def test_order_and_preemption(self, bench: Bench) -> None:
        """The highest priority of the list registers; one more urgent preempts."""
        bench.load(lr(40, priority=0xA0), lr(41, priority=0x80), lr(42, priority=0x80))
        assert mrs(bench, "ICC_IAR1_EL1") == 41
        assert bench.told[0] == 0
        bench.msr("NS-EL2", "ICH_LR3_EL2", lr(43, priority=0x40))
        assert bench.told[0] == VIRQ
        assert mrs(bench, "ICC_IAR1_EL1") == 43
        for intid, running in ((43, 0x80), (41, 0xFF)):
            msr(bench, "ICC_EOIR1_EL1", intid)
            assert mrs(bench, "ICC_RPR_EL1") == running
        assert mrs(bench, "ICC_IAR1_EL1") == 42

    def test_pending_and_active(self, bench: Bench) -> None:
        """State 3 becomes pending at EOI."""
        bench.load(lr(27))
        mrs(bench, "ICC_IAR1_EL1")
        bench.msr("NS-EL2", "ICH_LR0_EL2", lr(27, BOTH))
        assert bench.told[0] == 0
        msr(bench, "ICC_EOIR1_EL1", 27)
        assert (bench.told[0], lr_of(bench)) == (VIRQ, lr(27))

    def test_eoi_mode(self, bench: Bench) -> None:
        """With EOImode, DIR deactivates."""
        bench.load(lr(27))
        msr(bench, "ICC_DIR_EL1", 27)
        msr(bench, "ICC_CTLR_EL1", 2)
        mrs(bench, "ICC_IAR1_EL1")
        msr(bench, "ICC_EOIR1_EL1", 27)
        assert (mrs(bench, "ICC_RPR_EL1"), lr_of(bench)) == (0xFF, lr(27, ACTIVE))
        msr(bench, "ICC_DIR_EL1", 27)
        assert lr_of(bench) == lr(27, 0)

    @pytest.mark.parametrize("intid", [1020, 1023])
    def test_special(self, bench: Bench, intid: int) -> None:
        """A special INTID in a list register is not acknowledged."""
        bench.load(lr(intid))
        assert mrs(bench, "ICC_IAR1_EL1") == SPURIOUS
        assert lr_of(bench) == lr(intid)

    @pytest.mark.parametrize("mode", [0, 2])
    @pytest.mark.parametrize("intid", [8192, 0xFFFF])
    def test_lpi(self, bench: Bench, intid: int, mode: int) -> None:
        """An LPI has no active state: acknowledged it is gone, its end drops the priority and is never counted."""
        bench.load(lr(intid))
        msr(bench, "ICC_CTLR_EL1", mode)
        assert mrs(bench, "ICC_IAR1_EL1") == intid
        assert lr_of(bench) == lr(intid, 0)
        assert mrs(bench, "ICC_RPR_EL1") == 0xA0
        msr(bench, "ICC_EOIR1_EL1", intid)
        msr(bench, "ICC_DIR_EL1", intid)
        assert mrs(bench, "ICC_RPR_EL1") == 0xFF
        assert bench.mrs("NS-EL2", "ICH_HCR_EL2") == EN

    def test_physical_together(self, bench: Bench) -> None:
        """A physical interrupt is signalled beside the virtual one."""
        bench.load(lr(27))
        bench.gic.set_ppi(0, 30, True)
        assert bench.told[0] == VIRQ | G1NS_SIGNAL


class TestHardware:
    """HW: the VM's deactivation is that of the physical interrupt."""

    def hardware(self, bench: Bench, intid: int) -> None:
        bench.load(lr(27, extra=(HW_BIT,)) | intid << 32)
        bench.bits(0x300, intid, value=True, secure=True)
        mrs(bench, "ICC_IAR1_EL1")

    @pytest.mark.parametrize("intid", [27, 40])
    def test_eoi(self, bench: Bench, intid: int) -> None:
        """A PPI of this PE, or an SPI."""
        self.hardware(bench, intid)
        msr(bench, "ICC_EOIR1_EL1", 27)
        assert not bench.bits(0x300, intid)
        assert bench.mrs("NS-EL2", "ICH_ELRSR_EL2") == 0xF

    def test_secure(self, bench: Bench) -> None:
        """Never a Secure one; nor one that is not there."""
        bench.secure(40)
        self.hardware(bench, 40)
        msr(bench, "ICC_EOIR1_EL1", 27)
        assert bench.bits(0x300, 40, secure=True)
        self.hardware(bench, 0x1FFF & 700)
        msr(bench, "ICC_EOIR1_EL1", 27)


class TestMaintenance:
    """ICH_MISR_EL2, and PPI 25 as its level."""

    def level(self, bench: Bench) -> bool:
        return bench.bits(0x200, 25)

    @pytest.mark.parametrize(
        ("hcr", "vmcr", "lrs", "misr"),
        [
            (EN | UIE, 0, (), 2),
            (EN | UIE, 0, (lr(1),), 2),
            (EN | UIE, 0, (lr(1), lr(2, ACTIVE)), 0),
            (EN | LRENPIE, 0, (), 0),
            (EN | LRENPIE | 1 << 27, 0, (), 4),
            (EN | NPIE, 0, (), 8),
            (EN | NPIE, 0, (lr(1, BOTH),), 8),
            (EN | NPIE, 0, (lr(1),), 0),
            (EN | 1 << 4, 1, (), 1 << 4),
            (EN | 1 << 4, 2, (), 0),
            (EN | 1 << 5, 2, (), 1 << 5),
            (EN | 1 << 5, 1, (), 0),
            (EN | 1 << 6, 2, (), 1 << 6),
            (EN | 1 << 6, 1, (), 0),
            (EN | 1 << 7, 1, (), 1 << 7),
            (EN | 1 << 7, 2, (), 0),
            (EN, 0, (lr(1, 0, extra=(EOI_BIT,)),), 1),
            (EN, 0, (lr(1, 0, extra=(EOI_BIT, HW_BIT)),), 0),
            (EN, 0, (lr(1, ACTIVE, extra=(EOI_BIT,)),), 0),
            (UIE | NPIE, 0, (), 10),
        ],
    )
    def test_misr(self, bench: Bench, hcr: int, vmcr: int, lrs: tuple[int, ...], misr: int) -> None:
        """Each condition with its enable; the interrupt needs ICH_HCR_EL2.En too."""
        bench.load(*lrs, hcr=hcr, vmcr=vmcr)
        assert bench.mrs("NS-EL2", "ICH_MISR_EL2") == misr
        assert self.level(bench) == bool(misr and hcr & EN)

    def test_eoi(self, bench: Bench) -> None:
        """A list register with the EOI bit tells when its interrupt has ended."""
        bench.load(lr(27), lr(28, extra=(EOI_BIT,)))
        assert (mrs(bench, "ICC_IAR1_EL1"), self.level(bench)) == (27, False)
        msr(bench, "ICC_EOIR1_EL1", 27)
        assert (mrs(bench, "ICC_IAR1_EL1"), self.level(bench)) == (28, False)
        msr(bench, "ICC_EOIR1_EL1", 28)
        assert bench.mrs("NS-EL2", "ICH_EISR_EL2") == 2
        assert bench.mrs("NS-EL2", "ICH_ELRSR_EL2") == 0b1101
        assert self.level(bench)
        assert bench.told[0] == G1NS_SIGNAL
        assert bench.ack() == 25
        bench.msr("NS-EL2", "ICH_HCR_EL2", 0)
        bench.eoi(25)
        assert bench.told[0] == 0

    @pytest.mark.parametrize(("mode", "register"), [(0, "ICC_EOIR1_EL1"), (2, "ICC_DIR_EL1")])
    def test_eoi_count(self, bench: Bench, mode: int, register: str) -> None:
        """Deactivations of interrupts in no list register are counted, modulo 32, if a priority was active."""
        bench.load(hcr=EN | LRENPIE | 30 << 27)
        msr(bench, "ICC_EOIR1_EL1", 50)
        assert bench.mrs("NS-EL2", "ICH_HCR_EL2") >> 27 == 30
        msr(bench, "ICC_CTLR_EL1", mode)
        for count in (31, 0, 1):
            bench.msr("NS-EL2", "ICH_AP1R0_EL2", 1 << 5)
            msr(bench, "ICC_EOIR1_EL1", 50)
            if mode:
                msr(bench, register, 50)
            assert bench.mrs("NS-EL2", "ICH_HCR_EL2") == EN | LRENPIE | count << 27
            assert self.level(bench) == bool(count)


class TestLoad:
    """VirtualInterface.load writes the whole state at once."""

    def test_load(self, bench: Bench) -> None:
        """As the registers would."""
        virtual = bench.gic.cpus[0].virtual
        virtual.load(EN, [lr(27), lr(28, ACTIVE, 0x20)], 0xF800_0003, ap1r=1 << 4)
        assert virtual.lrs == [lr(27), lr(28, ACTIVE, 0x20), 0, 0]
        assert bench.mrs("NS-EL2", "ICH_AP1R0_EL2") == 1 << 4
        assert bench.told[0] == 0
        virtual.load(0, [])
        assert (virtual.hcr, virtual.lrs, virtual.vmcr, virtual.active) == (0, [0] * 4, 0x4C_0008, [0, 0])
