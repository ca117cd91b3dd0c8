"""The virtual GICv3 of a VM: its registers, and what goes into list registers and comes back."""

import random
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
NPIE, LRENPIE, TDIR = 1 << 3, 1 << 2, 1 << 14
NOTHING, TRAP_ALONE = (0,) * 5, (TDIR, 0, 0, 0, 0)
PING, EDGE, LEVEL, SPI, EDGE_SPI = 3, 20, 27, 40, 41
EOI_COUNT = 27
ALL = (0xFF, 0xFF)


def lr(intid: int, state: int, priority: int = 0, level: bool = False) -> int:
    """A Group 1 interrupt in a list register."""
    return state | GROUP1 | priority << 48 | (EOI if level else 0) | intid


def pulse(vgic: Vgic, intid: int) -> None:
    """The input goes up and down."""
    vgic.drive(intid, True)
    vgic.drive(intid, False)


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
    frames.write(GICD + 0xC00 + 4 * (EDGE_SPI // 16), 4, 2 << 2 * (EDGE_SPI % 16))
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
            (0x0, 1 << 6 | 1 << 4 | 2), (0x4, 9 << 19 | 1 << 25 | 1 << 16 | INTIDS // 32 - 1), (0x8, 0x43B), (0xC, 0),
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

    @pytest.mark.parametrize("intid", [EDGE, EDGE_SPI])
    def test_edge(self, vgic: Vgic, intid: int) -> None:
        """An edge is one interrupt, however long the line stays high; a second edge meanwhile is another one."""
        vgic.drive(intid, True)
        vgic.drive(intid, True)
        assert vgic.load(0) == (0, lr(intid, PENDING), 0, 0, 0)
        vgic.store(0, 0, [lr(intid, ACTIVE), 0, 0, 0])
        vgic.drive(intid, False)
        vgic.drive(intid, True)
        assert vgic.load(0) == (0, lr(intid, PENDING | ACTIVE), 0, 0, 0)
        vgic.store(0, 0, [lr(intid, PENDING), 0, 0, 0])
        assert vgic.load(0) == (0, lr(intid, PENDING), 0, 0, 0)
        vgic.store(0, 0, [lr(intid, 0), 0, 0, 0])
        assert vgic.load(0) == NOTHING

    @pytest.mark.parametrize("intid", [LEVEL, SPI])
    def test_level(self, vgic: Vgic, intid: int) -> None:
        """A level is pending while it is high, not while it is active, and says when it ends."""
        vgic.drive(intid, True)
        assert vgic.load(0) == (0, lr(intid, PENDING, level=True), 0, 0, 0)
        vgic.store(0, 0, [lr(intid, ACTIVE, level=True), 0, 0, 0])
        assert vgic.load(0) == (0, lr(intid, ACTIVE, level=True), 0, 0, 0)
        assert not vgic.wakes(0, ALL)
        vgic.store(0, 0, [lr(intid, 0, level=True), 0, 0, 0])
        assert vgic.load(0) == (0, lr(intid, PENDING, level=True), 0, 0, 0)
        vgic.store(0, 0, [lr(intid, PENDING, level=True), 0, 0, 0])
        vgic.drive(intid, False)
        assert vgic.load(0) == NOTHING

    @pytest.mark.parametrize(("intid", "base"), [(LEVEL, GICR + SGI), (SPI, GICD + 4)])
    def test_level_set_pending(self, vgic: Vgic, frames: VgicMmio, intid: int, base: int) -> None:
        """ISPENDR makes a level pending once; ICPENDR does not lower the line."""
        frames.write(base + 0x200, 4, 1 << intid % 32)
        assert vgic.load(0) == (0, lr(intid, PENDING, level=True), 0, 0, 0)
        vgic.store(0, 0, [lr(intid, 0, level=True), 0, 0, 0])
        assert vgic.load(0) == NOTHING
        vgic.drive(intid, True)
        frames.write(base + 0x280, 4, 1 << intid % 32)
        assert frames.read(base + 0x200, 4) == 1 << intid % 32

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
        assert hcr == LRENPIE | TDIR
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
        assert not vgic.wakes(0, ALL)
        frames.write(GICD, 4, 2)
        assert vgic.wakes(0, ALL)
        frames.write(GICR + SGI + 0x180, 4, 1 << 4)
        assert not vgic.wakes(0, ALL)

    @pytest.mark.parametrize(("mask", "wakes"), [(0, False), (0x80, False), (0x88, True), (0xFF, True)])
    def test_wakes(self, vgic: Vgic, frames: VgicMmio, mask: int, wakes: bool) -> None:
        """Below the limit of its own group only, and its own vCPU."""
        frames.write(GICR + SGI + 0x400 + PING, 1, 0x80)
        vgic.generate(1, PING << 24 | 1, 3)
        assert vgic.wakes(0, (0, mask)) is wakes
        assert not vgic.wakes(0, (mask, 0))
        assert not vgic.wakes(1, (mask, mask))
        frames.write(GICR + SGI + 0x80, 4, 0)
        assert vgic.wakes(0, (mask, 0)) is wakes
        assert not vgic.wakes(0, (0, mask))

    @pytest.mark.parametrize("intid", [PING, EDGE, EDGE_SPI])
    def test_active_does_not_wake(self, vgic: Vgic, intid: int) -> None:
        """An edge that comes again while its interrupt is active is signalled when that has ended."""
        raise_it = (lambda: vgic.generate(0, PING << 24 | 1, 3)) if intid == PING else (lambda: pulse(vgic, intid))
        raise_it()
        vgic.load(0)
        vgic.store(0, 0, [lr(intid, ACTIVE), 0, 0, 0])
        raise_it()
        assert not vgic.wakes(0, ALL)
        vgic.load(0)
        vgic.store(0, 0, [lr(intid, PENDING), 0, 0, 0])
        assert vgic.wakes(0, ALL)

    def test_wakes_by_list_register(self, vgic: Vgic, frames: VgicMmio) -> None:
        """What finds no list register is not signalled, however low its priority value may be."""
        for intid in range(5):
            frames.write(GICR + SGI + 0x400 + intid, 1, 8 * intid)
            vgic.generate(0, intid << 24 | 1, 3)
        frames.write(GICR + SGI + 0x80, 4, 1 << 4 ^ 0x1F)  # the least urgent one is of Group 0
        assert not vgic.wakes(0, (0xFF, 0))
        assert vgic.wakes(0, (0, 0xFF))

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
        assert vgic.load(2) == TRAP_ALONE
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
        assert vgic.load(2) == TRAP_ALONE
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

    @pytest.mark.parametrize("cleared", [False, True], ids=["active", "cleared"])
    def test_end_without_list_register(self, vgic: Vgic, frames: VgicMmio, cleared: bool) -> None:
        """EOIcount is for what the vCPU has acknowledged, even if ICACTIVER was first; others stay active."""
        vgic.generate(0, PING << 24 | 1, 3)
        vgic.load(0)
        vgic.store(0, 0, [lr(PING, ACTIVE), 0, 0, 0])
        for intid in range(6, 12):  # more urgent, but set active by a register
            frames.write(GICR + SGI + 0x300, 4, 1 << intid)
        frames.write(GICR + SGI + 0x400 + PING, 1, 0xF0)
        if cleared:
            frames.write(GICR + SGI + 0x380, 4, 1 << PING)
        hcr, *lrs = vgic.load(0)
        assert hcr == LRENPIE | TDIR and all(value & 0xFFFF != PING for value in lrs)
        vgic.store(0, 1 << EOI_COUNT, lrs)
        assert frames.read(GICR + SGI + 0x300, 4) == sum(1 << intid for intid in range(6, 12))

    def test_end_splits(self, vgic: Vgic, frames: VgicMmio) -> None:
        """With EOImode a count means nothing: what ends is what ICC_DIR_EL1 names."""
        for intid in range(6):
            vgic.generate(0, intid << 24 | 1, 3)
        for _ in range(2):
            _, *lrs = vgic.load(0)
            vgic.store(0, 0, [value & ~PENDING | ACTIVE if value else 0 for value in lrs], splits_end=True)
        hcr, *lrs = vgic.load(0)
        assert hcr == LRENPIE | TDIR
        vgic.store(0, 1 << EOI_COUNT, lrs, splits_end=True)
        assert frames.read(GICR + SGI + 0x300, 4) == 0x3F
        assert not vgic.cpus[0].acknowledged
        for intid in (5, 1, 3, 5):
            vgic.deactivate(0, intid)
        assert frames.read(GICR + SGI + 0x300, 4) == 0b010101
        assert vgic.load(0)[0] == 0

    @pytest.mark.parametrize("vcpu", range(VCPUS))
    def test_deactivate(self, vgic: Vgic, frames: VgicMmio, vcpu: int) -> None:
        """An SPI ends whichever vCPU ends it, a private interrupt is its own vCPU's, others are nobody's."""
        vgic.drive(SPI, True)
        vgic.drive(LEVEL, True)
        _, *lrs = vgic.load(0)
        vgic.store(0, 0, [value ^ PENDING ^ ACTIVE if value else 0 for value in lrs], splits_end=True)
        for intid in (LEVEL, INTIDS, 1023, 8192, 1 << 23):
            vgic.deactivate(vcpu, intid)
        assert frames.read(GICR + SGI + 0x300, 4) == (0 if vcpu == 0 else 1 << LEVEL)
        assert frames.read(GICD + 0x304, 4) == 1 << SPI - 32
        assert vgic.load(vcpu)[0] == (0 if vcpu == 0 else TDIR)
        vgic.deactivate(vcpu, SPI)
        assert frames.read(GICD + 0x304, 4) == 0
        assert lr(SPI, PENDING, level=True) in vgic.load(0)

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


class TestEras:
    """Who sleeps need not be asked again until its era is another one."""

    def _act(self, vgic: Vgic, frames: VgicMmio, dice: random.Random) -> None:
        """Something that changes interrupts, or tries to."""
        vcpu, value = dice.randrange(VCPUS), dice.getrandbits(32)
        intid = dice.choice((EDGE, LEVEL, SPI, EDGE_SPI, dice.randrange(16, INTIDS)))
        match dice.randrange(8):
            case 0 | 1:
                vgic.drive(intid, bool(value & 1), vcpu)
            case 2:
                vgic.generate(vcpu, dice.choice((1 << 40, value & 7)) | (value & 0xF) << 24, 3)
            case 3:
                at = dice.choice((0, 0x80, 0x104, 0x180, 0x184, 0x204, 0x284, 0x304, 0x384, 0x428, 0xC08, 0x6140))
                frames.write(GICD + at, 4, value & 3 if at in (0, 0x6140) else value)
            case 4:
                at = dice.choice((0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x414, 0xC04))
                frames.write(GICR + STRIDE * vcpu + SGI + at, 4, value)
            case 5:
                loaded = vgic.load(vcpu)
                lrs = [word & ~dice.choice((0, PENDING, ACTIVE, PENDING | ACTIVE)) for word in loaded[1:]]
                vgic.store(vcpu, dice.randrange(3) << EOI_COUNT, lrs, bool(value & 8))
            case 6:
                vgic.deactivate(vcpu, intid)
            case 7:
                vgic.restore(vgic.save())

    @pytest.mark.parametrize("seed", range(20))
    def test_asleep(self, vgic: Vgic, frames: VgicMmio, seed: int) -> None:
        """Whatever happens, a vCPU that nothing woke is woken by nothing while its era is the same."""
        dice = random.Random(seed)
        found = {(vcpu, mask): (-1, False) for vcpu in range(VCPUS) for mask in (0x80, 0xFF)}
        same = woken = 0
        for _ in range(300):
            self._act(vgic, frames, dice)
            for (vcpu, mask), (era, wakes) in found.items():
                now = vgic.era(vcpu), vgic.wakes(vcpu, (mask, mask))
                if era == now[0]:
                    assert now[1] == wakes
                    same += 1
                woken += now[1]
                found[vcpu, mask] = now
        assert same and woken

    def test_own(self, vgic: Vgic) -> None:
        """What is private to one vCPU is no news for the others, but the VM has changed."""
        before = vgic.changes, [vgic.era(vcpu) for vcpu in range(VCPUS)]
        vgic.drive(EDGE, True, 1)
        assert vgic.changes > before[0]
        assert [vgic.era(vcpu) != old for vcpu, old in enumerate(before[1])] == [False, True, False]
