"""The kernel's door to user space: processes with their open files, and all of it as a part of every snapshot."""

from typing import TYPE_CHECKING, Final

from cca_host.kvm.kernel import Kernel
from cca_host.kvm.plain.vm import PlainVm
from cca_host.kvm.ranges import Ranges
from cca_host.kvm.uapi import realm
from cca_host.kvm.uapi.capabilities import RealmNumbers
from cca_host.kvm.uapi.devices import DEVICES, DeviceTarget
from cca_host.kvm.uapi.files import File, Target
from cca_host.kvm.uapi.kvm import Kvm, Machine, Phase, Slot
from cca_host.kvm.uapi.memfd import MemoryTarget
from cca_host.kvm.uapi.memory import AddressSpaceState
from cca_host.kvm.uapi.process import Process
from cca_host.kvm.uapi.system import DevKvm, DevRme
from cca_host.kvm.uapi.vcpu import VcpuState, VcpuTarget
from cca_host.kvm.uapi.vm import VmTarget
from cca_host.kvm.vm import Vm
from cca_platform.errors import MachineError
from cca_platform.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FileState", "KvmState", "ProcessState", "Userspace", "UserspaceState"]

_PART: Final = "processes"


class FileState(State, frozen=True, tag="host.uapi.file/1"):
    """Saved state of an open file: what it is of, and of which VM; ``number`` is that of its vCPU, device or memory."""

    of: str
    vm: int | None
    number: int


class SlotState(State, frozen=True, tag="host.uapi.slot/1"):
    """Saved state of a :class:`Slot`."""

    number: int
    flags: int
    base: int
    size: int
    address: int
    memfd: int | None
    offset: int


class KvmState(State, frozen=True, tag="host.uapi.kvm/1"):
    """Saved state of a :class:`Kvm`; ``guest`` is the place of its VM among those of the kernel."""

    pid: int
    machine: str
    width: int
    phase: str
    hash_algo: int
    rpv: bytes
    pmu_counters: int | None
    slots: tuple[SlotState, ...]
    private: tuple[tuple[int, int], ...]
    forwarded: tuple[tuple[int, int], ...]
    denied: tuple[tuple[int, int], ...]
    memory_sizes: tuple[int, ...]
    vcpus: tuple[VcpuState, ...]
    vgic_made: bool
    vgic_ready: bool
    vgic_lines: int
    distributor: int | None
    redistributors: int | None
    realm_device: bool
    explicit: bool
    off: bool
    log: tuple[str, ...]
    guest: int | None


class ProcessState(State, frozen=True, tag="host.uapi.process/1"):
    """Saved state of a :class:`Process`: descriptors with the numbers of their open files."""

    pid: int
    threads: tuple[int, ...]
    descriptors: dict[int, int]
    space: AddressSpaceState


class UserspaceState(State, frozen=True, tag="host.uapi/1"):
    """Saved state of :class:`Userspace`."""

    numbers: RealmNumbers
    next: int
    files: tuple[FileState, ...]
    vms: tuple[KvmState, ...]
    processes: tuple[ProcessState, ...]


