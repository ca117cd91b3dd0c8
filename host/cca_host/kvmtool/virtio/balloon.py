"""The memory balloon (Virtio 1.2, 5.5): a guest gives pages back to the host.

A plain VM names pages, and the host has their memory again. A Realm's protected memory is not the host's to take:
without the Realm's consent, destroying it would cost the Realm the page (RIPAS DESTROYED). So a driver in a Realm first
makes its pages EMPTY (RSI_IPA_STATE_SET), by which the host gets the granules back, and then names them here; what it
names while it is RAM stays with it. Linux's driver does not know of that, and declines VIRTIO_F_ACCESS_PLATFORM: in a
Realm, the device declines it in turn.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from cca_arch.types import GRANULE_SIZE
from cca_arch.virtio import DeviceId, Feature
from cca_arch.virtio.balloon import DEFLATE, INFLATE, PFN_SHIFT, BalloonFeature, VirtioBalloonConfig
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.queue import Chain, RingError
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Balloon"]

_MOST: Final = 1 << 16
"""Bytes of page numbers in one request."""
_KINDS: Final = {INFLATE: "inflate", DEFLATE: "deflate"}


class BalloonState(State, frozen=True, tag="virtio.balloon/1"):
    """Pages that the host asks for, and that the driver says it has given."""

    wanted: int
    actual: int


class Balloon(VirtioDevice):
    """A balloon. ``wanted`` are the pages that the host asks for, ``actual`` those that the driver says it has given.

    ``protected``: the guest is a Realm.
    """

    device_id: ClassVar[DeviceId] = DeviceId.BALLOON
    sizes: ClassVar[tuple[int, ...]] = (64, 64)
    offers: ClassVar[int] = 1 << BalloonFeature.DEFLATE_ON_OOM

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, size: int = 0, protected: bool = True) -> None:
        super().__init__(name, wiring, memory)
        self.wanted = size // GRANULE_SIZE
        self.actual = 0
        if not protected:
            self.required = Feature.VERSION_1.mask

    def resize(self, size: int) -> None:
        """Ask the guest for ``size`` bytes of its memory in all."""
        self.wanted = size // GRANULE_SIZE
        self.changed()

    @property
    def config(self) -> bytes:
        """What is asked for, and what the driver has given."""
        return VirtioBalloonConfig.pack(num_pages=self.wanted, actual=self.actual)

    def write_config(self, offset: int, data: bytes) -> None:
        """The driver says how many pages it has given."""
        if offset == VirtioBalloonConfig.offset("actual") and len(data) == 4:
            self.actual = int.from_bytes(data, "little")

    def serve(self, index: int, chain: Chain) -> int:
        """Take pages, or let the guest have them again: it gets them by touching them."""
        size = chain.to_read
        if size > _MOST or size % 4:
            raise RingError(f"a request must have whole page numbers, {_MOST} bytes at most, not {size} bytes")
        pages = array("I", self.memory.gather(chain.readable))
        if index == INFLATE:
            for base, top in _runs(pages):
                self.memory.give_back(base, top)
        self.note(index, _KINDS[index], len(pages) * GRANULE_SIZE)
        return 0

    def save_more(self) -> BalloonState:
        """State for a snapshot."""
        return BalloonState(self.wanted, self.actual)

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned."""
        self.wanted, self.actual = state.wanted, state.actual


def _runs(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Base and top of each run of consecutive pages, given by their numbers in any order."""
    base = top = -1
    for address in (page << PFN_SHIFT for page in sorted(set(pages))):
        if address != top:
            if top >= 0:
                yield base, top
            base = address
        top = address + GRANULE_SIZE
    if top >= 0:
        yield base, top
