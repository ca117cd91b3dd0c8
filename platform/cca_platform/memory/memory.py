"""Physical memory: DRAM as one sparse mapping, and ports that reach it with a security state.

A :class:`Port` is a requester on the bus (firmware, RMM, host, a device): it names the physical address space of its
accesses and every access passes the granule protection check. What a port has been granted it keeps, as a TLB does,
until someone invalidates it (``tlbi_pa``). The one way around the check is ``memory.backdoor``, for debuggers and
tests.
"""

import ctypes
import mmap
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from cca_arch.types import Access, Gpi, Pas, SecurityState
from cca_platform.errors import BusError, GranuleProtectionFault, MachineError
from cca_platform.machine.board import Bank, Board
from cca_platform.mmu import gpt
from cca_platform.native import block as w

__all__ = ["Memory", "Port", "reserve"]

_PAGE = 4096
_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_MAY_USE = {
    SecurityState.SECURE: (Pas.SECURE, Pas.NON_SECURE),
    SecurityState.NON_SECURE: (Pas.NON_SECURE,),
    SecurityState.ROOT: tuple(Pas),
    SecurityState.REALM: (Pas.REALM, Pas.NON_SECURE),
}


class Requester(Protocol):
    """Something with a TLB of its own over physical addresses: a PE."""

    def tlbi_pages(self, first: int, count: int) -> None: ...


