"""What an RMM can tell whoever looks at its machine: an adapter that the RMM brings.

Everything else is read from architectural memory and registers. An RMM that brings no adapter is inspected as well;
what only it knows is then missing.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

__all__ = ["RealmFacts", "RecFacts", "RmmInspector"]


class RealmFacts(Struct, frozen=True, kw_only=True):
    """What is in a Realm Descriptor. ``rim`` and ``rems`` are as long as the hash; ``rpv`` has 64 bytes."""

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
    """What is in a Realm Execution Context.

    ``registers`` is the physical address of each of its registers that memory has, by the names of the architecture;
    while the REC runs, the PE has them. ``pending`` says what its next entry has to answer.
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
    """The adapter. Addresses are physical; KeyError for one at which there is no such object."""

    def granule(self, pa: int) -> str | None:
        """The state of a granule by the specification's name, or None for one that is not tracked."""

    def realms(self) -> Sequence[int]:
        """The RDs of every Realm, ascending."""

    def realm(self, rd: int) -> RealmFacts:
        """What is in an RD."""

    def recs(self, rd: int) -> Sequence[int]:
        """The RECs of a Realm, ascending by index."""

    def rec(self, pa: int) -> RecFacts:
        """What is in a REC."""

    def rtt_entry(self, entry: int, level: int) -> str:
        """The state of an RTT entry in words, such as ``ASSIGNED,RAM``."""
