"""The VMM: builds a Realm for a payload, runs its vCPUs, handles their exits, and destroys everything."""

from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import Self

from msgspec import Struct

from cca_arch.extensions import Paging
from cca_arch.rmi.v1_0 import RecExitReason, Rmi
from cca_host.kvm.uapi import Kernel, RmiError
from cca_host.kvmtool.build import check, fill_vm, make_tree, open_vm
from cca_host.kvmtool.door import Door
from cca_host.kvmtool.initrd import load_initrd
from cca_host.kvmtool.interrupt import interruptible
from cca_host.kvmtool.layout import RAM_BASE
from cca_host.kvmtool.loader import load_file
from cca_host.kvmtool.onboard import show_status
from cca_host.kvmtool.options import EXIT_INTERRUPTED, RunOptions, RunReason, RunResult
from cca_host.kvmtool.run import End, Phase, Run
from cca_host.kvmtool.saved import EndState, OptionsState, VmmState
from cca_host.kvmtool.schedule import Schedule
from cca_platform.halt import Halt
from cca_platform.pe.hint import forget, missing
from cca_platform.trace.events import RunStart, RunStop

__all__ = ["Vmm", "run_realm"]


def run_realm(system: Kernel, options: RunOptions) -> RunResult:
    """Run one payload in one Realm, from the file to cleanup; raises MachineError if ``options`` cannot be met."""
    return Vmm(system, options).run()


class _Before(Struct, frozen=True):
    """The host's counts when a run began."""

    calls: Counter[int]
    delegated: int
    dirty: int


