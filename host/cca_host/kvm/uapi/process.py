"""Host processes and their threads: the callers of the kernel."""

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn, Self

from cca_arch.errno import Errno
from cca_arch.types import Instructions, Ticks
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.uapi.files import Argument, Call, Descriptors, File, Target
from cca_host.kvm.uapi.kvm import Kvm
from cca_host.kvm.uapi.memory import AddressSpace
from cca_host.kvm.uapi.refusal import Refusal, UserFault, must
from cca_host.kvm.uapi.vcpu import VcpuTarget
from cca_host.kvm.uapi.vm import VmTarget
from cca_platform.errors import MachineError

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["Advice", "Process", "Thread"]


class Advice(IntEnum):
    """What madvise says (MADV_*)."""

    DONTNEED = 4
    """Free the pages, which stay mapped: the next access finds zeroes."""
    HUGEPAGE = 14
    """Have memory in pieces of 2 MiB: for memory of no file."""


class Process:
    """A process ``pid``: an address space, open files, and threads, the first of which is ``main``.

    ``devices`` are the files that it can open, by name; ``check`` raises MachineError if it is gone, and ``ended``
    hears when it goes.
    """

    def __init__(
        self,
        system: Kernel,
        pid: int,
        devices: dict[str, Target],
        check: Callable[["Process"], None],
        ended: Callable[["Process"], None],
    ) -> None:
        self.system = system
        self.pid = pid
        self.devices = devices
        self.check = check
        self._ended = ended
        self.space = AddressSpace(system)
        self.descriptors = Descriptors()
        self.threads: dict[int, Thread] = {}
        self._next = pid
        self.main = self.thread()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.exit()

    def thread(self) -> "Thread":
        """A new thread."""
        one = Thread(self, self._next)
        self._next += 1
        self.threads[one.tid] = one
        return one

    def restore_threads(self, tids: tuple[int, ...]) -> None:
        """Have these threads; those that there were stay the objects that they were."""
        had = self.threads
        self.threads = {tid: had.get(tid) or Thread(self, tid) for tid in tids}
        self._next = max(tids) + 1
        self.main = self.threads[min(tids)]

    def exit(self) -> None:
        """End the process: close all its files, unmap all its memory; a second time does nothing."""
        if self.threads:
            self.threads = {}
            self.descriptors.close_all()
            self.space.release()
            self._ended(self)


