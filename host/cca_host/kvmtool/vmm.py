"""The VMM: builds a Realm for a payload, schedules its vCPUs, answers their exits, and takes everything down again."""

import signal
import threading
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from cca_arch.rmi.v1_0 import RecExitReason, Rmi, mpidr_of
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm import (
    CpuOff,
    Exit,
    Failure,
    HostCall,
    Idle,
    Interrupted,
    Mmio,
    RmiError,
    System,
    SystemEvent,
    Vcpu,
    Vm,
    Yield,
)
from cca_host.kvmtool.console import Console
from cca_host.kvmtool.devicetree import flatten, realm_tree
from cca_host.kvmtool.layout import DISTRIBUTOR_BASE, MIN_MEMORY, RAM_BASE, dtb_base, redistributor_base
from cca_host.kvmtool.loader import Image, load_file
from cca_host.kvmtool.options import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_LIMIT, RunOptions, RunResult
from cca_platform.errors import MachineError
from cca_platform.trace.events import RunStart, RunStop

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Vmm", "run_realm"]

_SLICE_ALONE: Final = 20_000_000  # ticks of a time slice when nobody else waits: short enough for Ctrl-C
_SLICE: Final = 50_000  # ticks of a time slice when vCPUs take turns: a vCPU that spins wastes as much at most


def run_realm(system: System, options: RunOptions) -> RunResult:
    """One payload in one Realm, from the file to the last granule back; MachineError when ``options`` cannot be met."""
    return Vmm(system, options).run()


