"""Where the pages come from that a VM shares with its host: the kernel's own, or memory of the process that runs it."""

from typing import Protocol

from cca_arch.types import GRANULE_SIZE
from cca_host.kvm.kernel import Kernel

__all__ = ["Backing", "HostPages"]


class Backing(Protocol):
    """The owner of a VM's shared pages. Addresses are IPAs without the shared bit, and of whole pages."""

    def take(self, ipa: int) -> int:
        """The PA of the page at ``ipa``: a new one is zeroed."""

    def give(self, ipa: int, pa: int) -> None:
        """The VM does not use the page any more."""


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