class Thread:
    """Thread ``tid`` of a process. Its system calls return ``-errno`` as the kernel does, and raise no exception."""

    def __init__(self, process: Process, tid: int) -> None:
        self.process = process
        self.tid = tid

    # -- system calls -----------------------------------------------------------------------------------------------
    def open(self, path: str) -> int:
        """Open /dev/kvm or /dev/rme; returns a descriptor, or ENOENT."""
        process = self._alive()
        target = process.devices.get(path)
        return self._answer(lambda: process.descriptors.install(_found(target)))

    def close(self, fd: int) -> int:
        """Close a descriptor."""
        process = self._alive()
        return self._answer(lambda: process.descriptors.close(fd))

    def dup(self, fd: int) -> int:
        """Another descriptor of the same open file."""
        descriptors = self._alive().descriptors
        return self._answer(lambda: descriptors.install(descriptors.get(fd)))

    def ioctl(self, fd: int, request: int, argument: Argument = 0) -> int:
        """A request to the file behind a descriptor.

        ``argument`` is a number, an address in the process, or in its place a buffer: one that can change
        (``bytearray``) if the kernel writes to it.
        """
        process = self._alive()
        file = process.descriptors.files.get(fd)
        if file is None:
            return -Errno.EBADF
        try:
            return file.ioctl(Call(process.space, process.descriptors, self.tid, request, argument))
        except Refusal as refused:
            return -refused.errno

    def mmap(self, size: int, fd: int | None = None, offset: int = 0) -> int:
        """Map zeroed memory, or a file; returns the address."""
        process = self._alive()

        def mapped() -> int:
            must(size > 0, Errno.EINVAL)
            file: File | None = None
            if fd is not None:
                file = process.descriptors.get(fd)
                file.target.check_mapping(offset, size)
            return process.space.map(size, file, offset)

        return self._answer(mapped)

    def munmap(self, address: int, size: int) -> int:
        """Unmap memory."""
        space = self._alive().space
        return self._answer(lambda: space.unmap(address, size))

    def madvise(self, address: int, size: int, advice: Advice) -> int:
        """Tell the kernel how memory is used."""
        space = self._alive().space
        if advice is Advice.HUGEPAGE:
            return self._answer(lambda: space.advise_huge(address))
        return self._answer(lambda: space.discard(address, size))

    def _answer(self, call: Callable[[], int | None]) -> int:
        try:
            return call() or 0
        except Refusal as refused:
            return -refused.errno

    def _alive(self) -> Process:
        self.process.check(self.process)
        return self.process

    # -- KVM_RUN as the scheduler sees it ---------------------------------------------------------------------------
    def vcpu(self, fd: int) -> VcpuTarget:
        """The vCPU of a descriptor, for the kernel's scheduler; raises MachineError if it is none of this thread."""
        file = self._alive().descriptors.files.get(fd)
        target = None if file is None else file.target
        if not isinstance(target, VcpuTarget) or target.tid != self.tid:
            raise MachineError(f"descriptor {fd} must be a vCPU of thread {self.tid}: create it there")
        return target

    def run(
        self,
        vcpu: VcpuTarget,
        pe: "Pe | None" = None,
        until: Ticks | None = None,
        limit: Instructions | None = None,
        alone: bool = False,
    ) -> int | None:
        """KVM_RUN under a scheduler: begin it, or go on with one that has not come back.

        Returns what KVM_RUN returns once it comes back. None means that the thread is still in it: ``vcpu.left`` says
        whether it waits, its turn is over, or it is paused. See :meth:`VcpuRun.run`.
        """
        try:
            return vcpu.run(pe, until, limit, alone)
        except Refusal as refused:
            return -refused.errno

    def kick(self, vcpu: VcpuTarget) -> int | None:
        """End what a vCPU does in its guest; returns what :meth:`run` would have."""
        try:
            return vcpu.kick()
        except Refusal as refused:
            return -refused.errno

    def vm(self, fd: int) -> Kvm:
        """The VM of a descriptor, for who looks at the kernel from outside."""
        file = self._alive().descriptors.files.get(fd)
        target = None if file is None else file.target
        if not isinstance(target, VmTarget):
            raise MachineError(f"descriptor {fd} must be a VM: create one")
        return target.kvm

    # -- what the process does itself -------------------------------------------------------------------------------
    def read(self, address: int, size: int) -> bytes:
        """Read memory of the process; raises UserFault where it would get a signal."""
        try:
            return self._alive().space.read(address, size)
        except Refusal as refused:
            self._fault(address, "read", refused)

    def write(self, address: int, data: "bytes | bytearray | memoryview") -> None:
        """Write memory of the process; raises UserFault where it would get a signal."""
        try:
            self._alive().space.write(address, data)
        except Refusal as refused:
            self._fault(address, "write", refused)

    def view(self, address: int, size: int) -> memoryview:
        """A live view, to read and to keep, of memory in one page: what kvm_run says, without a copy."""
        try:
            pa, _ = next(self._alive().space.pieces(address, size))
        except Refusal as refused:
            self._fault(address, "read", refused)
        return self.process.system.port.lend(pa, size)

    def _fault(self, address: int, wanted: str, refused: Refusal) -> NoReturn:
        """The signal that the process would get."""
        pid = self.process.pid
        if refused.__cause__ is not None:
            raise UserFault(f"process {pid} must not {wanted} {address:#x}: it is the Realm's, which granules protect")
        raise UserFault(f"process {pid} must have memory at {address:#x} to {wanted} it: map it")

    def put(self, data: "bytes | bytearray | memoryview") -> int:
        """Map new memory that holds ``data``; returns its address."""
        address = self.mmap(max(len(data), 1))
        self.write(address, data)
        return address


def _found(target: Target | None) -> Target:
    if target is None:
        raise Refusal(Errno.ENOENT)
    return target
