"""The model of RMM 1.0, second half: RMI_REC_ENTER of RECs whose code is that of :mod:`realm_stub`, RSI and PSCI."""

from typing import NamedTuple

from rmm_model import (
    ACTIVE,
    AFFINITY,
    CALL,
    CODE,
    CPU_ON,
    EMPTY,
    INPUT,
    OFF,
    PAGE,
    RAM,
    REALM,
    REC,
    REC_ERROR,
    Model,
    Realm,
    Rec,
    Result,
    U,
    is_table,
    psci_index,
    ripas_of,
    size_of,
)

__all__ = ["Exit", "RunningModel"]

ONES = (1 << 64) - 1
RSI = 0xC400_0190
(VERSION, FEATURES, READ, EXTEND, TOKEN_INIT, TOKEN_CONTINUE, CONFIG, STATE_SET, STATE_GET, HOST_CALL) = range(
    RSI, RSI + 10
)
SYNC, PSCI, RIPAS_CHANGE, HOST_EXIT = 0, 3, 4, 5
SUSPEND, CPU_OFF, SYSTEM_OFF, RESET = (0x8400_0001, 0xC400_0001), 0x8400_0002, 0x8400_0008, 0x8400_0009
_FEATURES = {0x8400_0001, 0xC400_0001, 0x8400_0002, *CPU_ON, *AFFINITY, 0x8400_0008, 0x8400_0009}
_FEATURES |= {0x8400_000A, 0x8000_0000}


class Exit(NamedTuple):
    """What run.exit has to say: ``gprs`` are its first words; None where anything goes."""

    reason: int
    gprs: tuple[int | None, ...] = ()
    ripas: tuple[int, int, int] = (0, 0, 0)
    esr: int = 0
    hpfar: int = 0


