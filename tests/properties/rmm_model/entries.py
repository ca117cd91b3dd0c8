"""RTT entries: what they say, how the RMM writes them, and tables of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "LARGEST_BLOCK",
    "NS",
    "Entry",
    "Hipas",
    "Ripas",
    "Table",
    "TooLarge",
    "common",
    "destroyable",
    "encode",
    "host_bits",
    "read_back",
    "skip_top",
    "span",
    "unfold",
]

LARGEST_BLOCK = 1
"""The highest level with blocks."""
SLOTS = 512


class Hipas(Enum):
    """What the Host has put there."""

    UNASSIGNED = "UNASSIGNED"
    ASSIGNED = "ASSIGNED"
    UNASSIGNED_NS = "UNASSIGNED_NS"
    ASSIGNED_NS = "ASSIGNED_NS"
    TABLE = "TABLE"
    SEALED = "SEALED"
    """The extension `paging`: the page is out."""


class Ripas(IntEnum):
    """What the Realm takes the memory for."""

    EMPTY = 0
    RAM = 1
    DESTROYED = 2


class Entry(NamedTuple):
    """One entry; ``attributes`` are MemAttr and S2AP of the Host where they are in its descriptor."""

    hipas: Hipas
    ripas: Ripas = Ripas.EMPTY
    pa: int = 0
    attributes: int = 0
    version: int = 0

    @property
    def mapped(self) -> bool:
        """Memory of either kind."""
        return self.hipas in (Hipas.ASSIGNED, Hipas.ASSIGNED_NS)

    @property
    def live(self) -> bool:
        """Something is there: a table, memory, or a page that is out."""
        return self.hipas in (Hipas.TABLE, Hipas.SEALED) or self.mapped

    @property
    def is_ns(self) -> bool:
        """A leaf of the Unprotected half."""
        return self.hipas in (Hipas.UNASSIGNED_NS, Hipas.ASSIGNED_NS)

    def at(self, pa: int) -> "Entry":
        """The same for other memory."""
        return self._replace(pa=pa)


NS = Entry(Hipas.UNASSIGNED_NS)


def span(level: int) -> int:
    """Bytes that an entry of a level covers."""
    return 4096 << 9 * (3 - level)


def host_bits(level: int) -> int:
    """The bits of a Host's descriptor that may be set at a level, without LPA2: OA, MemAttr, S2AP."""
    return (1 << 48) - span(level) | 0b111 << 2 | 0b11 << 6


@lru_cache(maxsize=1 << 16)
def encode(entry: Entry, level: int) -> int:
    """The descriptor in memory: valid ones are the architecture's, with FWB; the others are the RMM's own."""
    leaf = 0b11 if level == 3 else 0b01
    inner, accessed, ns, never_executed = 0b11 << 8, 1 << 10, 1 << 55, 0b10 << 53
    if entry.hipas is Hipas.TABLE:
        return entry.pa | 0b11
    if entry.hipas is Hipas.UNASSIGNED_NS:
        return ns
    if entry.hipas is Hipas.SEALED:
        return 1 << 3 | entry.ripas << 5 | entry.version << 12
    if entry.hipas is Hipas.ASSIGNED_NS:
        return entry.pa | entry.attributes | inner | accessed | ns | never_executed | leaf
    if entry.hipas is Hipas.ASSIGNED and entry.ripas is Ripas.RAM:
        write_back, read_write = 0b110 << 2, 0b11 << 6
        return entry.pa | write_back | read_write | inner | accessed | leaf
    return entry.pa | (entry.hipas is Hipas.ASSIGNED) << 2 | entry.ripas << 5


def read_back(entry: Entry) -> tuple[int, int, int]:
    """State, descriptor and RIPAS as RMI_RTT_READ_ENTRY tells them."""
    if entry.hipas is Hipas.TABLE:
        return 2, entry.pa, 0
    if entry.hipas is Hipas.SEALED:
        return 0x80, entry.version, entry.ripas
    return int(entry.mapped), entry.pa | entry.attributes, entry.ripas


@dataclass
class Table:
    """A table of ``level`` whose first entry is for ``base``."""

    level: int
    base: int
    entries: list[Entry]
    used: int = SLOTS
    """How many entries lie in the IPA space; no command reaches the others of a starting level table."""

    def slot(self, ipa: int) -> int:
        """The index of an IPA's entry."""
        return (ipa - self.base) // span(self.level)

    def ipa(self, slot: int) -> int:
        """The first IPA of an entry."""
        return self.base + slot * span(self.level)


def unfold(entry: Entry, level: int) -> list[Entry]:
    """The entries of a table of ``level`` that says the same as a leaf above it."""
    if not entry.mapped:
        return [entry] * SLOTS
    return [entry.at(entry.pa + number * span(level)) for number in range(SLOTS)]


class TooLarge(NamedTuple):
    """A table that says one thing, for which there is no leaf above it."""

    entry: Entry


def common(entries: Sequence[Entry], level: int) -> Entry | TooLarge | None:
    """The leaf that says the same as a table of ``level``; None if the table is not homogeneous.

    State-machines, "Fold": every entry of one kind and, where memory is mapped, of one set of attributes, over
    addresses that follow each other from one that the leaf could have. Whether there is a leaf of that size is asked
    of a homogeneous table alone.
    """
    first = entries[0]
    if first.hipas in (Hipas.TABLE, Hipas.SEALED):
        return None
    if list(entries) != unfold(first, level):
        return None
    if not first.mapped:
        return first
    if first.pa % span(level - 1):
        return None
    return TooLarge(first) if level - 1 < LARGEST_BLOCK else first


def destroyable(table: Table) -> bool:
    """No table and no Realm's memory hangs on it, in or out; the Host's own mappings may go."""
    return not any(entry.hipas in (Hipas.TABLE, Hipas.ASSIGNED, Hipas.SEALED) for entry in table.entries)


def skip_top(table: Table, ipa: int) -> int:
    """``top``: the IPA itself if something is there; else where the next thing of this table is, or its end."""
    slot = table.slot(ipa)
    if table.entries[slot].live:
        return ipa
    return table.ipa(next((at for at in range(slot + 1, SLOTS) if table.entries[at].live), SLOTS))
