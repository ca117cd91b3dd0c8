"""What the vCPUs of a Realm share: its descriptor, its memory and its interrupts."""

from cca_host.kvm.kernel import Kernel
from cca_host.kvm.stage2 import Stage2
from cca_host.kvm.vgic import Vgic
from cca_host.kvm.vgic_mmio import VgicMmio

__all__ = ["Realm"]


class Realm:
    """A Realm. ``rd`` is its Realm Descriptor's PA, ``slots`` its RAM as (base, top) IPAs of the protected half."""

    system: Kernel
    rd: int
    ipa_width: int
    slots: list[tuple[int, int]]
    stage2: Stage2
    vgic: Vgic | None
    gic_frames: VgicMmio | None

    def in_memory(self, ipa: int) -> bool:
        """Whether an IPA (without the shared bit) is RAM."""
        return any(base <= ipa < top for base, top in self.slots)
