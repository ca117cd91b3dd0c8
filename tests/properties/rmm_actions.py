"""What the hosts do: plans that build, run and take down Realms, and calls with any argument in between."""

from collections.abc import Callable
from typing import Any

from rmm_driver import BIG, CODE_SOURCE, GRANULES, LOST, REALM_PARAMS, REC_PARAMS, RUNS, SECRET, SOURCE, Broken, Driver
from rmm_model import CALL, CODE, ONES, PAGE, RD, REC, D, Realm, Rec, U, is_live, is_table, ripas_of, size_of
from rmm_model_run import CONFIG, HOST_CALL, HOST_EXIT, RSI, STATE_GET, STATE_SET, TOKEN_CONTINUE, TOKEN_INIT, Exit

from cca_arch.rmi.v1_0 import RmiRealmParams, RmiRecEnter, RmiRecExit, RmiRecParams

__all__ = ["Hosts"]

BUFFER, BLOCK, GIB = 2 * PAGE, 0x20_0000, 0x4000_0000
BASE = 4 * BLOCK  # where a Realm of blocks has one
ODD = (0x1C09_0000, 0xFDC0_0000, LOST, 1 << 52, ONES & -PAGE, GRANULES[3] + 8, 0)
FIDS = (
    *range(RSI, RSI + 10), STATE_SET, STATE_SET, STATE_GET, CONFIG, 0x8400_0000, 0x8400_0001, 0xC400_0001, 0x8400_0003,
    0xC400_0003, 0xC400_0003, 0xC400_0003, 0x8400_0004, 0xC400_0004, 0x8400_000A, 0x8000_0000, 0x8400_0005,
    0xC400_0150, 0x1234,
)  # fmt: skip
RARE = (0x8400_0002, 0x8400_0008, 0x8400_0009)
QUIET_HCR = 0x4054  # ICH_HCR_EL2 bits that the Host may set, and that no maintenance interrupt answers here
WEIGHTS = {
    "granule_delegate": 6, "granule_undelegate": 4, "version": 1, "realm_create": 2, "realm_activate": 1,
    "realm_destroy": 2, "data_create": 5, "data_create_unknown": 6, "data_destroy": 6, "rec_aux_count": 1,
    "rec_create": 3, "rec_destroy": 1, "psci_complete": 6, "rtt_create": 8, "rtt_destroy": 5, "rtt_fold": 6,
    "rtt_read_entry": 6, "rtt_map_unprotected": 7, "rtt_unmap_unprotected": 5, "rtt_init_ripas": 5, "rtt_set_ripas": 8,
    "rec_enter": 14,
}  # fmt: skip
NAMES = [name for name, weight in WEIGHTS.items() for _ in range(weight)]


