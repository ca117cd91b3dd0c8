"""Open files, the descriptors of a process that name them, and a system call on its way to one."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from cca_arch.errno import Errno
from cca_arch.fields import Record, Struct
from cca_host.kvm.uapi.memory import AddressSpace
from cca_host.kvm.uapi.refusal import Refusal, must

__all__ = ["Argument", "Call", "Descriptors", "File", "Row", "Target", "rows"]

Argument = int | bytes | bytearray | memoryview
"""What an ioctl gets beside its number: a number or an address, or a buffer in place of an address."""
_FIRST: Final = 3  # the standard streams are not of this world
_LIMIT: Final = 1024


class Row(NamedTuple):
    """An ioctl: its number, what its argument points to (or is, in a word), who answers, and how it can fail.

    The errors of the file itself come on top: see :meth:`Target.admit`.
    """

    request: IntEnum
    argument: Struct | int | str | None
    answer: Callable[[Any, "Call"], int]
    errors: tuple[Errno, ...] = ()

    @property
    def size(self) -> int:
        """The bytes that the argument points to; 0 if it is a number."""
        if isinstance(self.argument, Struct):
            return self.argument.size
        return self.argument if isinstance(self.argument, int) else 0


def rows(*table: Row) -> dict[int, Row]:
    """A table by request."""
    found = {int(row.request): row for row in table}
    assert len(found) == len(table), "every request has one row"
    return found


class Target:
    """What an open file is of: a device of the kernel, a VM, a vCPU, a device of a VM, memory of a guest."""

    kind: str
    """Its name in errors and in the reference."""
    requests: Mapping[int, Row] = MappingProxyType({})
    unknown = Errno.ENOTTY
    """What a request that it does not know gives."""

    def admit(self, call: "Call") -> None:
        """Refuse a caller to whom it does not belong."""

    def page(self, space: AddressSpace, address: int, offset: int) -> int | None:
        """The PA of a mapped page; None if the process has it itself."""
        raise NotImplementedError

    def check_mapping(self, offset: int, size: int) -> None:
        """Refuse a mapping that cannot be."""
        raise Refusal(Errno.ENODEV)

    def closed(self) -> None:
        """The last reference to the open file is gone."""


class File:
    """An open file: ``references`` counts descriptors and mappings."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.references = 0

    def page(self, space: AddressSpace, address: int, offset: int) -> int | None:
        """The PA of a mapped page; None if the process has it itself."""
        return self.target.page(space, address, offset)

    def put(self) -> None:
        """Drop a reference; the last one closes the file."""
        self.references -= 1
        if not self.references:
            self.target.closed()

    def ioctl(self, call: "Call") -> int:
        """Answer a request; raises Refusal."""
        target = self.target
        row = target.requests.get(call.request)
        target.admit(call)
        if row is None:
            raise Refusal(target.unknown)
        return row.answer(target, call)


class Descriptors:
    """The open files of a process by descriptor: a new one gets the lowest free number."""

    def __init__(self) -> None:
        self.files: dict[int, File] = {}

    def install(self, target: "Target | File") -> int:
        """Give a new open file of ``target``, or one that is open, a descriptor."""
        fd = _FIRST
        while fd in self.files:
            fd += 1
        must(fd < _LIMIT, Errno.EMFILE)
        file = target if isinstance(target, File) else File(target)
        file.references += 1
        self.files[fd] = file
        return fd

    def get(self, fd: int) -> File:
        """The open file of a descriptor."""
        file = self.files.get(fd)
        if file is None:
            raise Refusal(Errno.EBADF)
        return file

    def close(self, fd: int) -> None:
        """Free a descriptor."""
        self.get(fd).put()
        del self.files[fd]

    def close_all(self) -> None:
        """Free all, the lowest first."""
        for fd in sorted(self.files):
            self.close(fd)


class Call:
    """An ioctl of thread ``tid``: its request, its argument, and copies from and to the memory of its process."""

    __slots__ = ("argument", "descriptors", "request", "space", "tid")

    def __init__(
        self, space: AddressSpace, descriptors: Descriptors, tid: int, request: int, argument: Argument
    ) -> None:
        self.space = space
        self.descriptors = descriptors
        self.tid = tid
        self.request = request & 0xFFFF_FFFF
        self.argument = argument

    @property
    def number(self) -> int:
        """The argument as a number; no request takes a buffer for one."""
        if not isinstance(self.argument, int):
            raise Refusal(Errno.EINVAL)
        return self.argument & (1 << 64) - 1

    def read(self, size: int) -> bytes:
        """What the argument points to."""
        if isinstance(self.argument, int):
            return self.space.read(self.argument, size)
        must(len(self.argument) >= size, Errno.EFAULT)
        return bytes(self.argument[:size])

    def take(self, structure: Struct) -> Record:
        """The structure that the argument points to."""
        return structure.unpack(self.read(structure.size))

    def write(self, data: bytes) -> None:
        """Write to where the argument points; a buffer has to be one that can change."""
        argument = self.argument
        if isinstance(argument, int):
            self.space.write(argument, data)
            return
        must(isinstance(argument, bytearray | memoryview) and len(argument) >= len(data), Errno.EFAULT)
        assert isinstance(argument, bytearray | memoryview)
        try:
            argument[: len(data)] = data
        except TypeError:  # a view of what cannot change
            raise Refusal(Errno.EFAULT) from None
