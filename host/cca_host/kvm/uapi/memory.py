"""The address space of a host process: what is mapped where, and the pages behind it."""

from collections.abc import Iterator
from typing import Final, Protocol

from msgspec import Struct

from cca_arch.errno import Errno
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.pagemap import PageMap
from cca_host.kvm.pages import RUN
from cca_host.kvm.uapi.refusal import Refusal, must
from cca_platform.errors import GranuleProtectionFault, MachineError
from cca_platform.state import State

__all__ = ["AddressSpace", "AddressSpaceState", "Mapped", "Mapping", "MappingState", "Watcher"]

_FIRST: Final = 0x7F00_0000_0000
_LAST: Final = 1 << 47
_PIECE: Final = RUN * GRANULE_SIZE
_PAGE_MASK: Final = GRANULE_SIZE - 1


class Mapped(Protocol):
    """A file that can be mapped."""

    references: int

    def page(self, space: "AddressSpace", address: int, offset: int) -> int | None:
        """The PA of the page at an offset in the file; None if the address space has it itself."""

    def put(self) -> None:
        """Drop a reference to the file."""


class Watcher(Protocol):
    """Somebody who uses pages of an address space: a VM."""

    def unmapped(self, base: int, top: int) -> None:
        """The pages between two addresses are about to go."""


class Mapping(Struct):
    """``size`` bytes at ``base`` of ``file`` from ``offset`` on; of no file if it is anonymous."""

    base: int
    size: int
    file: Mapped | None
    offset: int
    huge: bool = False
    """Memory comes in pieces of 2 MiB, where it can."""

    @property
    def top(self) -> int:
        """The first address after it."""
        return self.base + self.size


class MappingState(State, frozen=True, tag="host.mapping/1"):
    """Saved state of a :class:`Mapping`; ``file`` is the number of an open file."""

    base: int
    size: int
    file: int | None
    offset: int
    huge: bool


class AddressSpaceState(State, frozen=True, tag="host.address-space/1"):
    """Saved state of an :class:`AddressSpace`; ``pages`` as :class:`PageMap` saves them."""

    mappings: tuple[MappingState, ...]
    pages: dict[int, bytes]
    next: int


