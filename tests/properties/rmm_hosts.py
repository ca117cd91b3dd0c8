"""The hosts: plans that build, run and take down Realms, and calls with any argument in between."""

from collections.abc import Callable
from typing import Any

from rmm_actions import BLOCK, BLOCKS_AT, BUFFER, GIB, SHAPES
from rmm_model.entries import Hipas, Ripas, span
from rmm_model.facts import PAGE, Granule, RealmState
from rmm_model.guest import CALL, CODE
from rmm_runs import Runs
from rmm_watched import BIG, CODE_SOURCE, GRANULES, REALM_PARAMS, REC_PARAMS, SHARED, SOURCE

__all__ = ["STARTS", "Hosts"]

WEIGHTS = {
    "granule_delegate": 6, "granule_undelegate": 4, "version": 1, "features": 1, "fid": 1, "realm_create": 4,
    "realm_activate": 2, "realm_destroy": 2, "data_create": 7, "data_create_unknown": 6, "data_destroy": 6,
    "rec_aux_count": 1, "rec_create": 5, "rec_destroy": 2, "psci_complete": 6, "rtt_create": 9, "rtt_destroy": 5,
    "rtt_fold": 9, "rtt_read_entry": 6, "rtt_map_unprotected": 8, "rtt_unmap_unprotected": 5, "rtt_init_ripas": 6,
    "rtt_set_ripas": 8, "rec_enter": 14,
}  # fmt: skip
NAMES = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
NORMAL, READ_ONLY, WRITE_ONLY = 6 << 2 | 3 << 6, 6 << 2 | 1 << 6, 6 << 2 | 2 << 6
Plan = list[Callable[[], Any]]