class Userspace:
    """The processes on a host, a part of its machine. ``numbers`` are those of what no Linux has merged."""

    def __init__(self, system: Kernel) -> None:
        self.system = system
        self.processes: dict[int, Process] = {}
        self.vms: list[Kvm] = []
        self._next = 100
        self._devices: dict[str, Target] = {}
        self.use(RealmNumbers())

    def use(self, numbers: RealmNumbers) -> None:
        """Have other numbers from now on."""
        self.numbers = numbers
        self._devices["/dev/kvm"] = DevKvm(self.system, numbers, self._made)
        self._devices["/dev/rme"] = DevRme(self.system)

    @classmethod
    def of(cls, system: Kernel) -> "Userspace":
        """That of a host."""
        found = system.machine.parts[_PART]
        assert isinstance(found, Userspace), "a host has one from its start"
        return found

    def spawn(self) -> Process:
        """A new process, with one thread."""
        process = self._process(self._next)
        self._next += 100  # its threads have the numbers after its own
        return process

    def _process(self, pid: int) -> Process:
        process = self.processes[pid] = Process(self.system, pid, self._devices, self._check, self._exited)
        return process

    def _check(self, process: Process) -> None:
        if self.processes.get(process.pid) is not process:
            raise MachineError(f"process {process.pid} must exist for a system call, but it has ended")

    def _exited(self, process: Process) -> None:
        del self.processes[process.pid]

    def _made(self, kvm: Kvm) -> None:
        self.vms.append(kvm)
        kvm.ended = self._ended

    def _ended(self, kvm: Kvm) -> None:
        self.vms.remove(kvm)

    # -- snapshots ----------------------------------------------------------------------------------------------
    def _files(self) -> "Iterator[File]":
        """All open files, each once."""
        seen: set[int] = set()
        for process in self.processes.values():
            mapped = (one.file for one in process.space.mappings)
            for file in (*process.descriptors.files.values(), *mapped):
                if isinstance(file, File) and id(file) not in seen:
                    seen.add(id(file))
                    yield file

    def save(self) -> UserspaceState:
        """State for a snapshot of the machine."""
        files = list(self._files())
        numbers = {id(file): number for number, file in enumerate(files)}
        return UserspaceState(
            numbers=self.numbers,
            next=self._next,
            files=tuple(self._save_file(file.target) for file in files),
            vms=tuple(self._save_vm(kvm) for kvm in self.vms),
            processes=tuple(
                ProcessState(
                    pid=process.pid,
                    threads=tuple(process.threads),
                    descriptors={fd: numbers[id(file)] for fd, file in process.descriptors.files.items()},
                    space=process.space.save(numbers),
                )
                for process in self.processes.values()
            ),
        )

    def _save_file(self, target: Target) -> FileState:
        kvm: Kvm | None = getattr(target, "kvm", None)
        vm = None if kvm is None else self.vms.index(kvm)
        number = target.number if isinstance(target, VcpuTarget | MemoryTarget) else 0
        return FileState(of=target.kind, vm=vm, number=number)

    def _save_vm(self, kvm: Kvm) -> KvmState:
        pid = next(one.pid for one in self.processes.values() if one.space is kvm.space)
        return KvmState(
            pid=pid,
            machine=kvm.machine,
            width=kvm.width,
            phase=kvm.phase,
            hash_algo=kvm.hash_algo,
            rpv=kvm.rpv,
            pmu_counters=kvm.pmu_counters,
            slots=tuple(SlotState(*slot) for slot in kvm.slots.values()),
            private=tuple(kvm.private),
            forwarded=tuple(kvm.forwarded),
            denied=tuple(kvm.denied),
            memory_sizes=tuple(kvm.memory_sizes),
            vcpus=tuple(vcpu.save() for vcpu in kvm.vcpus if isinstance(vcpu, VcpuTarget)),
            vgic_made=kvm.vgic_made,
            vgic_ready=kvm.vgic_ready,
            vgic_lines=kvm.vgic_lines,
            distributor=kvm.distributor,
            redistributors=kvm.redistributors,
            realm_device=kvm.realm_device,
            explicit=kvm.explicit,
            off=kvm.off,
            log=tuple(kvm.log),
            guest=None if kvm.guest is None else self.system.guests.index(kvm.guest),
        )

    def restore(self, state: UserspaceState) -> None:
        """Restore what :meth:`save` returned, after the kernel; processes and threads stay the same objects."""
        self.use(state.numbers)
        self._next = state.next
        had, self.processes = self.processes, {}
        for one in state.processes:
            process = self.processes[one.pid] = had.get(one.pid) or self._process(one.pid)
            self._restore_process(process, one)
        self.vms = [self._restore_vm(one) for one in state.vms]
        files = [File(self._target(one)) for one in state.files]
        for file in files:
            kvm: Kvm | None = getattr(file.target, "kvm", None)
            if kvm is not None:
                kvm.get()
        for one in state.processes:
            process = self.processes[one.pid]
            process.space.restore(one.space, list(files))
            for fd, number in one.descriptors.items():
                files[number].references += 1
                process.descriptors.files[fd] = files[number]

    def _restore_process(self, process: Process, state: ProcessState) -> None:
        process.devices = self._devices
        process.descriptors.files.clear()
        process.space.watchers.clear()
        process.restore_threads(state.threads)

    def _restore_vm(self, state: KvmState) -> Kvm:
        kvm = Kvm(self.system, self.processes[state.pid].space, Machine(state.machine), state.width)
        kvm.phase = Phase(state.phase)
        kvm.hash_algo, kvm.rpv, kvm.pmu_counters = state.hash_algo, state.rpv, state.pmu_counters
        for one in state.slots:
            slot = Slot(one.number, one.flags, one.base, one.size, one.address, one.memfd, one.offset)
            kvm.slots[slot.number] = slot
        kvm.private, kvm.forwarded = Ranges(state.private), Ranges(state.forwarded)
        kvm.denied, kvm.memory_sizes = Ranges(state.denied), list(state.memory_sizes)
        kvm.vgic_made, kvm.vgic_ready, kvm.vgic_lines = state.vgic_made, state.vgic_ready, state.vgic_lines
        kvm.distributor, kvm.redistributors = state.distributor, state.redistributors
        kvm.realm_device, kvm.explicit, kvm.off = state.realm_device, state.explicit, state.off
        kvm.log = list(state.log)
        if state.guest is not None:
            guest = self.system.guests[state.guest]
            assert isinstance(guest, Vm | PlainVm)
            kvm.guest = guest
            guest.stage2.backing = realm.ProcessPages(kvm)
            if isinstance(guest, Vm):
                guest.policy = kvm
        kvm.vcpus = [VcpuTarget.restored(kvm, one) for one in state.vcpus]
        kvm.ended = self._ended
        return kvm

    def _target(self, state: FileState) -> Target:
        if state.vm is None:
            return self._devices[state.of]
        kvm = self.vms[state.vm]
        devices: dict[str, type[DeviceTarget]] = {one.kind: one for one in DEVICES.values()}
        if state.of in devices:
            return devices[state.of](kvm)
        if state.of == MemoryTarget.kind:
            return MemoryTarget(kvm, state.number)
        if state.of == VmTarget.kind:
            return VmTarget(kvm, self.numbers)
        found = next(vcpu for vcpu in kvm.vcpus if vcpu.number == state.number)
        assert isinstance(found, VcpuTarget)
        return found
