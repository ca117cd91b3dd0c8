"""The interrupt controller as a whole: selects the pending interrupt of each PE, and has the input lines."""

from collections.abc import Callable, Sequence
from typing import Final

from cca_arch.gic import FIRST_SPECIAL, FIRST_SPI, GicdIrouter
from cca_arch.sysregs import MPIDR_AFFINITY, IccSgi
from cca_platform.gic.cpu import CpuInterface, CpuState
from cca_platform.gic.distributor import Distributor
from cca_platform.gic.interrupts import Interrupts, InterruptsState
from cca_platform.gic.priorities import G0, G1NS, G1S, LEVELS
from cca_platform.gic.redistributor import Redistributors
from cca_platform.state import State

__all__ = ["Gic", "GicState"]

_IRM: Final = GicdIrouter.irm.mask
_CLUSTER: Final = IccSgi.aff3.mask | IccSgi.aff2.mask | IccSgi.aff1.mask | IccSgi.rs.mask
_GROUP_BITS: Final = (1 << G0, 1 << G1S, 1 << G1NS)


class GicState(State, frozen=True, tag="gic/1"):
    """The interrupt controller; ``routers`` are the non-zero GICD_IROUTER by INTID."""

    enables: int
    spis: InterruptsState
    routers: dict[int, int]
    cpus: tuple[CpuState, ...]


