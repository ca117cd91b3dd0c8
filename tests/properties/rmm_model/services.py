"""What a Realm gets for an SMC: RSI, PSCI, SMCCC; the exit that the Host gets, or the registers that it finds."""

import struct
from typing import NamedTuple

from rmm_model.entries import Hipas, Ripas, span
from rmm_model.facts import ONES, PAGE, Realm, RealmState, Rec, RipasRequest, mpidr_index
from rmm_model.measurement import extended
from rmm_model.model import Model

__all__ = ["Exit", "Registers", "data_abort", "is_token_continue", "serve"]

SYNC, PSCI, RIPAS_CHANGE, HOST_CALL = 0, 3, 4, 5
NOT_SUPPORTED, INVALID_PARAMETERS, ALREADY_ON, INVALID_ADDRESS = (code & ONES for code in (-1, -2, -4, -9))
RSI_INPUT, RSI_STATE = 1, 2
SVE_HINT = 1 << 16
STRUCTURE = 0x100
PSCI_OF_REALMS = {
    *(0x8400_0001, 0xC400_0001, 0x8400_0002, 0x8400_0003, 0xC400_0003, 0x8400_0004, 0xC400_0004),
    *(0x8400_0008, 0x8400_0009, 0x8400_000A, 0x8000_0000),
}
"""What PSCI_FEATURES says yes to."""
TOKEN_SIZE = 0x1000
"""The bound that RSI_ATTESTATION_TOKEN_INIT gives: the RMM's own choice."""


class Exit(NamedTuple):
    """RmiRecExit, as far as it is not zero; list registers and timers apart."""

    reason: int
    esr: int = 0
    far: int = 0
    hpfar: int = 0
    gprs: tuple[int, ...] = ()
    ripas: tuple[int, int, int] = (0, 0, 0)
    imm: int = 0
    advance: bool = True
    """The Realm's PC is past the instruction."""
    ran: bool = True
    """The Realm has run, so that the Host is told of its list registers and timers."""


class Registers(NamedTuple):
    """X0.. as a service leaves them."""

    x: tuple[int, ...]


def data_abort(ipa: int, level: int, *, advance: bool = False) -> Exit:
    """A Data Abort at a Protected IPA, as the Host sees it: nothing but class, level and page."""
    return Exit(SYNC, esr=0x24 << 26 | 0x04 + level, hpfar=ipa >> 12 << 4, advance=advance)


def _is(code: int, *x: int) -> Registers:
    """X0 and the outputs; X1..X3 that are none are zero."""
    return Registers((code, *x, *(0,) * (3 - len(x))))


BAD = _is(RSI_INPUT)


def is_token_continue(x0: int) -> bool:
    """RSI_ATTESTATION_TOKEN_CONTINUE."""
    return RSI.get(x0 & 0xFFFF_FFFF & ~SVE_HINT) is _token_continue


def serve(model: Model, realm: Realm, rec: Rec) -> Exit | Registers:
    """The SMC in X0..X17 of a REC."""
    fid = rec.x[0] & 0xFFFF_FFFF & ~SVE_HINT
    if fid in RSI:
        return RSI[fid](model, realm, rec)
    arguments = rec.x[1:4] if fid >> 30 & 1 else [value & 0xFFFF_FFFF for value in rec.x[1:4]]
    return _psci(realm, rec, fid, *arguments)


# -- PSCI
def _psci(realm: Realm, rec: Rec, fid: int, target: int, second: int, context: int) -> Exit | Registers:
    if fid == 0x8000_0000:
        return _is(0x1_0002)
    if fid == 0x8400_0000:
        return _is(0x1_0001)
    if fid in (0x8400_0001, 0xC400_0001):  # CPU_SUSPEND: of whatever depth
        rec.x[:4] = [0, 0, 0, 0]
        return Exit(PSCI, gprs=(fid,))
    if fid == 0x8400_0002:  # CPU_OFF
        rec.runnable = False
        rec.x[:4] = [0, 0, 0, 0]
        return Exit(PSCI, gprs=(fid,))
    if fid in (0x8400_0003, 0xC400_0003):  # CPU_ON
        if not realm.protected(second):
            return _is(INVALID_ADDRESS)
        return _to_another(realm, rec, (fid, target, second, context), ALREADY_ON)
    if fid in (0x8400_0004, 0xC400_0004):  # AFFINITY_INFO
        if second != 0:
            return _is(INVALID_PARAMETERS)
        return _to_another(realm, rec, (fid, target, second, context), 0)
    if fid in (0x8400_0008, 0x8400_0009):  # SYSTEM_OFF, SYSTEM_RESET
        realm.state = RealmState.SYSTEM_OFF
        return Exit(PSCI, gprs=(fid,))
    if fid == 0x8400_000A:
        return _is(0 if target & 0xFFFF_FFFF in PSCI_OF_REALMS else NOT_SUPPORTED)
    return _is(NOT_SUPPORTED)


