"""What the hosts ask: arguments with which a command mostly succeeds, and what is next to them."""

from typing import Any, Protocol

from rmm_driver import Driver
from rmm_host import Host
from rmm_model import ALL
from rmm_model.entries import Hipas, Ripas, Table, span
from rmm_model.facts import ONES, PAGE, Granule, Realm, RealmState, Rec, mpidr_index
from rmm_model.guest import CALL, CODE
from rmm_model.realm_commands import PMU, STARTS
from rmm_steps import FID, Page, Step
from rmm_watched import CODE_SOURCE, GRANULES, LOST, REALM_PARAMS, REC_PARAMS, SECRET, SHARED, SOURCE

from cca_arch.rmi.v1_0 import RmiRealmParams, RmiRecParams

__all__ = ["BLOCK", "BLOCKS_AT", "BUFFER", "GIB", "SHAPES", "Actions", "Random"]

BLOCK, GIB = 0x20_0000, 0x4000_0000
BUFFER = 2 * PAGE
BLOCKS_AT = 4 * BLOCK
"""Where a Realm of blocks has one."""
SHAPES = ((33, 2, 8), (32, 1, 1), (33, 1, 1), (32, 2, 4), (40, 0, 1), (40, 1, 2), (48, 0, 1))
ODD = (0x1C09_0000, 0xFDC0_0000, LOST, 1 << 52, ONES & -PAGE, GRANULES[3] + 8, 0)
"""Devices, firmware, another world's, nothing, no granule."""
STATES = {
    "rd": Granule.RD, "rec": Granule.REC, "calling_rec": Granule.REC, "target_rec": Granule.REC,
    "rtt": Granule.DELEGATED, "data": Granule.DELEGATED, "src": Granule.UNDELEGATED, "params_ptr": Granule.UNDELEGATED,
    "run_ptr": Granule.UNDELEGATED, "addr": Granule.DELEGATED, "dst": Granule.UNDELEGATED,
}  # fmt: skip
UNUSED = (0xC400_0156, 0xC400_0160, 0xC400_0163, 0xC400_016A, 0xC400_018F)


class Random(Protocol):
    """What the hosts ask of a source of randomness; hypothesis has one that shrinks."""

    def random(self) -> float: ...
    def randrange(self, stop: int) -> int: ...
    def choice(self, items: Any) -> Any: ...