class RunningModel(Model):
    """With RECs that run."""

    code = b""

    def healthy(self, rec: Rec) -> bool:
        """The REC can run its code to the next SMC."""
        realm = self.realms[rec.rd]
        return realm.written.get(CODE) == self.code and all(self.page(realm, ipa) for ipa in (CODE, CALL))

    def page(self, realm: Realm, ipa: int) -> int:
        """The DATA granule that the Realm reaches at an IPA, or 0."""
        w = self.walk(realm, ipa, 3)
        return w.entry & 0xFFFF_FFFF_F000 if w.entry & 1 and w.level == 3 else 0

    def refuses(self, rec: int, run_ptr: int, flags: int, hcr: int) -> Result | None:
        """The answer of an RMI_REC_ENTER that fails; None when the REC runs."""
        if self.bad(run_ptr, U) or self.bad(rec, REC) or not self.readable(run_ptr):
            return (INPUT,)
        entered = self.recs[rec]
        realm = self.realms[entered.rd]
        if realm.state != ACTIVE:
            return (REALM | (realm.state == OFF) << 8,)
        if not entered.runnable or entered.pending or hcr & ~0x40FE or flags & 1:  # there is no MMIO to answer
            return (REC_ERROR,)
        return None

    def run(self, rec: int, gprs: Result, flags: int) -> Exit:
        """What a healthy REC does: it comes back with its host call, or exits in the SMC that it was sent."""
        entered = self.recs[rec]
        if entered.at == "boot":
            entered.at = "asked"
            return Exit(HOST_EXIT)
        if entered.at == "exited":
            if entered.ripas is not None:
                _, top, value, _, done = entered.ripas
                rejected = flags >> 4 & 1 and value == RAM and done != top
                entered.answer = (0, done, int(bool(rejected)), 0)
                entered.ripas = None
            entered.at = "asked"
            return Exit(HOST_EXIT, (*entered.answer, *entered.sent[4:]))
        if entered.at == "asked":
            entered.sent = gprs
        answer = self.service(entered, entered.sent)
        if isinstance(answer, Exit):
            entered.at = "exited" if answer.reason != SYNC else "again"
            return answer
        entered.at = "asked"
        return Exit(HOST_EXIT, (*answer, *entered.sent[4:]) if answer else ())

    def service(self, rec: Rec, x: Result) -> "Exit | tuple[int | None, ...]":
        """X0..X3 of an SMC in the Realm, or the exit that it makes; () where X4.. change too."""
        realm = self.realms[rec.rd]
        fid = x[0] & 0xFFFE_FFFF
        if RSI <= fid < RSI + 10:
            return self.rsi(rec, realm, fid, x)
        if fid == 0x8000_0000:
            return (0x1_0002, 0, 0, 0)
        a, b = (x[1], x[2]) if fid >> 30 & 1 else (x[1] & 0xFFFF_FFFF, x[2] & 0xFFFF_FFFF)
        if fid in SUSPEND or fid == CPU_OFF:
            rec.runnable &= fid != CPU_OFF
            rec.answer = (0, 0, 0, 0)
            return Exit(PSCI, (fid, 0, 0, 0))
        if fid in (SYSTEM_OFF, RESET):
            realm.state = OFF
            return Exit(PSCI, (fid, 0, 0, 0))
        if fid in (*CPU_ON, *AFFINITY):
            if (b >= realm.half) if fid in CPU_ON else b:
                return (-9 & ONES if fid in CPU_ON else -2 & ONES, 0, 0, 0)
            if psci_index(fid, a) >= realm.next_rec:
                return (-2 & ONES, 0, 0, 0)
            if psci_index(fid, a) == rec.index:
                return (-4 & ONES if fid in CPU_ON else 0, 0, 0, 0)
            rec.pending = fid
            return Exit(PSCI, (fid, a, 0, 0))
        if fid == 0x8400_0000:
            return (0x1_0001, 0, 0, 0)
        if fid == 0x8400_000A:
            return (0 if a & 0xFFFF_FFFF in _FEATURES else ONES, 0, 0, 0)
        return (ONES, 0, 0, 0)

    def rsi(self, rec: Rec, realm: Realm, fid: int, x: Result) -> "Exit | tuple[int | None, ...]":
        """DEN0137's services; HOST_CALL only with arguments that it refuses."""
        bad: tuple[int | None, ...] = (1, 0, 0, 0)
        _, a, b, c, d, *_ = x
        if fid == VERSION:
            return (int(a != 0x10000), 0x10000, 0x10000, 0)
        if fid == FEATURES:
            return (0, 0, 0, 0)
        if fid == READ:
            return () if a <= 4 else bad
        if fid == EXTEND:
            return (0, 0, 0, 0) if 1 <= a <= 4 and b <= 64 else bad
        if fid == TOKEN_INIT:
            rec.token = True
            return (0, None, 0, 0)
        if fid == STATE_SET:
            if c > 1 or (a | b) & 0xFFF or b <= a or b > realm.half:
                return bad
            rec.ripas = (a, b, c, d & 1, a)
            return Exit(RIPAS_CHANGE, ripas=(a, b, c))
        if fid == STATE_GET:
            if (a | b) & 0xFFF or a >= realm.half or b > realm.half or b <= a:
                return bad
            return self.ripas_run(realm, a, b)
        if fid == TOKEN_CONTINUE:
            if a & 0xFFF or b >= PAGE or b + c > PAGE or a >= realm.half:
                return bad
            if not rec.token:
                return (2, 0, 0, 0)
        elif a & (0xFF if fid == HOST_CALL else 0xFFF) or a >= realm.half:
            return bad
        w = self.walk(realm, a, 3)
        if ripas_of(w.entry) == EMPTY:
            return bad
        if not w.entry & 1:
            return Exit(SYNC, esr=0x24 << 26 | 4 + w.level, hpfar=a >> 12 << 4)
        return (0, 0, 0, 0)

    def ripas_run(self, realm: Realm, base: int, top: int) -> tuple[int, int, int, int]:
        """RSI_IPA_STATE_GET."""
        w = self.walk(realm, base, 3)
        size, value, slot = size_of(w.level), ripas_of(w.entry), w.slot + 1
        end = (base & -size) + size
        while slot < 512 and end < top and not is_table(w.table.entries[slot], w.level):
            if ripas_of(w.table.entries[slot]) != value:
                break
            slot, end = slot + 1, end + size
        return 0, min(end, top), value, 0


