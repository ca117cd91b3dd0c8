"""The virtual GICv3 of a VM: its registers, and what goes into list registers and comes back."""

from typing import Any

import pytest

from cca_host.kvm import Vcpu, Vm
from cca_host.kvm.vgic import INTIDS, NUM_LRS, Vgic
from cca_host.kvm.vgic_mmio import VgicMmio
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, redistributor_base
from cca_platform.errors import MachineError

VCPUS = 3
GICD, GICR, SGI = DISTRIBUTOR_BASE, redistributor_base(VCPUS), 0x1_0000
STRIDE = 0x2_0000
PENDING, ACTIVE, EOI, GROUP1 = 1 << 62, 1 << 63, 1 << 41, 1 << 60
NPIE, LRENPIE = 1 << 3, 1 << 2
NOTHING = (0,) * 5
PING, EDGE, LEVEL, SPI = 3, 20, 27, 40


def lr(intid: int, state: int, priority: int = 0, level: bool = False) -> int:
    """A Group 1 interrupt in a list register."""
    return state | GROUP1 | priority << 48 | (EOI if level else 0) | intid


@pytest.fixture
def vgic() -> Vgic:
    """Three vCPUs; Group 1 is on, and some interrupts are enabled."""
    made = Vgic()
    for index in range(VCPUS):
        made.add_vcpu(index)
    frames = VgicMmio(made, GICD, GICR)
    frames.write(GICD, 4, 2)
    frames.write(GICD + 0x100 + 4, 4, 0xFFFF_FFFF)
    for index in range(VCPUS):
        frames.write(GICR + STRIDE * index + SGI + 0x100, 4, 0xFFFF_FFFF)
        frames.write(GICR + STRIDE * index + SGI + 0xC04, 4, 2 << 2 * (EDGE - 16))
    return made


@pytest.fixture
def frames(vgic: Vgic) -> VgicMmio:
    """Its registers."""
    return VgicMmio(vgic, GICD, GICR)


