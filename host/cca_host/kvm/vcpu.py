"""A vCPU of a Realm: entries and exits of its REC, and destruction."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.rmi.v1_0 import Rmi, RmiStatus
from cca_host.kvm import handle_exit
from cca_host.kvm.exits import Exit, SystemEvent, SystemEventKind
from cca_host.kvm.kernel import RmiError
from cca_host.kvm.realm import Realm
from cca_host.kvm.rec import Rec
from cca_platform.errors import MachineStopped
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Vcpu", "VcpuState"]

_REC_ENTER: Final = int(Rmi.REC_ENTER)
_BY_ANOTHER_VCPU: Final = RmiStatus.ERROR_REALM | 1 << 8  # RMI_REC_ENTER if the Realm is off


class VcpuState(State, frozen=True, tag="host.vcpu/2"):
    """Saved state of a :class:`Vcpu`: that of its :class:`Rec`, and ``exits`` by reason."""

    index: int
    mpidr: int
    rec: int
    aux: tuple[int, ...]
    run_page: int
    on: bool
    deny_on: bool
    exits: dict[int, int]
    traps: int
    flags: int
    running: int | None
    pmu_masked: bool


class Vcpu(Rec):
    """vCPU ``index`` of a Realm: its runs are calls of RMI_REC_ENTER."""

    # -- running ------------------------------------------------------------------------------------------------
    def _enter(self, pe: "Pe") -> None:
        """Begin RMI_REC_ENTER with the reply to the last exit."""
        vm, page = self.vm, self.page
        page.put_flags(self.flags | self.traps)
        if vm.vgic is not None:
            self.load_interrupts(vm.vgic)
        if page.pmu_overflow:
            self.pmu_masked = True
            vm.system.irqchip.enable_pmu(pe, False)
        vm.system.calls[_REC_ENTER] += 1
        self.running = pe.index
        pe.start_call(_REC_ENTER, self.rec, page.pa)

    def _exited(self, pe: "Pe") -> Exit | None:
        """Complete RMI_REC_ENTER and handle the exit."""
        self.running = None
        if self.pmu_masked:
            self.pmu_masked = False
            self.vm.system.irqchip.enable_pmu(pe, True)
        if pe.machine.stopped is not None:
            raise MachineStopped(pe.machine.stopped)
        x0 = pe.x[0]
        if x0 == _BY_ANOTHER_VCPU:
            return SystemEvent(SystemEventKind.OFF)
        if x0:
            raise RmiError(_REC_ENTER, x0, f"vCPU {self.index}")
        self.flags = 0
        if self.vm.vgic is not None:
            self.store_interrupts(self.vm.vgic)
        reason = self.page.reason
        self.exits[reason] += 1
        return handle_exit.answer(self, reason)

    # -- the end, snapshots -------------------------------------------------------------------------------------
    def destroy(self) -> None:
        """Destroy the REC and reclaim its granules; ends a paused run first."""
        self.kick()
        system = self.vm.system
        self.page.release()
        system.pages.give(self.page.pa)
        x0 = system.rmi(Rmi.REC_DESTROY, self.rec)[0]
        for page in (*self.aux, self.rec):
            system.undelegate(page)
        if x0:
            raise RmiError(Rmi.REC_DESTROY, x0, f"vCPU {self.index}")

    def save(self) -> VcpuState:
        """State for a snapshot."""
        return VcpuState(
            index=self.index,
            mpidr=self.mpidr,
            rec=self.rec,
            aux=tuple(self.aux),
            run_page=self.page.pa,
            on=self.on,
            deny_on=self.deny_on,
            exits=dict(self.exits),
            traps=self.traps,
            flags=self.flags,
            running=self.running,
            pmu_masked=self.pmu_masked,
        )

    def restore(self, vm: Realm, siblings: Sequence[Rec], state: VcpuState) -> None:
        """Restore what :meth:`save` returned in place, so that references stay valid."""
        Rec.__init__(
            self, vm, siblings, state.index, state.mpidr, state.rec, list(state.aux), state.on, state.run_page
        )  # fmt: skip
        self.deny_on, self.exits = state.deny_on, Counter(state.exits)
        self.traps, self.flags, self.running = state.traps, state.flags, state.running
        self.pmu_masked = state.pmu_masked