def _to_another(realm: Realm, rec: Rec, asked: tuple[int, int, int, int], of_itself: int) -> Exit | Registers:
    """CPU_ON and AFFINITY_INFO: the Host has to find the REC."""
    index = mpidr_index(asked[1])
    if index >= realm.next_index:
        return _is(INVALID_PARAMETERS)
    if index == rec.index:
        return _is(of_itself)
    rec.psci = asked
    return Exit(PSCI, gprs=asked[:2])


# -- RSI
def _version(model: Model, realm: Realm, rec: Rec) -> Registers:
    return _is(0 if rec.x[1] == 0x1_0000 else RSI_INPUT, 0x1_0000, 0x1_0000)


def _features(model: Model, realm: Realm, rec: Rec) -> Registers:
    return _is(0, 0)


def _measurement_read(model: Model, realm: Realm, rec: Rec) -> Registers:
    index = rec.x[1]
    if index > 4:
        return BAD
    return _is(0, *struct.unpack("<8Q", realm.rim if index == 0 else realm.rems[index - 1]))


def _measurement_extend(model: Model, realm: Realm, rec: Rec) -> Registers:
    index, size = rec.x[1:3]
    if not 1 <= index <= 4 or size > 64:
        return BAD
    value = struct.pack("<8Q", *rec.x[3:11])[:size]
    realm.rems[index - 1] = extended(realm.hash_algo, realm.rems[index - 1], value)
    return _is(0)


def _token_init(model: Model, realm: Realm, rec: Rec) -> Registers:
    rec.token = True
    return _is(0, TOKEN_SIZE)


def _reach(model: Model, realm: Realm, ipa: int) -> int | Exit | Registers:
    """The memory behind a Protected IPA, or why there is none."""
    w = model.walk(realm, ipa, 3)
    if w.entry.ripas is Ripas.EMPTY:
        return BAD
    if w.entry.hipas is not Hipas.ASSIGNED or w.entry.ripas is not Ripas.RAM:
        return data_abort(ipa, w.level)
    return w.entry.pa + ipa % span(w.level)


def _token_continue(model: Model, realm: Realm, rec: Rec) -> Exit | Registers:
    """Tokens have tests of their own: no request that gets as far as that is foreseen here."""
    addr, offset, size = rec.x[1:4]
    if addr % PAGE or offset >= PAGE or offset + size > PAGE or not realm.protected(addr):
        return BAD
    if not rec.token:
        return _is(RSI_STATE)
    pa = _reach(model, realm, addr)
    assert not isinstance(pa, int), "a token"
    return pa


def _config(model: Model, realm: Realm, rec: Rec) -> Exit | Registers:
    addr = rec.x[1]
    if addr % PAGE or not realm.protected(addr):
        return BAD
    pa = _reach(model, realm, addr)
    if not isinstance(pa, int):
        return pa
    said = struct.pack("<QQ", realm.s2sz, realm.hash_algo).ljust(0x200, b"\0") + realm.rpv
    model.write(pa, said.ljust(PAGE, b"\0"))
    return _is(0)


def _state_set(model: Model, realm: Realm, rec: Rec) -> Exit | Registers:
    base, top, value, flags = rec.x[1:5]
    if value not in (Ripas.EMPTY, Ripas.RAM) or base % PAGE or top % PAGE or top <= base or top > realm.half:
        return BAD
    rec.ripas = RipasRequest(base, top, value, bool(flags & 1), base)
    return Exit(RIPAS_CHANGE, ripas=(base, top, value))


def _state_get(model: Model, realm: Realm, rec: Rec) -> Registers:
    """How far the same RIPAS reaches in one table."""
    base, top = rec.x[1:3]
    if base % PAGE or not realm.protected(base) or top % PAGE or not realm.protected(top - 1 & ONES) or top <= base:
        return BAD
    w = model.walk(realm, base, 3)
    table, slot = model.tables[w.table], w.slot
    while slot < 512 and table.ipa(slot) < top:
        entry = table.entries[slot]
        if entry.hipas is Hipas.TABLE or entry.ripas is not w.entry.ripas:
            break
        slot += 1
    return _is(0, min(table.ipa(slot), top), w.entry.ripas)


def _host_call(model: Model, realm: Realm, rec: Rec) -> Exit | Registers:
    addr = rec.x[1]
    if addr % STRUCTURE or not realm.protected(addr):
        return BAD
    pa = _reach(model, realm, addr)
    if not isinstance(pa, int):
        return pa
    rec.host_call = addr
    imm, *gprs = struct.unpack("<H6x31Q", model.read(pa, STRUCTURE))
    return Exit(HOST_CALL, imm=imm, gprs=tuple(gprs))


RSI = dict(
    enumerate(
        (
            _version,
            _features,
            _measurement_read,
            _measurement_extend,
            _token_init,
            _token_continue,
            _config,
            _state_set,
            _state_get,
            _host_call,
        ),
        0xC400_0190,
    )
)
