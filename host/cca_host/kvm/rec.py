"""A REC with its run page: what goes in with the next entry, and what the host does about interrupts around it."""

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
_MASK: Final = (1 << 64) - 1


class Rec:
    """REC ``index`` of a Realm, at PA ``rec``; ``siblings`` are all RECs of the Realm.

    ``on`` follows PSCI; ``exits`` counts REC exits by reason. ``flags`` are the RecEnterFlags that answer the last exit
    at the next entry, ``traps`` those of every entry: WFI and WFE traps. ``running`` is the index of the PE that the
    REC is on, from an entry to the exit, or None.
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
        """Whether the host refuses PSCI CPU_ON of this vCPU; the caller then gets DENIED."""
        self.exits: Counter[int] = Counter()
        self.traps = 0
        self.flags = 0
        self.running: int | None = None
        self.page = RunPage(vm.system.port, page)

    @property
    def run_page(self) -> int:
        """PA of the run page."""
        return self.page.pa

    def trap(self, wfi: bool, wfe: bool) -> None:
        """Whether WFI and WFE of the Realm exit to the host."""
        self.traps = wfi * _TRAP_WFI | wfe * _TRAP_WFE

    def failed(self, what: str) -> Failure:
        """A failure in one line, with the syndrome of the last exit (the PC is the Realm's secret)."""
        return Failure(f"vCPU {self.index}: {what} (ESR {self.page.esr:#x}, HPFAR {self.page.hpfar:#x})")

    # -- answers to the last exit -------------------------------------------------------------------------------
    def mmio_result(self, value: int = 0) -> None:
        """Complete the access of the last :class:`Mmio` exit; ``value`` is what a read returns."""
        self.page.put_value(value)
        self.flags |= _EMUL_MMIO

    def abort(self) -> None:
        """Answer the last :class:`Mmio` exit by an external abort in the Realm."""
        self.flags |= _INJECT_SEA

    def host_call_result(self, gprs: list[int]) -> None:
        """Answer the last :class:`HostCall` exit: X values that the Realm finds in its RsiHostCall."""
        self.page.put_gprs(b"".join(value.to_bytes(8, "little") for value in gprs))

    def host_call_status(self, status: int) -> None:
        """Answer the last :class:`HostCall` exit by one value in gprs[0]; the others stay as they were."""
        self.page.put_gprs((status & _MASK).to_bytes(8, "little") + self.page.gprs[1:].tobytes())

    def reject_ripas(self) -> None:
        """Refuse the RIPAS change of the last exit."""
        self.flags |= _REJECT

    # -- interrupts ---------------------------------------------------------------------------------------------
    def load_interrupts(self, vgic: Vgic) -> None:
        """What the vCPU has to see at this entry; a timer may have fired since the last exit."""
        self._drive_timers(vgic)
        words = vgic.load(self.index)
        if self.page.put_interrupts(words) and words[1]:
            system = self.vm.system
            if system.machine.trace.on:
                event = InterruptInject(rec=self.rec, hcr=words[0], lrs=words[1:])
                system.machine.trace.emit(event, pe=system.pe)

    def store_interrupts(self, vgic: Vgic) -> None:
        """What became of the list registers and the timers."""
        if vgic.cpus[self.index].loaded:
            vgic.store(self.index, self.page.ich_hcr, self.page.list_registers)
        self._drive_timers(vgic)

    def _drive_timers(self, vgic: Vgic) -> None:
        """The lines of the Realm's timers, as the last exit shows them."""
        levels, line = self.page.timer_lines(self.vm.system.machine.clock.now), vgic.cpus[self.index].private.line
        for intid, level in zip(_TIMERS, levels, strict=True):
            if level != line >> intid & 1:
                vgic.drive(intid, level, self.index)

    def wakes(self) -> bool:
        """Whether an interrupt ends the wait of a vCPU that is :class:`Idle`."""
        vgic = self.vm.vgic
        return vgic is not None and vgic.wakes(self.index, self.page.priority_mask)

    def deadline(self) -> int | None:
        """Clock value at which the next enabled, unmasked timer of the last exit fires."""
        return self.page.deadline
