"""RMI_REC_ENTER, and what the hosts make a Realm do."""

from rmm_actions import BLOCK, BUFFER, GIB, Actions
from rmm_model.entries import Hipas, span
from rmm_model.facts import ONES, PAGE, Granule, Realm, RealmState, Rec
from rmm_model.guest import ACCESS, CALL, CODE, PAIR, TRAP_WFI, WAIT, WRITE
from rmm_model.rec_commands import EMUL_MMIO, INJECT_SEA, REJECT
from rmm_steps import Page, Step
from rmm_watched import GRANULES, RUNS, SHARED

from cca_arch.rmi.v1_0 import RmiRecEnter

__all__ = ["Runs"]

RSI = 0xC400_0190
(VERSION, FEATURES, READ, EXTEND, TOKEN_INIT, TOKEN_CONTINUE, CONFIG, STATE_SET, STATE_GET, HOST_CALL) = range(
    RSI, RSI + 10
)
SMALL = (VERSION, FEATURES, READ, EXTEND, EXTEND, TOKEN_INIT)
PSCI = (
    *(0x8400_0000, 0x8400_0001, 0xC400_0001, 0x8400_0003, 0xC400_0003, 0xC400_0003, 0xC400_0003, 0x8400_0004),
    *(0xC400_0004, 0x8400_000A, 0x8000_0000, 0x8400_0005, 0xC400_0150, 0x8000_0001, 0x1234),
)
RARE = (0x8400_0002, 0x8400_0008, 0x8400_0009)
QUIET_HCR = 0x4054
"""ICH_HCR_EL2 bits that the Host may set, and that no maintenance interrupt answers here."""
PENDING = 1 << 62
STRUCTURES = (0, 0x100, 0x800)
"""Where a page has a host call structure; not where the secret is."""


