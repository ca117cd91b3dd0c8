"""The VM of a run as its VMM has it: a process that makes system calls, with a thread for each vCPU.

Everything that the VMM wants of its VM goes through the kernel's door (:mod:`cca_host.kvm.uapi`): it makes the VM by
ioctls, its vCPUs run in KVM_RUN and tell in kvm_run why they have come back, interrupts are KVM_IRQ_LINE, and memory
that the guest shares is memory of the process.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cca_arch.errno import Errno
from cca_arch.kvm import realm as k
from cca_arch.kvm import structures as s
from cca_arch.kvm.registers import core, gpr
from cca_arch.kvm.requests import KvmAttribute, KvmSystem, KvmVcpu, KvmVm
from cca_arch.kvm.values import (
    TARGET_GENERIC_V8,
    DeviceType,
    ExitReason,
    IrqLine,
    IrqType,
    SmcccAction,
    SystemEventType,
    VcpuFeature,
    VgicAddr,
    VgicCtrl,
    VgicGroup,
    VmGroup,
    VmType,
)
from cca_arch.smccc import PSCI_FIDS, Fid
from cca_arch.types import GRANULE_SIZE, Instructions, Ticks
from cca_host.kvm.uapi import (
    Advice,
    Exit,
    Failure,
    HostCall,
    Kernel,
    KernelVm,
    Mmio,
    Process,
    SystemEvent,
    SystemEventKind,
    Thread,
    Userspace,
)
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Door", "DoorState", "VcpuThread", "VcpuThreadState"]

_BATCH: Final = 64  # pages that are loaded at once
_PAGE: Final = GRANULE_SIZE - 1
_U64: Final = (1 << 64) - 1
_DATA: Final = s.EXIT + s.KvmExitMmio.offset("data")
_REGISTERS: Final = s.KvmRun.offset("s")
_DIRTY: Final = s.KvmRun.offset("kvm_dirty_regs")
_REASON: Final = struct.Struct("<I").unpack_from
_MMIO: Final = struct.Struct("<QQIB").unpack_from
_GPRS: Final = struct.Struct("<31Q")
_HYPERCALL: Final = int(ExitReason.HYPERCALL)
_IS_MMIO: Final = int(ExitReason.MMIO)
_IMMEDIATE: Final = s.EXIT + s.KvmExitHypercall.offset("args")
_ATTRIBUTE: Final = struct.Struct("<IIQQ")  # kvm_device_attr
_LINE: Final = struct.Struct("<II")  # kvm_irq_level
_EVENTS: Final = {SystemEventType.SHUTDOWN: SystemEventKind.OFF, SystemEventType.RESET: SystemEventKind.RESET}
_PSCI: Final = range(min(PSCI_FIDS), max(PSCI_FIDS) + 1)
_FUNCTIONS: Final = (0, _PSCI.start, _PSCI.stop, _PSCI.start | Fid.smc64.mask, _PSCI.stop | Fid.smc64.mask, 1 << 32)
"""Where the identifiers begin and end that are the VMM's: all but PSCI's, which are the kernel's."""


class VcpuThreadState(State, frozen=True, tag="host.vcpu-thread/1"):
    """Saved state of a :class:`VcpuThread`: its thread and descriptor, and the address of its kvm_run."""

    tid: int
    fd: int
    page: int


class DoorState(State, frozen=True, tag="host.door/1"):
    """Saved state of a :class:`Door`: its process, descriptors and addresses."""

    pid: int
    vm: int
    memory: int
    scratch: int
    vcpus: tuple[VcpuThreadState, ...]


