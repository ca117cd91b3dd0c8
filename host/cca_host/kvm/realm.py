"""The state that the vCPUs of a Realm share: its descriptor, memory and interrupts."""

from cca_host.kvm.kernel import Kernel
from cca_host.kvm.stage2 import Stage2
from cca_host.kvm.vgic import Vgic
from cca_host.kvm.vgic_mmio import VgicMmio

__all__ = ["Realm"]


class Realm:
    """A Realm. ``rd`` is the PA of its Realm Descriptor; ``slots`` is its RAM as protected (base, top) IPAs."""

    system: Kernel
    rd: int
    ipa_width: int
    slots: list[tuple[int, int]]
    stage2: Stage2
    vgic: Vgic | None
    gic_frames: VgicMmio | None

    def in_memory(self, ipa: int) -> bool:
        """True if an IPA (without the shared bit) is RAM."""
        return any(base <= ipa < top for base, top in self.slots)

    def all_in_memory(self, base: int, top: int) -> bool:
        """True if all IPAs from ``base`` to below ``top`` are RAM, in one slot or in several that touch."""
        reached = base
        for low, high in sorted(self.slots):
            if low <= reached:
                reached = max(reached, high)
        return top <= reached