class Actions(Driver):
    """The driver, and a host that has something in mind."""

    def __init__(self, host: Host, random: Random) -> None:
        super().__init__(host)
        self.random = random
        self.vmid = 0
        self.blocks = False
        """There is a Realm with blocks."""

    # -- choices ------------------------------------------------------------------------------------------------------
    def chance(self, probability: float) -> bool:
        """Now and then."""
        return self.random.random() < probability

    def one(self, *items: Any) -> Any:
        """Any of them."""
        return self.random.choice(items)

    def of(self, state: Granule) -> list[int]:
        """The granules of the pool in a state."""
        return [pa for pa in GRANULES if self.model.state(pa) is state]

    def pick(self, state: Granule) -> int:
        """A granule in a state, if there is one."""
        good = self.of(state)
        return int(self.random.choice(good or GRANULES))

    def call(self, name: str, *args: int, pages: tuple[Page, ...] = ()) -> bool:
        """A command on any PE."""
        return self.play(Step(name, tuple(value & ONES for value in args), pages, self.random.randrange(2)))

    def spoiled(self, name: str, args: tuple[int, ...], share: float = 0.3) -> tuple[int, ...]:
        """Now and then one argument is next to what it should be, or two are."""
        ins, values = ALL[name].ins, list(args)
        while self.chance(share):
            at = self.random.randrange(len(ins))
            values[at] = self.near(ins[at], values[at], values) & ONES
        return tuple(values)

    def near(self, kind: str, value: int, others: list[int]) -> int:
        """What is next to an argument of a kind."""
        if kind in STATES:
            granule, odd = self.random.choice(GRANULES), self.random.choice(ODD)
            return int(self.one(granule, granule, value + 8, value + 0x800, odd, odd, self.random.choice(others)))
        if kind in ("ipa", "base", "top"):
            half = 1 << self.one(31, 32, 39, 47)
            return int(
                self.one(value + 8, value + PAGE, value - PAGE, value + BLOCK, value ^ GIB, value + half, half, ONES, 0)
            )
        if kind == "level":
            return int(self.one(value - 1, value + 1, 0, -1, 4, 3))
        if kind == "desc":
            return value ^ 1 << self.one(0, 2, 3, 4, 8, 10, 11, 13, 22, 31, 48, 51, 52, 55, 63)
        return int(self.one(0, 1, 2, 0x1_0001, 1 << 63, -1, -2, -3, -4))

    # -- places
    def some_realm(self) -> Realm | None:
        """One of those that there are."""
        realms = list(self.model.realms.values())
        return self.random.choice(realms) if realms else None

    def ipa(self, realm: Realm | None = None, *, low: bool = False) -> int:
        """An IPA where things happen."""
        near = (CODE, CALL, BUFFER, 3 * PAGE, 4 * PAGE, 5 * PAGE, BLOCK - PAGE, BLOCK, BLOCK + PAGE, 2 * BLOCK, GIB)
        if self.blocks:
            near += (BLOCKS_AT, BLOCKS_AT, BLOCKS_AT + PAGE)
        half, end = (realm.half, realm.end) if realm is not None else (1 << 32, 1 << 33)
        far = (half, half, half + PAGE, half + BLOCK, half + GIB, half - PAGE, half - BLOCK, end - PAGE, end)
        if low or self.chance(0.6):
            return int(self.random.choice([ipa for ipa in near if ipa < half]))
        return int(self.random.choice(far))

    def place(self, above: int, *, high: bool = False) -> tuple[int, int, int]:
        """An RD, an IPA and a level, aligned to an entry ``above`` levels up; ``high``: mostly Unprotected.

        Mostly the level is that of an entry on the way to the IPA, so that something is there.
        """
        realm = self.some_realm()
        if realm is None:
            return self.pick(Granule.RD), 0, 3
        ipa = self.ipa(realm)
        if high and self.chance(0.8):
            ipa = realm.half + self.one(0, 0, PAGE, 2 * PAGE, BLOCK, GIB)
        level = self.one(3, 3, 3, 2, 2, 1)
        if ipa < realm.end and self.chance(0.5):
            level = self.model.walk(realm, ipa, 3).level + self.one(0, 0, 0, 1) * (above or 1)
        if 0 <= level - above <= 3:
            ipa &= -span(level - above)
        return realm.rd, ipa, level

    def tables(self, realm: Realm) -> list[tuple[int, Table]]:
        """The tables that a Realm has below those of its starting level."""
        found = []
        todo = list(realm.roots)
        while todo:
            for entry in self.model.tables[todo.pop()].entries:
                if entry.hipas is Hipas.TABLE:
                    found.append((entry.pa, self.model.tables[entry.pa]))
                    todo.append(entry.pa)
        return found

    def destroyed(self, realm: Realm) -> int | None:
        """An IPA whose memory the Host has taken away."""
        found = [
            table.ipa(slot)
            for _, table in self.tables(realm)
            for slot, entry in enumerate(table.entries)
            if entry.ripas is Ripas.DESTROYED
        ]
        return int(self.random.choice(found)) if found else None

    # -- a call of each command ---------------------------------------------------------------------------------------
    def make(self, name: str) -> None:
        """A call of a command, mostly one that makes sense."""
        getattr(self, name.lower())()

    def go(self, name: str, *args: int) -> None:
        """The call, or one next to it."""
        self.call(name, *self.spoiled(name, args))

    def fid(self) -> None:
        """What is no command."""
        self.play(Step(FID, (self.random.choice(UNUSED), *(self.pick(Granule.RD) for _ in range(3)))))

    def version(self) -> None:
        self.go("VERSION", 0x1_0000)

    def features(self) -> None:
        self.go("FEATURES", 0)

    def granule_delegate(self) -> None:
        self.go("GRANULE_DELEGATE", self.pick(Granule.UNDELEGATED))

    def granule_undelegate(self) -> None:
        self.go("GRANULE_UNDELEGATE", self.pick(Granule.DELEGATED))

    def new_vmid(self) -> int:
        """A VMID that no Realm has."""
        used = {realm.vmid for realm in self.model.realms.values()}
        while True:
            self.vmid = self.vmid % 200 + 1
            if self.vmid not in used:
                return self.vmid

    def realm_page(self, base: int, shape: tuple[int, int, int], **odd: int) -> Page:
        """RmiRealmParams."""
        s2sz, start, count = shape
        values: dict[str, Any] = {
            "s2sz": s2sz, "rtt_level_start": start, "rtt_num_start": count, "rtt_base": base, "vmid": self.new_vmid(),
            "num_bps": self.one(1, 5), "num_wps": self.one(1, 3), "hash_algo": self.random.randrange(2),
            "flags": self.one(0, 0, 0, 1 << 5, PMU), "pmu_num_ctrs": self.one(1, 6),
            "rpv": bytes([self.random.randrange(256)]) * 64,
        }  # fmt: skip
        return Page.of(REALM_PARAMS, RmiRealmParams.pack(**values | odd))

    def realm_create(self) -> None:
        """With one wrong parameter now and then."""
        shape = self.random.choice(SHAPES)
        bases = [pa for pa in GRANULES[: 48 : shape[2]]]
        free = self.of(Granule.DELEGATED)
        base = self.random.choice([pa for pa in bases if pa in free] or bases)
        rd = self.random.choice(free or GRANULES)
        odd: dict[str, int] = {}
        if self.chance(0.4):
            used = [realm.vmid for realm in self.model.realms.values()]
            odd = self.one(
                {"s2sz": self.one(31, 34, 39, 41, 49)}, {"rtt_num_start": self.one(0, 2, 3, 16, 17)}, {"hash_algo": 2},
                {"vmid": self.random.choice(used or [0x100])}, {"vmid": 0x101}, {"flags": self.one(1, 2)},
                {"flags": PMU, "pmu_num_ctrs": self.one(0, 7)},
                {"num_bps": self.one(0, 6, 63)}, {"num_wps": self.one(0, 4)}, {"rtt_level_start": self.one(-1, 3, 4)},
                {"rtt_base": base + 8}, {"rtt_base": base + PAGE}, {"rtt_base": LOST}, {"rtt_base": rd},
            )  # fmt: skip
        args = self.spoiled("REALM_CREATE", (rd, REALM_PARAMS), 0.2)
        self.call("REALM_CREATE", *args, pages=(self.realm_page(base, shape, **odd),))

    def realm_activate(self) -> None:
        self.go("REALM_ACTIVATE", self.pick(Granule.RD))

    def realm_destroy(self) -> None:
        self.go("REALM_DESTROY", self.pick(Granule.RD))

    def rec_aux_count(self) -> None:
        self.go("REC_AUX_COUNT", self.pick(Granule.RD))

    def data_create(self) -> None:
        new = self.realms(RealmState.NEW)
        rd = self.random.choice(new) if new and self.chance(0.8) else self.pick(Granule.RD)
        src = self.one(SOURCE, SOURCE, CODE_SOURCE, self.pick(Granule.UNDELEGATED), LOST)
        ipa = self.ipa(self.model.realms.get(rd), low=True)
        self.go("DATA_CREATE", rd, self.pick(Granule.DELEGATED), ipa, src, self.one(0, 1, 1))

    def data_create_unknown(self) -> None:
        realm = self.some_realm()
        rd = realm.rd if realm is not None else self.pick(Granule.RD)
        self.go("DATA_CREATE_UNKNOWN", rd, self.pick(Granule.DELEGATED), self.ipa(realm, low=True))

    def data_destroy(self) -> None:
        realm = self.some_realm()
        ipa = self.ipa(realm)
        if ipa in (CODE, CALL) and self.chance(0.92):
            return
        self.go("DATA_DESTROY", realm.rd if realm is not None else self.pick(Granule.RD), ipa)

    def rec_page(self, realm: Realm | None, aux: tuple[int, ...], **odd: Any) -> Page:
        """RmiRecParams."""
        index = realm.next_index if realm is not None else 0
        values: dict[str, Any] = {
            "mpidr": index & 0xF | index >> 4 << 8, "flags": 1, "num_aux": self.model.platform.aux_count, "pc": CODE,
            "gprs": (SECRET,) * 8, **odd,
        }  # fmt: skip
        return Page.of(REC_PARAMS, RmiRecParams.pack(**values, aux=(*aux, *(0,) * 16)[:16]))

    def rec_create(self) -> None:
        """With one wrong parameter now and then."""
        new = self.realms(RealmState.NEW)
        rd = self.random.choice(new) if new and self.chance(0.8) else self.pick(Granule.RD)
        free = self.of(Granule.DELEGATED)
        if len(free) < 3:
            return
        rec, *aux = (free.pop(self.random.randrange(len(free))) for _ in range(3))
        odd: dict[str, Any] = {"flags": self.one(1, 0, 2, 3)}
        if self.chance(0.4):
            choice = self.random.randrange(8)
            if choice < 5:
                odd |= self.one(
                    {"num_aux": self.one(0, 1, 3)}, {"num_aux": self.one(17, 1 << 40)}, {"mpidr": self.one(5, 0x100)},
                    {"mpidr": self.one(0x10, 1 << 32)}, {"pc": PAGE},
                )  # fmt: skip
            else:
                aux[1] = (aux[0], rec, aux[1] + 8, int(self.random.choice(GRANULES)), LOST)[self.random.randrange(5)]
        args = self.spoiled("REC_CREATE", (rd, rec, REC_PARAMS), 0.2)
        page = self.rec_page(self.model.realms.get(rd), tuple(aux), **odd)
        self.call("REC_CREATE", *args, pages=(page,))
        self.host.memory.write(REC_PARAMS, bytes(PAGE))  # the secret is nobody's to show

    def rec_destroy(self) -> None:
        if self.chance(0.4):
            self.go("REC_DESTROY", self.pick(Granule.REC))

    def some_rec(self, waits: str = "") -> tuple[int, Rec] | None:
        """A REC; one that waits for something, if there is one."""
        recs = list(self.model.recs.items())
        waiting = [it for it in recs if waits and getattr(it[1], waits) is not None]
        return self.random.choice(waiting or recs) if recs else None

    def psci_complete(self) -> None:
        found = self.some_rec("psci")
        if found is None or (found[1].psci is None and self.chance(0.8)):
            return
        pa, calling = found
        index = mpidr_index(calling.psci[1]) if calling.psci is not None else 0
        family = [it for it, rec in self.model.recs.items() if rec.rd == calling.rd and it != pa]
        named = [it for it in family if self.model.recs[it].index == index]
        every = list(self.model.recs)
        target = self.random.choice(self.one(*(named,) * 6, family, every) or every)
        self.go("PSCI_COMPLETE", pa, target, self.one(0, 0, 0, -3, -3, -1))

    def rtt_create(self) -> None:
        rd, ipa, level = self.place(1)
        self.go("RTT_CREATE", rd, self.pick(Granule.DELEGATED), ipa, level)

    def rtt_destroy(self) -> None:
        rd, ipa, level = self.place(1)
        if ipa or self.chance(0.05):
            self.go("RTT_DESTROY", rd, ipa, level)

    def rtt_fold(self) -> None:
        self.go("RTT_FOLD", *self.place(1))

    def rtt_read_entry(self) -> None:
        self.go("RTT_READ_ENTRY", *self.place(0))

    def rtt_map_unprotected(self) -> None:
        rd, ipa, level = self.place(0, high=True)
        memory = self.one(SHARED[0], SHARED[0], SHARED[1], self.pick(Granule.DELEGATED), 2 * GIB)
        memory &= -span(level if 1 <= level <= 3 else 3)
        desc = memory | self.one(6, 1, 5, 7) << 2 | self.one(3, 3, 1, 2, 0) << 6
        self.go("RTT_MAP_UNPROTECTED", rd, ipa, level, desc)

    def rtt_unmap_unprotected(self) -> None:
        self.go("RTT_UNMAP_UNPROTECTED", *self.place(0, high=True))

    def rtt_init_ripas(self) -> None:
        new = self.realms(RealmState.NEW)
        rd = self.random.choice(new) if new and self.chance(0.8) else self.pick(Granule.RD)
        base = self.ipa(self.model.realms.get(rd), low=True)
        realm = self.model.realms.get(rd)
        if self.chance(0.5):
            base &= -BLOCK
        elif realm is not None and self.chance(0.1):
            base = realm.half - PAGE
        self.go("RTT_INIT_RIPAS", rd, base, base + self.one(PAGE, 3 * PAGE, BLOCK, 2 * BLOCK))

    def rtt_set_ripas(self) -> None:
        found = self.some_rec("ripas")
        if found is None or (found[1].ripas is None and self.chance(0.9)):
            return
        pa, rec = found
        base, top = (rec.ripas.reached, rec.ripas.top) if rec.ripas is not None else (0, PAGE)
        top = self.one(*(top,) * 6, base + PAGE, base + PAGE, base + BLOCK, top + PAGE)
        rd = self.pick(Granule.RD) if self.chance(0.15) else rec.rd
        self.call("RTT_SET_RIPAS", *self.spoiled("RTT_SET_RIPAS", (rd, pa, base, top), 0.4))


assert set(STARTS) == {start for _, start, _ in SHAPES}