class VcpuThread:
    """The thread of vCPU ``index`` in KVM_RUN: ``fd`` is its descriptor, ``page`` the address of its kvm_run.

    ``cpu`` is the vCPU in the kernel, whose scheduler decides when the thread runs.
    """

    def __init__(self, thread: Thread, index: int, fd: int, page: int) -> None:
        self.thread = thread
        self.index = index
        self.fd = fd
        self.page = page
        self.target = thread.vcpu(fd)
        found = self.target.vcpu
        assert found is not None, "the VM is made"
        self.cpu = found
        self._run = thread.view(page, s.KvmRun.size)
        self._store, self._at = thread.process.system.port.write, thread.process.space.page(page)

    # -- KVM_RUN ------------------------------------------------------------------------------------------------
    def run(
        self,
        pe: "Pe | None" = None,
        until: Ticks | None = None,
        limit: Instructions | None = None,
        alone: bool = False,
    ) -> Exit:
        """KVM_RUN: why it has come back, or why the kernel's scheduler has it back (Idle, Interrupted, Paused ...)."""
        answer = self.thread.run(self.target, pe, until, limit, alone)
        return self._left() if answer is None else self._back(answer)

    def kick(self) -> Exit | None:
        """End what the vCPU does in the guest; None if it is not there."""
        if self.cpu.running is None:
            return None
        answer = self.thread.kick(self.target)
        return self._left() if answer is None else self._back(answer)

    def _left(self) -> Exit:
        left = self.target.left
        assert left is not None
        return left

    def _back(self, answer: int) -> Exit:
        """What kvm_run says."""
        page = self._run
        if answer:
            return self._failed(-answer)
        reason = _REASON(page, s.RUN_EXIT_REASON)[0]
        if reason == _IS_MMIO:
            address, data, size, write = _MMIO(page, s.EXIT)
            return Mmio(address, size, bool(write), data)
        if reason == _HYPERCALL:
            immediate = _REASON(page, _IMMEDIATE)[0]
            return HostCall(immediate, list(_GPRS.unpack_from(page, _REGISTERS)))
        if reason == ExitReason.SYSTEM_EVENT:
            return SystemEvent(_EVENTS[SystemEventType(_REASON(page, s.EXIT)[0])])
        if reason == ExitReason.SHUTDOWN:
            return SystemEvent(SystemEventKind.OFF)
        return Failure(self.target.kvm.log[-1])

    def _failed(self, errno: int) -> Exit:
        failure = self.target.kvm.failure
        if errno == Errno.ENXIO and failure is not None:
            raise failure
        return Failure(f"vCPU {self.index}: KVM_RUN answers {Errno(errno).name}")

    # -- replies ------------------------------------------------------------------------------------------------
    def mmio_result(self, value: int = 0) -> None:
        """Complete the last access; ``value`` is what a read returns."""
        self._store(self._at + _DATA, (value & _U64).to_bytes(8, "little"))

    def abort(self) -> None:
        """Answer the last access by an external abort."""
        events = s.KvmVcpuEvents.pack(ext_dabt_pending=1)
        if self.thread.ioctl(self.fd, KvmVcpu.SET_VCPU_EVENTS, events):
            raise AssertionError("an access can be answered by an abort")

    def host_call_status(self, status: int) -> None:
        """Answer the last host call with gprs[0]; the others do not change."""
        self._store(self._at + _REGISTERS, (status & _U64).to_bytes(8, "little"))
        self._store(self._at + _DIRTY, k.SYNC_GPRS.to_bytes(8, "little"))

    # -- as the kernel's scheduler sees it ----------------------------------------------------------------------
    @property
    def on(self) -> bool:
        """True if it is on."""
        return self.cpu.on

    @property
    def blocked(self) -> bool:
        """True while it waits for an interrupt."""
        return self.cpu.blocked

    @blocked.setter
    def blocked(self, blocked: bool) -> None:
        self.cpu.blocked = blocked

    @property
    def eras(self) -> tuple[int, int]:
        """See :attr:`cca_host.kvm.Cpu.eras`."""
        return self.cpu.eras

    def wakes(self) -> bool:
        """True if an interrupt wakes it."""
        return self.cpu.wakes()

    def deadline(self) -> int | None:
        """The clock value at which its next timer fires."""
        return self.cpu.deadline()

    def pause(self, at_once: bool = True) -> None:
        """Have a run pause: see :meth:`cca_host.kvm.Cpu.pause`."""
        self.cpu.pause(at_once)

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> VcpuThreadState:
        """State for a snapshot."""
        return VcpuThreadState(tid=self.thread.tid, fd=self.fd, page=self.page)