class Runs(Actions):
    """A host that enters RECs."""

    def enter_page(self, run: int, gprs: tuple[int, ...], flags: int) -> Page:
        """RmiRecRun, mostly with a GIC that is as it should be."""
        lrs = [0] * 16
        hcr = 0
        if self.chance(0.05):
            hcr = self.one(QUIET_HCR, QUIET_HCR, 1 << 8, 1 << 0, 1 << 11)
        if self.chance(0.08):
            lrs[0] = self.one(1, 1, 2, 3) << 62 | 1 << 60 | 0xA0 << 48 | self.one(27, 1019, 8192)
            lrs[1] = self.one(0, 0, 0, lrs[0], lrs[0] ^ 1)
            lrs[0] ^= self.one(0, 0, 0, 0, 1 << 61, 1 << 41, 1 << 40, 1 << 48, 1 << 10, 1 << 20)
            lrs[5] = self.one(0, 1 << 61 | PENDING)  # not implemented
        gprs = (*gprs, *(0,) * 31)[:31]
        return Page.of(run, RmiRecEnter.pack(flags=flags, gicv3_hcr=hcr, gicv3_lrs=tuple(lrs), gprs=gprs))

    def flags(self, rec: Rec | None) -> int:
        """RmiRecEnterFlags, mostly those that the last exit asks for."""
        if rec is not None and rec.abort is not None:
            return int(self.one(EMUL_MMIO, EMUL_MMIO, INJECT_SEA, EMUL_MMIO | INJECT_SEA, 0))
        if rec is not None and rec.ripas is not None:
            return int(self.one(0, REJECT))
        return int(self.one(*(0,) * 40, REJECT, INJECT_SEA, EMUL_MMIO, EMUL_MMIO | INJECT_SEA))

    def ready(self) -> int:
        """Mostly a REC that can be entered."""
        model = self.model
        ready = [
            pa
            for pa, rec in model.recs.items()
            if rec.runnable and rec.psci is None and model.realms[rec.rd].state is RealmState.ACTIVE
        ]
        return int(self.random.choice(ready)) if ready and self.chance(0.9) else self.pick(Granule.REC)

    def rec_enter(self, pa: int | None = None) -> None:
        """With an order for the Realm, and now and then with another host that calls meanwhile."""
        rec = self.ready() if pa is None else pa
        entered = self.model.recs.get(rec)
        run = int(self.random.choice(RUNS))
        args = self.spoiled("REC_ENTER", (rec, run), 0.1)
        gprs = self.order(entered) if entered is not None else ()
        flags = self.flags(entered)
        if gprs and gprs[0] & ACCESS and gprs[0] & WAIT:
            flags |= TRAP_WFI
        pages = (self.enter_page(run, gprs, flags),)
        pe = self.random.randrange(2)
        meanwhile = self.meanwhile_steps(rec, 1 - pe) if entered is not None and self.chance(0.04) else ()
        self.play(Step("REC_ENTER", args, pages, pe, meanwhile))

    def meanwhile_steps(self, rec: int, pe: int) -> tuple[Step, ...]:
        """What hosts try with a REC that runs, and with its Realm."""
        running = self.model.recs[rec]
        other = self.random.choice(list(self.model.recs))
        calls = (
            ("REC_ENTER", (rec, RUNS[0])),
            ("REC_DESTROY", (rec,)),
            ("RTT_SET_RIPAS", (running.rd, rec, 0, PAGE)),
            ("PSCI_COMPLETE", (rec, other, 0)),
            ("PSCI_COMPLETE", (other, rec, 0)),
            ("REALM_DESTROY", (running.rd,)),
            ("REALM_ACTIVATE", (running.rd,)),
            ("RTT_READ_ENTRY", (running.rd, CODE, 3)),
            ("DATA_DESTROY", (running.rd, CALL)),
            ("DATA_DESTROY", (running.rd, CODE)),
        )
        return tuple(Step(*self.random.choice(calls), pe=pe) for _ in range(2))

    # -- what a Realm is made to do
    def order(self, rec: Rec) -> tuple[int, ...]:
        """X0..X18 for it."""
        realm = self.model.realms[rec.rd]
        filler = tuple(0x100 + self.random.randrange(256) for _ in range(18))
        if rec.abort is not None:
            return (0x77 << 32 | self.random.randrange(1 << 16), *filler)  # the data of its load
        kind = self.random.randrange(8)
        if kind < 2:
            ordered = self.access(rec, realm)
        elif kind < 4:
            ordered = (self.one(*PSCI), self.mpidr(realm), self.one(0, 0, CODE, 1 << 47), filler[0])
        elif kind < 5:
            ordered = (self.one(*SMALL) | (self.chance(0.1) << 16), *self.small())
        else:
            ordered = self.about_memory(rec, realm)
        if self.chance(0.004):
            ordered = (self.one(*RARE),)
        return (*(value & ONES for value in ordered), *filler)[:19]

    def mpidr(self, realm: Realm) -> int:
        """Of a REC, of none, or a FID for PSCI_FEATURES."""
        index = self.random.randrange(max(realm.next_index, 1))
        return int(self.one(index, index, index, index | 1 << 31, 0x100, 15, 0x8400_0003, index | 1 << 32))

    def small(self) -> tuple[int, ...]:
        """Arguments of services that need no memory."""
        return (self.one(0, 1, 2, 4, 5, 0x1_0000), self.one(0, 1, 31, 64, 65))

    def low(self, realm: Realm) -> int:
        """An IPA that a Realm may speak of without harm to itself, mostly."""
        ipa = self.ipa(realm, low=self.chance(0.8))
        return BUFFER if ipa in (CODE, CALL) and self.chance(0.97) else ipa

    def about_memory(self, rec: Rec, realm: Realm) -> tuple[int, ...]:
        """RIPAS, the configuration, host calls, tokens."""
        fid = self.one(STATE_SET, STATE_SET, STATE_SET, STATE_GET, STATE_GET, CONFIG, HOST_CALL, TOKEN_CONTINUE)
        ipa = self.low(realm) + self.one(*(0,) * 9, 8)
        gone = self.destroyed(realm) if fid == STATE_SET and self.chance(0.3) else None
        if gone is not None:
            size = span(self.model.walk(realm, gone, 3).level)
            return fid, gone, gone + size * self.one(1, 2), self.one(0, 1), self.one(0, 0, 1)
        if fid in (STATE_SET, STATE_GET):
            top = ipa + self.one(PAGE, 2 * PAGE, BLOCK, 3 * BLOCK, 0, 8)
            top = self.one(top, top, top, realm.half, realm.half + PAGE)
            return fid, ipa, top, self.one(0, 1, 1, 0, 2), self.one(0, 1, 3)
        if fid == TOKEN_CONTINUE:
            return fid, ipa, self.one(0, PAGE, 8), self.one(0, PAGE, PAGE - 8, ONES)
        if ipa & -PAGE == CODE:
            ipa = BUFFER
        return fid, ipa + (self.one(*STRUCTURES) if fid == HOST_CALL else 0)

    def access(self, rec: Rec, realm: Realm) -> tuple[int, ...]:
        """A load or a store, to memory that is nobody's secret."""
        kind = ACCESS | self.one(0, 0, 0, 0, WRITE, WRITE, WRITE, WRITE, PAIR, PAIR, WAIT)
        if self.chance(0.5):
            ipa = self.ipa(realm, low=True) + 0x40
            return (kind, BUFFER + 0x40 if ipa & -PAGE in (CODE, CALL) else ipa, 0x1234)
        ipa = realm.half + self.one(0, PAGE, 2 * PAGE, BLOCK, GIB)
        w = self.model.walk(realm, ipa, 3)
        if w.entry.hipas is not Hipas.ASSIGNED_NS:
            return (kind, ipa + 0x18, 0x1234)
        first = w.entry.pa
        reachable = [pa for pa in (*SHARED, *GRANULES) if first <= pa < first + span(w.level)]
        mine = [pa for pa in reachable if pa in SHARED or not self.model.is_ns(pa)]
        if not mine:
            return (FEATURES, 0)
        return (kind, (ipa & -span(w.level)) + self.random.choice(mine) - first + 0x18, 0x1234)