class Gic:
    """GICv3 for PEs with these MPIDRs and ``spis`` shared peripheral interrupts (INTID 32 and up).

    ``on_signals(pe_index, bits)`` is called when the set of asserted interrupt exceptions of a PE changes.
    An SPI for any PE (Interrupt_Routing_Mode 1) goes to the first PE that is awake and has its group enabled.
    """

    def __init__(self, mpidrs: Sequence[int], spis: int, on_signals: Callable[[int, int], object]) -> None:
        if not 0 <= spis <= FIRST_SPECIAL - FIRST_SPI:
            raise ValueError(f"a GIC must have 0 to {FIRST_SPECIAL - FIRST_SPI} SPIs, not {spis}")
        self.on_signals = on_signals
        self.spis = Interrupts(FIRST_SPI, spis)
        self.enables = 0  # GICD_CTLR: bit G0, G1S, G1NS
        self.cpus = [CpuInterface(self, index, mpidr & MPIDR_AFFINITY) for index, mpidr in enumerate(mpidrs)]
        self._by_affinity = {cpu.affinity: cpu for cpu in self.cpus}
        self.routers: dict[int, int] = {}  # the non-zero GICD_IROUTER, by INTID
        self._routed = [0] * len(self.cpus)  # by PE: the SPIs that are routed to it
        self._one_of_n = 0  # the SPIs with Interrupt_Routing_Mode 1
        self._takers: list[int | None] = [None, None, None]  # by group: the PE that takes 1 of N interrupts
        self._saved: GicState | None = None
        self._saved_routers: dict[int, int] | None = None
        self.distributor = Distributor(self, secure=False)
        self.secure_distributor = Distributor(self, secure=True)
        self.redistributors = Redistributors(self, secure=False)
        self.secure_redistributors = Redistributors(self, secure=True)
        self.reset()

    def reset(self) -> None:
        """Reset every register; every line is low."""
        self.enables = 0
        self.spis.reset()
        self.routers.clear()
        self._saved_routers = None
        for cpu in self.cpus:
            cpu.reset()
        self._route_all()
        self.update_all()

    # -- lines --------------------------------------------------------------------------------------------------------
    def set_line(self, intid: int, level: bool) -> None:
        """Set the input of an SPI."""
        spis = self.spis
        if not spis.all >> intid & 1:
            raise ValueError(f"an SPI must be {FIRST_SPI} to {FIRST_SPI + spis.count - 1}, not {intid}")
        if bool(spis.wire >> intid & 1) != bool(level):
            spis.set_wire(intid, bool(level))
            self.update_spi(intid)

    def set_ppi(self, pe_index: int, intid: int, level: bool) -> None:
        """Set the input of a PPI of one PE."""
        if not 16 <= intid < FIRST_SPI:
            raise ValueError(f"a PPI must be 16 to 31, not {intid}")
        cpu = self.cpus[pe_index]
        if bool(cpu.interrupts.wire >> intid & 1) != bool(level):
            cpu.interrupts.set_wire(intid, bool(level))
            self.update(cpu)

    # -- routing ------------------------------------------------------------------------------------------------------
    def router(self, intid: int) -> int:
        """GICD_IROUTER<n>."""
        return self.routers.get(intid, 0)

    def set_router(self, intid: int, value: int) -> None:
        """Write GICD_IROUTER<n>: an affinity, or with bit 31 any PE."""
        self.routers[intid] = value & (MPIDR_AFFINITY | _IRM)
        self._saved_routers = None
        self._route(intid)
        self.update_all()

    def _route(self, intid: int) -> None:
        """Add an SPI to the set of its target, if that PE exists."""
        bit, value = 1 << intid, self.routers[intid]
        self._one_of_n = self._one_of_n & ~bit | (bit if value & _IRM else 0)
        for cpu in self.cpus:
            self._routed[cpu.index] = self._routed[cpu.index] & ~bit | (bit if value == cpu.affinity else 0)

    def _route_all(self) -> None:
        """Build the sets of SPIs by target PE from GICD_IROUTER."""
        self._one_of_n = 0
        self._routed = [self.spis.all if cpu.affinity == 0 else 0 for cpu in self.cpus]
        for intid in self.routers:
            self._route(intid)

    # -- the highest priority pending interrupt -----------------------------------------------------------------------
    def update_all(self) -> None:
        """Update all PEs, after a change that affects every PE."""
        for bit in _GROUP_BITS:
            able = (cpu.index for cpu in self.cpus if cpu.awake and cpu.enables & bit)
            self._takers[bit >> 1] = next(able, None)
        for cpu in self.cpus:
            self.update(cpu)

    def update_spi(self, intid: int) -> None:
        """Update the PEs affected by a change of an SPI's state."""
        self._saved = None
        if self._one_of_n >> intid & 1:
            self.update_all()
        else:
            for cpu in self.cpus:
                if self._routed[cpu.index] >> intid & 1:
                    self.update(cpu)

    def update(self, cpu: CpuInterface) -> None:
        """Select the highest priority pending interrupt of a PE; of equal priorities, the lowest INTID."""
        self._saved = None
        private, spis, index = cpu.interrupts, self.spis, cpu.index
        ready = private.ready | spis.ready & (self._routed[index] | self._one_of_n)
        if not ready or not cpu.awake:
            cpu.present(-1, 0, 0)
            return
        group, modifier = private.group | spis.group, private.modifier | spis.modifier
        enabled, shown = self.enables & cpu.enables, 0
        for bit, members in zip(_GROUP_BITS, (~(group | modifier), modifier & ~group, group), strict=True):
            if enabled & bit:
                mine = ready if self._takers[bit >> 1] == index else ready & ~self._one_of_n
                shown |= mine & members
        if not shown:
            cpu.present(-1, 0, 0)
            return
        if shown & shown - 1:
            shown = next(
                first for level in range(LEVELS) if (first := shown & (private.levels[level] | spis.levels[level]))
            )
        intid = (shown & -shown).bit_length() - 1
        interrupts = private if intid < FIRST_SPI else spis
        cpu.present(intid, interrupts.priority[intid - interrupts.first], interrupts.group_of(intid))

    # -- what CPU interfaces do to interrupts -------------------------------------------------------------------------
    def interrupts_of(self, cpu: CpuInterface, intid: int) -> Interrupts | None:
        """The range that holds the state of an INTID for a PE; None if the INTID does not exist."""
        if intid < FIRST_SPI:
            return cpu.interrupts
        return self.spis if self.spis.all >> intid & 1 else None

    def activate(self, cpu: CpuInterface, intid: int) -> None:
        """Acknowledge by a PE."""
        if intid < FIRST_SPI:
            cpu.interrupts.activate(intid)
            self.update(cpu)
        else:
            self.spis.activate(intid)
            self.update_spi(intid)

    def deactivate(self, cpu: CpuInterface, intid: int, groups: int) -> None:
        """Deactivate by a PE, if the interrupt exists and is in one of ``groups`` (a bit for each)."""
        interrupts = self.interrupts_of(cpu, intid)
        if interrupts is not None and groups >> interrupts.group_of(intid) & 1:
            interrupts.deactivate(intid)
            if intid < FIRST_SPI:
                self.update(cpu)
            else:
                self.update_spi(intid)

    def send_sgi(self, sender: CpuInterface, value: int, groups: int) -> None:
        """Make an SGI pending where it is in one of ``groups``; ``value`` has the format of ICC_SGI1R_EL1."""
        sgi = IccSgi(value)
        intid, listed = sgi.intid, sgi.targetlist
        if sgi.irm:
            targets = [cpu for cpu in self.cpus if cpu is not sender]
        else:
            cluster = value & _CLUSTER
            base = sgi.aff3 << 32 | sgi.aff2 << 16 | sgi.aff1 << 8 | sgi.rs << 4 if cluster else 0
            affinities = (base | bit for bit in range(listed.bit_length()) if listed >> bit & 1)
            targets = [self._by_affinity[affinity] for affinity in affinities if affinity in self._by_affinity]
        for cpu in targets:
            if groups >> cpu.interrupts.group_of(intid) & 1:
                cpu.interrupts.make_pending(intid)
                self.update(cpu)

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def touch(self) -> None:
        """Record a change of state that affects no signal."""
        self._saved = None

    def save(self) -> GicState:
        """State for a snapshot; the same object until something changes."""
        if self._saved is None:
            cpus = tuple(cpu.save() for cpu in self.cpus)
            self._saved = GicState(self.enables, self.spis.save(), self._router_state(), cpus)
        return self._saved

    def _router_state(self) -> dict[int, int]:
        if self._saved_routers is None:
            self._saved_routers = dict(sorted(self.routers.items()))
        return self._saved_routers

    def restore(self, state: GicState) -> None:
        """Restore what ``save`` returned."""
        if state is self._saved:
            return
        self.enables = state.enables
        self.spis.restore(state.spis)
        if state.routers != self._router_state():
            self.routers = dict(state.routers)
            self._route_all()
        for cpu, one in zip(self.cpus, state.cpus, strict=True):
            cpu.restore(one)
        self.update_all()
        for cpu, one in zip(self.cpus, state.cpus, strict=True):
            cpu.saved = one
        self._saved_routers = state.routers
        self._saved = state
