"""Where the pages come from that a VM shares with its host: the kernel's own, or memory of the process that runs it."""

from typing import Protocol

from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.kernel import Kernel
from cca_host.kvm.pages import RUN
from cca_platform.errors import MachineError

__all__ = ["Backing", "HostPages", "NotMapped"]


class NotMapped(Exception):
    """The owner of a VM's memory has none at an address."""


class Backing(Protocol):
    """The owner of a VM's shared pages. Addresses are IPAs without the shared bit, and of whole pages."""

    def take(self, ipa: int) -> int:
        """The PA of the page at ``ipa``: a new one is zeroed. Raises NotMapped if there can be none."""

    def give(self, ipa: int, pa: int) -> None:
        """The VM does not use the page any more."""

    def take_block(self, ipa: int) -> int | None:
        """The PA of the 2 MiB at ``ipa``, which are zero if they are new; None if the memory is not in one piece."""

    def give_block(self, ipa: int, pa: int) -> None:
        """The VM does not use the block any more."""


class HostPages:
    """Pages that belong to the VM alone, straight from the allocator."""

    def __init__(self, system: Kernel) -> None:
        self._system = system

    def take(self, ipa: int) -> int:
        """Take a page; only its number is the VM's business."""
        system = self._system
        pa = system.pages.take()
        try:
            system.port.zero(pa, GRANULE_SIZE)
        except BaseException:
            system.pages.give(pa)
            raise
        return pa

    def give(self, ipa: int, pa: int) -> None:
        """Return the page to the allocator."""
        self._system.pages.give(pa)

    def take_block(self, ipa: int) -> int | None:
        """Take consecutive pages, if there are as many."""
        system = self._system
        try:
            pa = system.pages.take_run(RUN)
        except MachineError:
            return None
        try:
            system.port.clear(pa, RUN * GRANULE_SIZE)
        except BaseException:
            system.pages.give(pa, RUN)
            raise
        return pa

    def give_block(self, ipa: int, pa: int) -> None:
        """Return the pages to the allocator."""
        self._system.pages.give(pa, RUN)
