"""The VMM: builds a Realm for a payload, lets its vCPUs run, answers their exits, and takes everything down again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from cca_arch.rmi.v1_0 import RecExitReason, Rmi
from cca_arch.types import Instructions, Ticks
from cca_host.kvm import (
    CpuOff,
    Exit,
    Failure,
    HostCall,
    Idle,
    Interrupted,
    Mmio,
    Paused,
    RmiError,
    System,
    SystemEvent,
    SystemEventKind,
    Vcpu,
    Vm,
    Yield,
)
from cca_host.kvmtool.build import check, create_vm, fill_vm
from cca_host.kvmtool.console import Console
from cca_host.kvmtool.interrupt import interruptible
from cca_host.kvmtool.layout import UART_BASE, UART_SIZE
from cca_host.kvmtool.loader import load_file
from cca_host.kvmtool.mmio import Devices
from cca_host.kvmtool.options import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_LIMIT,
    Pause,
    RunOptions,
    RunReason,
    RunResult,
)
from cca_host.kvmtool.saved import EndState, OptionsState, VmmState
from cca_host.kvmtool.schedule import Schedule
from cca_platform.devices.uart16550 import Uart16550
from cca_platform.errors import MachineError, MachineStopped
from cca_platform.machine.board import DeviceRow
from cca_platform.pe.running import BREAKPOINT
from cca_platform.trace.events import RunStart, RunStop

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["End", "Phase", "Vmm", "run_realm"]


def run_realm(system: System, options: RunOptions) -> RunResult:
    """One payload in one Realm, from the file to the last granule back; MachineError when ``options`` cannot be met."""
    return Vmm(system, options).run()


class Phase(StrEnum):
    """How far a run is: what may be called next."""

    NEW = "new"
    BUILT = "built"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: its exit status, and a line that explains all but a plain end."""

    status: int
    reason: RunReason
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Before:
    """The host's counts when a run began."""

    calls: Counter[int]
    delegated: int
    dirty: int


