"""A model of RMM 1.0 for the property tests: what every command answers and changes, and nothing of how.

It knows granules by state, Realms, RECs and translation tables, in plain Python, independently of :mod:`cca_rmm`.
Results are the whole of X0..X4. The encodings of table entries are those of the architecture (DDI 0487 D8.3) for valid
ones, and the RMM's own for the others.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from rmm_model_fold import Refused, folded

__all__ = ["CALL", "CODE", "Model", "Realm", "Rec", "Table"]

PAGE = 0x1000
U, D, RD, REC, AUX, DATA, RTT = range(7)
OK, INPUT, REALM, REC_ERROR = range(4)
EMPTY, RAM, DESTROYED = range(3)
NEW, ACTIVE, OFF = range(3)
CODE, CALL = 0, PAGE
_OA = 0xFFFF_FFFF_F000
_NS = 1 << 55
_PROTECTED = 0b0110 << 2 | 3 << 6 | 3 << 8 | 1 << 10
_HOST = 3 << 8 | 1 << 10 | 2 << 53 | _NS
_TYPE = {1: 1, 2: 1, 3: 3}
NO_OUTPUT = (0, 0, 0, 0)
ONES = (1 << 64) - 1
Result = tuple[int, ...]
CPU_ON, AFFINITY = (0x8400_0003, 0xC400_0003), (0x8400_0004, 0xC400_0004)


def rtt_error(level: int) -> int:
    """X0 of RMI_ERROR_RTT."""
    return 4 | level << 8


def psci_index(fid: int, target: int) -> int:
    """The index of the REC that a PSCI call names; SMC32 arguments have 32 bits."""
    mpidr = target if fid >> 30 & 1 else target & 0xFFFF_FFFF
    return mpidr & 0xF | (mpidr >> 8 & 0xFF) << 4 | (mpidr >> 16 & 0xFF) << 12 | (mpidr >> 32 & 0xFF) << 20


def size_of(level: int) -> int:
    """Bytes that an entry of a level maps."""
    return 1 << 12 + 9 * (3 - level)


def leaf(ripas: int, pa: int, level: int) -> int:
    """ASSIGNED."""
    return pa | _PROTECTED | _TYPE[level] if ripas == RAM else pa | 1 << 2 | ripas << 5


def is_live(entry: int) -> bool:
    """TABLE, ASSIGNED or ASSIGNED_NS."""
    return entry & 0b101 != 0


def is_table(entry: int, level: int) -> bool:
    """TABLE."""
    return level < 3 and entry & 3 == 3


def ripas_of(entry: int) -> int:
    """RIPAS of a protected leaf."""
    return RAM if entry & 1 else entry >> 5 & 3


@dataclass
class Table:
    """512 entries of one level."""

    level: int
    entries: list[int]


class Walk(NamedTuple):
    """Where a walk ended."""

    level: int
    table: Table
    slot: int
    entry: int


@dataclass
class Rec:
    """A REC, with what its code (see :mod:`realm_stub`) waits for."""

    rd: int
    index: int
    runnable: int
    aux: tuple[int, int]
    at: str = "boot"  # boot: has not run; asked: in a host call; exited: its SMC has exited; again: it will be repeated
    sent: Result = ()  # X0..X18 of that SMC
    answer: Result = (0, 0, 0, 0)
    pending: int = 0  # FID that waits for RMI_PSCI_COMPLETE
    ripas: tuple[int, int, int, int, int] | None = None  # base, top, value, destroyed, how far
    token: bool = False


@dataclass
class Realm:
    """A Realm."""

    s2sz: int
    start: int
    tables: list[int]
    vmid: int
    state: int = NEW
    next_rec: int = 0
    recs: set[int] = field(default_factory=set)
    written: dict[int, bytes] = field(default_factory=dict)  # IPA -> what RMI_DATA_CREATE wrote

    @property
    def half(self) -> int:
        """The first Unprotected IPA."""
        return 1 << self.s2sz - 1

    @property
    def top(self) -> int:
        """The first IPA outside."""
        return 1 << self.s2sz


class Model:
    """The state, and a method for each command that gives X0..X4 and moves it."""

    def __init__(self, tracked: list[tuple[int, int]], lost: set[int], aux_count: int = 2) -> None:
        self.banks = tracked
        self.lost = lost
        self.aux_count = aux_count
        self.state: dict[int, int] = {}
        self.tables: dict[int, Table] = {}
        self.realms: dict[int, Realm] = {}
        self.recs: dict[int, Rec] = {}
        self.touched: set[int] = set()

    # -- predicates -------------------------------------------------------------------------------------------------
    def tracked(self, pa: int) -> bool:
        """The granule is in a bank of the manifest."""
        return any(base <= pa < top for base, top in self.banks)

    def bad(self, pa: int, state: int) -> bool:
        """Not a granule's address, not tracked, or in another state."""
        return bool(pa & 0xFFF) or not self.tracked(pa) or self.state.get(pa, U) != state

    def readable(self, pa: int) -> bool:
        """The Host's, for EL3 too."""
        return not self.bad(pa, U) and pa not in self.lost

    def walk(self, realm: Realm, ipa: int, target: int) -> Walk:
        """From the starting level toward ``target``."""
        level = realm.start
        index = ipa // size_of(level)
        table = self.tables[realm.tables[index >> 9]]
        slot = index & 511
        while level < target and is_table(table.entries[slot], level):
            table = self.tables[table.entries[slot] & _OA]
            level += 1
            slot = ipa // size_of(level) & 511
        return Walk(level, table, slot, table.entries[slot])

    @staticmethod
    def skip(w: Walk, ipa: int, *, live: bool | None = None) -> int:
        """``top``."""
        if is_live(w.table.entries[w.slot]) if live is None else live:
            return ipa
        end = w.slot + 1
        while end < 512 and not is_live(w.table.entries[end]):
            end += 1
        size = size_of(w.level)
        return (ipa & -size) + (end - w.slot) * size

    def move(self, pa: int, state: int) -> None:
        """A granule changes its state."""
        self.state[pa] = state
        self.touched.add(pa)

    def set_entry(self, w: Walk, entry: int) -> None:
        """An entry changes."""
        w.table.entries[w.slot] = entry

    # -- granules ---------------------------------------------------------------------------------------------------
    def granule_delegate(self, addr: int) -> Result:
        """UNDELEGATED -> DELEGATED."""
        if not self.readable(addr):
            return (INPUT,)
        self.move(addr, D)
        return (OK,)

    def granule_undelegate(self, addr: int) -> Result:
        """DELEGATED -> UNDELEGATED."""
        if self.bad(addr, D):
            return (INPUT,)
        self.move(addr, U)
        return (OK,)

    def version(self, req: int) -> Result:
        """1.0."""
        return (INPUT if req != 0x10000 else OK, 0x10000, 0x10000)

    # -- Realms -----------------------------------------------------------------------------------------------------
    SHAPES = ((33, 2, 8), (32, 1, 1), (33, 1, 1), (32, 2, 4), (40, 0, 1), (40, 1, 2))

    @staticmethod
    def legal(s2sz: int, start: int, count: int) -> bool:
        """The starting tables resolve the IPA width: one of them, or up to 16 next to each other."""
        one = {0: 48, 1: 39, 2: 30}.get(start, 0)  # bits that one table resolves
        lowest = {0: 40, 1: 32, 2: 32}.get(start, 64)
        return lowest <= s2sz <= min(48, one + 4) and count == max(1, 1 << max(0, s2sz - one))

    def realm_create(self, rd: int, params_ptr: int, params: dict[str, int]) -> Result:
        """Its tables say EMPTY below, Non-secure above."""
        if not self.readable(params_ptr):
            return (INPUT,)
        shape = (params["s2sz"], params["rtt_level_start"], params["rtt_num_start"])
        count, base = shape[2], params["rtt_base"]
        tables = [base + PAGE * number for number in range(count)]
        used = {realm.vmid for realm in self.realms.values()}
        if not self.legal(*shape) or params["hash_algo"] > 1 or params["vmid"] in used or rd in tables:
            return (INPUT,)
        if self.bad(rd, D) or base % (count * PAGE) or any(self.bad(table, D) for table in tables):
            return (INPUT,)
        realm = self.realms[rd] = Realm(shape[0], shape[1], tables, params["vmid"])
        size = size_of(realm.start)
        every = [0] * (realm.half // size) + [_NS] * (realm.half // size)
        every += [0] * (512 * count - len(every))
        for number, table in enumerate(tables):
            self.tables[table] = Table(realm.start, every[512 * number : 512 * number + 512])
            self.move(table, RTT)
        self.move(rd, RD)
        return (OK,)

    def realm_activate(self, rd: int) -> Result:
        """NEW -> ACTIVE."""
        if self.bad(rd, RD):
            return (INPUT,)
        if self.realms[rd].state != NEW:
            return (REALM,)
        self.realms[rd].state = ACTIVE
        return (OK,)

    def table_live(self, pa: int) -> bool:
        """A TABLE or a protected ASSIGNED entry."""
        return any(is_live(entry) and not entry & _NS for entry in self.tables[pa].entries)

    def realm_destroy(self, rd: int) -> Result:
        """Everything it has goes back."""
        if self.bad(rd, RD):
            return (INPUT,)
        realm = self.realms[rd]
        if realm.recs or any(self.table_live(table) for table in realm.tables):
            return (REALM,)
        for table in realm.tables:
            del self.tables[table]
            self.move(table, D)
        del self.realms[rd]
        self.move(rd, D)
        return (OK,)

    # -- data -------------------------------------------------------------------------------------------------------
    def data_create(self, rd: int, data: int, ipa: int, src: int, flags: int, content: bytes) -> Result:
        """ASSIGNED,RAM with the Host's content."""
        if flags > 1 or self.bad(src, U) or self.bad(data, D) or self.bad(rd, RD):
            return (INPUT,)
        realm = self.realms[rd]
        if realm.state != NEW:
            return (REALM,)
        refused = self._data(realm, ipa)
        if refused is not None:
            return refused
        if not self.readable(src):
            return (INPUT,)
        self.move(data, DATA)
        self.set_entry(self.walk(realm, ipa, 3), leaf(RAM, data, 3))
        realm.written[ipa] = content
        return (OK,)

    def _data(self, realm: Realm, ipa: int) -> Result | None:
        if ipa >= realm.half or ipa & 0xFFF:
            return (INPUT,)
        w = self.walk(realm, ipa, 3)
        return (rtt_error(w.level),) if w.level < 3 or is_live(w.entry) else None

    def data_create_unknown(self, rd: int, data: int, ipa: int) -> Result:
        """ASSIGNED with the RIPAS that there is."""
        if self.bad(data, D) or self.bad(rd, RD):
            return (INPUT,)
        realm = self.realms[rd]
        refused = self._data(realm, ipa)
        if refused is not None:
            return refused
        w = self.walk(realm, ipa, 3)
        self.move(data, DATA)
        self.set_entry(w, leaf(ripas_of(w.entry), data, 3))
        realm.written.pop(ipa, None)
        return (OK,)

    def data_destroy(self, rd: int, ipa: int) -> Result:
        """RAM becomes DESTROYED."""
        if self.bad(rd, RD):
            return (INPUT,)
        realm = self.realms[rd]
        if ipa >= realm.half or ipa & 0xFFF:
            return (INPUT,)
        w = self.walk(realm, ipa, 3)
        if w.level < 3 or not is_live(w.entry):
            return (rtt_error(w.level), 0, self.skip(w, ipa))
        ripas, data = ripas_of(w.entry), w.entry & _OA
        self.set_entry(w, (DESTROYED if ripas == RAM else ripas) << 5)
        self.move(data, D)
        realm.written.pop(ipa, None)
        return OK, data, self.skip(w, ipa)

    # -- RECs -------------------------------------------------------------------------------------------------------
    def rec_aux_count(self, rd: int) -> Result:
        """A constant."""
        return (INPUT,) if self.bad(rd, RD) else (OK, self.aux_count)

    def rec_create(self, rd: int, rec: int, params_ptr: int, params: dict[str, int], aux: tuple[int, ...]) -> Result:
        """READY."""
        if not self.readable(params_ptr) or params["num_aux"] > 16:
            return (INPUT,)
        named = (*aux, *(0,) * 16)[: params["num_aux"]]
        if any(self.bad(pa, D) for pa in named) or len({*named, rec}) != len(named) + 1:
            return (INPUT,)
        if self.bad(rec, D) or self.bad(rd, RD):
            return (INPUT,)
        realm = self.realms[rd]
        if realm.state != NEW:
            return (REALM,)
        if params["mpidr"] > 15 or params["mpidr"] != realm.next_rec or len(named) != self.aux_count:
            return (INPUT,)
        self.recs[rec] = Rec(rd, realm.next_rec, params["flags"] & 1, (named[0], named[1]))
        realm.next_rec += 1
        realm.recs.add(rec)
        self.move(rec, REC)
        for pa in named:
            self.move(pa, AUX)
        return (OK,)

    def rec_destroy(self, rec: int) -> Result:
        """With its auxiliary granules."""
        if self.bad(rec, REC):
            return (INPUT,)
        gone = self.recs.pop(rec)
        self.realms[gone.rd].recs.remove(rec)
        for pa in (rec, *gone.aux):
            self.move(pa, D)
        return (OK,)

    def psci_complete(self, calling_rec: int, target_rec: int, status: int) -> Result:
        """The Host's part of CPU_ON and AFFINITY_INFO."""
        if calling_rec == target_rec or self.bad(calling_rec, REC) or self.bad(target_rec, REC):
            return (INPUT,)
        calling, target = self.recs[calling_rec], self.recs[target_rec]
        if not calling.pending or calling.rd != target.rd:
            return (INPUT,)
        if psci_index(calling.pending, calling.sent[1]) != target.index:
            return (INPUT,)
        is_on = calling.pending in CPU_ON
        if status not in (0, -3 & ONES) or (status and not (is_on and not target.runnable)):
            return (INPUT,)
        if not is_on:
            answer = int(not target.runnable)
        elif target.runnable:
            answer = -4 & ONES
        else:
            answer = status
            if not status:
                target.runnable, target.at = 1, "boot"
        calling.answer = (answer, 0, 0, 0)
        calling.pending = 0
        return (OK,)

    # -- tables -----------------------------------------------------------------------------------------------------
    def _structure(self, rd: int, ipa: int, level: int) -> Walk | Result:
        realm = self.realms[rd]
        if not realm.start < level <= 3 or ipa >= realm.top or ipa % size_of(level - 1):
            return (INPUT,)
        return self.walk(realm, ipa, level - 1)

    def rtt_create(self, rd: int, rtt: int, ipa: int, level: int) -> Result:
        """The entry unfolds."""
        if self.bad(rtt, D) or self.bad(rd, RD):
            return (INPUT,)
        w = self._structure(rd, ipa, level)
        if not isinstance(w, Walk):
            return w
        if w.level < level - 1 or is_table(w.entry, w.level):
            return (rtt_error(w.level),)
        entries = [w.entry] * 512
        if is_live(w.entry):
            kind = w.entry & ~3 | _TYPE[level] if w.entry & 1 else w.entry
            entries = [kind + number * size_of(level) for number in range(512)]
        self.tables[rtt] = Table(level, entries)
        self.move(rtt, RTT)
        self.set_entry(w, rtt | 3)
        return (OK,)

    def rtt_destroy(self, rd: int, ipa: int, level: int) -> Result:
        """The entry becomes DESTROYED, or Non-secure."""
        if self.bad(rd, RD):
            return (INPUT,)
        w = self._structure(rd, ipa, level)
        if not isinstance(w, Walk):
            return w
        if w.level < level - 1 or not is_table(w.entry, w.level):
            return (rtt_error(w.level), 0, self.skip(w, ipa))
        table = w.entry & _OA
        if self.table_live(table):
            return rtt_error(level), 0, ipa
        self.set_entry(w, DESTROYED << 5 if ipa < self.realms[rd].half else _NS)
        del self.tables[table]
        self.move(table, D)
        return OK, table, self.skip(w, ipa)

    def rtt_fold(self, rd: int, ipa: int, level: int) -> Result:
        """The entry says what all 512 say."""
        if self.bad(rd, RD):
            return (INPUT,)
        w = self._structure(rd, ipa, level)
        if not isinstance(w, Walk):
            return w
        if w.level < level - 1 or not is_table(w.entry, w.level):
            return (rtt_error(w.level),)
        table = w.entry & _OA
        entry = folded(self.tables[table].entries, level)
        if isinstance(entry, Refused):
            return (rtt_error(entry.level),)
        self.set_entry(w, entry)
        del self.tables[table]
        self.move(table, D)
        return OK, table

    def rtt_read_entry(self, rd: int, ipa: int, level: int) -> Result:
        """What a walk finds."""
        if self.bad(rd, RD):
            return (INPUT, 0, 0, 0, 0)
        realm = self.realms[rd]
        if not realm.start <= level <= 3 or ipa >= realm.top or ipa % size_of(level):
            return (INPUT, 0, 0, 0, 0)
        w = self.walk(realm, ipa, level)
        entry = w.entry
        if is_table(entry, w.level):
            return OK, w.level, 2, entry & _OA, 0
        if entry & 1 and entry & _NS:
            return OK, w.level, 1, entry & (_OA | 7 << 2 | 3 << 6), 0
        if is_live(entry):
            return OK, w.level, 1, entry & _OA, ripas_of(entry)
        return OK, w.level, 0, 0, 0 if entry & _NS else ripas_of(entry)

    def _unprotected(self, rd: int, ipa: int, level: int) -> Walk | Result:
        realm = self.realms[rd]
        if level < realm.start or not realm.half <= ipa < realm.top or ipa % size_of(level):
            return (INPUT,)
        return self.walk(realm, ipa, level)

    def rtt_map_unprotected(self, rd: int, ipa: int, level: int, desc: int) -> Result:
        """ASSIGNED_NS."""
        if level not in (1, 2, 3) or self.bad(rd, RD):
            return (INPUT,)
        if desc & ~(_OA & -size_of(level) | 7 << 2 | 3 << 6) or desc >> 2 & 7 == 4:
            return (INPUT,)
        w = self._unprotected(rd, ipa, level)
        if not isinstance(w, Walk):
            return w
        if w.level < level or w.entry != _NS:
            return (rtt_error(w.level),)
        self.set_entry(w, desc | _HOST | _TYPE[level])
        return (OK,)

    def rtt_unmap_unprotected(self, rd: int, ipa: int, level: int) -> Result:
        """UNASSIGNED_NS."""
        if level not in (1, 2, 3) or self.bad(rd, RD):
            return (INPUT,)
        w = self._unprotected(rd, ipa, level)
        if not isinstance(w, Walk):
            return w
        if w.level < level or is_table(w.entry, w.level) or not w.entry & 1:
            return rtt_error(w.level), self.skip(w, ipa)
        self.set_entry(w, _NS)
        return OK, self.skip(w, ipa)

    # -- RIPAS ------------------------------------------------------------------------------------------------------
    def rtt_init_ripas(self, rd: int, base: int, top: int) -> Result:
        """EMPTY -> RAM, as far as one table goes."""
        if top <= base or self.bad(rd, RD) or (top | base) & 0xFFF:
            return (INPUT,)
        realm = self.realms[rd]
        if max(base, top - PAGE) >= realm.half:
            return (INPUT,)
        if realm.state != NEW:
            return (REALM,)
        w = self.walk(realm, base, 3)
        size = size_of(w.level)
        if base % size or base + size > top or w.entry not in (EMPTY << 5, RAM << 5):
            return (rtt_error(w.level),)
        slot, entries = w.slot, w.table.entries
        while slot < 512 and base + size <= top and entries[slot] in (EMPTY << 5, RAM << 5):
            entries[slot] = RAM << 5
            slot, base = slot + 1, base + size
        return OK, base

    def rtt_set_ripas(self, rd: int, rec: int, base: int, top: int) -> Result:
        """As the Realm asked."""
        if top <= base or top & 0xFFF or self.bad(rd, RD) or self.bad(rec, REC):
            return (INPUT,)
        owner = self.recs[rec]
        if owner.rd != rd:
            return (REC_ERROR,)
        if owner.ripas is None:
            return (INPUT,)
        first, last, value, destroyed, done = owner.ripas
        if base != done or top > last:
            return (INPUT,)
        realm = self.realms[rd]
        w = self.walk(realm, base, 3)
        size = size_of(w.level)

        def stuck(entry: int) -> bool:
            return is_table(entry, w.level) or bool(entry & _NS) or (ripas_of(entry) == DESTROYED and not destroyed)

        if base % size or base + size > top or stuck(w.entry):
            return (rtt_error(w.level),)
        slot, entries = w.slot, w.table.entries
        while slot < 512 and base + size <= top and not stuck(entries[slot]):
            old = entries[slot]
            entries[slot] = leaf(value, old & _OA, w.level) if is_live(old) else value << 5
            slot, base = slot + 1, base + size
        owner.ripas = (first, last, value, destroyed, base)
        return OK, base
