"""The state that the vCPUs of a plain VM share: its stage 2, and the offset of its virtual counter."""

from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.guest import Guest
from cca_host.kvm.plain.stage2 import BLOCK_SIZE, PlainStage2

__all__ = ["PlainGuest"]


class PlainGuest(Guest):
    """A plain VM. ``cntvoff`` is CNTVOFF_EL2: its virtual counter starts at 0."""

    stage2: PlainStage2
    cntvoff: int

    @property
    def ram_top(self) -> int:
        """The end of its IPA space."""
        return 1 << self.ipa_width

    def fault_in(self, ipa: int) -> None:
        """Map RAM at ``ipa``, which must be RAM, unless there is some already."""
        block = ipa & -BLOCK_SIZE
        self.stage2.fault_in(ipa, self.all_in_memory(block, block + BLOCK_SIZE))

    def shared_page(self, address: int) -> int | None:
        """The PA of the page at ``address``, as the guest gives it to a device; None: that is no RAM."""
        if not self.in_memory(address):
            return None
        found = self.stage2.look(address)
        if found is None:
            self.fault_in(address)
            found = self.stage2.look(address)
        return found

    def shown_page(self, ipa: int) -> int:
        """The page that is mapped there."""
        return self.stage2.pages[ipa]

    def map_shown(self, ipa: int) -> int:
        """Map a page for reading alone."""
        return self.stage2.map_page(ipa, read_only=True)

    def unmap_shown(self, ipa: int) -> None:
        """Unmap it."""
        self.stage2.drop(ipa, ipa + GRANULE_SIZE)

    def give_back(self, base: int, top: int) -> None:
        """Return the memory of pages to the host; the next access finds zeroes."""
        for slot_base, slot_top in self.slots:
            low, high = max(base, slot_base), min(top, slot_top)
            if low < high:
                self.stage2.drop(low, high)