class AddressSpace:
    """The memory of one process, in pages of the host; a page exists from its first access on.

    Addresses depend only on the order of the requests, and are never given out again. ``watchers`` are the VMs whose
    memory lies here.
    """

    def __init__(self, system: Kernel) -> None:
        self.system = system
        self.mappings: list[Mapping] = []
        self.pages = PageMap()
        """The pages that the process has of its own."""
        self.watchers: list[Watcher] = []
        self._next = _FIRST

    # -- mappings -----------------------------------------------------------------------------------------------
    def map(self, size: int, file: Mapped | None = None, offset: int = 0) -> int:
        """Map ``size`` bytes, rounded up to pages; returns the address."""
        must(size > 0 and offset >= 0 and not offset & _PAGE_MASK, Errno.EINVAL)
        size = -(-size // GRANULE_SIZE) * GRANULE_SIZE
        must(size <= _LAST - self._next, Errno.ENOMEM)
        piece = _PIECE if size >= _PIECE else GRANULE_SIZE
        base = -(-self._next // piece) * piece
        self._next = base + size + GRANULE_SIZE  # a page between two mappings belongs to nobody
        if file is not None:
            file.references += 1
        self.mappings.append(Mapping(base, size, file, offset))
        return base

    def unmap(self, base: int, size: int) -> None:
        """Unmap what there is between two addresses; the rest of a mapping stays."""
        must(size > 0 and base >= 0 and not base & _PAGE_MASK and base + size <= _LAST, Errno.EINVAL)
        top = base + -(-size // GRANULE_SIZE) * GRANULE_SIZE
        kept: list[Mapping] = []
        for one in self.mappings:
            if one.top <= base or top <= one.base:
                kept.append(one)
                continue
            kept += self._cut(one, base, top)
            self._drop(max(base, one.base), min(top, one.top))
            if one.file is not None:
                one.file.put()
        self.mappings = kept

    def advise_huge(self, base: int) -> None:
        """Let the mapping at ``base`` have memory in pieces of 2 MiB."""
        mapping = self.find(base)
        must(mapping is not None and mapping.file is None, Errno.EINVAL)
        assert mapping is not None
        mapping.huge = True

    def discard(self, base: int, size: int) -> None:
        """Free the process's own pages between two addresses, which stay mapped: the next access finds zeroes."""
        must(size >= 0 and base >= 0 and not base & _PAGE_MASK and base + size <= _LAST, Errno.EINVAL)
        top = base + -(-size // GRANULE_SIZE) * GRANULE_SIZE
        for address in range(base, top, GRANULE_SIZE):
            must(self.find(address) is not None, Errno.ENOMEM)
        self._drop(base, top)

    def _cut(self, one: Mapping, base: int, top: int) -> Iterator[Mapping]:
        """What is left of a mapping, with references of its own."""
        for low, high in ((one.base, base), (top, one.top)):
            if low < high:
                if one.file is not None:
                    one.file.references += 1
                yield Mapping(low, high - low, one.file, one.offset + low - one.base, one.huge)

    def _drop(self, base: int, top: int) -> None:
        for watcher in list(self.watchers):
            watcher.unmapped(base, top)
        for address in [one for one in self.pages if base <= one < top]:
            self.drop(address)

    def drop(self, address: int) -> None:
        """Free the process's own page at ``address``; the next access finds a new one."""
        pa = self.pages.pop(address)
        if pa is not None:
            self.system.pages.give(pa)

    def release(self) -> None:
        """Unmap everything, the last first: a VM goes with the pages of its vCPUs, before its memory does."""
        for one in list(reversed(self.mappings)):
            self.unmap(one.base, one.size)

    def find(self, address: int) -> Mapping | None:
        """The mapping at ``address``."""
        for one in self.mappings:
            if one.base <= address < one.top:
                return one
        return None

    # -- pages --------------------------------------------------------------------------------------------------
    def page(self, address: int) -> int:
        """The PA of the page at an address, which is mapped to a zeroed one if it has none."""
        address &= ~_PAGE_MASK
        pa = self.pages.get(address)
        mapping = None if pa is not None else self.find(address)
        if pa is None and mapping is None:
            raise Refusal(Errno.EFAULT)
        if mapping is not None and mapping.file is not None:
            pa = mapping.file.page(self, address, mapping.offset + address - mapping.base)
        if pa is None and mapping is not None and mapping.huge:
            block = self.block(address & -_PIECE, RUN)
            pa = None if block is None else block + (address & _PIECE - 1)
        if pa is None:
            pa = self._new(address)
        return pa

    def own(self, address: int) -> int:
        """The PA of the process's own page at an address, whatever of a Realm it shows there.

        A VM touches it: a new page is one of those that VMs get.
        """
        address &= ~_PAGE_MASK
        pa = self.pages.get(address)
        if pa is not None:
            return pa
        must(self.find(address) is not None, Errno.EFAULT)
        return self._new(address, guest=True)

    def _new(self, address: int, guest: bool = False) -> int:
        system = self.system
        try:
            pa = system.pages.take() if guest else system.pages.take_high()
        except MachineError:
            if guest:  # which is the VM's trouble, not the process's
                raise
            raise Refusal(Errno.ENOMEM) from None
        system.port.zero(pa, GRANULE_SIZE)
        self.pages[address] = pa
        return pa

    def block(self, address: int, count: int) -> int | None:
        """The PA of ``count`` pages in one piece, new ones if none of them is there; None if there is no such piece."""
        mapping = self.find(address)
        top = address + count * GRANULE_SIZE
        if mapping is None or mapping.file is not None or mapping.top < top:
            return None
        there = [self.pages.get(page) for page in range(address, top, GRANULE_SIZE)]
        if any(pa is not None for pa in there):
            first = there[0]
            whole = first is not None and there == list(range(first, first + top - address, GRANULE_SIZE))
            return first if whole and first is not None and not first % (top - address) else None
        try:
            pa = self.system.pages.take_run(count)
        except MachineError:
            return None
        self.system.port.clear(pa, count * GRANULE_SIZE)
        for number in range(count):
            self.pages[address + number * GRANULE_SIZE] = pa + number * GRANULE_SIZE
        return pa

    def pieces(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        """(PA, size) of each piece of ``size`` bytes that lies in one page."""
        while size > 0:
            length = min(GRANULE_SIZE - (address & _PAGE_MASK), size)
            yield self.page(address) + (address & _PAGE_MASK), length
            address, size = address + length, size - length

    def read(self, address: int, size: int) -> bytes:
        """Read as the kernel does for a system call: EFAULT if the process may not."""
        port = self.system.port
        try:
            return b"".join(port.read(pa, length) for pa, length in self.pieces(address, size))
        except GranuleProtectionFault as fault:
            raise Refusal(Errno.EFAULT) from fault

    def write(self, address: int, data: "bytes | bytearray | memoryview") -> None:
        """Write as the kernel does for a system call: EFAULT if the process may not."""
        port, at, source = self.system.port, 0, memoryview(data)
        try:
            for pa, length in self.pieces(address, len(source)):
                port.write(pa, source[at : at + length])
                at += length
        except GranuleProtectionFault as fault:
            raise Refusal(Errno.EFAULT) from fault

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self, numbers: dict[int, int]) -> AddressSpaceState:
        """State for a snapshot; ``numbers`` has that of each open file, by its identity."""
        return AddressSpaceState(
            mappings=tuple(
                MappingState(
                    one.base, one.size, None if one.file is None else numbers[id(one.file)], one.offset, one.huge
                )
                for one in self.mappings
            ),
            pages=self.pages.save(),
            next=self._next,
        )

    def restore(self, state: AddressSpaceState, files: "list[Mapped]") -> None:
        """Restore what :meth:`save` returned, with the open files by number."""
        self.mappings = []
        for one in state.mappings:
            file = None if one.file is None else files[one.file]
            if file is not None:
                file.references += 1
            self.mappings.append(Mapping(one.base, one.size, file, one.offset, one.huge))
        self.pages.restore(state.pages)
        self._next = state.next
