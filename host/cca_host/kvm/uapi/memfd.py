"""Guest memory that no process can map (KVM_CREATE_GUEST_MEMFD): what a Realm's private pages are of."""

from cca_host.kvm.uapi.files import Target
from cca_host.kvm.uapi.kvm import Kvm

__all__ = ["MemoryTarget"]


class MemoryTarget(Target):
    """Guest memory ``number`` of a VM: the kernel's granules are behind it, and only a size is to be seen."""

    kind = "guest memory"

    def __init__(self, kvm: Kvm, number: int) -> None:
        self.kvm = kvm
        self.number = number

    def closed(self) -> None:
        """It holds its VM."""
        self.kvm.put()
