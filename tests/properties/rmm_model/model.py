"""The state of the model, and what commands do to granules, tables and memory."""

from collections.abc import Callable
from typing import NamedTuple

from rmm_model.entries import Entry, Hipas, Table, span
from rmm_model.facts import PAGE, Blob, Granule, Platform, Realm, Rec

__all__ = ["Model", "Walk"]


class Walk(NamedTuple):
    """Where a walk ended."""

    level: int
    table: int
    slot: int
    entry: Entry


class Model:
    """An RMM 1.0: granules, Realms, RECs, tables, and the contents of what Realms own."""

    def __init__(self, platform: Platform, foreign: set[int], host_read: Callable[[int, int], bytes]) -> None:
        self.platform = platform
        self.foreign = foreign
        """Granules that EL3 has given to another world; the RMM knows them as UNDELEGATED."""
        self.host_read = host_read
        """(PA, size) -> bytes of memory that is the Host's."""
        self.granules: dict[int, Granule] = {}
        self.tables: dict[int, Table] = {}
        self.realms: dict[int, Realm] = {}
        self.recs: dict[int, Rec] = {}
        self.contents: dict[int, bytearray] = {}
        """DATA granule -> what is in it."""
        self.touched: set[int] = set()
        """Granules whose state a command has set, until somebody clears it."""
        self.shared: frozenset[int] = frozenset()
        """Pages of the Host that Realms may reach."""
        self.code = b""
        """The code that all Realms have."""
        self.host_written: dict[int, bytes] = {}
        """PA -> what Realms have written into memory that they share, until somebody clears it."""
        self.boot: tuple[bytes, int] = (b"", 0)
        """The seed of the machine's keys, and the number of this boot."""
        self.serials = 0
        """Realms whose pages have gone out."""
        self.blobs: list[Blob] = []
        """Every page that has gone out, as the Host has it."""
        self.changed: set[int] = set()
        """Tables with new entries, likewise."""

    # -- granules
    def state(self, pa: int) -> Granule:
        """The state of a granule of managed memory."""
        return self.granules.get(pa, Granule.UNDELEGATED)

    def is_ns(self, pa: int) -> bool:
        """The Host's: UNDELEGATED, and of the Non-secure PAS."""
        return self.state(pa) is Granule.UNDELEGATED and pa not in self.foreign

    def move(self, pa: int, state: Granule) -> None:
        """A granule changes its state; memory that leaves an object is wiped."""
        self.granules[pa] = state
        self.touched.add(pa)
        if state is not Granule.DATA:
            self.contents.pop(pa, None)

    # -- tables
    def walk(self, realm: Realm, ipa: int, target: int) -> Walk:
        """From the starting level toward ``target``; it stops at the first entry that is no table."""
        pa = realm.roots[ipa // (512 * span(realm.start))]
        level = realm.start
        while True:
            table = self.tables[pa]
            slot = table.slot(ipa)
            entry = table.entries[slot]
            if level == target or entry.hipas is not Hipas.TABLE:
                return Walk(level, pa, slot, entry)
            pa, level = entry.pa, level + 1

    def put(self, w: Walk, entry: Entry) -> None:
        """An entry changes."""
        self.put_at(w.table, w.slot, entry)

    def put_at(self, table: int, slot: int, entry: Entry) -> None:
        """The same, by place."""
        self.tables[table].entries[slot] = entry
        self.changed.add(table)

    def add_table(self, pa: int, table: Table) -> None:
        """A granule becomes an RTT."""
        self.tables[pa] = table
        self.changed.add(pa)
        self.move(pa, Granule.RTT)

    def drop_table(self, pa: int) -> None:
        """An RTT goes back."""
        del self.tables[pa]
        self.changed.discard(pa)
        self.move(pa, Granule.DELEGATED)

    # -- a Realm's memory
    def page(self, realm: Realm, ipa: int) -> int | None:
        """The granule behind a Protected IPA, if the Realm can reach it."""
        w = self.walk(realm, ipa, 3)
        if w.entry.hipas is not Hipas.ASSIGNED or w.entry.ripas != 1:
            return None
        return (w.entry.pa + ipa % span(w.level)) // PAGE * PAGE

    def read(self, pa: int, size: int) -> bytes:
        """Bytes of a DATA granule."""
        return bytes(self.contents[pa & -PAGE][pa % PAGE : pa % PAGE + size])

    def write(self, pa: int, content: bytes) -> None:
        """The Realm, or the RMM for it, writes."""
        self.contents[pa & -PAGE][pa % PAGE : pa % PAGE + len(content)] = content
