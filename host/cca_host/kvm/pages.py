"""The host's page allocator over Non-secure DRAM, which knows of every page whether it is out, delegated or lost."""

from collections.abc import Iterable

from cca_arch.types import GRANULE_SIZE
from cca_platform.errors import MachineError
from cca_platform.state import State

__all__ = ["PageAllocator", "PagesState"]


class PagesState(State, frozen=True, tag="host.pages/1"):
    """Saved state of a :class:`PageAllocator`: addresses; ``span`` is the one where ``next`` is."""

    free: tuple[int, ...]
    used: int
    lost: tuple[int, ...]
    span: int
    next: int


class PageAllocator:
    """Physical pages out of ``spans``, (base, size) in bytes.

    Addresses depend on the requests alone: when everything has come back, the next page is the first one again, so
    that two runs on one machine see the same addresses.
    """

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self.spans = [(base, base + size) for base, size in spans]
        self.free: list[int] = []
        self.used = 0
        """Pages that are out."""
        self.lost: list[int] = []
        """Pages that could not be taken back from the Realm world; never handed out again."""
        self._span = 0
        self._next = self.spans[0][0]

    def take(self) -> int:
        """A page; MachineError when there is none left."""
        self.used += 1
        if self.free:
            return self.free.pop()
        return self._bump(1)

    def take_run(self, count: int) -> int:
        """``count`` consecutive pages, aligned to their size when ``count`` is a power of two."""
        self.used += count
        return self._bump(count)

    def give(self, pa: int, count: int = 1) -> None:
        """Take ``count`` pages back."""
        self.used -= count
        if self.used or self.lost:
            self.free.extend(pa + i * GRANULE_SIZE for i in reversed(range(count)))
        else:
            self.free.clear()
            self._span, self._next = 0, self.spans[0][0]

    def lose(self, pa: int) -> None:
        """Write a page off: a granule whose UNDELEGATE fails is never used again."""
        self.used -= 1
        self.lost.append(pa)

    def _bump(self, count: int) -> int:
        size = count * GRANULE_SIZE
        while True:
            pa, top = -(-self._next // size) * size, self.spans[self._span][1]
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
        raise MachineError(
            f"the host has no {count} pages left of {pages}: use less `memory` or a board with more DRAM"
        )

    def save(self) -> PagesState:
        """State for a snapshot."""
        return PagesState(
            free=tuple(self.free), used=self.used, lost=tuple(self.lost), span=self._span, next=self._next
        )  # fmt: skip

    def restore(self, state: PagesState) -> None:
        """Back to what :meth:`save` gave."""
        self.free, self.used, self.lost = list(state.free), state.used, list(state.lost)
        self._span, self._next = state.span, state.next
