"""Ports: the accesses of requesters to memory, each with a security state, subject to the granule protection check."""

import struct
from collections.abc import Callable, Iterable
from typing import Final
from weakref import WeakValueDictionary

from cca_arch.types import Access, Pas, SecurityState
from cca_platform.errors import BusError, Closed, GranuleProtectionFault
from cca_platform.memory.dram import PAGE, Dram
from cca_platform.mmu.stage2 import descend

__all__ = ["Port"]

_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_ZERO_PAGE: Final = bytes(PAGE)
_ZEROES: Final = memoryview(_ZERO_PAGE)


class Port:
    """A requester's access to memory: a security state and the PAS of its accesses.

    Methods take physical addresses. They raise ``GranuleProtectionFault`` if the granule is in another PAS, and
    ``BusError`` if nothing responds. ``check`` is the granule protection check; None for the backdoor, which has none.
    """

    def __init__(
        self,
        memory: Dram,
        state: SecurityState | None,
        pas: Pas,
        check: Callable[[int, Pas, Access], None] | None,
    ) -> None:
        self.memory = memory
        self._check = check
        self.state = state
        self.pas = pas
        self._space, self._machine = int(pas), memory.block_address
        self.tlb: dict[int, int] = {}
        """What was granted: the number of a page, and what makes offsets in DRAM of the addresses in it."""
        self._dram, self._host = memory.dram, memory.host
        self._bytes = memoryview(memory.dram)
        self._words = self._bytes.cast("Q")
        self._dirty = memoryview(memory.dirty)
        self._executed = memoryview(memory.executed)
        self._lent: WeakValueDictionary[int, memoryview] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"Port({'backdoor' if self.state is None else self.state.name}, {self.pas.name})"

    def release(self) -> None:
        """Release the mapping, and what :meth:`words` has lent."""
        self.tlb.clear()
        for view in self._lent.values():
            view.release()
        self._words.release()
        self._bytes.release()
        self._dirty.release()
        self._executed.release()

    def _find(self, pa: int, access: Access) -> int:
        """Check granule protection and return the offset of ``pa`` in DRAM."""
        delta = self.tlb.get(pa >> 12)
        if delta is not None:
            return pa + delta
        if self.memory.closed:
            raise Closed("an access to its memory")
        if self._check is not None:
            self._check(pa, self.pas, access)
        offset = self.memory.offset(pa)
        if offset < 0:
            raise BusError(pa, access)
        self.tlb[pa >> 12] = offset - pa
        return offset

    def _find_write(self, pa: int) -> int:
        delta = self.tlb.get(pa >> 12)
        offset = self._find(pa, Access.WRITE) if delta is None else pa + delta
        page = offset >> 12
        if not self._dirty[page] or self._executed[page]:
            self.memory.touch(page)
        return offset

    def _parts(self, pa: int, size: int) -> list[tuple[int, int, int]]:
        """(PA, position, length) of each page of a range."""
        parts, at = [], pa
        while at < pa + size:
            length = min(PAGE - (at & 0xFFF), pa + size - at)
            parts.append((at, at - pa, length))
            at += length
        return parts

    def read(self, pa: int, size: int) -> bytes:
        """Read ``size`` bytes at ``pa``."""
        if (pa & 0xFFF) + size > PAGE:
            return b"".join(self.read(at, length) for at, _, length in self._parts(pa, size))
        delta = self.tlb.get(pa >> 12)
        start = self._find(pa, Access.READ) if delta is None else pa + delta
        return self._dram[start : start + size]

    def write(self, pa: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` at ``pa``; a fault in the middle of a range leaves the preceding pages written."""
        size = len(data)
        if (pa & 0xFFF) + size > PAGE:
            source = memoryview(data)
            for at, position, length in self._parts(pa, size):
                self.write(at, source[position : position + length])
            return
        delta = self.tlb.get(pa >> 12)
        start = self._find(pa, Access.WRITE) if delta is None else pa + delta
        page = start >> 12
        if not self._dirty[page] or self._executed[page]:
            self.memory.touch(page)
        self._bytes[start : start + size] = data

    def zero(self, pa: int, size: int) -> None:
        """Write zeroes."""
        if size == PAGE and not pa & 0xFFF:
            start = self._find_write(pa)
            self._bytes[start : start + PAGE] = _ZEROES
            return
        for at, _, length in self._parts(pa, size):
            start = self._find_write(at)
            self._bytes[start : start + length] = _ZEROES[:length]

    def clear(self, pa: int, size: int) -> None:
        """Let whole pages be zero. Those that are so already are not written, and take no memory of the computer."""
        for at in range(pa, pa + size, PAGE):
            start = self._find(at, Access.WRITE)
            if self._dram[start : start + PAGE] != _ZERO_PAGE:
                self.zero(at, PAGE)

    def view(self, pa: int, size: int) -> memoryview:
        """A read-only live view of ``size`` bytes that do not cross a page."""
        if (pa & 0xFFF) + size > PAGE:
            raise ValueError(f"a view must stay inside one page, not {size:#x} bytes at {pa:#x}")
        start = self._find(pa, Access.READ)
        return self._bytes[start : start + size].toreadonly()

    def words(self, pa: int, size: int) -> memoryview:
        """A view of 64-bit words, as :meth:`view`, to keep: it is released with the port at the latest."""
        return self._lend(self.view(pa, size).cast("Q"))

    def lend(self, pa: int, size: int) -> memoryview:
        """A read-only live view of bytes to keep, as :meth:`words`, of consecutive pages that this port never loses."""
        start = self.host_address(pa, size, write=False) - self.memory.host
        return self._lend(self._bytes[start : start + size].toreadonly())

    def _lend(self, view: memoryview) -> memoryview:
        self._lent[id(view)] = view
        return view

    def descend(self, pa: int, level: int, target: int, ipa: int) -> int:
        """Follow the stage 2 tables for ``ipa`` from the entry at ``pa``, which is of ``level``, down to ``target``.

        Returns the PA of the entry at which that ends, plus its level.
        """
        found = descend(self._machine, self._space, pa, level, target, ipa)
        if found < 0:
            raise GranuleProtectionFault(pa, self.pas, level, Access.READ)
        return found

    def host_address(self, pa: int, size: int, write: bool = True) -> int:
        """Host address of ``size`` bytes in consecutive pages of one bank, for bulk transfers; counts as a write."""
        if (pa & 0xFFF) + size <= PAGE:
            return self._host + (self._find_write(pa) if write else self._find(pa, Access.READ))
        parts = self._parts(pa, size)
        offsets = [self._find_write(at) if write else self._find(at, Access.READ) for at, _, _ in parts]
        return self._host + offsets[0]

    def read64(self, pa: int) -> int:
        """Read a 64-bit little-endian word, aligned or unaligned."""
        if pa & 7:
            return int.from_bytes(self.read(pa, 8), "little")
        delta = self.tlb.get(pa >> 12)
        return self._words[(self._find(pa, Access.READ) if delta is None else pa + delta) >> 3]

    def write64(self, pa: int, value: int) -> None:
        """Write a 64-bit little-endian word."""
        if pa & 7:
            self.write(pa, _U64.pack(value))
            return
        self._words[self._find_write(pa) >> 3] = value

    def write_words(self, pa: int, words: Iterable[tuple[int, int]]) -> None:
        """Write 64-bit words, each given by its number from the aligned ``pa`` on, all in one page."""
        first, memory = self._find_write(pa) >> 3, self._words
        for number, value in words:
            memory[first + number] = value

    def read32(self, pa: int) -> int:
        """Read a 32-bit little-endian word."""
        return int.from_bytes(self.read(pa, 4), "little")

    def write32(self, pa: int, value: int) -> None:
        """Write a 32-bit little-endian word."""
        self.write(pa, _U32.pack(value))

    def read16(self, pa: int) -> int:
        """Read a 16-bit little-endian word."""
        return int.from_bytes(self.read(pa, 2), "little")

    def write16(self, pa: int, value: int) -> None:
        """Write a 16-bit little-endian word."""
        self.write(pa, _U16.pack(value))

    def read8(self, pa: int) -> int:
        """A byte."""
        delta = self.tlb.get(pa >> 12)
        return self._bytes[self._find(pa, Access.READ) if delta is None else pa + delta]

    def write8(self, pa: int, value: int) -> None:
        """Write a byte."""
        self._bytes[self._find_write(pa)] = value
