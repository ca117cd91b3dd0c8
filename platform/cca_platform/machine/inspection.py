"""The inspection interface of an RMM: an adapter that the RMM provides.

Everything else is read from architectural memory and registers. A machine whose RMM provides no adapter can be
inspected, too, without what only the RMM knows.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

__all__ = ["RealmFacts", "RecFacts", "RmmInspector"]


class RealmFacts(Struct, frozen=True, kw_only=True):
    """The contents of a Realm Descriptor. ``rim`` and ``rems`` have the length of the hash; ``rpv`` has 64 bytes."""

    rd: int
    state: str
    vmid: int
    ipa_width: int
    rtt_base: int
    rtt_level_start: int
    rtt_num_start: int
    hash_algo: str
    rpv: bytes
    rim: bytes
    rems: tuple[bytes, ...]
    num_recs: int


class RecFacts(Struct, frozen=True, kw_only=True):
    """The contents of a Realm Execution Context.

    ``registers`` has the physical address of each register in memory, by architectural name; while the REC runs, the PE
    has them. ``pending`` says what its next entry must complete.
    """

    pa: int
    rd: int
    index: int
    mpidr: int
    state: str
    runnable: bool
    pending: tuple[str, ...]
    registers: Mapping[str, int]


class RmmInspector(Protocol):
    """The adapter. Addresses are physical; raises KeyError if there is no such object at an address."""

    def granule(self, pa: int) -> str | None:
        """The state of a granule by the specification's name, or None if it is not tracked."""

    def realms(self) -> Sequence[int]:
        """The RDs of all Realms, ascending."""

    def realm(self, rd: int) -> RealmFacts:
        """The contents of an RD."""

    def recs(self, rd: int) -> Sequence[int]:
        """The RECs of a Realm, ascending by index."""

    def rec(self, pa: int) -> RecFacts:
        """The contents of a REC."""

    def rtt_entry(self, entry: int, level: int) -> str:
        """The state of an RTT entry as text, such as ``ASSIGNED,RAM``."""