class Hosts(Driver):
    """The driver with a mind of its own."""

    blocks = False

    def make_block(self) -> None:
        """A NEW Realm with 2 MiB of protected memory in one entry."""
        self.blocks = True
        for pa in (*GRANULES[:8], GRANULES[40], GRANULES[41]):
            self.granule_delegate(pa)
        rd = self.realm_create(GRANULES[40], GRANULES[0], (33, 2, 8))
        if self.random.random() < 0.7:
            top = BASE + BLOCK
            self.call("RTT_INIT_RIPAS", lambda: self.model.rtt_init_ripas(rd, BASE, top), rd, BASE, top)
        self.rtt_create(rd, BASE, 3)
        for number, pa in enumerate(BIG):
            ipa = BASE + number * PAGE
            self.granule_delegate(pa)
            self.data_create_unknown(rd, pa, ipa)
        self.call("RTT_FOLD", lambda: self.model.rtt_fold(rd, BASE, 3), rd, BASE, 3)

    def make_gigabytes(self) -> None:
        """A NEW Realm whose table of level 1 at its first Unprotected IPA is full, but for one entry homogeneous."""
        for pa in GRANULES[:4]:
            self.granule_delegate(pa)
        rd = self.realm_create(GRANULES[1], GRANULES[0], (40, 0, 1))
        half, odd = 1 << 39, self.random.randrange(512)
        self.rtt_create(rd, half, 1)

        def map_at(number: int, pa: int) -> None:
            ipa, desc = half + number * GIB, pa | 6 << 2 | 3 << 6
            self.call(
                "RTT_MAP_UNPROTECTED", lambda: self.model.rtt_map_unprotected(rd, ipa, 1, desc), rd, ipa, 1, desc
            )

        for number in range(512):
            map_at(number, number * GIB if number != odd else 600 * GIB)
        self.call("RTT_FOLD", lambda: self.model.rtt_fold(rd, half, 1), rd, half, 1)
        self.rtt_unmap_unprotected(rd, half + odd * GIB, 1)
        map_at(odd, odd * GIB)
        self.call("RTT_FOLD", lambda: self.model.rtt_fold(rd, half, 1), rd, half, 1)

    def step(self) -> None:
        """One call; now and then none, when what was drawn makes no sense."""
        if not self.plan:
            self.plan = self.new_plan()
        if self.random.random() < 0.65:
            self.plan.pop(0)()
        else:
            getattr(self, self.random.choice(NAMES))()

    # -- choices ------------------------------------------------------------------------------------------------------
    def of(self, state: int) -> list[int]:
        """The granules of the pool in a state."""
        get = self.model.state.get
        return [pa for pa in GRANULES if get(pa, U) == state]

    def pick(self, state: int) -> int:
        """Mostly a granule in a state, else any, else what is none."""
        chance = self.random.random()
        good = self.of(state) if chance < 0.85 else None
        if good:
            return int(self.random.choice(good))
        return int(self.random.choice(GRANULES if chance < 0.95 else ODD))

    def realm(self, rd: int) -> Realm:
        """The Realm of an RD, or one to make up arguments for what is none."""
        found = self.model.realms.get(rd)
        return found if found is not None else Realm(33, 2, [0] * 8, 0)

    def ipa(self, realm: Realm, low: bool = False) -> int:
        """An IPA where things happen."""
        near = (CODE, CALL, BUFFER, 3 * PAGE, 4 * PAGE, 5 * PAGE, BLOCK - PAGE, BLOCK, BLOCK + PAGE, 2 * BLOCK, GIB)
        if self.blocks:
            near += (BASE, BASE, BASE + PAGE)
        half, top = realm.half, realm.top
        far = (half, half, half + PAGE, half + BLOCK, half + GIB, half - PAGE, half - BLOCK, top - PAGE, top)
        value = self.random.choice(near if low or self.random.random() < 0.6 else far)
        return int(value + (self.random.random() < 0.02) * 8)

    def place(self, realm: Realm, above: int, high: bool = False) -> tuple[int, int]:
        """An IPA and a level, mostly aligned to the entry of ``level - above``; ``high``: mostly Unprotected."""
        level, ipa = self.random.choice((3, 3, 3, 3, 2, 2, 1, 0, 4, -1)), self.ipa(realm)
        if high and self.random.random() < 0.8:
            ipa = realm.half + self.random.choice((0, 0, PAGE, 2 * PAGE, BLOCK, GIB))
        if 0 <= level - above <= 3 and self.random.random() < 0.95:
            ipa &= -size_of(level - above)
        return ipa, level

    # -- calls --------------------------------------------------------------------------------------------------------
    def granule_delegate(self, addr: int | None = None) -> None:
        pa = self.pick(U) if addr is None else addr
        self.call("GRANULE_DELEGATE", lambda: self.model.granule_delegate(pa), pa)

    def granule_undelegate(self) -> None:
        pa = self.pick(D)
        self.call("GRANULE_UNDELEGATE", lambda: self.model.granule_undelegate(pa), pa)

    def version(self) -> None:
        req = self.random.choice((0x10000, 0, 0x10001))
        self.call("VERSION", lambda: self.model.version(req), req)

    def realm_create(self, rd: int | None = None, base: int | None = None, shape: Any = None) -> int:
        random, model = self.random, self.model
        chosen = self.pick(D) if rd is None else rd
        s2sz, start, count = random.choice(model.SHAPES) if shape is None else shape
        self.vmid = self.vmid % 200 + 1
        params = {
            "s2sz": s2sz, "rtt_level_start": start, "rtt_num_start": count, "vmid": self.vmid,
            "num_bps": 1, "num_wps": 1, "hash_algo": random.randrange(2),
            "rtt_base": random.choice(GRANULES) if base is None else base,
        }  # fmt: skip
        if base is None and random.random() < 0.2:
            params[random.choice(("s2sz", "rtt_num_start", "hash_algo", "vmid"))] = random.randrange(64)
        self.host.memory.write(REALM_PARAMS, RmiRealmParams.pack(**params))
        pointer = REALM_PARAMS if rd is not None or random.random() < 0.9 else self.pick(D)
        pointer = REALM_PARAMS if model.readable(pointer) else pointer
        self.call("REALM_CREATE", lambda: model.realm_create(chosen, pointer, params), chosen, pointer)
        return chosen

    def realm_activate(self, rd: int | None = None) -> None:
        chosen = self.pick(RD) if rd is None else rd
        self.call("REALM_ACTIVATE", lambda: self.model.realm_activate(chosen), chosen)

    def realm_destroy(self, rd: int | None = None) -> None:
        chosen = self.pick(RD) if rd is None else rd
        self.call("REALM_DESTROY", lambda: self.model.realm_destroy(chosen), chosen)

    def data_create(self, rd: int | None = None, ipa: int | None = None, src: int | None = None) -> None:
        chosen = self.pick(RD) if rd is None else rd
        at = self.ipa(self.realm(chosen), low=True) if ipa is None else ipa
        source = self.random.choice((SOURCE, SOURCE, CODE_SOURCE, self.pick(U))) if src is None else src
        data, flags = self.pick(D), self.random.choice((0, 1, 1, 2))
        content = self.host.peek.read(source & -PAGE, PAGE) if self.model.readable(source) else b""
        self.call(
            "DATA_CREATE", lambda: self.model.data_create(chosen, data, at, source, flags, content),
            chosen, data, at, source, flags,
        )  # fmt: skip

    def data_create_unknown(self, rd: int | None = None, data: int = 0, ipa: int = 0) -> None:
        chosen, pa = (self.pick(RD), self.pick(D)) if rd is None else (rd, data)
        at = self.ipa(self.realm(chosen), low=True) if rd is None else ipa
        self.call("DATA_CREATE_UNKNOWN", lambda: self.model.data_create_unknown(chosen, pa, at), chosen, pa, at)

    def data_destroy(self, rd: int | None = None, ipa: int | None = None) -> None:
        chosen = self.pick(RD) if rd is None else rd
        at = self.ipa(self.realm(chosen)) if ipa is None else ipa
        if ipa is None and at in (CODE, CALL) and self.random.random() < 0.9:
            return
        self.call("DATA_DESTROY", lambda: self.model.data_destroy(chosen, at), chosen, at)

    def rec_aux_count(self) -> None:
        rd = self.pick(RD)
        self.call("REC_AUX_COUNT", lambda: self.model.rec_aux_count(rd), rd)

    def rec_create(self, rd: int | None = None, runnable: int = 1) -> None:
        random, model = self.random, self.model
        chosen = self.pick(RD) if rd is None else rd
        rec, aux = self.pick(D), (self.pick(D), self.pick(D), self.pick(D))
        realm = self.realm(chosen)
        params = {"mpidr": realm.next_rec, "flags": runnable, "num_aux": 2}
        if rd is None and random.random() < 0.2:
            params[random.choice(("mpidr", "num_aux"))] = random.randrange(20)
        words = (*aux, *(0,) * 13)
        self.host.memory.write(REC_PARAMS, RmiRecParams.pack(**params, pc=CODE, gprs=(SECRET,) * 8, aux=words))
        self.call("REC_CREATE", lambda: model.rec_create(chosen, rec, REC_PARAMS, params, aux), chosen, rec, REC_PARAMS)
        self.host.memory.write(REC_PARAMS, bytes(PAGE))

    def rec_destroy(self, rec: int | None = None) -> None:
        if rec is None and self.random.random() < 0.6:
            return
        chosen = self.pick(REC) if rec is None else rec
        self.call("REC_DESTROY", lambda: self.model.rec_destroy(chosen), chosen)

    def psci_complete(self) -> None:
        random, model = self.random, self.model
        waiting = [pa for pa, rec in model.recs.items() if rec.pending]
        calling, target = self.pick(REC), self.pick(REC)
        if waiting and random.random() < 0.85:
            calling = random.choice(waiting)
            caller = model.recs[calling]
            same = [pa for pa, rec in model.recs.items() if rec.rd == caller.rd and rec.index == caller.sent[1] % 16]
            target = random.choice(same or [target])
        elif random.random() < 0.8:
            return
        status = random.choice((0, 0, 0, -3, -3, -1, -4)) & ONES
        self.call("PSCI_COMPLETE", lambda: model.psci_complete(calling, target, status), calling, target, status)

    def rtt_create(self, rd: int | None = None, ipa: int = 0, level: int = 3) -> None:
        chosen, table = self.pick(RD) if rd is None else rd, self.pick(D)
        at, depth = self.place(self.realm(chosen), 1) if rd is None else (ipa, level)
        self.call("RTT_CREATE", lambda: self.model.rtt_create(chosen, table, at, depth), chosen, table, at, depth)

    def rtt_destroy(self, rd: int | None = None, ipa: int = 0, level: int = 3) -> None:
        chosen = self.pick(RD) if rd is None else rd
        at, depth = self.place(self.realm(chosen), 1) if rd is None else (ipa, level)
        if rd is None and not at and self.random.random() < 0.5:
            return
        self.call("RTT_DESTROY", lambda: self.model.rtt_destroy(chosen, at, depth), chosen, at, depth)

    def rtt_fold(self) -> None:
        rd = self.pick(RD)
        ipa, level = self.place(self.realm(rd), 1)
        self.call("RTT_FOLD", lambda: self.model.rtt_fold(rd, ipa, level), rd, ipa, level)

    def rtt_read_entry(self) -> None:
        rd = self.pick(RD)
        ipa, level = self.place(self.realm(rd), 0)
        self.call("RTT_READ_ENTRY", lambda: self.model.rtt_read_entry(rd, ipa, level), rd, ipa, level)

    def rtt_map_unprotected(self, rd: int | None = None, ipa: int = 0, level: int = 3) -> None:
        chosen = self.pick(RD) if rd is None else rd
        at, depth = self.place(self.realm(chosen), 0, True) if rd is None else (ipa, level)
        desc = (GIB * 2 if self.random.random() < 0.9 else GRANULES[0]) | self.random.choice((6, 1, 5, 7, 4)) << 2
        desc |= self.random.choice((3, 1, 0)) << 6 | (self.random.random() < 0.05) << 8
        self.call(
            "RTT_MAP_UNPROTECTED", lambda: self.model.rtt_map_unprotected(chosen, at, depth, desc),
            chosen, at, depth, desc,
        )  # fmt: skip

    def rtt_unmap_unprotected(self, rd: int | None = None, ipa: int = 0, level: int = 3) -> None:
        chosen = self.pick(RD) if rd is None else rd
        at, depth = self.place(self.realm(chosen), 0, True) if rd is None else (ipa, level)
        self.call(
            "RTT_UNMAP_UNPROTECTED", lambda: self.model.rtt_unmap_unprotected(chosen, at, depth), chosen, at, depth
        )

    def rtt_init_ripas(self, rd: int | None = None) -> None:
        chosen = self.pick(RD) if rd is None else rd
        base = self.ipa(self.realm(chosen), low=True)
        top = base + self.random.choice((PAGE, 3 * PAGE, BLOCK, 2 * BLOCK, 0, 8))
        self.call("RTT_INIT_RIPAS", lambda: self.model.rtt_init_ripas(chosen, base, top), chosen, base, top)

    def rtt_set_ripas(self) -> None:
        random, model = self.random, self.model
        waiting = [pa for pa, rec in model.recs.items() if rec.ripas is not None]
        rec = random.choice(waiting) if waiting and random.random() < 0.9 else self.pick(REC)
        owner = model.recs.get(rec)
        if owner is None or owner.ripas is None or random.random() < 0.1:
            if waiting:
                return
            rd, base = self.pick(RD), self.ipa(self.realm(0), low=True)
            top = base + PAGE
        else:
            rd, base, top = owner.rd, owner.ripas[4], owner.ripas[1]
            top = random.choice((top, top, base + PAGE, base + BLOCK, top + PAGE, top + 8, base))
        self.call("RTT_SET_RIPAS", lambda: model.rtt_set_ripas(rd, rec, base, top), rd, rec, base, top)

    # -- runs ---------------------------------------------------------------------------------------------------------
    def rec_enter(self, rec: int | None = None) -> None:
        """Nothing that the model cannot foretell: a REC without its code is only entered when that fails."""
        random, model = self.random, self.model
        chosen = self.runnable() if rec is None else rec
        run = random.choice(RUNS) if random.random() < 0.95 else self.pick(D)
        flags = random.choice((0, 0, 0, 0, 0, 0, 1 << 4, 1 << 4, 3, 2, 1)) if run in RUNS else 0
        hcr = random.choice((0,) * 20 + (QUIET_HCR, 1 << 8)) if run in RUNS else 0
        refused = model.refuses(chosen, run, flags, hcr)
        gprs = (0,) * 19
        if refused is None:
            run = run if run in RUNS else RUNS[0]
            entered = model.recs[chosen]
            if not model.healthy(entered):
                return
            gprs = self.service(entered)
        words = (*gprs, *(0,) * 12)
        if run in RUNS:
            self.host.memory.write(run, RmiRecEnter.pack(flags=flags, gicv3_hcr=hcr, gprs=words).ljust(PAGE, b"\0"))
        exits: list[Exit] = []

        def expected() -> tuple[int, ...]:
            if refused is not None:
                return refused
            exits.append(model.run(chosen, gprs, flags))
            return (0,)

        self.log.append(("gprs", *gprs[:5]))
        self.call("REC_ENTER", expected, chosen, run, run=run)
        if exits:
            self.check_exit(run, exits[0])

    def runnable(self) -> int:
        """Mostly a REC that can be entered."""
        ready = [pa for pa, rec in self.model.recs.items() if rec.runnable and not rec.pending]
        return int(self.random.choice(ready)) if ready and self.random.random() < 0.9 else self.pick(REC)

    def check_exit(self, run: int, want: Exit) -> None:
        """run.exit is what the model says."""
        got = RmiRecExit.unpack(self.host.memory.read(run + 0x800, 0x800))
        if (got.esr, got.hpfar) != (want.esr, want.hpfar) or got.far:
            raise Broken(f"the exit must be {want}, not {got}")
        if got.exit_reason != want.reason or (got.ripas_base, got.ripas_top, got.ripas_value) != want.ripas:
            raise Broken(f"the exit must be {want}, not {got}")
        for number, word in enumerate(want.gprs):
            if word is not None and got.gprs[number] != word:
                raise Broken(f"exit.gprs[{number}] must be {word:#x}, not {got.gprs[number]:#x}")
        if want.reason != HOST_EXIT and any(got.gprs[len(want.gprs) :]):
            raise Broken("exit.gprs must be zero past what the exit gives")

    def service(self, rec: Rec) -> tuple[int, ...]:
        """X0..X18 of an SMC for the Realm to make."""
        random, realm = self.random, self.model.realms[rec.rd]
        fid = random.choice(FIDS) if random.random() < 0.995 else random.choice(RARE)
        filler = tuple(0x100 + random.randrange(256) for _ in range(5)) + tuple(range(13))
        a, b, c, d = filler[:4]
        if fid in (STATE_SET, STATE_GET):
            a = self.ipa(realm, low=True)
            if fid == STATE_SET and a in (CODE, CALL) and random.random() < 0.95:
                a = 3 * PAGE
            b = a + random.choice((PAGE, 2 * PAGE, BLOCK, 3 * BLOCK, 0))
            c, d = random.choice((0, 1, 1, 0, 2)), random.randrange(2)
        elif fid in (CONFIG, HOST_CALL, TOKEN_CONTINUE):
            a = BUFFER if fid == CONFIG and self.model.page(realm, BUFFER) else self.ipa(realm)
            b, c = random.choice((0, PAGE, 8)), random.choice((0, PAGE, ONES))
            if fid == CONFIG and a in (CODE, CALL):
                a = BUFFER
            if fid != CONFIG and self.reaches(realm, a):
                a += 8
        elif fid == RSI:
            a = random.choice((0x10000, 0))
        elif fid in (TOKEN_INIT,):
            fid = RSI + 1 if random.random() < 0.9 else fid
        elif fid in (RSI + 2, RSI + 3):
            a, b = random.randrange(7), random.choice((0, 32, 64, 65))
        else:
            a, b = random.choice((0, 1, 1, 2, 0x8400_0003)), random.choice((0, 0, CODE, 1 << 39))
        return (fid, a, b, c, d, *filler[4:])

    def reaches(self, realm: Realm, ipa: int) -> bool:
        """RIPAS at the IPA is not EMPTY, so that the service would go there."""
        return ipa < realm.half and ripas_of(self.model.walk(realm, ipa, 3).entry) != 0

    # -- plans --------------------------------------------------------------------------------------------------------
    def new_plan(self) -> list[Callable[[], None]]:
        """Build a Realm while there is room for it, use one, or take one down."""
        realms = list(self.model.realms)
        chance = self.random.random()
        if not realms or (len(realms) < 3 and chance < 0.5):
            return self.build()
        rd = self.random.choice(realms)
        recs = list(self.model.realms[rd].recs)
        if chance < 0.85 and recs:
            return [lambda: self.enter_again(rd) for _ in range(30)]
        return self.take_down(rd)

    def enter_again(self, rd: int) -> None:
        """Serve a REC of a Realm: answer what it waits for, then enter it."""
        realm = self.model.realms.get(rd)
        if realm is None or not realm.recs:
            return
        recs = [pa for pa in sorted(realm.recs) if self.model.recs[pa].runnable] or sorted(realm.recs)
        rec = self.random.choice(recs)
        waiting = self.model.recs[rec]
        if waiting.pending:
            self.psci_complete()
        elif waiting.ripas is not None and self.random.random() < 0.5:
            self.rtt_set_ripas()
        else:
            self.rec_enter(rec)

    def build(self) -> list[Callable[[], None]]:
        """Delegate, create, fill, activate."""
        shape = self.random.choice(self.model.SHAPES)
        s2sz, start, count = shape
        groups = [
            group
            for group in (GRANULES[first : first + count] for first in range(0, 48, count))
            if all(self.model.state.get(pa, U) in (U, D) for pa in group)
        ]
        if not groups:
            return [self.rtt_read_entry]
        group = self.random.choice(groups)
        rds: list[int] = []
        half = 1 << s2sz - 1

        def on_rd(method: Callable[..., Any], *args: Any) -> Callable[[], None]:
            return lambda: method(rds[0], *args) if rds and rds[0] in self.model.realms else None

        def delegate(pa: int) -> Callable[[], None]:
            return lambda: self.granule_delegate(pa) if self.model.state.get(pa, U) == U else None

        def create() -> None:
            free = [pa for pa in self.of(D) if pa not in group]
            if free:
                rds.append(self.realm_create(self.random.choice(free), group[0], shape))

        free = [pa for pa in self.of(U) if pa not in group]
        plan: list[Callable[[], None]] = [delegate(pa) for pa in (*group, *free[:16])]
        plan.append(create)
        plan += [on_rd(self.rtt_create, 0, level) for level in range(start + 1, 4)]
        plan += [on_rd(self.rtt_create, half, level) for level in range(start + 1, 4)]
        plan += [on_rd(self.data_create, CODE, CODE_SOURCE), on_rd(self.data_create, CALL, SOURCE)]
        plan += [on_rd(self.data_create, BUFFER, SOURCE), on_rd(self.rtt_init_ripas)]
        plan += [on_rd(self.rtt_map_unprotected, half, 3), on_rd(self.rec_create), on_rd(self.rec_create, 0)]
        plan += [on_rd(self.realm_activate)] + [on_rd(self.enter_again)] * 20
        return plan

    def take_down(self, rd: int) -> list[Callable[[], None]]:
        """Everything that the Realm has now."""
        realm, tables = self.model.realms[rd], self.model.tables
        plan: list[Callable[[], None]] = []

        def still(method: Callable[..., Any], *args: Any) -> Callable[[], None]:
            return lambda: method(*args) if rd in self.model.realms else None

        plan += [still(self.rec_destroy, rec) for rec in sorted(realm.recs)]

        def visit(pa: int, base: int) -> None:
            table = tables[pa]
            for slot, entry in enumerate(table.entries):
                ipa = base + slot * size_of(table.level)
                if is_table(entry, table.level):
                    visit(entry & 0xFFFF_FFFF_F000, ipa)
                    plan.append(still(self.rtt_destroy, rd, ipa, table.level + 1))
                elif is_live(entry) and not entry >> 55 & 1:
                    plan.append(still(self.data_destroy, rd, ipa))

        for number, pa in enumerate(realm.tables):
            visit(pa, number * 512 * size_of(realm.start))
        plan.append(still(self.realm_destroy, rd))
        return plan + [self.granule_undelegate] * 8


