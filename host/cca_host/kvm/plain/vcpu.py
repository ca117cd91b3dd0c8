"""A vCPU of a plain VM: the switch to Non-secure EL1 and back.

While it is in the guest, its registers are the PE's. What the host kernel can do by itself it does there
(:mod:`cca_host.kvm.plain.trapped`), and the guest goes on with the registers as they are: an exit to the VMM alone
saves them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.emulation import sea_esr
from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.sysregs import PMU_COUNTERS, Hcr, Mdcr
from cca_arch.types import SecurityState
from cca_host.kvm.exits import Exit, Idle, Interrupted
from cca_host.kvm.plain import trapped
from cca_host.kvm.plain.cpu import PlainCpu
from cca_host.kvm.plain.guest import PlainGuest
from cca_platform.isa import frame
from cca_platform.state import State
from cca_platform.trace.events import VmExit

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["PlainVcpu", "PlainVcpuState"]

_NS: Final = SecurityState.NON_SECURE
_HCR: Final = int(
    Hcr.make(
        vm=1, swio=1, ptw=1, fmo=1, imo=1, amo=1, fb=1, bsu=1, tid3=1, tsc=1, tidcp=1, tacr=1, tsw=1, rw=1, tlor=1,
        apk=1, api=1, fwb=1,
    )
)  # fmt: skip
"""What KVM sets for a guest; its registers of performance monitors and debugging are trapped by MDCR_EL2."""
_MDCR: Final = int(Mdcr.make(tdra=1, tdosa=1, tda=1, tpm=1, tpmcr=1, hpmd=1, hpmn=PMU_COUNTERS))
_IRQ: Final = int(RecExitReason.IRQ)


class PlainVcpuState(State, frozen=True, tag="host.plain-vcpu/1"):
    """Saved state of a :class:`PlainVcpu`; ``active`` are ICH_AP0R0_EL2 and ICH_AP1R0_EL2."""

    index: int
    mpidr: int
    on: bool
    deny_on: bool
    exits: dict[int, int]
    running: int | None
    frame: int
    traps: int
    esr: int
    far: int
    hpfar: int
    aborts: bool
    waited_with: tuple[int, ...]
    vmcr: int
    active: tuple[int, int]


class PlainVcpu(PlainCpu):
    """vCPU ``index`` of a plain VM: its runs are returns to EL1 and exceptions to EL2."""

    _exit: Exit | None = None  # why it left the guest, until the exit is handled

    # -- the switch ---------------------------------------------------------------------------------------------
    def _enter(self, pe: "Pe") -> None:
        """Load the PE and return to EL1."""
        vm, vgic = self.vm, self.vm.vgic
        if vgic is not None:
            self.drive_timers(vgic)
            self.load_interrupts(pe, vgic)
        pe.set_el2(_HCR | self.traps, vm.stage2.vtcr, vm.stage2.vttbr, self.vmpidr, _MDCR, vm.cntvoff)
        pe.restore_el1(vm.system.port.host_address(self.frame, frame.EL1_FRAME_SIZE))
        if self.aborts:
            self.aborts = False
            pe.inject(sea_esr(self.esr, pe.spsr), self.far)
        lines = pe.el1_timers()
        pe.mask_timers(bool(lines & 1), bool(lines & 2))  # what the virtual GIC knows needs no physical interrupt
        self.waited_with = ()
        self.running = pe.index
        vm.system.in_guest[pe.index] = self
        pe.eret(_NS, 1)

    def _exited(self, pe: "Pe") -> Exit | None:
        """Save what the guest has left on the PE; the exit was handled when it was taken."""
        self.running = None
        system = self.vm.system
        system.in_guest.pop(pe.index, None)
        pe.save_el1(system.port.host_address(self.frame, frame.EL1_FRAME_SIZE))
        if self.vm.vgic is not None:
            self.store_interrupts(pe, self.vm.vgic)
        pe.mask_timers(True, True)
        found, self._exit = self._exit, None
        if isinstance(found, Idle):
            found.deadline = self.deadline()
        return found

    def on_sync(self, pe: "Pe", esr: int, far: int, hpfar: int) -> None:
        """Take an exception of the guest to EL2."""
        self.esr, self.far, self.hpfar = esr, far, hpfar
        reason, found = trapped.answer(self, pe)
        self.exits[reason] += 1
        self._tell(pe, reason, esr, far, hpfar)
        if found is None:
            pe.look()  # there may be other interrupts than before
        else:
            self._exit = found
            pe.stay()

    def on_irq(self, pe: "Pe") -> None:
        """Take a physical interrupt: a timer or the virtual interface wants the host, or the slice is over."""
        vm = self.vm
        self.exits[_IRQ] += 1
        self._tell(pe, _IRQ, 0, 0, 0)
        if vm.vgic is not None:
            self.store_interrupts(pe, vm.vgic)  # which nobody signals any more
        lines = pe.el1_timers()
        pe.mask_timers(bool(lines & 1), bool(lines & 2))
        if vm.system.irqchip.handle(pe) or pe.stuck:
            self._exit = Interrupted()
            pe.stay()
        elif vm.vgic is not None:
            self.load_interrupts(pe, vm.vgic)

    def _tell(self, pe: "Pe", reason: int, esr: int, far: int, hpfar: int) -> None:
        trace = pe.machine.trace
        if trace.on:
            name = RecExitReason(reason).name
            event = VmExit(vm=self.vm.vmid, vcpu=self.index, reason=name, pc=pe.elr, esr=esr, far=far, hpfar=hpfar)
            trace.emit(event, pe=pe)

    # -- the end, snapshots -------------------------------------------------------------------------------------
    def destroy(self) -> None:
        """Return its page; ends a paused run first."""
        self.kick()
        self.vm.system.pages.give(self.frame)

    def save(self) -> PlainVcpuState:
        """State for a snapshot."""
        return PlainVcpuState(
            index=self.index, mpidr=self.mpidr, on=self.on, deny_on=self.deny_on, exits=dict(self.exits),
            running=self.running, frame=self.frame, traps=self.traps, esr=self.esr, far=self.far, hpfar=self.hpfar,
            aborts=self.aborts, waited_with=self.waited_with, vmcr=self.vmcr_kept, active=self.active,
        )  # fmt: skip

    def restore(self, vm: PlainGuest, siblings: Sequence[PlainCpu], state: PlainVcpuState) -> None:
        """Restore what :meth:`save` returned in place, so that references stay valid."""
        PlainCpu.__init__(self, vm, siblings, state.index, state.mpidr, state.on, state.frame)
        self._exit = None
        self.deny_on, self.exits, self.running = state.deny_on, Counter(state.exits), state.running
        self.traps, self.esr, self.far, self.hpfar = state.traps, state.esr, state.far, state.hpfar
        self.aborts, self.waited_with = state.aborts, state.waited_with
        self.vmcr_kept, self.active, self.loaded = state.vmcr, state.active, state.running is not None
