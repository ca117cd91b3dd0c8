"""The virtual GIC of a Realm and four list registers, against a GIC that has no such limit.

The host side is :class:`cca_host.kvm.vgic.Vgic`, a vCPU is the virtual CPU interface of a PE. When that asks for a
maintenance interrupt, or traps ICC_DIR_EL1, the vCPU exits and enters again. What the vCPU acknowledges must be what
the model says, and what ends is what the vCPU has named, whichever vCPU it was active on.
"""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cca_host.kvm.vgic import NUM_LRS, Vgic
from cca_host.kvm.vgic_mmio import VgicMmio
from cca_platform.gic import Gic
from cca_platform.gic.virtual import VMCR_RESET

GICD, GICR, STRIDE, SGI = 0x10_0000, 0x20_0000, 0x2_0000, 0x1_0000
VCPUS = 2
SGIS, EDGES, LEVELS, SPIS = tuple(range(6)), (20,), (27, 30), (40, 41)
PRIVATE = (*SGIS, *EDGES, *LEVELS)
EDGE_SPI = 41
IDLE, SPURIOUS, SHOWN = 0xFF, 1023, 0xF8 << 24 | 1 << 1
VEOIM, TDIR = 1 << 9, 1 << 14
vcpus = st.integers(0, VCPUS - 1)
interrupts = st.sampled_from((*PRIVATE, *SPIS))


@dataclass
class Interrupt:
    """One interrupt of the model; ``active`` is the vCPU that it is active on."""

    edge: bool
    target: int
    enabled: bool = True
    latch: bool = False
    line: bool = False
    active: int | None = None
    priority: int = 0

    @property
    def pending(self) -> bool:
        """What ISPENDR shows."""
        return self.latch or (self.line and not self.edge)