class TestRegisters:
    """IHI 0069 chapter 12, for one security state without LPIs."""

    @pytest.mark.parametrize(
        ("offset", "value"),
        [
            (0x0, 1 << 6 | 1 << 4 | 2), (0x4, 9 << 19 | 1 << 25 | INTIDS // 32 - 1), (0x8, 0x43B), (0xC, 0),
            (0xFFE8, 0x3B), (0x80, 0), (0x84, 0xFFFF_FFFF), (0x100, 0), (0x400, 0), (0xC00, 0), (0xD04, 0),
            (0x6000, 0), (0x80 + 4 * (INTIDS // 32), 0), (0x5000, 0),
        ],
    )  # fmt: skip
    def test_distributor(self, frames: VgicMmio, offset: int, value: int) -> None:
        """What reads as it is without having been written; private interrupts are not here."""
        assert frames.read(GICD + offset, 4) == value

    @pytest.mark.parametrize("index", range(VCPUS))
    def test_redistributor(self, frames: VgicMmio, index: int) -> None:
        """TYPER: affinity, number, Last; WAKER never sleeps; SGIs are edges."""
        frame = GICR + STRIDE * index
        last = 1 << 4 if index == VCPUS - 1 else 0
        assert frames.read(frame + 8, 8) == index << 32 | index << 8 | last
        assert frames.read(frame + 12, 4) == index
        frames.write(frame + 0x14, 4, 2)
        frames.write(frame + SGI + 0xC00, 4, 0)
        for offset, value in ((0, 0), (4, 0x43B), (0x14, 0), (0xFFE8, 0x3B), (SGI + 0xC00, 0xAAAA_AAAA)):
            assert frames.read(frame + offset, 4) == value

    @pytest.mark.parametrize(("setter", "clearer"), [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)])
    @pytest.mark.parametrize("base", [GICD + 4, GICR + SGI, GICR + STRIDE + SGI])
    def test_set_and_clear(self, frames: VgicMmio, base: int, setter: int, clearer: int) -> None:
        """Enabled, pending and active: ones set or clear, zeros do nothing, both registers read the same."""
        frames.write(base + clearer, 4, 0xFFFF_FFFF)
        frames.write(base + setter, 4, 0x8100_8041)
        frames.write(base + clearer, 4, 0x0100_0001)
        assert frames.read(base + setter, 4) == frames.read(base + clearer, 4) == 0x8000_8040

    def test_priority(self, frames: VgicMmio) -> None:
        """By bytes and words; five bits."""
        for base in (GICD + 0x400 + SPI, GICR + SGI + 0x400 + 8):
            frames.write(base, 4, 0x1F2F_3FFF)
            frames.write(base + 1, 1, 0xA7)
            assert frames.read(base, 4) == 0x1828_A0F8
            assert frames.read(base + 3, 1) == 0x18

    def test_route(self, frames: VgicMmio) -> None:
        """IROUTER in one access or two; 1 of N is not there."""
        frames.write(GICD + 0x6000 + 8 * SPI, 8, 0x12_8034_5678)
        assert frames.read(GICD + 0x6000 + 8 * SPI, 8) == 0x12_0034_5678
        frames.write(GICD + 0x6004 + 8 * SPI, 4, 0)
        assert frames.read(GICD + 0x6000 + 8 * SPI, 8) == 0x34_5678

    @pytest.mark.parametrize(("offset", "size"), [(0x100, 1), (0x100, 2), (0x402, 2), (0x102, 4), (0x104, 8), (0x4, 1)])
    def test_undefined_sizes(self, frames: VgicMmio, offset: int, size: int) -> None:
        """Such accesses read zero and write nothing."""
        frames.write(GICD + offset, size, (1 << 8 * size) - 1)
        assert frames.read(GICD + offset, size) == 0

    def test_claims(self, frames: VgicMmio) -> None:
        """The frames of the vCPUs that there are."""
        inside = (GICD, GICD + 0xFFFF, GICR, GICR + VCPUS * STRIDE - 1)
        outside = (GICD + 0x1_0000, GICR - 1)
        assert [frames.claims(ipa) for ipa in inside] == [True] * 4
        assert [frames.claims(ipa) for ipa in outside] == [False] * 2
        assert VgicMmio(Vgic(), GICD, 0x1000).claims(0x1000) is False


class TestInterrupts:
    """From inputs to list registers and back."""

    def test_edge(self, vgic: Vgic) -> None:
        """An edge is one interrupt, however long the line stays high; a second edge meanwhile is another one."""
        vgic.drive(EDGE, True)
        vgic.drive(EDGE, True)
        assert vgic.load(0) == (0, lr(EDGE, PENDING), 0, 0, 0)
        vgic.store(0, 0, [lr(EDGE, ACTIVE), 0, 0, 0])
        vgic.drive(EDGE, False)
        vgic.drive(EDGE, True)
        assert vgic.load(0)[1] == lr(EDGE, PENDING | ACTIVE)
        vgic.store(0, 0, [lr(EDGE, PENDING), 0, 0, 0])
        assert vgic.load(0)[1] == lr(EDGE, PENDING)
        vgic.store(0, 0, [lr(EDGE, 0), 0, 0, 0])
        assert vgic.load(0) == NOTHING

    def test_level(self, vgic: Vgic) -> None:
        """A level is pending while it is high, not while it is active, and says when it ends."""
        vgic.drive(LEVEL, True)
        assert vgic.load(0) == (0, lr(LEVEL, PENDING, level=True), 0, 0, 0)
        vgic.store(0, 0, [lr(LEVEL, ACTIVE, level=True), 0, 0, 0])
        assert vgic.load(0)[1] == lr(LEVEL, ACTIVE, level=True)
        vgic.store(0, 0, [lr(LEVEL, 0, level=True), 0, 0, 0])
        assert vgic.load(0)[1] == lr(LEVEL, PENDING, level=True)
        vgic.store(0, 0, [lr(LEVEL, PENDING, level=True), 0, 0, 0])
        vgic.drive(LEVEL, False)
        assert vgic.load(0) == NOTHING

    def test_level_set_pending(self, vgic: Vgic, frames: VgicMmio) -> None:
        """ISPENDR makes a level pending once; ICPENDR does not lower the line."""
        frames.write(GICR + SGI + 0x200, 4, 1 << LEVEL)
        assert vgic.load(0)[1] == lr(LEVEL, PENDING, level=True)
        vgic.store(0, 0, [lr(LEVEL, 0, level=True), 0, 0, 0])
        assert vgic.load(0) == NOTHING
        vgic.drive(LEVEL, True)
        frames.write(GICR + SGI + 0x280, 4, 1 << LEVEL)
        assert frames.read(GICR + SGI + 0x200, 4) == 1 << LEVEL

    def test_order(self, vgic: Vgic, frames: VgicMmio) -> None:
        """By priority, then INTID; more than list registers asks for NP, active ones that are left out for LRENP."""
        for intid in range(6):
            frames.write(GICR + SGI + 0x400 + intid, 1, 0x80 - 8 * intid)
            vgic.generate(0, intid << 24 | 1, 3)
        hcr, *lrs = vgic.load(0)
        assert hcr == NPIE
        assert [value & 0xFFFF for value in lrs] == [5, 4, 3, 2]
        vgic.store(0, 0, [value ^ PENDING ^ ACTIVE for value in lrs])
        hcr, *lrs = vgic.load(0)
        assert hcr == LRENPIE
        assert [(value & 0xFFFF, value >> 62) for value in lrs] == [(1, 1), (0, 1), (5, 2), (4, 2)]
        vgic.store(0, 1 << 27, lrs)  # one has ended that was not there: the most urgent of them
        assert frames.read(GICR + SGI + 0x300, 4) == 1 << 5 | 1 << 4 | 1 << 2

    def test_disabled(self, vgic: Vgic, frames: VgicMmio) -> None:
        """Not enabled, or Group 1 off at the distributor: nothing new, and what is active stays."""
        vgic.generate(0, PING << 24 | 1, 3)
        assert vgic.load(0)[1] == lr(PING, PENDING)
        vgic.store(0, 0, [lr(PING, ACTIVE), 0, 0, 0])
        vgic.generate(0, 4 << 24 | 1, 3)
        frames.write(GICD, 4, 0)
        assert vgic.load(0) == (0, lr(PING, ACTIVE), 0, 0, 0)
        assert not vgic.wakes(0, 0xFF)
        frames.write(GICD, 4, 2)
        frames.write(GICR + SGI + 0x180, 4, 1 << 4)
        assert not vgic.wakes(0, 0xFF)

    @pytest.mark.parametrize(("mask", "wakes"), [(0, False), (0x80, False), (0x88, True), (0xFF, True)])
    def test_wakes(self, vgic: Vgic, frames: VgicMmio, mask: int, wakes: bool) -> None:
        """Above the priority mask only."""
        frames.write(GICR + SGI + 0x400 + PING, 1, 0x80)
        vgic.generate(1, PING << 24 | 1, 3)
        assert vgic.wakes(0, mask) is wakes
        assert not vgic.wakes(1, mask)

    @pytest.mark.parametrize(
        ("value", "targets"),
        [
            (0b111, {0, 1, 2}), (0b100, {2}), (1 << 40, {0, 2}), (0xF000, set()), (1 << 16 | 1, set()),
            (1 << 44 | 1, set()),
        ],
    )  # fmt: skip
    def test_sgi_targets(self, vgic: Vgic, value: int, targets: set[int]) -> None:
        """Target list with affinities and range selector; IRM: all but itself."""
        vgic.generate(1, PING << 24 | value, 3)
        assert {index for index in range(VCPUS) if vgic.load(index) != NOTHING} == targets

    def test_sgi_groups(self, vgic: Vgic, frames: VgicMmio) -> None:
        """ICC_SGI0R reaches Group 0 alone."""
        vgic.generate(0, PING << 24 | 1, 1)
        assert vgic.load(0) == NOTHING
        frames.write(GICR + SGI + 0x80, 4, ~(1 << PING) & 0xFFFF_FFFF)
        vgic.generate(0, PING << 24 | 1, 1)
        assert vgic.load(0)[1] == lr(PING, PENDING) & ~GROUP1

    def test_spi_moves(self, vgic: Vgic, frames: VgicMmio) -> None:
        """An SPI goes where IROUTER says; while active it stays where it is."""
        vgic.drive(SPI, True)
        assert vgic.load(0)[1] == lr(SPI, PENDING, level=True)
        vgic.store(0, 0, [lr(SPI, ACTIVE, level=True), 0, 0, 0])
        frames.write(GICD + 0x6000 + 8 * SPI, 8, 2)
        assert vgic.load(2) == NOTHING
        assert vgic.load(0)[1] == lr(SPI, ACTIVE, level=True)
        vgic.store(0, 0, [lr(SPI, 0, level=True), 0, 0, 0])
        assert vgic.load(0) == NOTHING
        assert vgic.load(2)[1] == lr(SPI, PENDING, level=True)
        frames.write(GICD + 0x6000 + 8 * SPI, 8, 9)
        vgic.store(2, 0, [lr(SPI, 0, level=True), 0, 0, 0])
        assert [vgic.load(index) for index in range(VCPUS)] == [NOTHING] * VCPUS

    def test_edge_that_moves(self, vgic: Vgic, frames: VgicMmio) -> None:
        """An edge that comes while the SPI is active elsewhere waits for its end."""
        frames.write(GICD + 0xC00 + 4 * (SPI // 16), 4, 2 << 2 * (SPI % 16))
        vgic.drive(SPI, True)
        vgic.load(0)
        vgic.store(0, 0, [lr(SPI, ACTIVE), 0, 0, 0])
        frames.write(GICD + 0x6000 + 8 * SPI, 8, 2)
        vgic.drive(SPI, False)
        vgic.drive(SPI, True)
        assert vgic.load(2) == NOTHING
        assert vgic.load(0)[1] == lr(SPI, ACTIVE)
        vgic.store(0, 0, [lr(SPI, 0), 0, 0, 0])
        assert vgic.load(2)[1] == lr(SPI, PENDING)

    def test_set_active(self, vgic: Vgic, frames: VgicMmio) -> None:
        """ISACTIVER: active where it is routed, until ICACTIVER."""
        frames.write(GICD + 0x6000 + 8 * SPI, 8, 1)
        frames.write(GICD + 0x300 + 4 * (SPI // 32), 4, 1 << SPI % 32)
        assert vgic.load(1)[1] == lr(SPI, ACTIVE, level=True)
        frames.write(GICD + 0x380 + 4 * (SPI // 32), 4, 1 << SPI % 32)
        assert vgic.load(1) == NOTHING

    def test_snapshot(self, vgic: Vgic) -> None:
        """The state is plain data."""
        vgic.drive(LEVEL, True)
        vgic.drive(SPI, True)
        vgic.load(0)
        saved = vgic.save()
        other = Vgic()
        other.restore(saved)
        assert other.save() == saved
        after = [lr(LEVEL, ACTIVE, level=True), lr(SPI, 0, level=True), 0, 0]
        for one in (vgic, other):
            one.store(0, 0, after)
        assert other.load(0) == vgic.load(0)
        assert other.save() == vgic.save()


GIC_IPA = DISTRIBUTOR_BASE


class TestVm:
    """The GIC of a VM, and a Realm that uses it."""

    def test_line(self, code: Any, system: Any) -> None:
        """An SPI or PPI that the VMM raises is in a list register at the next entry, and comes back."""
        vm = Vm(system)
        vm.create_vgic(GIC_IPA, redistributor_base(1))
        vm.add_memory(0x8000_0000, 1 << 20)
        vm.init_ripas()
        vm.populate(0x8000_0000, bytes(code.wfi().loop()))
        vcpu = vm.create_vcpu(0x8000_0000)
        vcpu.trap(wfi=True, wfe=False)
        vm.activate()
        frames = vm.gic_frames
        assert frames is not None
        frames.write(GIC_IPA, 4, 2)
        frames.write(GIC_IPA + 0x104, 4, 1 << SPI - 32)
        vm.irq_line(SPI, True)
        assert not vcpu.wakes()  # ICC_PMR_EL1 of a new REC lets nothing through
        vcpu.run()
        assert _entered(vcpu) == (0, lr(SPI, PENDING, level=True), 0, 0, 0)
        vm.irq_line(SPI, False)
        system.pe.host_timer(system.machine.clock.now + 1000)
        vcpu.run()
        assert _entered(vcpu) == NOTHING

    def test_snapshot(self, code: Any, system: Any) -> None:
        """A VM that is put back has its interrupts again, and one that had no GIC has none."""
        vm = Vm(system)
        machine, bare = system.machine, system.machine.snapshot()
        vm.create_vgic(GIC_IPA, redistributor_base(1))
        vm.create_vcpu(0x8000_0000)
        vm.irq_line(SPI, True)
        saved = machine.snapshot()
        vm.irq_line(SPI, False)
        machine.restore(saved)
        assert vm.vgic is not None
        assert vm.vgic.spis.line == 1 << SPI
        machine.restore(bare)
        assert vm.vgic is None
        assert vm.gic_frames is None

    def test_refused(self, system: Any) -> None:
        """Lines need a GIC and an INTID, a GIC has to be there first."""
        vm = Vm(system)
        with pytest.raises(MachineError, match="must have a GIC"):
            vm.irq_line(SPI, True)
        vm.create_vgic(GIC_IPA, redistributor_base(1))
        for intid in (15, INTIDS):
            with pytest.raises(MachineError, match=f"must be 16 to {INTIDS - 1}, not {intid}"):
                vm.irq_line(intid, True)
        vm.create_vcpu(0x8000_0000)
        with pytest.raises(MachineError, match="before its first vCPU"):
            vm.create_vgic(GIC_IPA, redistributor_base(1))


def _entered(vcpu: Vcpu) -> tuple[int, ...]:
    """ICH_HCR_EL2 and the list registers that are in the run page."""
    view = vcpu.vm.system.port.view(vcpu.run_page + 0x300, 8 * (1 + NUM_LRS)).cast("Q")
    return tuple(view)
