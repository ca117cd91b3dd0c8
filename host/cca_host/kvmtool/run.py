"""A run of a Realm in steps: runs its vCPUs and handles their exits until the Realm ends."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from cca_arch.types import Ticks
from cca_host.kvm.uapi import (
    Cpu,
    CpuOff,
    Exit,
    Failure,
    HostCall,
    Idle,
    Interrupted,
    Kernel,
    KernelVm,
    Mmio,
    RmiError,
    SystemEvent,
    SystemEventKind,
    Yield,
)
from cca_host.kvmtool.console import Console
from cca_host.kvmtool.door import Door, VcpuThread
from cca_host.kvmtool.mmio import Devices
from cca_host.kvmtool.onboard import attach_rtc, attach_uart
from cca_host.kvmtool.options import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_RESET, Pause, RunOptions, RunReason
from cca_host.kvmtool.schedule import Schedule
from cca_host.kvmtool.threads import Threads
from cca_host.kvmtool.virtio.console import VirtioConsole
from cca_host.kvmtool.virtio.models import make_models
from cca_host.kvmtool.virtio.plug import plug
from cca_platform.errors import MachineError
from cca_platform.trace.events import VcpuStateChange

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["End", "Phase", "Run"]


class Phase(StrEnum):
    """The phase of a run, which decides what may be called next."""

    NEW = "new"
    BUILT = "built"
    DESTROYED = "destroyed"


class End(Struct, frozen=True):
    """How a run ended: its exit status, and a line that explains any other than a normal end."""

    status: int
    reason: RunReason
    message: str = ""


class Run:
    """The running part of a VMM: call ``advance`` until there is an ``end``.

    Between two calls of ``advance``, the whole run is plain data in the machine and in the host's saved state.
    """

    def __init__(self, system: Kernel, options: RunOptions) -> None:
        self.system = system
        self.machine = system.machine
        self.options = options
        self.devices = Devices(self.machine)
        uart = attach_uart(self.devices)
        attach_rtc(self.devices, options.rtc)
        self.virtio = make_models(options, self.devices)
        plug(self.devices, self.virtio, options.transport)
        terminal = next((model for model in self.virtio if isinstance(model, VirtioConsole)), None)
        output, given = options.on_console, options.console_input
        self.console = Console(self.machine, uart, output, given, terminal, options.keyboard)
        self.vm: KernelVm | None = None
        """The VM in the kernel, for who looks from outside."""
        self.door: Door | None = None
        """The process that the VM is of."""
        self.schedule = Schedule(())
        self.phase = Phase.NEW
        self.end: End | None = None
        self.retired = 0
        """Instructions that the Realm has retired."""
        self.exceptions = 0
        """Synchronous exceptions that it has taken: a limit counts each as an instruction."""
        self.began = 0
        """The clock value at its start."""
        self.ticks = 0
        """The virtual time from its start to its end."""
        self.run_seconds = 0.0
        self.asked = self._interrupted = False
        self._answers: dict[type, Callable[[VcpuThread, Any], None]] = {
            Mmio: self.devices.answer,
            HostCall: self._host_call,
            SystemEvent: self._system_event,
            Idle: self._idle,
            Yield: self._nothing,
            CpuOff: self._nothing,
            Interrupted: self._nothing,
            Failure: self._failure,
        }

    @property
    def vcpus(self) -> Sequence[Cpu[Any]]:
        """The vCPUs in the kernel."""
        return [] if self.vm is None else self.vm.vcpus

    @property
    def spent(self) -> int:
        """What counts against ``max_insns`` of the options, at the end of each slice."""
        return self.retired + self.exceptions

    # -- run ----------------------------------------------------------------------------------------------------
    def advance(self, *, until: Ticks | None = None, max_insns: int | None = None) -> Pause:
        """Run the Realm until it ends, the clock reads ``until``, or it has retired ``max_insns`` instructions.

        Pauses are not events: they change neither the Realm nor its trace.
        """
        return self._run(until, None if max_insns is None else self.retired + max_insns)

    def step(self) -> Pause:
        """Run one instruction of the vCPU whose turn it is, or take the exception in its place.

        The host handles exits along the way.
        """
        return self._run(None, None, alone=True)

    def _run(self, until: Ticks | None, last: int | None, alone: bool = False) -> Pause:
        """Run until the clock reads ``until``, the Realm has retired ``last`` instructions, or a step is complete."""
        self.must_be(Phase.BUILT)
        return Threads((self,)).advance(until, last, alone)

    def pause(self, at_once: bool = True) -> None:
        """Make :meth:`advance` return as soon as possible; for callbacks while the Realm runs.

        A signal handler must not use ``at_once``: the pause then waits some milliseconds for the PE.
        """
        self.asked = True
        if self.schedule.running is not None:
            self.schedule.running.pause(at_once)

    def park(self) -> None:
        """Free the PEs for others: a vCPU in the middle of its code exits, and its time slice ends."""
        vcpu = self.schedule.running
        if vcpu is None or self.phase is not Phase.BUILT:
            return
        pe = self.pe_of(vcpu)
        before, result = pe.retired, vcpu.kick()
        self.retired += pe.retired - before
        pe.host_timer(None)
        self.schedule.end()
        if result is not None:
            self.exited(vcpu, pe, result)

    def fail(self, message: str) -> None:
        """End the run, unless it has ended; ``message`` gives the reason."""
        self.over(EXIT_FAILED, RunReason.FAILED, message)

    def interrupt(self) -> None:
        """End the run at the next exit, at the user's request."""
        self._interrupted = True

    # -- what the host's scheduler asks -------------------------------------------------------------------------
    @property
    def ended(self) -> bool:
        """True once it has ended."""
        return self.end is not None

    @property
    def vmid(self) -> int:
        """The VMID of the VM."""
        assert self.vm is not None
        return self.vm.vmid

    def pe_of(self, vcpu: VcpuThread) -> "Pe":
        """Each vCPU has a fixed PE, which several may share."""
        pes = self.machine.pes
        return pes[vcpu.index % len(pes)]

    @property
    def slice_limit(self) -> int | None:
        """The ticks that the remaining instructions of ``max_insns`` take."""
        limit = self.options.max_insns
        return None if limit is None else self.machine.clock.ticks(max(limit - self.spent, 1))

    def refused(self, error: RmiError) -> None:
        """The RMM does not let a vCPU run."""
        self.over(EXIT_FAILED, RunReason.FAILED, str(error))

    def tell_threads(self) -> None:
        """Tell the trace which threads do something else now."""
        for vcpu, state in self.schedule.changes(self.ended):
            event = VcpuStateChange(vm=self.vmid, vcpu=vcpu.index, state=state)
            self.machine.trace.emit(event, pe=self.pe_of(vcpu))

    def end_if_interrupted(self) -> None:
        """End the run if the user has asked for that."""
        if self._interrupted:
            self.over(EXIT_INTERRUPTED, RunReason.INTERRUPTED, "interrupted by the user")

    def typed(self, due: bool) -> bool:
        """True if no thread can run, but input may come; ``due``: something else will."""
        return self.console.typing.idle(due)

    def idle_for_ever(self, awaited: str) -> None:
        """Nothing can wake any vCPU: end the run."""
        waiting = sum(vcpu.on for vcpu in self.vcpus)
        who = "the vCPU waits" if waiting == 1 else f"{waiting} vCPUs wait"
        what = f"{who} for an {awaited} that cannot come" if waiting else "every vCPU is off"
        guest = "Realm" if self.options.realm else "VM"
        self.over(EXIT_FAILED, RunReason.IDLE, f"the {guest} is idle for ever: {what}")

    # -- exits --------------------------------------------------------------------------------------------------
    def exited(self, vcpu: VcpuThread, pe: "Pe", result: Exit) -> None:
        """Handle an exit of a vCPU."""
        if pe.stuck and isinstance(result, Interrupted):
            what = f"vCPU {vcpu.index} takes exceptions without end"
            self.over(EXIT_FAILED, RunReason.STUCK, what)
            return
        self.end_if_interrupted()
        if self.end is not None:
            return
        self._answers[type(result)](vcpu, result)
        limit = self.options.max_insns
        if limit is not None and self.spent >= limit:
            self.over(EXIT_LIMIT, RunReason.LIMIT, f"the limit of {limit} instructions is reached in the run")

    def _nothing(self, vcpu: VcpuThread, result: Exit) -> None:
        """Pass the turn to the next vCPU."""

    def _idle(self, vcpu: VcpuThread, result: Idle) -> None:
        self.schedule.wait(vcpu, result.deadline)

    def _host_call(self, vcpu: VcpuThread, result: HostCall) -> None:
        if self.console.host_call(vcpu, result):
            what = f"vCPU {vcpu.index} takes an exception that the payload does not expect"
            self.over(self.console.status or 0, RunReason.EXIT, what if self.console.gave_up else "")

    def _system_event(self, vcpu: VcpuThread, result: SystemEvent) -> None:
        if result.kind is SystemEventKind.OFF:
            self.over(0, RunReason.SYSTEM_OFF)
        else:
            why = "which ends the VM: Linux does so when it has panicked or reboots"
            what = f"vCPU {vcpu.index} asks for a reset, {why}"
            self.over(EXIT_RESET, RunReason.SYSTEM_RESET, what)

    def _failure(self, vcpu: VcpuThread, result: Failure) -> None:
        self.over(EXIT_FAILED, RunReason.FAILED, result.message)

    def over(self, status: int, reason: RunReason, message: str = "") -> None:
        """End the run; the first reason counts."""
        if self.end is None:
            self.end = End(status, reason, message)
            self.console.finish()
            self.ticks = self.machine.clock.now - self.began

    def must_be(self, phase: Phase) -> None:
        """Raise MachineError unless the run is in ``phase`` and still exists in the machine's present snapshot."""
        if self.phase is Phase.BUILT and self.vm not in self.system.guests:
            raise MachineError("the Realm of a run must exist, but the machine went back to before it was built")
        if self.phase is not phase:
            raise MachineError(f"a run must be {phase} for that, not {self.phase}: it is built once and runs once")
