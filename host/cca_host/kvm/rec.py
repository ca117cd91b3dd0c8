"""A REC with its run page: the input of the next entry, and interrupt handling around it."""

from collections.abc import Sequence
from typing import Final

from cca_arch.gic import Ppi
from cca_arch.rmi.v1_0 import RecEnterFlags, RmiResponse
from cca_host.kvm.cpu import Cpu
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
_PMU: Final = int(Ppi.PMU)
_MASK: Final = (1 << 64) - 1


class Rec(Cpu[Realm]):
    """REC ``index`` of a Realm, at PA ``rec``; ``siblings`` are all RECs of the Realm.

    ``flags`` are the RecEnterFlags of the next entry, which reply to the last exit; ``traps`` those of every entry:
    WFI and WFE traps.
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
        super().__init__(vm, index, mpidr, on)
        self.siblings = siblings
        self.rec = rec
        self.aux = aux
        self.traps = 0
        self.flags = 0
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
        self.drive_timers(vgic)
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
        self.drive_timers(vgic)
        if page.pmu_overflow != cpu.private.line >> _PMU & 1:
            vgic.drive(_PMU, page.pmu_overflow, self.index)

    @property
    def all_vcpus(self) -> "Sequence[Rec]":
        """All vCPUs of the VM."""
        return self.siblings

    def timer_lines(self, now: int) -> tuple[bool, bool]:
        """(virtual, physical): whether each timer asserts its interrupt at clock value ``now``."""
        return self.page.timer_lines(now)

    def next_timer(self, now: int) -> int | None:
        """The clock value after ``now`` at which the next enabled, unmasked timer fires."""
        return self.page.deadline(now)

    @property
    def vmcr(self) -> int:
        """ICH_VMCR_EL2 at the last exit."""
        return self.page.vmcr

    @property
    def signalled_below(self) -> tuple[int, int]:
        """For each group, the limit below which a priority value must be for its interrupt to be signalled."""
        return self.page.signalled_below