class Vmm(Run):
    """One run in steps: ``build``, ``advance`` until there is an ``end``, ``destroy``; ``run`` does all three.

    Between two calls of ``advance``, the whole run is plain data in the machine and in the host's saved state.
    """

    def __init__(self, system: Kernel, options: RunOptions) -> None:
        super().__init__(system, options)
        self.exits: Counter[int] = Counter()
        self.notes: tuple[str, ...] = ()
        """The loader's notes on the payload."""
        self._before = _Before(Counter(), 0, 0)
        self._part = ""
        self._build_seconds = self._destroy_seconds = 0.0

    def run(self) -> RunResult:
        """Build, run, destroy. What happens inside the Realm is in the result; it raises no exception."""
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
        """Build the Realm: RIPAS, image and device tree (measured, in address order), vCPUs, activation.

        Raises MachineError if the options cannot be met, RmiError if the RMM refuses; ``destroy`` then cleans up.
        """
        self.must_be(Phase.NEW)
        system, machine, options = self.system, self.machine, self.options
        check(options, system)
        image = load_file(options.payload, options.memory)
        self.console.typing.linux = image.kind == "linux"
        forget(machine.pes)
        initrd = None if options.initrd is None else load_initrd(options.initrd, options.memory, image)
        tree = make_tree(options, self.devices.nodes(), initrd)
        if initrd is not None:
            image.segments.append(initrd)
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
            door = self.door = open_vm(system, options)
            fill_vm(door, options, image, tree)
            self.vm = door.guest
            self.devices.connect(door)
            if image.kind == "linux":
                show_status(self.console.uart, door)
        finally:
            self._build_seconds = perf_counter() - start
        self.schedule = Schedule(door.vcpus)
        self.began, self.phase = machine.clock.now, Phase.BUILT
        self._register()

    def _register(self) -> None:
        """Join the machine's snapshots until the Realm is destroyed."""
        assert self.vm is not None
        self._part = f"vmm.{self.vm.vmid}"
        self.machine.parts[self._part] = self
        self.devices.named(self._part)

    # -- end ----------------------------------------------------------------------------------------------------
    def destroy(self) -> None:
        """Destroy the Realm, return its granules to the host, and check that they are zero.

        On a stopped machine, the RMM cannot return them.
        """
        if self.phase is Phase.DESTROYED:
            return
        self.console.typing.close()
        try:
            self._destroy()
        finally:
            for model in self.virtio:
                model.close()

    def _destroy(self) -> None:
        machine = self.machine
        if machine.stopped is not None and machine.halt is not Halt.PAUSED:
            machine.parts.pop(self._part, None)
            self.phase = Phase.DESTROYED
            return
        if self.phase is Phase.BUILT:
            self.over(EXIT_INTERRUPTED, RunReason.DESTROYED, "the Realm was destroyed before its end")
            if self.vm not in self.system.guests:  # a snapshot from before it was built has been restored
                self.phase = Phase.DESTROYED
                return
        start = perf_counter()
        if self.door is not None:
            self._take_down(self.door)
        self.machine.parts.pop(self._part, None)
        self.phase = Phase.DESTROYED
        self._destroy_seconds = perf_counter() - start
        trace, end = self.machine.trace, self.end
        if end is not None and trace.on:
            trace.emit(RunStop(reason=end.reason, status=end.status, instructions=self.retired))

    def _take_down(self, door: Door) -> None:
        self.park()
        self.devices.close()
        for vcpu in self.vcpus:
            self.exits += vcpu.exits
        self.system.audit, before = True, self.system.audit
        try:
            door.exit()
        finally:
            self.system.audit = before

    def result(self) -> RunResult:
        """The result of the run, after ``destroy``."""
        self.must_be(Phase.DESTROYED)
        assert self.end is not None
        system, end = self.system, self.end
        spent = system.calls - self._before.calls
        troubles = () if self.vm is None else self.vm.troubles
        return RunResult(
            status=end.status,
            reason=end.reason,
            message="; ".join(filter(None, [*self.notes, end.message, *troubles])),
            realm=self.options.realm,
            console=bytes(self.console.sent),
            console_dropped=self.console.sent.dropped,
            calls={
                **{f"RMI_{fid.name}": spent[fid] for fid in Rmi if spent[fid]},
                **{fid.name: spent[fid] for fid in (Paging.PAGE_OUT, Paging.PAGE_IN) if spent[fid]},
            },
            exits={reason.name: self.exits[reason] for reason in RecExitReason if self.exits[reason]},
            world_switches=2 * sum(spent.values()),
            lacks=missing(self.machine.pes),
            granules_peak=system.delegated_peak,
            granules_left=system.delegated - self._before.delegated,
            granules_dirty=system.dirty - self._before.dirty,
            instructions=self.retired,
            ticks=self.ticks,
            counter_hz=self.machine.board.counter_hz,
            build_seconds=self._build_seconds,
            run_seconds=self.run_seconds,
            destroy_seconds=self._destroy_seconds,
        )

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> VmmState:
        """State for a snapshot of the machine."""
        assert self.vm is not None and self.door is not None
        end, before = self.end, self._before
        return VmmState(
            options=OptionsState.of(self.options),
            notes=self.notes,
            vmid=self.vm.vmid,
            door=self.door.save(),
            schedule=self.schedule.save(),
            console=self.console.save(),
            devices=self.devices.save(),
            end=None if end is None else EndState(end.status, end.reason, end.message),
            retired=self.retired,
            exceptions=self.exceptions,
            calls=dict(before.calls),
            delegated=before.delegated,
            dirty=before.dirty,
            began=self.began,
            ticks=self.ticks,
        )

    def restore(self, state: VmmState) -> None:
        """Restore what :meth:`save` returned; the host has been restored before."""
        options = self.options
        ram = (RAM_BASE, options.memory)
        door = self.door = Door.restored(self.system, state.door, options.realm, options.ipa_width, *ram)
        self.vm = door.guest
        self.schedule = Schedule(door.vcpus)
        self.schedule.restore(state.schedule)
        self.console.restore(state.console)
        self.devices.restore(state.devices, door)
        if self.vm.shown:
            show_status(self.console.uart, door)
        self.notes, self.phase, end = state.notes, Phase.BUILT, state.end
        self.end = None if end is None else End(end.status, end.reason, end.message)
        self.retired, self.exceptions, self.exits = state.retired, state.exceptions, Counter()
        self._before = _Before(Counter(state.calls), state.delegated, state.dirty)
        self.began, self.ticks = state.began, state.ticks
        self._register()

    @classmethod
    def resumed(cls, system: Kernel, state: VmmState, on_console: Callable[[bytes], object] | None = None) -> Self:
        """Recreate a saved run on the host of a restored machine; ``advance`` resumes it."""
        options = state.options.options()
        options.on_console = on_console
        vmm = cls(system, options)
        vmm.restore(state)
        return vmm
