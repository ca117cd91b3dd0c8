"""The interrupts of a VM: the state in KVM's virtual GICv3, and their delivery through list registers.

A Realm owns its virtual CPU interface through the RMM; the host owns the rest of its GIC. Between two runs of a vCPU,
all interrupt state is here. :meth:`Vgic.load` moves pending interrupts into list registers for the next entry;
:meth:`Vgic.store` folds the list registers back. :mod:`cca_host.kvm.vgic_mmio` has the registers.

A vCPU can end an active interrupt that is in none of its list registers: there are more of them, or another vCPU took
it. Without EOImode the CPU interface only counts such ends (EOIcount). The interrupt is then the most urgent one that
the vCPU has acknowledged, even if ICACTIVER has made it inactive since. With EOImode the order of ends does not follow
priorities. So ICC_DIR_EL1 is trapped (ICH_HCR_EL2.TDIR) while such an interrupt exists, and :meth:`Vgic.deactivate`
ends the interrupt that the write names.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from cca_arch.gic import FIRST_SPI
from cca_arch.rmi.v1_0 import RecMpidr
from cca_arch.sysregs import MPIDR_AFFINITY, IccSgi, IchHcr, IchLr, LrState, Mpidr
from cca_platform.state import State, from_words, to_words

__all__ = [
    "INTIDS",
    "NUM_LRS",
    "PRIVATE",
    "Interrupts",
    "InterruptsState",
    "VcpuInterface",
    "VcpuInterfaceState",
    "Vgic",
    "VgicState",
]

NUM_LRS: Final = 4
"""The number of list registers that the host uses."""
PRIVATE: Final = FIRST_SPI
"""INTIDs below this are SGIs and PPIs, which are private to a vCPU."""
INTIDS: Final = 128
_PPI: Final = 16  # the first PPI; INTIDs below are SGIs
_SGIS: Final = (1 << _PPI) - 1


_ACTIVE: Final = LrState.ACTIVE << IchLr.state.low
_PENDING: Final = LrState.PENDING << IchLr.state.low
_EOI: Final = IchLr.eoi.mask
_GROUP: Final = IchLr.group.mask
_PRIORITY: Final = IchLr.priority.low
_VINTID: Final = IchLr.vintid.mask
_NPIE, _LRENPIE, _EOICOUNT = IchHcr.npie.mask, IchHcr.lrenpie.mask, IchHcr.eoicount
_TDIR: Final = IchHcr.tdir.mask
_NO_LRS: Final = (0,) * NUM_LRS
_NOTHING: Final = (0, *_NO_LRS)


def bits_of(value: int) -> Iterator[int]:
    """The positions of the set bits, lowest first."""
    while value:
        low = value & -value
        yield low.bit_length() - 1
        value ^= low


class InterruptsState(State, frozen=True, tag="host.interrupts/1"):
    """Saved state of :class:`Interrupts`: sets of INTIDs as 32-bit words, and a priority for each INTID."""

    edge: tuple[int, ...]
    group: tuple[int, ...]
    enabled: tuple[int, ...]
    latch: tuple[int, ...]
    line: tuple[int, ...]
    active: tuple[int, ...]
    priority: bytes


class VcpuInterfaceState(State, frozen=True, tag="host.vcpu-interface/2"):
    """Saved state of a :class:`VcpuInterface`: sets of INTIDs as 32-bit words, and its list registers."""

    affinity: int
    private: InterruptsState
    routed: tuple[int, ...]
    owned: tuple[int, ...]
    acknowledged: tuple[int, ...]
    loaded: tuple[int, ...]


class VgicState(State, frozen=True, tag="host.vgic/1"):
    """Saved state of a :class:`Vgic`; ``routes`` are GICD_IROUTER by INTID."""

    enabled: bool
    spis: InterruptsState
    routes: tuple[int, ...]
    cpus: tuple[VcpuInterfaceState, ...]


class Interrupts:
    """A set of interrupts. Each word has one bit per INTID; ``mask`` has the existing ones.

    ``latch`` has the interrupts that software or an edge made pending, ``line`` the input levels; ``edge`` says how an
    interrupt is triggered, ``group`` that it is in Group 1.
    """

    def __init__(self, mask: int, edge: int = 0) -> None:
        self.mask = mask
        self.edge = edge
        self.group = mask
        self.enabled = self.latch = self.line = self.active = 0
        self.priority = bytearray(INTIDS)

    @property
    def pending(self) -> int:
        """The pending interrupts: latched edges, and levels that are high or were set pending."""
        return self.latch | self.line & ~self.edge

    def drive(self, intid: int, level: bool) -> None:
        """Set the input of an interrupt."""
        bit = 1 << intid
        if level:
            if self.edge & bit and not self.line & bit:
                self.latch |= bit
            self.line |= bit
        else:
            self.line &= ~bit

    def message(self, intid: int, pending: bool) -> None:
        """A message makes an interrupt pending, or takes that back: an edge, or the level that only messages change."""
        bit = 1 << intid & self.mask
        word = "latch" if self.edge & bit else "line"
        old = getattr(self, word)
        setattr(self, word, old | bit if pending else old & ~bit)

    def save(self) -> InterruptsState:
        """State for a snapshot."""
        names = ("edge", "group", "enabled", "latch", "line", "active")
        words = {name: to_words(getattr(self, name), INTIDS) for name in names}
        return InterruptsState(**words, priority=bytes(self.priority))

    def restore(self, state: InterruptsState) -> None:
        """Restore what :meth:`save` returned."""
        self.edge, self.group, self.enabled = from_words(state.edge), from_words(state.group), from_words(state.enabled)
        self.latch, self.line, self.active = from_words(state.latch), from_words(state.line), from_words(state.active)
        self.priority = bytearray(state.priority)


class VcpuInterface:
    """The interrupts private to vCPU ``index``; ``affinity`` is that of its MPIDR in IROUTER format.

    ``routed`` are the SPIs routed to it, ``owned`` those active on it. ``acknowledged`` are the interrupts whose EOIR
    is still to come; it is empty with EOImode, where the host does not see an EOIR. ``loaded`` are the list registers
    of the present entry while it runs. ``changes`` counts changes of the private interrupts.
    """

    def __init__(self, index: int, affinity: int) -> None:
        self.index = index
        self.affinity = affinity
        self.private = Interrupts((1 << PRIVATE) - 1, _SGIS)
        self.private.enabled = _SGIS
        self.routed = self.owned = self.acknowledged = 0
        self.loaded: list[int] = []
        self.changes = 0


class Vgic:
    """The interrupts of one VM; ``enabled`` is GICD_CTLR.EnableGrp1.

    ``changes`` counts all changes of what is pending for any vCPU: a vCPU that nothing wakes stays asleep until then.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.changes = 0
        self._shared = 0  # of them, those of interrupts that any vCPU may get
        self.cpus: list[VcpuInterface] = []
        self._by_affinity: dict[int, VcpuInterface] = {}
        self.spis = Interrupts((1 << INTIDS) - (1 << PRIVATE))
        self.routes = [0] * INTIDS

    def add_vcpu(self, mpidr: int) -> None:
        """Add the next vCPU by its RmiRecMpidr."""
        own = RecMpidr(mpidr)
        affinity = int(Mpidr.make(aff3=own.aff3, aff2=own.aff2, aff1=own.aff1, aff0=own.aff0))
        cpu = VcpuInterface(len(self.cpus), affinity)
        self._add(cpu)
        for intid in bits_of(self.spis.mask):  # as ``route`` does, for the new one alone
            if self.routes[intid] & MPIDR_AFFINITY == affinity:
                self.route()
                return

    def _add(self, cpu: VcpuInterface) -> None:
        self.cpus.append(cpu)
        self._by_affinity[cpu.affinity] = cpu

    # -- changes ------------------------------------------------------------------------------------------------
    def changed(self, vcpu: VcpuInterface | None) -> None:
        """Something has changed what is pending: for one vCPU alone, or None if any may get it."""
        self.changes += 1
        if vcpu is None:
            self._shared += 1
        else:
            vcpu.changes += 1

    def era(self, vcpu: int) -> int:
        """A number that is another one when something has changed what is pending for this vCPU."""
        return self._shared + self.cpus[vcpu].changes

    # -- inputs -------------------------------------------------------------------------------------------------
    def drive(self, intid: int, level: bool, vcpu: int = 0) -> None:
        """Set the input of an SPI, or of a PPI of one vCPU; raises ValueError for any other INTID."""
        if not _PPI <= intid < INTIDS:
            raise ValueError(f"the INTID of a line must be {_PPI} to {INTIDS - 1}, not {intid}")
        self._of(self.cpus[vcpu], intid).drive(intid, level)
        self.changed(self.cpus[vcpu] if intid < PRIVATE else None)

    def generate(self, vcpu: int, value: int, groups: int) -> None:
        """Send an SGI: a vCPU wrote ``value`` to ICC_SGI<n>R_EL1 for interrupts in ``groups`` (bit 0, bit 1)."""
        sgi = IccSgi(value)
        bit = 1 << sgi.intid
        for cpu in self._targets(vcpu, sgi):
            if groups >> bool(cpu.private.group & bit) & 1:
                cpu.private.latch |= bit
                self.changed(cpu)

    def _targets(self, vcpu: int, sgi: IccSgi) -> list[VcpuInterface]:
        if sgi.irm:
            return [cpu for cpu in self.cpus if cpu.index != vcpu]
        cluster = sgi.aff3 << 32 | sgi.aff2 << 16 | sgi.aff1 << 8
        named = (self._by_affinity.get(cluster | 16 * sgi.rs + number) for number in bits_of(sgi.targetlist))
        return [cpu for cpu in named if cpu is not None]

    def route(self) -> None:
        """Recompute which SPIs go to which vCPU, after a change of routes, vCPUs or active states."""
        self.changed(None)
        unowned = self.spis.active
        for cpu in self.cpus:
            cpu.routed = 0
            cpu.owned &= self.spis.active
            unowned &= ~cpu.owned
        for intid in bits_of(self.spis.mask):
            target = self._by_affinity.get(self.routes[intid] & MPIDR_AFFINITY)
            if target is not None:
                target.routed |= 1 << intid
                target.owned |= unowned & 1 << intid

    # -- list registers -----------------------------------------------------------------------------------------
    def _of(self, cpu: VcpuInterface, intid: int) -> Interrupts:
        return cpu.private if intid < PRIVATE else self.spis

    def _pending(self, cpu: VcpuInterface) -> int:
        """The pending, enabled interrupts of a vCPU. An active level-sensitive one must become inactive first."""
        if not self.enabled:
            return 0
        own, spis = cpu.private, self.spis
        shared = spis.enabled & cpu.routed & (~spis.active | cpu.owned)
        return own.enabled & own.pending & (own.edge | ~own.active) | shared & spis.pending & (spis.edge | ~spis.active)

    def _by_priority(self, cpu: VcpuInterface, interrupts: int) -> list[int]:
        """The INTIDs in a word, highest priority first."""
        return sorted(bits_of(interrupts), key=lambda intid: (self._of(cpu, intid).priority[intid], intid))

    def load(self, vcpu: int) -> tuple[int, ...]:
        """Compute ICH_HCR_EL2 and the list registers of a vCPU's next entry: pending interrupts before active ones.

        Maintenance interrupts signal those that do not fit: NP for pending ones, LRENP for active ones. ICC_DIR_EL1 is
        trapped if it could end an interrupt that is in none of these list registers.
        """
        cpu = self.cpus[vcpu]
        pending, active = self._pending(cpu), cpu.private.active | cpu.owned
        elsewhere = self.spis.active & ~cpu.owned
        if not pending | active:
            return (_TDIR, *_NO_LRS) if elsewhere else _NOTHING
        order = self._by_priority(cpu, pending & ~active) + self._by_priority(cpu, active)
        hcr = _TDIR if elsewhere else 0
        for intid in order[NUM_LRS:]:
            hcr |= _LRENPIE | _TDIR if active >> intid & 1 else _NPIE
        cpu.loaded = [
            self._list_register(cpu, intid, pending >> intid & 1, active >> intid & 1) for intid in order[:NUM_LRS]
        ]
        return (hcr, *cpu.loaded, *[0] * (NUM_LRS - len(cpu.loaded)))

    def _list_register(self, cpu: VcpuInterface, intid: int, pending: int, active: int) -> int:
        """Encode an interrupt as a list register: an edge leaves the latch, a level requests an EOI interrupt."""
        of, bit = self._of(cpu, intid), 1 << intid
        value = of.priority[intid] << _PRIORITY | intid
        value |= _PENDING * pending | _ACTIVE * active
        if of.group & bit:
            value |= _GROUP
        if not of.edge & bit:
            value |= _EOI
        elif pending:
            of.latch &= ~bit
        return value

    def store(self, vcpu: int, hcr: int, lrs: Sequence[int], splits_end: bool = False) -> None:
        """Fold the list registers of an exit back. EOIcount counts interrupts that ended without a list register.

        ``splits_end`` is ICC_CTLR_EL1.EOImode.
        """
        cpu = self.cpus[vcpu]
        if not splits_end:
            self._end_unloaded(cpu, (hcr & _EOICOUNT.mask) >> _EOICOUNT.low)
        for before, value in zip(cpu.loaded, lrs, strict=False):
            intid = before & _VINTID
            of, bit = self._of(cpu, intid), 1 << intid
            self._set_active(cpu, intid, bool(value & _ACTIVE))
            if value & ~before & _ACTIVE:
                cpu.acknowledged |= bit
            elif before & ~value & _ACTIVE:
                cpu.acknowledged &= ~bit
            if of.edge & bit:
                of.latch |= bit if value & _PENDING else 0
            elif before & ~value & _PENDING:
                of.latch &= ~bit  # consume what software has set
            self.changed(cpu if of is cpu.private else None)
        if splits_end:
            cpu.acknowledged = 0
        cpu.loaded = []

    def _end_unloaded(self, cpu: VcpuInterface, count: int) -> None:
        """End ``count`` interrupts that were active in no list register: acknowledged ones first, by priority."""
        if not count:
            return
        loaded = sum(1 << (value & _VINTID) for value in cpu.loaded if value & _ACTIVE)
        active = (cpu.private.active | cpu.owned) & ~loaded
        known = cpu.acknowledged & ~loaded
        for intid in (self._by_priority(cpu, known) + self._by_priority(cpu, active & ~known))[:count]:
            self._set_active(cpu, intid, False)
            cpu.acknowledged &= ~(1 << intid)

    def deactivate(self, vcpu: int, intid: int) -> None:
        """End the interrupt that a vCPU has written to ICC_DIR_EL1, on whichever vCPU it is active."""
        if intid >= INTIDS:
            return
        for cpu in (self.cpus[vcpu],) if intid < PRIVATE else self.cpus:
            self._set_active(cpu, intid, False)

    def _set_active(self, cpu: VcpuInterface, intid: int, active: bool) -> None:
        of, bit = self._of(cpu, intid), 1 << intid
        of.active = of.active & ~bit | active << intid
        if of is self.spis:
            cpu.owned = cpu.owned & ~bit | active << intid
        self.changed(cpu if of is cpu.private else None)

    def wakes(self, vcpu: int, below: tuple[int, int]) -> bool:
        """True if an interrupt wakes a vCPU: a pending, inactive one that gets a list register.

        ``below`` is the limit of each group: only an interrupt with a lower priority value is signalled.
        """
        cpu = self.cpus[vcpu]
        for intid in self._by_priority(cpu, self._pending(cpu) & ~(cpu.private.active | cpu.owned))[:NUM_LRS]:
            of = self._of(cpu, intid)
            if of.priority[intid] < below[of.group >> intid & 1]:
                return True
        return False

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> VgicState:
        """State for a snapshot."""
        return VgicState(
            enabled=self.enabled,
            spis=self.spis.save(),
            routes=tuple(self.routes),
            cpus=tuple(
                VcpuInterfaceState(
                    affinity=cpu.affinity,
                    private=cpu.private.save(),
                    routed=to_words(cpu.routed, INTIDS),
                    owned=to_words(cpu.owned, INTIDS),
                    acknowledged=to_words(cpu.acknowledged, INTIDS),
                    loaded=tuple(cpu.loaded),
                )
                for cpu in self.cpus
            ),
        )

    def restore(self, state: VgicState) -> None:
        """Restore what :meth:`save` returned."""
        self.enabled, self.routes = state.enabled, list(state.routes)
        self.spis.restore(state.spis)
        self.changed(None)
        self.cpus, self._by_affinity = [], {}
        for index, saved in enumerate(state.cpus):
            cpu = VcpuInterface(index, saved.affinity)
            cpu.private.restore(saved.private)
            cpu.routed, cpu.owned = from_words(saved.routed), from_words(saved.owned)
            cpu.acknowledged, cpu.loaded = from_words(saved.acknowledged), list(saved.loaded)
            self._add(cpu)
