"""A vCPU of any VM: KVM_RUN, with all its state as plain data, and what wakes it."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from cca_arch.gic import Ppi
from cca_arch.sysregs import CntCtl, IchLr, IchVmcr, LrState
from cca_arch.types import Instructions, Ticks
from cca_host.kvm.exits import Exit, Failure, Interrupted, Paused
from cca_host.kvm.guest import Guest
from cca_host.kvm.vgic import Vgic
from cca_platform.errors import MachineStopped
from cca_platform.halt import Halt

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["FIRES", "PENDING", "TIMER_PPIS", "Cpu", "signalled_below"]

Owner = TypeVar("Owner", bound=Guest)

TIMER_PPIS: Final = (int(Ppi.CNTV), int(Ppi.CNTP))
"""The interrupts of the timers of EL1, virtual and physical."""
PENDING: Final = CntCtl.enable.mask | CntCtl.imask.mask
"""A timer can interrupt if of these only FIRES is set."""
FIRES: Final = CntCtl.enable.mask
_PMR: Final = IchVmcr.vpmr.low
_GROUPS: Final = (IchVmcr.veng0.mask, IchVmcr.veng1.mask)


def signalled_below(vmcr: int, waited_with: Sequence[int]) -> tuple[int, int]:
    """For each group, the limit below which a priority value must be for its interrupt to be signalled to a vCPU.

    The limit comes from ICC_PMR_EL1, the group enables, and ``waited_with``: the list registers of a vCPU that went to
    sleep by WFI. The CPU interface did not signal those that are pending, or the WFI would not have waited. They cover
    the running priority, which a host cannot see.
    """
    mask = vmcr >> _PMR & 0xFF
    limits = [mask if vmcr & group else 0 for group in _GROUPS]
    for lr in map(IchLr, waited_with):
        if lr.state == LrState.PENDING:
            limits[lr.group] = min(limits[lr.group], lr.priority)
    return limits[0], limits[1]


class Cpu(Generic[Owner]):
    """vCPU ``index`` of a VM.

    ``mpidr`` is its affinity, encoded as RmiRecMpidr; ``on`` follows PSCI. ``exits`` counts exits by reason
    (RecExitReason). ``running`` is the index of the PE that it is on between an entry and its exit, else None.

    :meth:`run` enters the guest or resumes a paused run, independent of its previous call. So a run can stop at any
    instruction, be saved, and be resumed by another thread or in another process.
    """

    _pausing = False

    def __init__(self, vm: Owner, index: int, mpidr: int, on: bool) -> None:
        self.vm = vm
        self.index = index
        self.mpidr = mpidr
        self.on = on
        self.deny_on = False
        """True if the host refuses PSCI CPU_ON of this vCPU; the caller then gets DENIED."""
        self.exits: Counter[int] = Counter()
        self.running: int | None = None
        self.blocked = False
        """True while its thread waits for an interrupt, as the scheduler says."""

    # -- running ------------------------------------------------------------------------------------------------
    def run(
        self,
        pe: "Pe | None" = None,
        until: Ticks | None = None,
        limit: Instructions | None = None,
        alone: bool = False,
    ) -> Exit:
        """Run until an exit for the VMM.

        Or return :class:`Paused` when the counter reads ``until`` or all PEs have retired ``limit`` instructions.
        ``pe`` is the PE to run on, by default the one that the host code is on; a paused run resumes on its own PE.
        With ``alone`` it pauses after one instruction, or the exception in its place. Raises RmiError if the RMM
        refuses to enter a REC, MachineStopped if the machine stops.
        """
        system = self.vm.system
        here = system.pe
        on = system.machine.pes[self.running] if self.running is not None else here if pe is None else pe
        limited = until is not None or limit is not None
        system.pe = on
        self._pausing = False
        try:
            while True:
                if self.running is None:
                    self._enter(on)
                while not on.call_done:
                    if self._pausing or (limited and self._over(until, limit)):
                        return Paused()
                    on.step(until, limit, alone)
                    if alone and not on.call_done:
                        return Paused()
                result = self._exited(on)
                if result is not None:
                    return result
                if self._pausing or (limited and self._over(until, limit)):
                    return Paused()
        finally:
            system.pe = here

    def _over(self, until: Ticks | None, limit: Instructions | None) -> bool:
        """True if the run has reached a limit."""
        clock = self.vm.system.machine.clock
        return (until is not None and clock.now >= until) or (limit is not None and clock.retired >= limit)

    def _enter(self, pe: "Pe") -> None:
        """Enter the guest on ``pe``, with the reply to the last exit; sets ``running``."""
        raise NotImplementedError

    def _exited(self, pe: "Pe") -> Exit | None:
        """The guest has exited: clear ``running``, and handle the exit; None to enter again."""
        raise NotImplementedError

    def pause(self, at_once: bool = True) -> None:
        """Make :meth:`run` return without an exit: at the next block of code, or after this run of the PE.

        ``at_once`` asks the PE. A signal handler must not do so, because it may have interrupted the PE itself.
        """
        self._pausing = True
        if at_once and self.running is not None:
            self.vm.system.machine.pes[self.running].end_turn()

    def kick(self) -> Exit | None:
        """End a paused run, like an IPI from another CPU; returns the exit, or None if there is no run."""
        if self.running is None:
            return None
        machine = self.vm.system.machine
        pe = machine.pes[self.running]
        pe.host_timer(machine.clock.now)
        try:
            while True:
                try:
                    return self.run()
                except MachineStopped:
                    if machine.halt is not Halt.PAUSED:
                        raise
                    pe.paused = False  # a breakpoint in the rest of the block is no longer of interest
                    machine.go_on()
        finally:
            pe.host_timer(None)

    def trap(self, wfi: bool, wfe: bool) -> None:
        """Set whether WFI and WFE of the guest exit to the host."""
        raise NotImplementedError

    def failed(self, what: str) -> Failure:
        """Describe a failure in one line, with the syndrome of the last exit."""
        raise NotImplementedError

    def destroy(self) -> None:
        """Return all that it has to the host; ends a paused run first."""
        raise NotImplementedError

    # -- replies to the last exit -------------------------------------------------------------------------------
    def mmio_result(self, value: int = 0) -> None:
        """Complete the access of the last :class:`Mmio` exit; ``value`` is what a read returns."""
        raise NotImplementedError

    def abort(self) -> None:
        """Inject an external abort into the guest in reply to the last :class:`Mmio` exit."""
        raise NotImplementedError

    def host_call_result(self, gprs: list[int]) -> None:
        """Reply to the last :class:`HostCall` exit with the X values that the guest gets."""
        raise NotImplementedError

    def host_call_status(self, status: int) -> None:
        """Reply to the last :class:`HostCall` exit with a value for gprs[0]; the others do not change."""
        raise NotImplementedError

    # -- interrupts ---------------------------------------------------------------------------------------------
    @property
    def vmcr(self) -> int:
        """ICH_VMCR_EL2 at the last exit."""
        raise NotImplementedError

    @property
    def signalled_below(self) -> tuple[int, int]:
        """What :func:`signalled_below` says of the last exit."""
        raise NotImplementedError

    def timer_lines(self, now: int) -> tuple[bool, bool]:
        """(virtual, physical): whether each timer asserts its interrupt at clock value ``now``, after an exit."""
        raise NotImplementedError

    def next_timer(self, now: int) -> int | None:
        """The clock value after ``now`` at which the next enabled, unmasked timer of the last exit fires."""
        raise NotImplementedError

    def drive_timers(self, vgic: Vgic) -> None:
        """Set the lines of the guest's timers as the last exit reports them."""
        levels, line = self.timer_lines(self.vm.system.machine.clock.now), vgic.cpus[self.index].private.line
        for intid, level in zip(TIMER_PPIS, levels, strict=True):
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
        self.drive_timers(vgic)
        return vgic.wakes(self.index, self.signalled_below)

    @property
    def all_vcpus(self) -> "Sequence[Cpu[Any]]":
        """All vCPUs of the VM."""
        raise NotImplementedError

    def preempted(self) -> Exit | None:
        """After what may have woken another vCPU of the VM: the exit that ends this slice, or None if nobody was."""
        woken = any(cpu.blocked and cpu.on and cpu.wakes() for cpu in self.all_vcpus)
        return Interrupted() if woken else None

    def deadline(self) -> int | None:
        """The clock value at which the next enabled, unmasked timer of the last exit fires; none that has fired."""
        return self.next_timer(self.vm.system.machine.clock.now)
