"""The host's page allocator over Non-secure DRAM, which tracks allocated, delegated and lost pages."""

from array import array
from collections.abc import Iterable
from typing import Final

from cca_arch.types import GRANULE_SIZE
from cca_platform.errors import MachineError
from cca_platform.state import State

__all__ = ["RUN", "NoPages", "PageAllocator", "PagesState"]

RUN: Final = 512
"""The pages of a run that stays together when it is freed: 2 MiB, what one entry of level 2 maps."""


class PagesState(State, frozen=True, tag="host.pages/4"):
    """Saved state of a :class:`PageAllocator`: addresses, 8 bytes each; ``span`` is the span that contains ``next``."""

    free: bytes
    runs: bytes
    used: int
    lost: tuple[int, ...]
    span: int
    next: int
    high: bytes
    top: int


class NoPages(MachineError):
    """The host's memory is used up."""


class PageAllocator:
    """Allocates physical pages from ``spans``, (base, size) in bytes.

    Addresses depend only on the requests. Once every page is free, allocation starts over at the first page, so that
    two runs on one machine see the same addresses.
    """

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self.spans = [(base, base + size) for base, size in spans]
        self.free = array("Q")
        self.runs = array("Q")
        """Free runs of RUN pages, aligned to their size."""
        self.used = 0
        """The allocated pages."""
        self.lost: list[int] = []
        """Pages that the Realm world did not return; they are never reused."""
        self._span = 0
        self._next = self.spans[0][0]
        self.high = array("Q")
        """Free pages of those at the end of the last span."""
        self._top = self.spans[-1][1]

    @property
    def left(self) -> int:
        """The pages that are not allocated."""
        return len(self.free) + len(self.high) + len(self.runs) * RUN + self._fresh() // GRANULE_SIZE

    def _fresh(self) -> int:
        """The bytes of pages that have not been allocated yet."""
        whole = sum(top - base for base, top in self.spans[self._span :])
        return whole - (self.spans[-1][1] - self._top) - (self._next - self.spans[self._span][0])

    def take(self) -> int:
        """Allocate a page; raises MachineError if none is left."""
        self.used += 1
        if self.free:
            return self.free.pop()
        if self.runs and not self._fresh():
            self._split()
            return self.free.pop()
        return self._bump(1)

    def take_high(self) -> int:
        """Allocate a page from the other end: the pages of processes do not change the addresses of all others."""
        self.used += 1
        if self.high:
            return self.high.pop()
        base = self._next if self._span + 1 == len(self.spans) else self.spans[-1][0]
        if self._top - GRANULE_SIZE < base:
            self.used -= 1
            return self.take()
        self._top -= GRANULE_SIZE
        return self._top

    def _split(self) -> None:
        """Make single pages of a free run."""
        pa = self.runs.pop()
        self.free.extend(range(pa + (RUN - 1) * GRANULE_SIZE, pa - GRANULE_SIZE, -GRANULE_SIZE))

    def take_run(self, count: int) -> int:
        """Allocate ``count`` consecutive pages, aligned to their size if ``count`` is a power of two."""
        self.used += count
        if count == RUN and self.runs:
            return self.runs.pop()
        return self._bump(count)

    def give(self, pa: int, count: int = 1) -> None:
        """Free ``count`` pages."""
        self.used -= count
        if self.used or self.lost:
            if count == RUN and not pa % (RUN * GRANULE_SIZE):
                self.runs.append(pa)
                return
            pool = self.high if self._top <= pa < self.spans[-1][1] else self.free
            pool.extend(pa + i * GRANULE_SIZE for i in reversed(range(count)))
        else:
            del self.free[:], self.runs[:], self.high[:]
            self._span, self._next, self._top = 0, self.spans[0][0], self.spans[-1][1]

    def lose(self, pa: int) -> None:
        """Mark a page as lost: a granule that cannot be undelegated is never reused."""
        self.used -= 1
        self.lost.append(pa)

    @property
    def _limit(self) -> int:
        """The end of what the present span has for all but processes."""
        return self._top if self._span + 1 == len(self.spans) else self.spans[self._span][1]

    def _bump(self, count: int) -> int:
        size = count * GRANULE_SIZE
        while True:
            pa, top = -(-self._next // size) * size, self._limit
            fits = pa + size <= top
            skipped_to = pa if fits else top
            self.free.extend(range(skipped_to - GRANULE_SIZE, self._next - GRANULE_SIZE, -GRANULE_SIZE))
            if fits:
                self._next = pa + size
                return pa
            self._next = top
            if self._span + 1 == len(self.spans):
                break
            self._span += 1
            self._next = self.spans[self._span][0]
        self.used -= count
        pages = sum(top - base for base, top in self.spans) // GRANULE_SIZE
        raise NoPages(f"the host has no {count} pages left of {pages}: use less `memory` or a board with more DRAM")

    def save(self) -> PagesState:
        """State for a snapshot."""
        return PagesState(
            free=self.free.tobytes(), runs=self.runs.tobytes(), used=self.used, lost=tuple(self.lost), span=self._span,
            next=self._next, high=self.high.tobytes(), top=self._top,
        )  # fmt: skip

    def restore(self, state: PagesState) -> None:
        """Restore what :meth:`save` returned."""
        self.free, self.runs = array("Q", state.free), array("Q", state.runs)
        self.used, self.lost = state.used, list(state.lost)
        self._span, self._next = state.span, state.next
        self.high, self._top = array("Q", state.high), state.top
