"""A REC with its run page: the input of the next entry, and interrupt handling around it."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from cca_arch.gic import Ppi
from cca_arch.rmi.v1_0 import RecEnterFlags, RmiResponse
from cca_host.kvm.exits import Failure
from cca_host.kvm.realm import Realm
from cca_host.kvm.runpage import RunPage
from cca_host.kvm.vgic import Vgic
from cca_platform.trace.events import InterruptInject

__all__ = ["Rec"]

_EMUL_MMIO: Final = int(RecEnterFlags.make(emul_mmio=1))
_INJECT_SEA: Final = int(RecEnterFlags.make(inject_sea=1))
_TRAP_WFI: Final = int(RecEnterFlags.make(trap_wfi=1))
_TRAP_WFE: Final = int(RecEnterFlags.make(trap_wfe=1))
_REJECT: Final = int(RecEnterFlags.make(ripas_response=RmiResponse.REJECT))
_TIMERS: Final = (int(Ppi.CNTV), int(Ppi.CNTP))
_PMU: Final = int(Ppi.PMU)
_MASK: Final = (1 << 64) - 1


class Rec:
    """REC ``index`` of a Realm, at PA ``rec``; ``siblings`` are all RECs of the Realm.

    ``on`` follows PSCI; ``exits`` counts REC exits by reason. ``flags`` are the RecEnterFlags of the next entry, which
    reply to the last exit; ``traps`` those of every entry: WFI and WFE traps. ``running`` is the index of the PE that
    the REC is on between an entry and its exit, else None.
    """

    def __init__(
        self,
        vm: Realm,
        siblings: "Sequence[Rec]",
        index: int,
        mpidr: int,
        rec: int,
        aux: list[int],
        on: bool,
        page: int,
    ) -> None:
        self.vm = vm
        self.siblings = siblings
        self.index = index
        self.mpidr = mpidr
        self.rec = rec
        self.aux = aux
        self.on = on
        self.deny_on = False
        """True if the host refuses PSCI CPU_ON of this vCPU; the caller then gets DENIED."""
        self.exits: Counter[int] = Counter()
        self.traps = 0
        self.flags = 0
        self.running: int | None = None
        self.pmu_masked = False
        """True while it runs with the PE's overflow interrupt disabled, as the host knows that it is asserted."""
        self.page = RunPage(vm.system.port, page)

    @property
    def run_page(self) -> int:
        """The PA of the run page."""
        return self.page.pa

    def trap(self, wfi: bool, wfe: bool) -> None:
        """Set whether WFI and WFE of the Realm exit to the host."""
        self.traps = wfi * _TRAP_WFI | wfe * _TRAP_WFE

    def failed(self, what: str) -> Failure:
        """Describe a failure in one line, with the syndrome of the last exit (the PC is hidden from the host)."""
        return Failure(f"vCPU {self.index}: {what} (ESR {self.page.esr:#x}, HPFAR {self.page.hpfar:#x})")

    # -- replies to the last exit -------------------------------------------------------------------------------
    def mmio_result(self, value: int = 0) -> None:
        """Complete the access of the last :class:`Mmio` exit; ``value`` is what a read returns."""
        self.page.put_value(value)
        self.flags |= _EMUL_MMIO

    def abort(self) -> None:
        """Inject an external abort into the Realm in reply to the last :class:`Mmio` exit."""
        self.flags |= _INJECT_SEA

    def host_call_result(self, gprs: list[int]) -> None:
        """Reply to the last :class:`HostCall` exit with the X values for the Realm's RsiHostCall."""
        self.page.put_gprs(b"".join(value.to_bytes(8, "little") for value in gprs))

    def host_call_status(self, status: int) -> None:
        """Reply to the last :class:`HostCall` exit with a value for gprs[0]; the others do not change."""
        self.page.put_gprs((status & _MASK).to_bytes(8, "little") + self.page.gprs[1:].tobytes())

    def reject_ripas(self) -> None:
        """Refuse the RIPAS change of the last exit."""
        self.flags |= _REJECT

    # -- interrupts ---------------------------------------------------------------------------------------------
    def load_interrupts(self, vgic: Vgic) -> None:
        """Load the interrupts for this entry; a timer may have fired since the last exit."""
        self._drive_timers(vgic)
        words = vgic.load(self.index)
        if self.page.put_interrupts(words) and words[1]:
            system = self.vm.system
            if system.machine.trace.on:
                event = InterruptInject(rec=self.rec, hcr=words[0], lrs=words[1:])
                system.machine.trace.emit(event, pe=system.pe)

    def store_interrupts(self, vgic: Vgic) -> None:
        """Read the list registers and timers back after an exit."""
        cpu, page = vgic.cpus[self.index], self.page
        if cpu.loaded or cpu.acknowledged:
            vgic.store(self.index, page.ich_hcr, page.list_registers, page.splits_end)
        self._drive_timers(vgic)
        if page.pmu_overflow != cpu.private.line >> _PMU & 1:
            vgic.drive(_PMU, page.pmu_overflow, self.index)

    def _drive_timers(self, vgic: Vgic) -> None:
        """Set the lines of the Realm's timers as the last exit reports them."""
        levels, line = self.page.timer_lines(self.vm.system.machine.clock.now), vgic.cpus[self.index].private.line
        for intid, level in zip(_TIMERS, levels, strict=True):
            if level != line >> intid & 1:
                vgic.drive(intid, level, self.index)

    @property
    def eras(self) -> tuple[int, int]:
        """What :meth:`wakes` says stays the same while the second number does, up to the vCPU's next timer.

        The first is the same for all vCPUs of a VM, and changes with each of theirs.
        """
        vgic = self.vm.vgic
        return (0, 0) if vgic is None else (vgic.changes, vgic.era(self.index))

    def wakes(self) -> bool:
        """True if an interrupt wakes a vCPU that is :class:`Idle`; a timer may have fired since its exit."""
        vgic = self.vm.vgic
        if vgic is None:
            return False
        self._drive_timers(vgic)
        return vgic.wakes(self.index, self.page.signalled_below)

    def deadline(self) -> int | None:
        """The clock value at which the next enabled, unmasked timer of the last exit fires; none that has fired."""
        return self.page.deadline(self.vm.system.machine.clock.now)