def reserve(size: int) -> mmap.mmap:
    """A zero-filled mapping of ``size`` bytes that takes host memory only where it is touched."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        return mmap.mmap(-1, size, flags=flags)
    except OSError as error:
        raise MachineError(f"{size >> 20} MiB of address space cannot be had ({error}): take a smaller board") from None


def _address(buffer: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Memory:
    """The DRAM of a board, its granule protection check, and the maps that snapshots and translation caches need.

    ``block`` is the machine block (see :mod:`cca_platform.native.block`) that native hooks share. ``boots`` counts
    resets; it and ``key_seed`` make the keys of memory encryption (see :mod:`cca_platform.memory.probe`).
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.pages = sum(bank.size for bank in board.banks) // _PAGE
        self.dram = reserve(self.pages * _PAGE)
        self.host = _address(self.dram)
        self.dirty = np.zeros(self.pages, np.uint8)
        self.executed = np.zeros(self.pages, np.uint8)
        self.shadow: mmap.mmap | None = None
        self.requesters: list[Requester] = []
        self.block = np.zeros(w.M_WORDS, np.int64)
        self.block[w.M_BANKS] = len(board.banks)
        self.block[w.M_DIRTY] = self.dirty.ctypes.data
        self.block[w.M_EXECUTED] = self.executed.ctypes.data
        self.block[w.M_PA_BITS] = board.pa_bits
        self._banks: list[tuple[int, int, int]] = []
        first = 0
        for index, bank in enumerate(board.banks):
            words = (bank.base, bank.size, self.host + first * _PAGE, first)
            self.block[w.M_BANK + 4 * index : w.M_BANK + 4 * index + 4] = words
            self._banks.append((bank.base, bank.base + bank.size, first * _PAGE - bank.base))
            first += bank.size // _PAGE
        self.boots = 0
        self.key_seed = b""
        self._gptbr = 0
        self._gpccr = 0
        self._ports: dict[object, Port] = {}
        self.backdoor = Port(self, None, Pas.ROOT)

    @property
    def block_address(self) -> int:
        """Host address of the machine block."""
        return int(self.block.ctypes.data)

    @property
    def shadow_address(self) -> int:
        """Host address of the pre-image area, 0 before the first snapshot."""
        return 0 if self.shadow is None else _address(self.shadow)

    @property
    def gptbr(self) -> int:
        """GPTBR_EL3, which EL3 gives the same value in every PE."""
        return self._gptbr

    @gptbr.setter
    def gptbr(self, value: int) -> None:
        self._gptbr = value
        self.block[w.M_GPTBR] = value

    @property
    def gpccr(self) -> int:
        """GPCCR_EL3, which EL3 gives the same value in every PE; bit 16 turns the check on."""
        return self._gpccr

    @gpccr.setter
    def gpccr(self, value: int) -> None:
        control = gpt.Gpccr(value)
        if control.pgs:
            raise MachineError(f"GPCCR_EL3.PGS must be 0 (4 KiB granules), not {control.pgs}")
        self._gpccr = value
        self.block[w.M_GPCCR] = value
        self.block[w.M_PPS_BITS] = gpt.PPS_BITS[control.pps]
        self.block[w.M_L0GPTSZ_BITS] = gpt.L0GPTSZ_BITS[control.l0gptsz]

    def port(self, state: SecurityState, pas: Pas | None = None) -> "Port":
        """The port of a security state into a physical address space (its own when ``pas`` is None)."""
        space = Pas(state) if pas is None else pas
        if space not in _MAY_USE[state]:
            raise ValueError(f"{state.name} state cannot make accesses in the {space.name} PAS")
        found = self._ports.get((state, space))
        if found is None:
            found = self._ports[state, space] = Port(self, state, space)
        return found

    def client(self, check: Callable[[int, Pas, Access], None]) -> "Port":
        """The Non-secure port of a requester that has a granule protection ``check`` of its own: an SMMU."""
        port = self._ports[check] = Port(self, SecurityState.NON_SECURE, Pas.NON_SECURE, check)
        return port

    def offset(self, pa: int) -> int:
        """Offset of ``pa`` in the DRAM mapping, or -1 when it is not DRAM."""
        for base, top, delta in self._banks:
            if base <= pa < top:
                return pa + delta
        return -1

    def page_index(self, pa: int) -> int:
        """Index of the page of ``pa`` in the page maps, or -1 when it is not DRAM."""
        return self.offset(pa) >> 12

    def page_address(self, index: int) -> int:
        """Physical address of the page with this index in the page maps."""
        for base, top, delta in self._banks:
            pa = index * _PAGE - delta
            if base <= pa < top:
                return pa
        raise ValueError(f"page index must be below {self.pages}, not {index}")

    def check(self, pa: int, pas: Pas, access: Access) -> None:
        """The granule protection check of one access; raises GranuleProtectionFault."""
        if not self._gpccr >> 16 & 1:
            return
        try:
            gpi, level = gpt.lookup(self._read_table, self._gptbr, self._gpccr, pa)
        except gpt.GptFault as fault:
            if fault.kind == "size" and pas == Pas.NON_SECURE:
                return  # addresses above the protected space are Non-secure
            raise GranuleProtectionFault(pa, pas, fault.level, access) from fault
        if gpi not in (8 | pas, Gpi.ANY):
            raise GranuleProtectionFault(pa, pas, level, access)

    def _read_table(self, pa: int) -> int:
        offset = self.offset(pa)
        if offset < 0:
            raise gpt.GptFault("walk", 0, pa)
        value: int = _U64.unpack_from(self.dram, offset)[0]
        return value

    def probe(self, pa: int, size: int) -> bytes:
        """What a probe on the memory bus sees at ``pa``: ciphertext under the key of the granule's PAS.

        BusError where there is no DRAM.
        """
        from cca_platform.memory.probe import ciphertext

        return ciphertext(self, pa, size)

    def tlbi_pa(self, pa: int, size: int) -> None:
        """TLBI RPA(LOS): drop what ports and PEs remember of ``size`` bytes at ``pa``."""
        first = self.page_index(pa)
        for page in range(pa >> 12, (pa + size + 0xFFF) >> 12):
            for port in self._ports.values():
                port.tlb.pop(page, None)
        if first >= 0:
            for requester in self.requesters:
                requester.tlbi_pages(first, (size + 0xFFF) >> 12)

    def tlbi_paall(self) -> None:
        """TLBI PAALL: drop everything that ports and PEs remember of granule protection."""
        for port in self._ports.values():
            port.tlb.clear()
        for requester in self.requesters:
            requester.tlbi_pages(0, self.pages)

    def touch(self, index: int) -> None:
        """Account for a write to the page with this index, as the write fill of a PE does."""
        if not self.dirty[index]:
            if self.shadow is not None:
                start = index * _PAGE
                self.shadow[start : start + _PAGE] = self.dram[start : start + _PAGE]
            self.dirty[index] = 1
        if self.executed[index]:
            self.block[w.M_CODE_WRITTEN] = 1

    def lose(self, kept: Sequence[Bank]) -> None:
        """A reset: no protection, new keys, and DRAM is zero but for Non-secure pages in ``kept``.

        Every page that is not zero must be among the dirty ones, and nothing may hold a translation.
        """
        lost = self.dirty != 0
        for bank in kept:
            first = self.page_index(bank.base)
            pages = lost[first : first + bank.size // _PAGE]
            for page in np.flatnonzero(pages).tolist():
                pages[page] = not self._is_ns(bank.base + page * _PAGE)
        edges = np.flatnonzero(np.diff(lost.view(np.int8), prepend=0, append=0)).tolist()
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            ctypes.memset(self.host + start * _PAGE, 0, (stop - start) * _PAGE)
        self.executed.fill(0)
        self.gptbr = self.gpccr = 0
        self.boots += 1
        self.tlbi_paall()

    def _is_ns(self, pa: int) -> bool:
        try:
            self.check(pa, Pas.NON_SECURE, Access.READ)
        except GranuleProtectionFault:
            return False
        return True

    def close(self) -> None:
        """Give the memory back; nothing may use it afterwards."""
        for port in (*self._ports.values(), self.backdoor):
            port.release()
        self._ports.clear()


class Port:
    """A requester's way into memory: a security state and the PAS of its accesses.

    Every method takes physical addresses. ``GranuleProtectionFault`` when the granule is in another PAS, ``BusError``
    where nothing answers. ``check`` is the granule protection check, by default that of the PEs.
    """

    def __init__(
        self,
        memory: Memory,
        state: SecurityState | None,
        pas: Pas,
        check: Callable[[int, Pas, Access], None] | None = None,
    ) -> None:
        self.memory = memory
        self._check = memory.check if check is None else check
        self.state = state
        self.pas = pas
        self.tlb: dict[int, int] = {}
        self._dram = memory.dram
        self._bytes = memoryview(memory.dram)
        self._words = self._bytes.cast("Q")
        self._dirty = memoryview(memory.dirty.data)
        self._executed = memoryview(memory.executed.data)

    def __repr__(self) -> str:
        return f"Port({'backdoor' if self.state is None else self.state.name}, {self.pas.name})"

    def release(self) -> None:
        """Let go of the mapping."""
        self.tlb.clear()
        self._words.release()
        self._bytes.release()
        self._dirty.release()
        self._executed.release()

    def _find(self, pa: int, access: Access) -> int:
        """Offset in DRAM of ``pa``, after the granule protection check."""
        offset = self.tlb.get(pa >> 12)
        if offset is None:
            if self.state is not None:
                self._check(pa, self.pas, access)
            offset = self.memory.offset(pa & ~0xFFF)
            if offset < 0:
                raise BusError(pa, access)
            self.tlb[pa >> 12] = offset
        return offset + (pa & 0xFFF)

    def _find_write(self, pa: int) -> int:
        offset = self.tlb.get(pa >> 12)
        offset = self._find(pa, Access.WRITE) if offset is None else offset + (pa & 0xFFF)
        page = offset >> 12
        if not self._dirty[page] or self._executed[page]:
            self.memory.touch(page)
        return offset

    def _parts(self, pa: int, size: int) -> list[tuple[int, int, int]]:
        """(PA, position, length) of each page of a range."""
        parts, at = [], pa
        while at < pa + size:
            length = min(_PAGE - (at & 0xFFF), pa + size - at)
            parts.append((at, at - pa, length))
            at += length
        return parts

    def read(self, pa: int, size: int) -> bytes:
        """``size`` bytes at ``pa``."""
        start = pa & 0xFFF
        if start + size > _PAGE:
            return b"".join(self.read(at, length) for at, _, length in self._parts(pa, size))
        offset = self.tlb.get(pa >> 12)
        start = self._find(pa, Access.READ) if offset is None else offset + start
        return self._dram[start : start + size]

    def write(self, pa: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` at ``pa``; a fault in the middle of a range leaves the pages before it written."""
        size, start = len(data), pa & 0xFFF
        if start + size > _PAGE:
            source = memoryview(data)
            for at, position, length in self._parts(pa, size):
                self.write(at, source[position : position + length])
            return
        offset = self.tlb.get(pa >> 12)
        start = self._find(pa, Access.WRITE) if offset is None else offset + start
        page = start >> 12
        if not self._dirty[page] or self._executed[page]:
            self.memory.touch(page)
        self._bytes[start : start + size] = data

    def zero(self, pa: int, size: int) -> None:
        """Write zeroes."""
        for at, _, length in self._parts(pa, size):
            start = self._find_write(at)
            self._bytes[start : start + length] = _ZEROES[:length]

    def view(self, pa: int, size: int) -> memoryview:
        """A read-only live view of ``size`` bytes that do not cross a page."""
        if (pa & 0xFFF) + size > _PAGE:
            raise ValueError(f"a view must stay inside one page, not {size:#x} bytes at {pa:#x}")
        start = self._find(pa, Access.READ)
        return self._bytes[start : start + size].toreadonly()

    def host_address(self, pa: int, size: int, write: bool = True) -> int:
        """Host address of ``size`` bytes in consecutive pages of one bank, for bulk transfers; counts as a write."""
        if (pa & 0xFFF) + size <= _PAGE:
            return self.memory.host + (self._find_write(pa) if write else self._find(pa, Access.READ))
        parts = self._parts(pa, size)
        offsets = [self._find_write(at) if write else self._find(at, Access.READ) for at, _, _ in parts]
        return self.memory.host + offsets[0]

    def read64(self, pa: int) -> int:
        """An aligned or unaligned 64-bit little-endian word."""
        if pa & 7:
            return int.from_bytes(self.read(pa, 8), "little")
        offset = self.tlb.get(pa >> 12)
        if offset is None:
            offset = self._find(pa, Access.READ) & ~0xFFF
        return self._words[(offset + (pa & 0xFFF)) >> 3]

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
        """A 32-bit little-endian word."""
        return int.from_bytes(self.read(pa, 4), "little")

    def write32(self, pa: int, value: int) -> None:
        """Write a 32-bit little-endian word."""
        self.write(pa, _U32.pack(value))

    def read16(self, pa: int) -> int:
        """A 16-bit little-endian word."""
        return int.from_bytes(self.read(pa, 2), "little")

    def write16(self, pa: int, value: int) -> None:
        """Write a 16-bit little-endian word."""
        self.write(pa, _U16.pack(value))

    def read8(self, pa: int) -> int:
        """A byte."""
        offset = self.tlb.get(pa >> 12)
        if offset is None:
            offset = self._find(pa, Access.READ) & ~0xFFF
        return self._bytes[offset + (pa & 0xFFF)]

    def write8(self, pa: int, value: int) -> None:
        """Write a byte."""
        self._bytes[self._find_write(pa)] = value


_ZEROES = memoryview(bytes(_PAGE))