class Vmm:
    """One run, in steps: ``build``, ``advance`` until there is an ``end``, ``destroy``; ``run`` does all of them.

    Between two calls of ``advance`` the whole run is plain data, in the machine and in the saved state of the host.
    """

    def __init__(self, system: System, options: RunOptions) -> None:
        self.system = system
        self.machine = system.machine
        self.options = options
        self.devices = Devices(self.machine)
        uart = Uart16550(DeviceRow("uart", "uart16550", UART_BASE, UART_SIZE), self.devices.wiring())
        self.devices.attach(uart, UART_BASE, UART_SIZE)
        self.console = Console(self.machine, uart, options.on_console, options.console_input)
        self.vm: Vm | None = None
        self.schedule = Schedule(())
        self.end: End | None = None
        self.exits: Counter[int] = Counter()
        self.retired = 0
        """Instructions of the Realm."""
        self.notes: tuple[str, ...] = ()
        """What the loader has to say of the payload."""
        self._before = _Before(Counter(), 0, 0)
        self._began = self._ticks = 0
        self.phase = Phase.NEW
        self._part = ""
        self._seconds = {"build": 0.0, "run": 0.0, "destroy": 0.0}
        self._asked = self._interrupted = False
        self._answers: dict[type, Callable[[Vcpu, Any], None]] = {
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
    def vcpus(self) -> list[Vcpu]:
        """The vCPUs of the Realm."""
        return [] if self.vm is None else self.vm.vcpus

    def run(self) -> RunResult:
        """Build, run, destroy; what happens inside the Realm is in the result, not an exception."""
        with interruptible(self.interrupt):
            try:
                self.build()
                self.advance()
            except RmiError as error:
                self.fail(str(error))
            finally:
                self.destroy()
        return self.result()

    # -- build --------------------------------------------------------------------------------------------------
    def build(self) -> None:
        """Realm, RIPAS, image and device tree (measured, in address order), vCPUs, activation.

        MachineError when the options cannot be met, RmiError when the RMM refuses; ``destroy`` then cleans up.
        """
        self._must_be(Phase.NEW)
        system, machine, options = self.system, self.machine, self.options
        check(options, system)
        image = load_file(options.payload, options.memory)
        start, self.notes = perf_counter(), tuple(image.notes)
        self._before = _Before(Counter(system.calls), system.delegated, system.dirty)
        system.delegated_peak = system.delegated
        if machine.trace.on:
            machine.trace.emit(
                RunStart(
                    board=machine.board.name,
                    payload=str(options.payload),
                    vcpus=options.vcpus,
                    memory=options.memory,
                    args=" ".join(options.args),
                    clock=machine.clock.mode,
                )
            )
        try:
            vm = self.vm = create_vm(system, options)
            fill_vm(vm, options, image)
        finally:
            self._seconds["build"] = perf_counter() - start
        self.schedule = Schedule(vm.vcpus)
        self._began, self.phase = machine.clock.now, Phase.BUILT
        self._register()

    def _register(self) -> None:
        """Be a part of the machine's snapshots until the Realm is destroyed."""
        assert self.vm is not None
        self._part = f"vmm.{self.vm.vmid}"
        self.machine.parts[self._part] = self

    # -- run ----------------------------------------------------------------------------------------------------
    def advance(self, *, until: Ticks | None = None, max_insns: int | None = None) -> Pause:
        """Let the Realm run: to its end, until the clock reads ``until``, or for ``max_insns`` instructions.

        A pause is no event: however often a run pauses, the Realm and its trace are the same.
        """
        return self._run(until, None if max_insns is None else self.retired + max_insns)

    def step(self) -> Pause:
        """Let the vCPU whose turn it is do one instruction, or take the exception that comes in its place.

        What the host does about exits is done along the way. An interrupt is seen after each step, which may be some
        instructions earlier than without.
        """
        return self._run(None, None, alone=True)

    def _run(self, until: Ticks | None, last: int | None, alone: bool = False) -> Pause:
        """Go on until the clock reads ``until``, the Realm has retired ``last`` instructions, or a step is done."""
        self._must_be(Phase.BUILT)
        clock, start = self.machine.clock, perf_counter()
        self._asked = False
        try:
            while self.end is None:
                if self._asked:
                    return Pause.ASKED
                if last is not None and self.retired >= last:
                    return Pause.INSTRUCTIONS
                if until is not None and clock.now >= until:
                    return Pause.TIME
                limit = None if last is None else Instructions(clock.retired + last - self.retired)
                found = self._go_on(until, limit, alone)
                if found is not None:
                    return found
        except RmiError as error:
            self._over(EXIT_FAILED, RunReason.FAILED, str(error))
        finally:
            self._seconds["run"] += perf_counter() - start
        return Pause.ENDED

    def pause(self) -> None:
        """Let :meth:`advance` return as soon as it can; for callbacks that are called while the Realm runs."""
        self._asked = True
        if self.schedule.running is not None:
            self.schedule.running.pause()

    def park(self) -> None:
        """Have the PEs free for others: a vCPU in the middle of its code exits, and its slice of time is over."""
        vcpu = self.schedule.running
        if vcpu is None or self.phase is not Phase.BUILT:
            return
        pe = self._pe(vcpu)
        before, result = pe.retired, vcpu.kick()
        self.retired += pe.retired - before
        self._end_slice(pe)
        if result is not None:
            self._exit(vcpu, pe, result)

    def fail(self, message: str) -> None:
        """The run is over for the reason that ``message`` gives, if it is not over yet."""
        self._over(EXIT_FAILED, RunReason.FAILED, message)

    def interrupt(self) -> None:
        """End the run at the next exit: the user wants that."""
        self._interrupted = True

    def _go_on(self, until: Ticks | None, limit: Instructions | None, alone: bool) -> Pause | None:
        """Go on with the slice of the vCPU that runs, or begin one: up to an exit, ``until`` or ``limit``.

        Why the run has to pause, if that is known already: a breakpoint, or the one instruction is done.
        """
        machine, schedule = self.machine, self.schedule
        vcpu = schedule.running
        if vcpu is None:
            vcpu = schedule.begin(machine.clock.now)
            if vcpu is None:
                self._sleep()
                return None
            self._pe(vcpu).host_timer(Ticks(machine.clock.now + self._slice()))
        pe = self._pe(vcpu)
        before = pe.retired
        try:
            result = vcpu.run(pe, until, limit, alone)
        except MachineStopped:
            if machine.stopped != BREAKPOINT:
                raise
            machine.stopped = None
            return Pause.BREAKPOINT
        except RmiError:
            self._end_slice(pe)
            raise
        finally:
            self.retired += pe.retired - before
        if isinstance(result, Paused):
            return Pause.INSTRUCTIONS if alone else None
        self._end_slice(pe)
        self._exit(vcpu, pe, result)
        return None

    def _pe(self, vcpu: Vcpu) -> "Pe":
        """Each vCPU has its PE, which several may share."""
        pes = self.machine.pes
        return pes[vcpu.index % len(pes)]

    def _slice(self) -> int:
        """Ticks of the next slice: at most what the instructions that are left take."""
        ticks, limit = self.schedule.slice_ticks, self.options.max_insns
        return ticks if limit is None else min(ticks, self.machine.clock.ticks(limit - self.retired))

    def _end_slice(self, pe: "Pe") -> None:
        pe.host_timer(None)
        self.schedule.end()

    def _sleep(self) -> None:
        """Nobody can run: let time pass until the first timer, or give up."""
        due = self.schedule.deadline()
        if due is not None:
            self.machine.clock.skip_to(Ticks(due))
            return
        waiting = sum(vcpu.on for vcpu in self.vcpus)
        what = f"{waiting} vCPUs wait for an interrupt that cannot come" if waiting else "every vCPU is off"
        self._over(EXIT_FAILED, RunReason.IDLE, f"the Realm is idle for ever: {what}")

    # -- exits --------------------------------------------------------------------------------------------------
    def _exit(self, vcpu: Vcpu, pe: "Pe", result: Exit) -> None:
        if pe.stuck and isinstance(result, Interrupted):
            what = f"vCPU {vcpu.index} takes abort after abort and retires no instruction"
            self._over(EXIT_FAILED, RunReason.STUCK, what)
            return
        if self._interrupted:
            self._over(EXIT_INTERRUPTED, RunReason.INTERRUPTED, "interrupted by the user")
            return
        self._answers[type(result)](vcpu, result)
        limit = self.options.max_insns
        if limit is not None and self.retired >= limit:
            self._over(EXIT_LIMIT, RunReason.LIMIT, f"the limit of {limit} instructions is reached")

    def _nothing(self, vcpu: Vcpu, result: Exit) -> None:
        """Give the next vCPU its turn."""

    def _idle(self, vcpu: Vcpu, result: Idle) -> None:
        self.schedule.wait(vcpu, result.deadline)

    def _host_call(self, vcpu: Vcpu, result: HostCall) -> None:
        if self.console.host_call(vcpu, result):
            self._over(self.console.status or 0, RunReason.EXIT)

    def _system_event(self, vcpu: Vcpu, result: SystemEvent) -> None:
        off = result.kind is SystemEventKind.OFF
        self._over(0, RunReason.SYSTEM_OFF if off else RunReason.SYSTEM_RESET)

    def _failure(self, vcpu: Vcpu, result: Failure) -> None:
        self._over(EXIT_FAILED, RunReason.FAILED, result.message)

    # -- end ----------------------------------------------------------------------------------------------------
    def _over(self, status: int, reason: RunReason, message: str = "") -> None:
        """The run is over; what was first counts."""
        if self.end is None:
            self.end = End(status, reason, message)
            self._ticks = self.machine.clock.now - self._began

    def destroy(self) -> None:
        """The Realm is gone, its granules are the host's again, and they have been looked at."""
        if self.phase is Phase.DESTROYED:
            return
        if self.phase is Phase.BUILT:
            self._over(EXIT_INTERRUPTED, RunReason.DESTROYED, "the Realm was destroyed before its end")
        start = perf_counter()
        if self.vm is not None:
            self._take_down(self.vm)
        self.machine.parts.pop(self._part, None)
        self.phase = Phase.DESTROYED
        self._seconds["destroy"] = perf_counter() - start
        trace, end = self.machine.trace, self.end
        if end is not None and trace.on:
            trace.emit(RunStop(reason=end.reason, status=end.status, instructions=self.retired))

    def _take_down(self, vm: Vm) -> None:
        running = self.schedule.running
        if running is not None:
            running.kick()
            self._end_slice(self._pe(running))
        for vcpu in vm.vcpus:
            self.exits += vcpu.exits
        self.system.audit, before = True, self.system.audit
        try:
            vm.destroy()
        finally:
            self.system.audit = before

    def _must_be(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise MachineError(f"a run must be {phase} for that, not {self.phase}: it is built once and runs once")

    def result(self) -> RunResult:
        """How the run ended and what it took, after ``destroy``."""
        self._must_be(Phase.DESTROYED)
        assert self.end is not None
        system, end = self.system, self.end
        spent = system.calls - self._before.calls
        troubles = () if self.vm is None else self.vm.troubles
        return RunResult(
            status=end.status,
            reason=end.reason,
            message="; ".join(filter(None, [*self.notes, end.message, *troubles])),
            console=bytes(self.console.output),
            calls={f"RMI_{fid.name}": spent[fid] for fid in Rmi if spent[fid]},
            exits={reason.name: self.exits[reason] for reason in RecExitReason if self.exits[reason]},
            world_switches=2 * sum(spent.values()),
            granules_peak=system.delegated_peak,
            granules_left=system.delegated - self._before.delegated,
            granules_dirty=system.dirty - self._before.dirty,
            instructions=self.retired,
            ticks=self._ticks,
            counter_hz=self.machine.board.counter_hz,
            build_seconds=self._seconds["build"],
            run_seconds=self._seconds["run"],
            destroy_seconds=self._seconds["destroy"],
        )

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> VmmState:
        """State for a snapshot of the machine."""
        assert self.vm is not None
        end, before = self.end, self._before
        return VmmState(
            options=OptionsState.of(self.options),
            notes=self.notes,
            rd=self.vm.rd,
            schedule=self.schedule.save(),
            console=self.console.save(),
            devices=self.devices.save(),
            end=None if end is None else EndState(end.status, end.reason, end.message),
            retired=self.retired,
            calls=dict(before.calls),
            delegated=before.delegated,
            dirty=before.dirty,
            began=self._began,
            ticks=self._ticks,
        )

    def restore(self, state: VmmState) -> None:
        """Back to what :meth:`save` gave; the host has been restored before."""
        self.vm = next(vm for vm in self.system.vms if vm.rd == state.rd)
        self.schedule = Schedule(self.vm.vcpus)
        self.schedule.restore(state.schedule)
        self.console.restore(state.console)
        self.devices.restore(state.devices)
        self.notes, self.phase, end = state.notes, Phase.BUILT, state.end
        self.end = None if end is None else End(end.status, end.reason, end.message)
        self.retired, self.exits = state.retired, Counter()
        self._before = _Before(Counter(state.calls), state.delegated, state.dirty)
        self._began, self._ticks = state.began, state.ticks
        self._register()

    @classmethod
    def resumed(cls, system: System, state: VmmState, on_console: Callable[[bytes], object] | None = None) -> Self:
        """The run that was saved, on the host of a machine that has been restored; it goes on with ``advance``."""
        options = state.options.options()
        options.on_console = on_console
        vmm = cls(system, options)
        vmm.restore(state)
        return vmm