class _Ended(Exception):
    """The run is over: its exit status, reason and message."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


class Vmm:
    """One run. ``build``, ``loop`` and ``destroy`` are its steps; ``run`` does all of them."""

    def __init__(self, system: System, options: RunOptions) -> None:
        self.system = system
        self.machine = system.machine
        self.options = options
        _check(options, system)
        self.image: Image = load_file(options.payload, options.memory)
        self.console = Console(self.machine, options.on_console, options.console_input)
        self.vm: Vm | None = None
        self.vcpus: list[Vcpu] = []
        self.waiting: dict[int, int | None] = {}
        """vCPUs that wait for an interrupt, by index: the clock value that wakes them, if any."""
        self.exits: Counter[int] = Counter()
        self._retired = 0
        self._answers: dict[type, Callable[[Vcpu, Any], None]] = {
            Mmio: self.console.mmio,
            HostCall: self._host_call,
            SystemEvent: self._system_event,
            Idle: self._idle,
            Yield: self._nothing,
            CpuOff: self._nothing,
            Interrupted: self._nothing,
            Failure: self._failure,
        }

    # -- the whole run ------------------------------------------------------------------------------------------
    def run(self) -> RunResult:
        """Build, run, destroy; what happens inside the Realm is in the result, not an exception."""
        system, machine, options = self.system, self.machine, self.options
        calls = Counter(system.calls)
        system.delegated_peak, dirty, delegated = system.delegated, system.dirty, system.delegated
        trace = machine.trace
        if trace.on:
            trace.emit(
                RunStart(
                    board=machine.board.name,
                    payload=str(options.payload),
                    vcpus=options.vcpus,
                    memory=options.memory,
                    args=" ".join(options.args),
                    clock=machine.clock.mode,
                )
            )
        times = [perf_counter()]
        ended, start = _Ended(EXIT_FAILED, "failed"), machine.clock.now
        with _Interrupt() as interrupt:
            try:
                self.build()
                times.append(perf_counter())
                start = machine.clock.now
                self.loop(interrupt)
            except _Ended as end:
                ended = end
            except RmiError as error:
                ended = _Ended(EXIT_FAILED, "failed", str(error))
            finally:
                ticks = machine.clock.now - start
                times.extend([perf_counter()] * (3 - len(times)))
                self.destroy()
        times.append(perf_counter())
        message = "; ".join(filter(None, [*self.image.notes, ended.message, *(self.vm.troubles if self.vm else ())]))
        spent = system.calls - calls
        if trace.on:
            trace.emit(RunStop(reason=ended.reason, status=ended.status, instructions=self._retired))
        return RunResult(
            status=ended.status,
            reason=ended.reason,
            message=message,
            console=bytes(self.console.output),
            calls={f"RMI_{fid.name}": spent[fid] for fid in Rmi if spent[fid]},
            exits={reason.name: self.exits[reason] for reason in RecExitReason if self.exits[reason]},
            world_switches=2 * sum(spent.values()),
            granules_peak=system.delegated_peak,
            granules_left=system.delegated - delegated,
            granules_dirty=system.dirty - dirty,
            instructions=self._retired,
            ticks=ticks,
            counter_hz=machine.board.counter_hz,
            build_seconds=times[1] - times[0],
            run_seconds=times[2] - times[1],
            destroy_seconds=times[3] - times[2],
        )

    # -- build --------------------------------------------------------------------------------------------------
    def build(self) -> None:
        """Realm, RIPAS, image and device tree (measured, in address order), vCPUs, activation."""
        options = self.options
        vm = self.vm = Vm(
            self.system, ipa_width=options.ipa_width, hash_algo=options.hash_algo, rpv=options.rpv
        )  # fmt: skip
        vm.add_memory(RAM_BASE, options.memory)
        vm.init_ripas()
        for ipa, page in self.image.pages():
            vm.populate(ipa, page)
        mpidrs = [int(mpidr_of(index)) for index in range(options.vcpus)]
        dtb = dtb_base(options.memory)
        vm.populate(dtb, flatten(realm_tree(options.memory, mpidrs, " ".join(options.args))))
        vm.create_vgic(DISTRIBUTOR_BASE, redistributor_base(options.vcpus))
        for index in range(options.vcpus):
            vcpu = vm.create_vcpu(self.image.entry, [dtb]) if index == 0 else vm.create_vcpu(runnable=False)
            vcpu.trap(wfi=True, wfe=options.vcpus > 1)
            vcpu.deny_on = index in options.deny_cpu_on
        vm.activate()
        self.vcpus = list(vm.vcpus)

    def destroy(self) -> None:
        """The Realm is gone, its granules are the host's again, and they have been looked at."""
        if self.vm is not None:
            for vcpu in self.vm.vcpus:
                self.exits += vcpu.exits
            self.system.audit, before = True, self.system.audit
            try:
                self.vm.destroy()
            finally:
                self.system.audit = before

    # -- the scheduler ------------------------------------------------------------------------------------------
    def loop(self, interrupt: "_Interrupt | None" = None) -> None:
        """Round-robin over the vCPUs that can run, each on its own PE, until :class:`_Ended` ends the run."""
        pes, count, turn = self.machine.pes, len(self.vcpus), 0
        slice_ticks = _SLICE if count > 1 else _SLICE_ALONE
        while True:
            vcpu = self._next(turn)
            if vcpu is None:
                self._sleep()
                continue
            turn = vcpu.index + 1
            result = self._slice(vcpu, pes[vcpu.index % len(pes)], slice_ticks)
            if interrupt is not None and interrupt.pending:
                raise _Ended(EXIT_INTERRUPTED, "interrupted", "interrupted by the user")
            self._answers[type(result)](vcpu, result)
            limit = self.options.max_insns
            if limit is not None and self._retired >= limit:
                raise _Ended(EXIT_LIMIT, "limit", f"the limit of {limit} instructions is reached")

    def _next(self, turn: int) -> Vcpu | None:
        """The first vCPU from ``turn`` on that can run."""
        count, now = len(self.vcpus), self.machine.clock.now
        for step in range(count):
            vcpu = self.vcpus[(turn + step) % count]
            if not vcpu.on:
                continue
            if vcpu.index in self.waiting:
                deadline = self.waiting[vcpu.index]
                if (deadline is None or deadline > now) and not vcpu.wakes():
                    continue
                del self.waiting[vcpu.index]
            return vcpu
        return None

    def _slice(self, vcpu: Vcpu, pe: "Pe", ticks: int) -> Exit:
        """Run one vCPU until it has something for the VMM, at most for ``ticks`` or the instructions that are left."""
        limit = self.options.max_insns
        if limit is not None:
            ticks = min(ticks, limit - self._retired)
        before = pe.retired
        pe.host_timer(self.machine.clock.now + ticks)
        try:
            result = vcpu.run(pe)
        finally:
            pe.host_timer(None)
            self._retired += pe.retired - before
        if pe.stuck and isinstance(result, Interrupted):
            raise _Ended(EXIT_FAILED, "stuck", f"vCPU {vcpu.index} takes abort after abort and retires no instruction")
        return result

    def _sleep(self) -> None:
        """Nobody can run: let time pass until the first timer, or give up."""
        due = [deadline for index, deadline in self.waiting.items() if self.vcpus[index].on and deadline is not None]
        if due:
            self.machine.clock.skip_to(min(due))
            return
        waiting = sum(vcpu.on for vcpu in self.vcpus)
        what = f"{waiting} vCPUs wait for an interrupt that cannot come" if waiting else "every vCPU is off"
        raise _Ended(EXIT_FAILED, "idle", f"the Realm is idle for ever: {what}")

    # -- exits --------------------------------------------------------------------------------------------------
    def _nothing(self, vcpu: Vcpu, result: Exit) -> None:
        """Give the next vCPU its turn."""

    def _idle(self, vcpu: Vcpu, result: Idle) -> None:
        self.waiting[vcpu.index] = result.deadline

    def _host_call(self, vcpu: Vcpu, result: HostCall) -> None:
        if self.console.host_call(vcpu, result):
            raise _Ended(self.console.status or 0, "exit")

    def _system_event(self, vcpu: Vcpu, result: SystemEvent) -> None:
        raise _Ended(0, f"system_{result.kind}")

    def _failure(self, vcpu: Vcpu, result: Failure) -> None:
        raise _Ended(EXIT_FAILED, "failed", result.message)


