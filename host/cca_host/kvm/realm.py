"""The state that the vCPUs of a Realm share: its descriptor and memory."""

from cca_host.kvm.guest import Guest
from cca_host.kvm.stage2 import Stage2

__all__ = ["Realm"]


class Realm(Guest):
    """A Realm. ``rd`` is the PA of its Realm Descriptor; ``slots`` has protected IPAs."""

    ram_part = "the protected half of"
    rd: int
    stage2: Stage2

    @property
    def ram_top(self) -> int:
        """The end of the protected half of its IPA space."""
        return self.stage2.half
