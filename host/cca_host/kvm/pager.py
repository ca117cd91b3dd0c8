"""What keeps a Realm below a limit of granules: pages go to a swap file, sealed by the RMM, and come back when touched.

The RMM tells the host nothing of accesses; a host that wants to know which pages a Realm uses takes them away. The
choice is a clock's: a hand goes over the pages in the order of their addresses, and takes the first that has no chance
left. A page that has come has a chance, one that has come back from the file has two: it was missed.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cca_arch.extensions import PAGING_UID, Paging, uid_words
from cca_arch.rmi.v1_0 import Rmi, RmiStatus
from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.kernel import Kernel, RmiError, SwapError
from cca_host.kvm.pagemap import PageMap
from cca_host.kvm.swap import TAG_SIZE, SwapFile, swap_file
from cca_platform.errors import MachineError
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_host.kvm.stage2 import Stage2

__all__ = ["Pager", "PagerState", "must_page"]

_RTT: Final = int(RmiStatus.ERROR_RTT)
_OUT, _IN, _CREATE = int(Paging.PAGE_OUT), int(Paging.PAGE_IN), int(Rmi.DATA_CREATE_UNKNOWN)
_ONE, _TWO = GRANULE_SIZE, 2 * GRANULE_SIZE  # chances, as a PageMap keeps them
_COMING: Final = 1  # a page whose table has to come first
_LEAST: Final = 64  # pages that a Realm must be able to have at once, or it gets nowhere


def must_page(system: Kernel) -> None:
    """Raise MachineError unless the RMM can take pages out."""
    system.probe()
    if tuple(system.rmi(Paging.PAGING_UID)[:4]) != uid_words(PAGING_UID) or system.rmi(Paging.PAGING_FEATURES, 0)[0]:
        raise MachineError("`memory_limit` needs an RMM that takes pages out: add paging to `extensions`")


class PagerState(State, frozen=True, tag="host.pager/1"):
    """Saved state of a :class:`Pager`: ``slots`` and ``chances`` as :class:`PageMap` saves them."""

    limit: int
    path: str
    page: int
    hand: int
    slots: dict[int, bytes]
    chances: dict[int, bytes]


class Pager:
    """Keeps the granules of a Realm's ``stage2``, and the ``others`` that it has besides, within ``limit``.

    ``slots`` maps the IPAs of pages that are out to their slots in the file, each times 4 KiB.
    """

    def __init__(self, stage2: "Stage2", limit: int, others: Callable[[], int], file: SwapFile) -> None:
        self.stage2 = stage2
        self.limit = limit
        self.file = file
        self.others = others
        self.slots = PageMap()
        self._chances = PageMap()
        self._hand = 0
        self._page = stage2.system.pages.take()
        self._busy = False

    @property
    def granules(self) -> int:
        """The granules that the Realm has."""
        stage2 = self.stage2
        return len(stage2.data) + len(stage2.tables) + self.others()

    # -- what stage 2 asks and tells --------------------------------------------------------------------------------
    def make_room(self, count: int = 1) -> None:
        """Take pages out until the Realm may have ``count`` more granules; raises SwapError if that cannot be."""
        if self._busy:
            return
        self._busy = True
        try:
            while self.granules + _COMING + count > self.limit:
                self._out(self._victim())
        finally:
            self._busy = False

    def came(self, ipa: int) -> None:
        """A page has come that the Realm did not have."""
        self._chances[ipa] = _ONE

    def went(self, ipa: int) -> None:
        """A page has been destroyed, wherever it was."""
        self._chances.pop(ipa)
        slot = self.slots.pop(ipa)
        if slot is not None:
            self.file.give(slot // GRANULE_SIZE)

    def bring(self, ipa: int) -> bool:
        """Bring a page back that is out; returns False if it is not. Raises SwapError if it is lost."""
        slot = self.slots.get(ipa)
        if slot is None:
            return False
        stage2, system = self.stage2, self.stage2.system
        granule = stage2.granule()
        try:
            page, tag = self.file.read(slot // GRANULE_SIZE)
            system.port.write(self._page, page)
            words = (int.from_bytes(tag[at : at + 8], "little") for at in range(0, TAG_SIZE, 8))
            if system.rmi(_IN, stage2.rd, granule, ipa, self._page, *words)[0]:
                raise SwapError(f"the RMM refuses the page for IPA {ipa:#x}: the swap file was changed")
        except BaseException:
            system.undelegate(granule)
            raise
        self.slots.pop(ipa)
        self.file.give(slot // GRANULE_SIZE)
        stage2.data[ipa] = granule
        self._chances[ipa] = _TWO
        return True

    # -- the clock --------------------------------------------------------------------------------------------------
    def _victim(self) -> int:
        """The page that goes next."""
        data, chances = self.stage2.data, self._chances
        if len(data) <= _LEAST:
            raise SwapError(f"the memory limit leaves the Realm {len(data)} pages, too few to get on: raise it")
        while True:
            ipa = data.following(self._hand)
            if ipa is None:
                self._hand = 0
                continue
            self._hand = ipa + GRANULE_SIZE
            left = chances.pop(ipa)
            if left is None:
                return ipa
            if left > _ONE:
                chances[ipa] = left - _ONE

    def _out(self, ipa: int) -> None:
        """Take a page out. If the file does not take it, it comes back at once, and SwapError says why."""
        stage2, system = self.stage2, self.stage2.system
        while True:
            x0, granule, low, high = system.rmi(_OUT, stage2.rd, ipa, self._page)[:4]
            if not x0:
                break
            if x0 & 0xFF != _RTT or x0 >> 8 >= 3:
                raise RmiError(_OUT, x0, f"IPA {ipa:#x}")
            stage2.create_tables(ipa, x0 >> 8, (x0 >> 8) + 1)  # a block: split it
        slot = self.file.take()
        try:
            tag = low.to_bytes(8, "little") + high.to_bytes(8, "little")
            self.file.write(slot, system.port.read(self._page, GRANULE_SIZE), tag)
        except SwapError:
            self.file.give(slot)
            x0 = system.rmi(_IN, stage2.rd, granule, ipa, self._page, low, high)[0]
            assert not x0, "the RMM takes back what it has just given"
            raise
        stage2.data.pop(ipa)
        self.slots[ipa] = slot * GRANULE_SIZE
        system.undelegate(granule)

    def lift(self) -> None:
        """The Realm is about to be destroyed: nothing has to go out any more."""
        self.limit = sys.maxsize

    def close(self) -> None:
        """The Realm is gone, and with it every page that is still out."""
        for slot in [*self.slots.values()]:
            self.file.give(slot // GRANULE_SIZE)
        self.slots = PageMap()
        self.stage2.system.pages.give(self._page)

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save(self) -> PagerState:
        """State for a snapshot, whose pages in the file stay as they are from now on."""
        self.file.pin()
        return PagerState(
            limit=self.limit,
            path=self.file.path,
            page=self._page,
            hand=self._hand,
            slots=self.slots.save(),
            chances=self._chances.save(),
        )

    @classmethod
    def restored(cls, stage2: "Stage2", state: PagerState, others: Callable[[], int]) -> "Pager":
        """The pager that :meth:`save` described."""
        pager = cls.__new__(cls)
        pager.stage2, pager.limit, pager.others = stage2, state.limit, others
        pager.file = swap_file(stage2.system, state.path, keep=True)
        pager.slots, pager._chances = PageMap(), PageMap()
        pager.slots.restore(state.slots)
        pager._chances.restore(state.chances)
        pager._hand, pager._page, pager._busy = state.hand, state.page, False
        return pager