class _Interrupt:
    """Ctrl-C while a Realm runs sets ``pending``: the run ends at the next exit, with everything taken down."""

    def __init__(self) -> None:
        self.pending = False
        self._old: Any = None

    def __enter__(self) -> "_Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._old = signal.signal(signal.SIGINT, self._set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)

    def _set(self, number: int, frame: FrameType | None) -> None:
        if self.pending:
            raise KeyboardInterrupt  # the second time: at once
        self.pending = True


def _check(options: RunOptions, system: System) -> None:
    """What must hold of the options before anything is built; the limits of one Realm are Vm's."""
    if options.vcpus < 1:
        raise MachineError(f"a Realm must have at least one vCPU, not {options.vcpus}: give `vcpus` 1 or more")
    if options.vcpus > system.max_vcpus:
        raise MachineError(
            f"a Realm must have at most {system.max_vcpus} vCPUs, not {options.vcpus}: use fewer `vcpus`"
        )
    for index in options.deny_cpu_on:
        if not 0 <= index < options.vcpus:
            raise MachineError(f"`deny_cpu_on` must name vCPUs 0 to {options.vcpus - 1}, not {index}")
    memory, dram = options.memory, sum(bank.size for bank in system.machine.board.ns_banks())
    if memory % GRANULE_SIZE:
        raise MachineError(f"`memory` must be a multiple of 4 KiB, not {memory} bytes: round it up")
    if memory < MIN_MEMORY:
        raise MachineError(f"`memory` must be at least {MIN_MEMORY >> 20}M, not {memory >> 10}K: give more `memory`")
    if memory > dram:
        raise MachineError(
            f"`memory` must be at most {dram >> 20}M, the Non-secure DRAM of the board, not {memory >> 20}M"
        )
    if options.max_insns is not None and options.max_insns < 1:
        raise MachineError(f"`max_insns` must be 1 or more, not {options.max_insns}")