class Door:
    """A process with one VM, which has ``size`` bytes of memory from IPA ``base`` on.

    A call that fails raises what the kernel keeps of it: RmiError or MachineError.
    """

    def __init__(self, process: Process, realm: bool, ipa_width: int, base: int, size: int) -> None:
        self.process = process
        self.main = process.main
        self.realm = realm
        self.half = 1 << ipa_width - 1 if realm else 0
        self.base = base
        self.size = size
        self.vcpus: list[VcpuThread] = []
        self._vm = self._memory = self._device = self._gic = self._scratch = 0

    @classmethod
    def open(cls, system: Kernel, realm: bool, ipa_width: int, base: int, size: int) -> "Door":
        """A new process with a new VM, which may be a Realm that is not created yet."""
        door = cls(Userspace.of(system).spawn(), realm, ipa_width, base, size)
        try:
            door._open(ipa_width)
        except BaseException:
            door.exit()
            raise
        return door

    def _open(self, ipa_width: int) -> None:
        kvm = self.main.open("/dev/kvm")
        self._vm = self._done(self.main.ioctl(kvm, KvmSystem.CREATE_VM, VmType.make(ipa_size=ipa_width)))
        self._scratch = self.main.mmap(GRANULE_SIZE)
        if self.realm:
            self._device = self._create_device(k.DEV_TYPE_ARM_REALM)
        self._memory = self._done(self.main.mmap(self.size, self.main.open("/dev/rme") if self.realm else None))
        if not self.realm:
            self.main.madvise(self._memory, self.size, Advice.HUGEPAGE)
        self._forward_calls()

    def exit(self) -> None:
        """End the process, and with it the VM."""
        self.process.exit()

    @property
    def guest(self) -> KernelVm:
        """The VM in the kernel, for who looks from outside."""
        found = self.main.vm(self._vm).guest
        assert found is not None, "the VM is made"
        return found

    # -- calls --------------------------------------------------------------------------------------------------
    def _done(self, answer: int) -> int:
        if answer >= 0:
            return answer
        failure = self.main.vm(self._vm).failure if self._vm else None
        if failure is not None and -answer in (Errno.ENXIO, Errno.ENOMEM):
            raise failure
        raise AssertionError(f"a call of the VMM must not fail with {Errno(-answer).name}")

    def _call(self, fd: int, request: int, argument: int | bytes | bytearray = 0) -> int:
        return self._done(self.main.ioctl(fd, request, argument))

    def _set(self, fd: int, group: int, attr: int, value: bytes = b"") -> None:
        """Set an attribute; its value goes by the scratch page."""
        self.main.write(self._scratch, value)
        self._call(fd, KvmAttribute.SET_DEVICE_ATTR, _ATTRIBUTE.pack(0, group, attr, self._scratch))

    def _create_device(self, kind: int) -> int:
        made = bytearray(s.KvmCreateDevice.pack(type=kind))
        self._call(self._vm, KvmVm.CREATE_DEVICE, made)
        fd: int = s.KvmCreateDevice.unpack(made).fd
        return fd

    def _forward_calls(self) -> None:
        for base, top in zip(_FUNCTIONS[::2], _FUNCTIONS[1::2], strict=True):
            wanted = s.KvmSmcccFilter.pack(base=base, nr_functions=top - base, action=SmcccAction.FWD_TO_USER)
            self._set(self._vm, VmGroup.SMCCC_CTRL, 0, wanted)

    # -- the steps of a Realm -----------------------------------------------------------------------------------
    def configure(self, hash_algo: int, rpv: bytes, pmu_counters: int | None) -> None:
        """Say how the Realm is measured, whose it is, and what PMU it has."""
        word = hash_algo.to_bytes(4, "little")
        self._set(self._device, k.RealmGroup.CONFIG, k.RealmConfig.HASH_ALGO, word)
        self._set(self._device, k.RealmGroup.CONFIG, k.RealmConfig.RPV, rpv.ljust(64, b"\0"))
        if pmu_counters is not None:
            counters = pmu_counters.to_bytes(4, "little")
            self._set(self._device, k.RealmGroup.CONFIG, k.RealmConfig.PMU_COUNTERS, counters)

    def create(self) -> None:
        """Create the Realm."""
        self._set(self._device, k.RealmGroup.CONTROL, k.RealmControl.CREATE)

    def limit(self, limit: int, path: str) -> None:
        """Keep it within some bytes of granules, with a file for the rest."""
        name = path.encode("utf-8", "surrogateescape")
        address = self.main.put(name)
        value = k.RealmLimit.pack(limit=limit, path=address, length=len(name))
        self._set(self._device, k.RealmGroup.CONTROL, k.RealmControl.LIMIT, value)
        self.main.munmap(address, len(name))

    def add_memory(self) -> None:
        """Give the VM its memory."""
        region = s.KvmUserspaceMemoryRegion.pack(
            guest_phys_addr=self.base, memory_size=self.size, userspace_addr=self._memory
        )
        self._call(self._vm, KvmVm.SET_USER_MEMORY_REGION, region)

    def init_ripas(self) -> None:
        """Make it RAM for the Realm."""
        value = k.RmeInitRipas.pack(base=self.base, size=self.size)
        self._set(self._device, k.RealmGroup.CONTROL, k.RealmControl.INIT_RIPAS, value)

    def load(self, ipa: int, data: "bytes | bytearray | memoryview") -> None:
        """Put contents at a page; zeroes fill the last one. A Realm's are measured; a plain VM is complete before."""
        source = memoryview(data)
        for at in range(0, len(source), _BATCH * GRANULE_SIZE):
            part = source[at : at + _BATCH * GRANULE_SIZE]
            if not self.realm:
                size = (len(part) + _PAGE) & ~_PAGE
                mapped = bytearray(s.KvmPreFaultMemory.pack(gpa=ipa + at, size=size))
                self._call(self.vcpus[0].fd, KvmVcpu.PRE_FAULT_MEMORY, mapped)
            self.main.write(self._memory + ipa + at - self.base, part)
            if self.realm:
                size = (len(part) + _PAGE) & ~_PAGE
                value = k.RmePopulate.pack(base=ipa + at, size=size, flags=k.POPULATE_MEASURE)
                self._set(self._device, k.RealmGroup.CONTROL, k.RealmControl.POPULATE, value)

    def create_gic(self, distributor: int, redistributors: int) -> None:
        """A GICv3 with its frames at these IPAs."""
        self._gic = self._create_device(DeviceType.ARM_VGIC_V3)
        for attr, address in ((VgicAddr.DIST, distributor), (VgicAddr.REDIST, redistributors)):
            self._set(self._gic, VgicGroup.ADDR, attr, address.to_bytes(8, "little"))

    def create_vcpus(self, count: int, pc: int, gprs: Sequence[int]) -> None:
        """A thread for each vCPU: the first starts at ``pc`` with X0 and up, the others are off. The VM is complete."""
        kvm, made = self.main.open("/dev/kvm"), []
        size = self._call(kvm, KvmSystem.GET_VCPU_MMAP_SIZE)
        for index in range(count):
            thread = self.process.thread() if index else self.main
            fd = self._done(thread.ioctl(self._vm, KvmVm.CREATE_VCPU, index))
            features = 1 << VcpuFeature.PSCI_0_2 | (1 << VcpuFeature.POWER_OFF if index else 0)
            init = s.KvmVcpuInit.pack(target=TARGET_GENERIC_V8, features=[features, *[0] * 6])
            self._done(thread.ioctl(fd, KvmVcpu.ARM_VCPU_INIT, init))
            values = [(core("pc"), pc), *((gpr(number), value) for number, value in enumerate(gprs))]
            for identifier, value in () if index else values:
                self.main.write(self._scratch, value.to_bytes(8, "little"))
                argument = s.KvmOneReg.pack(id=identifier, addr=self._scratch)
                self._done(thread.ioctl(fd, KvmVcpu.SET_ONE_REG, argument))
            made.append((thread, index, fd, self._done(thread.mmap(size, fd))))
        self._set(self._gic, VgicGroup.CTRL, VgicCtrl.INIT)
        if self.realm:
            self._set(self._device, k.RealmGroup.CONTROL, k.RealmControl.ACTIVATE)
        else:
            self._make_plain(made[0][0], made[0][2], made[0][3])
        self.vcpus = [VcpuThread(*one) for one in made]

    def _make_plain(self, thread: Thread, fd: int, page: int) -> None:
        """A KVM_RUN that comes back at once: the kernel makes the VM."""
        thread.write(page + s.RUN_IMMEDIATE_EXIT, b"\1")
        answer = thread.ioctl(fd, KvmVcpu.RUN)
        thread.write(page + s.RUN_IMMEDIATE_EXIT, b"\0")
        if answer != -Errno.EINTR:
            self._done(answer)

    # -- what devices use ---------------------------------------------------------------------------------------
    def irq_line(self, intid: int, level: bool) -> None:
        """Set the input of an SPI."""
        self._call(self._vm, KvmVm.IRQ_LINE, _LINE.pack(IrqLine.make(type=IrqType.SPI, num=intid), level))

    def message(self, address: int, value: int) -> None:
        """A device writes a message: an interrupt if that is to the GIC, in either half of a Realm's IPAs."""
        place = address & ~self.half
        message = s.KvmMsi.pack(address_lo=place & 0xFFFF_FFFF, address_hi=place >> 32, data=value & 0xFFFF_FFFF)
        self.main.ioctl(self._vm, KvmVm.SIGNAL_MSI, message)  # EINVAL: it went nowhere

    def shared_page(self, address: int) -> int | None:
        """The PA of the page at ``address``, as the guest gives it to a device; None: it is not for devices."""
        half, offset = self.half, (address & ~self.half) - self.base
        if address & half != half or not 0 <= offset < self.size:
            return None
        return self.process.space.own(self._memory + offset)

    def show(self, ipa: int, value: int) -> None:
        """Let the guest read a byte at the start of a page that is no RAM, without an exit."""
        self._set(self._vm, k.VM_GROUP_SHOWN, ipa, value.to_bytes(4, "little"))

    def hide(self, ipa: int) -> None:
        """Show nothing there any more."""
        self.show(ipa, k.SHOWN_NOTHING)

    def give_back(self, base: int, top: int) -> None:
        """Return the memory of pages, by IPA, to the host; what a Realm has not given up stays."""
        low, high = max(base, self.base), min(top, self.base + self.size)
        if low < high:
            self._done(self.main.madvise(self._memory + low - self.base, high - low, Advice.DONTNEED))

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> DoorState:
        """State for a snapshot: all else is the kernel's."""
        return DoorState(
            pid=self.process.pid,
            vm=self._vm,
            memory=self._memory,
            scratch=self._scratch,
            vcpus=tuple(vcpu.save() for vcpu in self.vcpus),
        )

    @classmethod
    def restored(cls, system: Kernel, state: DoorState, realm: bool, ipa_width: int, base: int, size: int) -> "Door":
        """What :meth:`save` returned, on a host that has been restored."""
        process = Userspace.of(system).processes[state.pid]
        door = cls(process, realm, ipa_width, base, size)
        door._vm, door._memory, door._scratch = state.vm, state.memory, state.scratch
        door.vcpus = [
            VcpuThread(process.threads[one.tid], index, one.fd, one.page) for index, one in enumerate(state.vcpus)
        ]
        return door
