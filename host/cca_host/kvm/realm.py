"""The state that the vCPUs of a Realm share: its descriptor and memory."""

from typing import ClassVar, Protocol

from cca_host.kvm.guest import Guest
from cca_host.kvm.stage2 import Stage2

__all__ = ["Policy", "Realm"]


class Policy(Protocol):
    """What a VMM has reserved for itself: to convert memory, and to answer calls of the Realm."""

    def converts(self, ipa: int) -> bool:
        """True if the VMM converts the page at ``ipa``; else the host does, as the Realm wants."""

    def refuses(self, ipa: int, private: bool) -> bool:
        """True if the page may not be touched in this way until the VMM has converted it."""

    def forwards(self, function: int) -> bool:
        """True if the VMM answers calls of a function."""


class Realm(Guest):
    """A Realm. ``rd`` is the PA of its Realm Descriptor; ``slots`` has protected IPAs."""

    ram_part: ClassVar[str] = "the protected half of"
    rd: int
    stage2: Stage2
    policy: Policy | None

    @property
    def ram_top(self) -> int:
        """The end of the protected half of its IPA space."""
        return self.stage2.half
