"""DRAM as one sparse mapping, and the page maps for snapshots and translation caches."""

import mmap
import sys
from collections.abc import Iterator
from typing import Final

from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.memory.words import address_of, page_map, words
from cca_platform.native import block as w

__all__ = ["PAGE", "Dram", "marked", "reserve"]

PAGE: Final = 4096
_NORESERVE: Final = 0x4000 if sys.platform == "linux" else 0  # MAP_NORESERVE, which Python before 3.13 does not name
_NOT_REWRITTEN: Final = bytes(0 if known & w.REWRITTEN else known for known in range(256))


def marked(pages: memoryview) -> Iterator[int]:
    """The numbers of the bytes that are 1."""
    found = pages.tobytes()
    page = -1
    while (page := found.find(1, page + 1)) >= 0:
        yield page


def reserve(size: int) -> mmap.mmap:
    """A zero-filled mapping of ``size`` bytes that uses host memory only where it is accessed.

    It is not accounted: two of them side by side may be larger than the host's memory, and the process can still fork.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
    try:
        return mmap.mmap(-1, size, flags=flags)
    except OSError as error:
        raise MachineError(f"{size >> 20} MiB of address space cannot be had ({error}): take a smaller board") from None


class Dram:
    """The DRAM of a board: host memory behind physical addresses, by banks.

    ``block`` is the machine block (see :mod:`cca_platform.native.block`) that native hooks share. ``dirty`` has one
    byte per page: 1 if it was written since the last snapshot (:meth:`written`). ``executed`` is not 0 if a PE
    may have translated code of the page. ``shadow`` takes the pre-images of written pages, from the first snapshot on.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.pages = sum(bank.size for bank in board.banks) // PAGE
        self.dram = reserve(self.pages * PAGE)
        self.host = address_of(self.dram)
        self.dirty = page_map(self.pages)
        self._log = words(1 + w.LOGGED)
        self.executed = page_map(self.pages)
        self.shadow: mmap.mmap | None = None
        self.block = words(w.M_WORDS)
        self.block[w.M_BANKS] = len(board.banks)
        self.block[w.M_DIRTY] = address_of(self.dirty)
        self.block[w.M_LOG] = address_of(self._log)
        self.block[w.M_EXECUTED] = address_of(self.executed)
        self.block[w.M_PA_BITS] = board.pa_bits
        self.block[w.M_PER_TICK] = board.instructions_per_tick
        self._banks: list[tuple[int, int, int]] = []
        first = 0
        for index, bank in enumerate(board.banks):
            row = (bank.base, bank.size, self.host + first * PAGE, first)
            self.block[w.M_BANK + 4 * index : w.M_BANK + 4 * index + 4] = words(len(row), row)
            self._banks.append((bank.base, bank.base + bank.size, first * PAGE - bank.base))
            first += bank.size // PAGE

    @property
    def closed(self) -> bool:
        """True once it has been given back."""
        return not self._banks

    @property
    def top(self) -> int:
        """Where the highest bank ends: no address above it is DRAM."""
        return max(top for _, top, _ in self._banks)

    @property
    def block_address(self) -> int:
        """The host address of the machine block."""
        return address_of(self.block)

    @property
    def shadow_address(self) -> int:
        """The host address of the pre-image area; 0 before the first snapshot."""
        return 0 if self.shadow is None else address_of(self.shadow)

    def offset(self, pa: int) -> int:
        """The offset of ``pa`` in the DRAM mapping, or -1 if it is not DRAM."""
        for base, top, delta in self._banks:
            if base <= pa < top:
                return pa + delta
        return -1

    def page_index(self, pa: int) -> int:
        """The index of the page of ``pa`` in the page maps, or -1 if it is not DRAM."""
        return self.offset(pa) >> 12

    def page_address(self, index: int) -> int:
        """The physical address of the page with this index in the page maps."""
        for base, top, delta in self._banks:
            pa = index * PAGE - delta
            if base <= pa < top:
                return pa
        raise ValueError(f"page index must be below {self.pages}, not {index}")

    def touch(self, index: int) -> None:
        """Account for a write to the page with this index, as the write fill of a PE does."""
        if not self.dirty[index]:
            if self.shadow is not None:
                start = index * PAGE
                self.shadow[start : start + PAGE] = self.dram[start : start + PAGE]
            self.dirty[index] = 1
            log = self._log
            count = log[0] = log[0] + 1
            if count <= w.LOGGED:
                log[count] = index
        if self.executed[index]:
            self.rewritten(index)

    def rewritten(self, index: int) -> None:
        """Have every PE drop its translated code of a page that is about to be written; once, until they do."""
        known = self.executed[index]
        if not known & w.REWRITTEN:
            self.executed[index] = known | w.REWRITTEN
            number = self.block[w.M_DROPS]
            self.block[w.M_DROPPED + number % w.DROPS] = self.page_address(index)
            self.block[w.M_DROPS] = number + 1

    def forget_rewritten(self, pa: int | None = None) -> None:
        """A PE drops the code of this written page, or of all of them; the others will before they run."""
        executed = self.executed
        if pa is None:
            executed[:] = bytes(executed).translate(_NOT_REWRITTEN)
        elif executed[index := self.page_index(pa)] & w.REWRITTEN:
            executed[index] = 0

    def written(self) -> list[int]:
        """The pages that are marked in ``dirty``; what that costs depends on their number alone, if it is small."""
        count, dirty = self._log[0], self.dirty
        if count > w.LOGGED:
            return list(marked(dirty))
        return [page for page in dict.fromkeys(self._log[1 : 1 + count]) if dirty[page]]

    def clean(self, pages: list[int]) -> None:
        """Take the marks of ``pages``, which are all that ``written`` returned, away."""
        for page in pages:
            self.dirty[page] = 0
        self._log[0] = 0

    def unmap(self) -> None:
        """Give the address space and the page maps back at once; from now on no address is DRAM."""
        self.block[w.M_BANKS] = self.block[w.M_DIRTY] = self.block[w.M_EXECUTED] = 0
        self._banks.clear()
        self.dirty = self.executed = memoryview(b"")
        self.dram.close()
        if self.shadow is not None:
            self.shadow.close()
