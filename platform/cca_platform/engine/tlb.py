"""A PE's caches of memory: the translations in its engine's TLB, and the code that the engine has translated."""

from typing import Protocol

from cca_platform.memory.memory import Memory
from cca_platform.memory.words import Words, address_of, page_map, zero
from cca_platform.native import block as w

__all__ = ["Tlb"]


class Caches(Protocol):
    """The engine, which holds the caches."""

    def flush_tlb(self) -> bool:
        """Drop every translation; returns True if the eras of TLB entries start over."""

    def flush_el1(self) -> None:
        """Drop the translations of EL1&0."""

    def drop_code(self, page: int) -> None:
        """Drop the translated code of the page at this physical address."""

    def flush_code(self) -> None:
        """Drop all translated code."""

    def forget_sites(self) -> None:
        """Remove the hooks on single instructions."""


class Owner(Protocol):
    """The PE."""

    block: Words
    words: memoryview

    @property
    def has_engine(self) -> bool:
        """True if it has an engine, and so may have cached something."""

    @property
    def engine(self) -> Caches:
        """Its engine."""


class Tlb:
    """The pending invalidations of a PE; :meth:`synchronise` does them all before code runs again.

    The engine's TLB has no VMID, ASID or security state: it is flushed completely, or all of EL1&0 is. ``stale`` and
    ``stale_el1`` say that it must be. EL2 is Non-secure code alone, so its translations outlive other worlds.
    ``vmid`` is the VM whose translations the TLB may hold.
    """

    def __init__(self, pe: Owner, memory: Memory) -> None:
        self._pe = pe
        self._memory = memory
        self._shared = memoryview(self._memory.block)
        self._pages = page_map(self._memory.pages)
        self.stale = self.stale_el1 = False
        self._stale_code = False
        self.vmid = -1
        pe.block[w.P_TLB_ERA] = 1

    @property
    def address(self) -> int:
        """The host address of the bytes, one per page, that fills write (P_TLB_PAGES)."""
        return address_of(self._pages)

    @property
    def code_is_stale(self) -> bool:
        """True if translated code must be dropped, which requires a stopped engine."""
        return self._stale_code or self._shared[w.M_CODE_WRITTEN] != 0 or self._pe.words[w.P_SITES_USED] > w.SITES

    def reset(self) -> None:
        """Reset to the power-on state, with empty caches."""
        self.stale, self._stale_code, self.vmid = True, False, -1

    def release(self) -> None:
        """Give the page map back; the PE runs no code afterwards."""
        self._pages = memoryview(b"")
        self._pe.block[w.P_TLB_PAGES] = 0

    def flush(self) -> None:
        """Invalidate every translation."""
        self.stale = True

    def tlbi_vmid(self, vmid: int) -> None:
        """Invalidate the EL1&0 translations of a VMID."""
        if vmid == self.vmid:
            self.stale_el1 = True

    def tlbi_pages(self, first: int, count: int) -> None:
        """Invalidate every translation to ``count`` physical pages from page index ``first``."""
        if self.stale:
            return
        era = self._pe.words[w.P_TLB_ERA]
        if count == 1:
            self.stale = self._pages[first] == era
        elif era in self._pages[first : first + count].tobytes():
            self.stale = True

    @property
    def pending(self) -> bool:
        """True if ``synchronise`` has something to do."""
        if self.stale or self.stale_el1 or self.code_is_stale:
            return True
        shared, words = self._shared, self._pe.words
        return words[w.P_TLBI_SEEN] != shared[w.M_TLBI] or words[w.P_DROPS_SEEN] != shared[w.M_DROPS]

    def synchronise(self) -> None:
        """Do the pending invalidations."""
        shared, words = self._shared, self._pe.words
        if shared[w.M_CODE_WRITTEN]:
            shared[w.M_CODE_WRITTEN] = shared[w.M_MIXED_COUNT] = 0
            zero(self._memory.executed)
            for requester in self._memory.requesters:
                requester.drop_code()
        if words[w.P_SITES_USED] > w.SITES:
            self._pe.engine.forget_sites()
            self.stale = True
        if self._stale_code:
            self._pe.engine.flush_code()
            self._stale_code = False
        if words[w.P_DROPS_SEEN] != shared[w.M_DROPS]:
            self._drop_pages()
            self.stale = True
        if self.stale or words[w.P_TLBI_SEEN] != shared[w.M_TLBI]:
            self.stale = self.stale_el1 = False
            if self._pe.engine.flush_tlb():
                zero(self._pages)
        elif self.stale_el1:
            self.stale_el1 = False
            self._pe.engine.flush_el1()

    def _drop_pages(self) -> None:
        """Drop the code of pages that were written, or invalidated by IC IVAU on another PE, since this one ran."""
        shared, words, memory = self._shared, self._pe.words, self._memory
        seen, count = words[w.P_DROPS_SEEN], shared[w.M_DROPS]
        words[w.P_DROPS_SEEN] = count
        engine = self._pe.engine if self._pe.has_engine else None  # without one it has no code
        if count - seen > w.DROPS:
            memory.forget_rewritten()
            if engine is not None:
                engine.flush_code()
            return
        for number in range(seen, count):
            page = shared[w.M_DROPPED + number % w.DROPS]
            memory.forget_rewritten(page)
            if engine is not None:
                engine.drop_code(page)

    def drop_code(self) -> None:
        """Drop all translated code, because code was written; fetches pass the fill hook again."""
        self._stale_code = self._pe.has_engine
        self.stale = True