class Model(RuleBasedStateMachine):
    """Random inputs, registers and runs."""

    @initialize(splits=st.tuples(*[st.booleans()] * VCPUS))
    def start(self, splits: tuple[bool, ...]) -> None:
        """Everything enabled, the higher INTIDs more urgent; ``splits`` is EOImode of each vCPU."""
        self.splits = splits
        self.vgic = Vgic()
        for index in range(VCPUS):
            self.vgic.add_vcpu(index)
        self.frames = VgicMmio(self.vgic, GICD, GICR)
        self.frames.write(GICD, 4, 2)
        self.frames.write(GICD + 0xC00 + 4 * (EDGE_SPI // 16), 4, 2 << 2 * (EDGE_SPI % 16))
        for index in range(VCPUS):
            self.frames.write(GICR + STRIDE * index + SGI + 0xC04, 4, 2 << 2 * (EDGES[0] - 16))
        self.kept = [(SHOWN | VMCR_RESET | VEOIM * split, 0, 0) for split in splits]
        self.cpus = [cpu.virtual for cpu in Gic(range(VCPUS), 32, lambda *_: None).cpus]
        self.running: list[list[int]] = [[] for _ in range(VCPUS)]
        self.state: dict[tuple[int, int], Interrupt] = {}
        for index in range(VCPUS):
            for intid in PRIVATE:
                self.state[index, intid] = Interrupt(intid not in LEVELS, index)
        for intid in SPIS:
            self.state[-1, intid] = Interrupt(intid == EDGE_SPI, 0)
        for vcpu, intid in self.state:
            _, base = self._at(vcpu, intid)
            self._set(base, 0x100, intid)
            self.prioritise(vcpu, intid, 30 - intid // 2)

    def _at(self, vcpu: int, intid: int) -> tuple[Interrupt, int]:
        """The interrupt of the model, and where its registers are."""
        if intid in SPIS:
            return self.state[-1, intid], GICD
        return self.state[vcpu, intid], GICR + STRIDE * vcpu + SGI

    def _set(self, base: int, register: int, intid: int) -> None:
        self.frames.write(base + register + 4 * (intid // 32), 4, 1 << intid % 32)

    # -- inputs and registers -----------------------------------------------------------------------------------------
    @rule(vcpu=vcpus, intid=st.sampled_from((*EDGES, *LEVELS, *SPIS)), level=st.booleans())
    def drive(self, vcpu: int, intid: int, level: bool) -> None:
        """An input goes up or down."""
        one, _ = self._at(vcpu, intid)
        self.vgic.drive(intid, level, vcpu)
        one.latch |= one.edge and level and not one.line
        one.line = level

    @rule(vcpu=vcpus, mask=st.integers(1, (1 << VCPUS) - 1), intid=st.sampled_from(SGIS))
    def generate(self, vcpu: int, mask: int, intid: int) -> None:
        """An SGI."""
        self.vgic.generate(vcpu, intid << 24 | mask, 3)
        for index in range(VCPUS):
            self.state[index, intid].latch |= bool(mask >> index & 1)

    @rule(vcpu=vcpus, intid=interrupts, on=st.booleans())
    def enable(self, vcpu: int, intid: int, on: bool) -> None:
        """ISENABLER, ICENABLER."""
        one, base = self._at(vcpu, intid)
        self._set(base, 0x100 if on else 0x180, intid)
        one.enabled = on

    @rule(vcpu=vcpus, intids=st.sets(interrupts, min_size=1, max_size=9), on=st.sampled_from((True, True, False)))
    def pend(self, vcpu: int, intids: set[int], on: bool) -> None:
        """ISPENDR, ICPENDR."""
        for intid in sorted(intids):
            one, base = self._at(vcpu, intid)
            self._set(base, 0x200 if on else 0x280, intid)
            one.latch = on

    @rule(vcpu=vcpus, intids=st.sets(interrupts, min_size=5, max_size=9))
    def nest(self, vcpu: int, intids: set[int]) -> None:
        """Interrupts that interrupt each other."""
        for intid in sorted(intids, key=lambda intid: -self._at(vcpu, intid)[0].priority):
            self.pend(vcpu, {intid}, True)
            self.run(vcpu, ["acknowledge"])

    @rule(vcpu=vcpus, intid=interrupts, priority=st.integers(0, 30))
    def prioritise(self, vcpu: int, intid: int, priority: int) -> None:
        """IPRIORITYR, of an interrupt that is not active and does not run."""
        one, base = self._at(vcpu, intid)
        if one.active is None and not any(intid in running for running in self.running):
            self.frames.write(base + 0x400 + intid, 1, priority << 3)
            one.priority = priority << 3

    @rule(vcpu=vcpus, intid=st.sampled_from(SPIS))
    def route(self, vcpu: int, intid: int) -> None:
        """IROUTER."""
        self.frames.write(GICD + 0x6000 + 8 * intid, 8, vcpu)
        self.state[-1, intid].target = vcpu

    @rule(vcpu=vcpus, intids=st.sets(interrupts, min_size=1, max_size=3))
    def clear_active(self, vcpu: int, intids: set[int]) -> None:
        """ICACTIVER: the interrupt has ended, but if it runs its priority holds until EOIR."""
        for intid in sorted(intids):
            one, base = self._at(vcpu, intid)
            self._set(base, 0x380, intid)
            one.active = None

    # -- runs ---------------------------------------------------------------------------------------------------------
    @rule(vcpu=vcpus, steps=st.lists(st.sampled_from(("take", "acknowledge", "end")), max_size=15))
    def run(self, vcpu: int, steps: list[str]) -> None:
        """A vCPU acknowledges and ends interrupts; "take" does both."""
        self._enter(vcpu)
        for step in steps:
            if step != "end":
                self._settle(vcpu)
                self._acknowledge(vcpu)
            if step != "acknowledge" and self.running[vcpu]:
                self._settle(vcpu)
                self._end(vcpu)
        self._exit(vcpu)

    @rule(vcpu=vcpus, intids=st.lists(interrupts, min_size=1, max_size=9))
    def deactivate(self, vcpu: int, intids: list[int]) -> None:
        """A vCPU writes ICC_DIR_EL1; without EOImode that does nothing."""
        self._enter(vcpu)
        for intid in intids:
            if self.trapped:
                self._exit(vcpu)
                if self.splits[vcpu]:
                    self.vgic.deactivate(vcpu, intid)
                self._enter(vcpu)
            else:
                self.cpus[vcpu].deactivate(intid)
                self._settle(vcpu)
            if self.splits[vcpu]:
                self._at(vcpu, intid)[0].active = None
        self._exit(vcpu)

    @rule(vcpu=vcpus, intids=st.sets(st.sampled_from((*SGIS, *EDGES)), min_size=5))
    def burst(self, vcpu: int, intids: set[int]) -> None:
        """More edges than list registers, one after another."""
        self.pend(vcpu, intids, True)
        self.run(vcpu, ["take"] * len(intids))

    def _settle(self, vcpu: int) -> None:
        """A maintenance interrupt ends the run, and the host enters again."""
        if self.cpus[vcpu].misr():
            self._exit(vcpu)
            self._enter(vcpu)

    def _enter(self, vcpu: int) -> None:
        hcr, *lrs = self.vgic.load(vcpu)
        assert len(lrs) == NUM_LRS
        self.trapped = hcr & TDIR
        self.cpus[vcpu].load(hcr | 1, lrs, *self.kept[vcpu])

    def _exit(self, vcpu: int) -> None:
        virtual = self.cpus[vcpu]
        self.vgic.store(vcpu, virtual.hcr, virtual.lrs, self.splits[vcpu])
        self.kept[vcpu] = (virtual.vmcr, *virtual.active)

    def _running_priority(self, vcpu: int) -> int:
        return min((self._at(vcpu, intid)[0].priority for intid in self.running[vcpu]), default=IDLE)

    def _due(self, vcpu: int) -> list[int]:
        """The INTIDs that the vCPU may be given: pending, inactive, the most urgent."""
        ready = {
            intid: one.priority
            for intid in (*PRIVATE, *SPIS)
            if (one := self._at(vcpu, intid)[0]).enabled
            and one.pending
            and one.active is None
            and one.target == vcpu
            and one.priority < self._running_priority(vcpu)
        }
        return [intid for intid, priority in ready.items() if priority == min(ready.values())]

    def _acknowledge(self, vcpu: int) -> None:
        due, got = self._due(vcpu), self.cpus[vcpu].acknowledge(1)
        assert got in (due or [SPURIOUS])
        if got != SPURIOUS:
            one, _ = self._at(vcpu, got)
            one.active, one.latch = vcpu, False
            self.running[vcpu].append(got)

    def _end(self, vcpu: int) -> None:
        """EOIR of what has interrupted last; with EOImode it drops the priority and ends nothing."""
        intid = self.running[vcpu].pop()
        self.cpus[vcpu].end(intid, 1)
        one = self._at(vcpu, intid)[0]
        if not self.splits[vcpu] and one.active == vcpu:
            one.active = None

    # -- what the registers show between runs -------------------------------------------------------------------------
    @invariant()
    def registers(self) -> None:
        """ISENABLER, ISPENDR and ISACTIVER are the model's."""
        for (vcpu, intid), one in self.state.items():
            base = self._at(vcpu, intid)[1] + 4 * (intid // 32)
            shown = tuple(self.frames.read(base + register, 4) >> intid % 32 & 1 for register in (0x100, 0x200, 0x300))
            assert shown == (one.enabled, one.pending, one.active is not None), (vcpu, intid, one)

    @invariant()
    def waiting(self) -> None:
        """A vCPU wakes for what is pending, enabled and not active anywhere, below the limit that it has."""
        for vcpu in range(VCPUS):
            ready = [
                one.priority
                for intid in (*PRIVATE, *SPIS)
                if (one := self._at(vcpu, intid)[0]).enabled and one.pending and one.active is None
                if one.target == vcpu
            ]
            best = min(ready, default=IDLE)
            assert not self.vgic.wakes(vcpu, (IDLE, best))
            assert self.vgic.wakes(vcpu, (0, best + 1)) == bool(ready)


TestVgic = Model.TestCase
TestVgic.settings = settings(max_examples=40, stateful_step_count=50)