class Hosts(Runs):
    """Somebody with a mind of his own."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.plan: Plan = []
        self.random_calls = 0
        """The calls of a sequence without those that it started with."""
        self.focus: list[str] = []
        """Commands to try more than others; empty for the usual mixture."""

    def step(self) -> None:
        """One call; now and then none, when what was drawn makes no sense."""
        if not self.plan:
            self.plan = self.new_plan()
        if self.chance(0.6):
            self.plan.pop(0)()
        else:
            self.make(self.random.choice(self.focus or NAMES))

    def new_plan(self) -> Plan:
        """Build a Realm while there is room for it, use one, or take one down."""
        realms = list(self.model.realms)
        chance = self.random.random()
        if not realms or (len(realms) < 3 and chance < 0.5):
            return self.build()
        rd = self.random.choice(realms)
        if chance < 0.85 and self.model.realms[rd].recs:
            return [lambda: self.serve(rd) for _ in range(40)]
        return self.take_down(rd)

    def serve(self, rd: int) -> None:
        """Answer what a REC waits for, then enter it."""
        realm = self.model.realms.get(rd)
        if realm is None or not realm.recs:
            return
        if realm.state is RealmState.SYSTEM_OFF and self.chance(0.2):
            self.plan = self.take_down(rd)
            return
        recs = [pa for pa in sorted(realm.recs) if self.model.recs[pa].runnable] or sorted(realm.recs)
        pa = self.random.choice(recs)
        rec = self.model.recs[pa]
        if rec.psci is not None:
            self.psci_complete()
        elif rec.ripas is not None and self.chance(0.7):
            for _ in range(self.one(1, 2, 4)):
                self.rtt_set_ripas()
        elif not self.repair(rd, pa) or self.chance(0.3):
            self.rec_enter(pa)

    def repair(self, rd: int, rec: int) -> bool:
        """Give a Realm the memory that it has missed; if it can have none any more, take the Realm down."""
        model, exit = self.model, self.exits.get(rec)
        if exit is None or exit.reason or model.recs[rec].abort is not None:
            return False
        ipa, realm = exit.hpfar >> 4 << 12, model.realms[rd]
        if not realm.protected(ipa):
            return False
        w = model.walk(realm, ipa, 3)
        if w.entry.live:
            return False
        if w.entry.ripas is Ripas.DESTROYED:
            if self.chance(0.2):
                self.plan = self.take_down(rd)
        elif w.level < 3:
            self.add_table(rd, ipa, w.level + 1)
        else:
            self.call("DATA_CREATE_UNKNOWN", rd, self.pick(Granule.DELEGATED), ipa)
        return True

    # -- plans
    def delegate(self, pa: int) -> None:
        """If that is of use."""
        if self.model.is_ns(pa):
            self.call("GRANULE_DELEGATE", pa)

    def create(self, base: int, shape: tuple[int, int, int], rd: int) -> None:
        """A Realm with good parameters."""
        self.call("REALM_CREATE", rd, REALM_PARAMS, pages=(self.realm_page(base, shape),))

    def add_table(self, rd: int, ipa: int, level: int) -> None:
        """RMI_RTT_CREATE."""
        self.call("RTT_CREATE", rd, self.pick(Granule.DELEGATED), ipa & -span(level - 1), level)

    def load(self, rd: int, ipa: int, src: int) -> None:
        """RMI_DATA_CREATE."""
        self.call("DATA_CREATE", rd, self.pick(Granule.DELEGATED), ipa, src, self.one(0, 1))

    def add_rec(self, rd: int, flags: int) -> None:
        """RMI_REC_CREATE."""
        free = self.of(Granule.DELEGATED)
        if len(free) >= 3 and self.model.realms[rd].state is RealmState.NEW:
            rec, *aux = free[-3:]
            page = self.rec_page(self.model.realms[rd], tuple(aux), flags=flags)
            self.call("REC_CREATE", rd, rec, REC_PARAMS, pages=(page,))
            self.host.memory.write(REC_PARAMS, bytes(PAGE))

    def build(self) -> Plan:
        """Delegate, create, fill, activate, run."""
        shape = self.random.choice(SHAPES)
        s2sz, start, count = shape
        groups = [GRANULES[first : first + count] for first in range(0, 48, count)]
        free = (Granule.UNDELEGATED, Granule.DELEGATED)
        usable = [group for group in groups if all(self.model.state(pa) in free for pa in group)]
        spare = [pa for pa in GRANULES[48:] if self.model.state(pa) in free]
        if not usable or len(spare) < 20:
            return [self.rtt_read_entry, self.granule_undelegate]
        roots = self.random.choice(usable)
        rd = spare.pop(self.random.randrange(len(spare)))
        half = 1 << s2sz - 1

        def still(method: Callable[..., Any], *args: Any) -> Callable[[], Any]:
            return lambda: method(rd, *args) if rd in self.model.realms else None

        plan: Plan = [lambda pa=pa: self.delegate(pa) for pa in (*roots, rd, *spare[:18])]  # type: ignore[misc]
        plan.append(lambda: self.create(roots[0], shape, rd))
        plan += [still(self.add_table, ipa, level) for ipa in (0, half) for level in range(start + 1, 4)]
        plan += [still(self.load, CODE, CODE_SOURCE), still(self.load, CALL, SOURCE), still(self.load, BUFFER, SOURCE)]
        plan.append(still(lambda rd: self.call("RTT_INIT_RIPAS", rd, BLOCK, 2 * BLOCK)))
        for ipa, desc in ((half, SHARED[0] | NORMAL), (half + PAGE, SHARED[1] | self.one(READ_ONLY, WRITE_ONLY))):
            plan.append(still(lambda rd, ipa=ipa, desc=desc: self.call("RTT_MAP_UNPROTECTED", rd, ipa, 3, desc)))
        if self.chance(0.5):
            plan += [still(self.load, 3 * PAGE, SOURCE), still(lambda rd: self.call("DATA_DESTROY", rd, 3 * PAGE))]
        plan += [still(self.add_rec, flags) for flags in (1, 0, self.one(0, 1))]
        plan.append(still(lambda rd: self.call("REALM_ACTIVATE", rd)))
        return plan + [lambda: self.serve(rd) for _ in range(25)]

    def take_down(self, rd: int) -> Plan:
        """Everything that the Realm has now."""
        realm, tables = self.model.realms[rd], self.model.tables
        plan: Plan = [lambda pa=pa: self.call("REC_DESTROY", pa) for pa in sorted(realm.recs)]  # type: ignore[misc]

        def still(name: str, *args: int) -> Callable[[], Any]:
            return lambda: self.call(name, rd, *args) if rd in self.model.realms else None

        def visit(pa: int) -> None:
            table = tables[pa]
            for slot, entry in enumerate(table.entries):
                if entry.hipas is Hipas.TABLE:
                    visit(entry.pa)
                    plan.append(still("RTT_DESTROY", table.ipa(slot), table.level + 1))
                elif entry.hipas in (Hipas.ASSIGNED, Hipas.SEALED):
                    plan.append(still("DATA_DESTROY", table.ipa(slot)))

        for pa in realm.roots:
            visit(pa)
        return [*plan, still("REALM_DESTROY"), *[self.granule_undelegate] * 8]

    # -- tables that no random calls would fill
    def realm_at(self, shape: tuple[int, int, int], tables: int) -> int:
        """A NEW Realm, and granules for its tables."""
        for pa in (*GRANULES[: max(shape[2], 1)], GRANULES[50], *GRANULES[60 : 60 + tables]):
            self.delegate(pa)
        self.create(GRANULES[0], shape, GRANULES[50])
        return GRANULES[50]

    def make_block(self) -> None:
        """2 MiB of Protected memory in one entry."""
        self.blocks = True
        rd = self.realm_at((33, 2, 8), 3)
        if self.chance(0.7):
            self.call("RTT_INIT_RIPAS", rd, BLOCKS_AT, BLOCKS_AT + BLOCK)
        self.add_table(rd, BLOCKS_AT, 3)
        for number, pa in enumerate(BIG):
            self.call("GRANULE_DELEGATE", pa)
            self.call("DATA_CREATE_UNKNOWN", rd, pa, BLOCKS_AT + number * PAGE)
        self.call("RTT_FOLD", rd, BLOCKS_AT, 3)

    def make_unprotected(self, level: int, shape: tuple[int, int, int]) -> None:
        """A table full of the Host's memory, first with one entry that does not fit, then folded."""
        self.blocks = True
        rd = self.realm_at(shape, 3)
        base, size = self.model.realms[rd].half, span(level)
        for above in range(shape[1] + 1, level + 1):
            self.add_table(rd, base, above)
        odd = self.random.randrange(512)
        for number in range(512):
            desc = (number * size | NORMAL) ^ (number == odd) * self.one(64, size)
            self.call("RTT_MAP_UNPROTECTED", rd, base + number * size, level, desc)
        self.call("RTT_FOLD", rd, base, level)
        self.call("RTT_UNMAP_UNPROTECTED", rd, base + odd * size, level)
        self.call("RTT_FOLD", rd, base, level)
        self.call("RTT_MAP_UNPROTECTED", rd, base + odd * size, level, odd * size | NORMAL)
        for _ in range(2):  # the second time it is no table any more, unless no block can replace it
            self.call("RTT_FOLD", rd, base, level)


STARTS: tuple[Callable[[Hosts], None] | None, ...] = (
    None,
    Hosts.make_block,
    None,
    lambda hosts: hosts.make_unprotected(1, (40, 0, 1)),
    None,
    lambda hosts: hosts.make_unprotected(2, (40, 0, 1)),
    None,
    lambda hosts: hosts.make_unprotected(3, (33, 2, 8)),
)
"""Seed modulo 8 -> what a sequence starts with."""
assert span(1) == GIB and span(2) == BLOCK
