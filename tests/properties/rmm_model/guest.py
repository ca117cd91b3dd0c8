"""RMI_REC_ENTER that succeeds: what the Host has answered, the Realm's code up to its next exit, and RmiRecExit.

All Realms have the same code, :func:`source`. For ever it makes a host call with the structure at :data:`CALL`, takes
X0..X18 from the answer, and does what X0 says: an SMC, or, with bit 63, an access to the address in X1 or a WFI. Then
it puts X0..X18 into the structure. An exception at EL1 is such a result, too: its ESR and FAR. ``Rec.phase`` is what it
does next: "" boots; call, order, smc, access, results; "answered" waits for the answer to its own host call.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from rmm_model.entries import Entry, Hipas, Ripas, span
from rmm_model.facts import PAGE, Abort, Realm, Rec
from rmm_model.model import Model
from rmm_model.rec_commands import EMUL_MMIO, INJECT_SEA, REJECT
from rmm_model.services import SYNC, Exit, Registers, data_abort, is_token_continue, serve

__all__ = ["ACCESS", "CALL", "CODE", "PAIR", "TRAP_WFI", "WAIT", "WRITE", "foreseen", "run", "source"]

CODE, CALL = 0x0, 0x1000
KEPT = 19
ACCESS, WAIT, PAIR, WRITE = 1 << 63, 1 << 2, 1 << 1, 1 << 0
"""Bits of X0: an access; none but a WFI; of two registers; a store."""
TRAP_WFI = 1 << 2
"""The bit of RmiRecEnterFlags."""
_PAIRS = [(first, first + 1) for first in range(0, KEPT - 1, 2)]
_RESULTS = " ".join(f"stp x{one}, x{two}, [x20, #{8 + 8 * one}];" for one, two in _PAIRS) + "str x18, [x20, #152];"
_ORDER = " ".join(f"ldp x{one}, x{two}, [x20, #{8 + 8 * one}];" for one, two in _PAIRS) + "ldr x18, [x20, #152];"
VECTORS, SYNCHRONOUS = 0x800, 0x200
_PROLOGUE = 4 * 9


def source(secret: int) -> str:
    """The code in assembly; X21, X22 and X30 hold a secret."""
    keep = "".join(f"movk x21, #{secret >> shift & 0xFFFF}, lsl #{shift}; " for shift in (0, 16, 32, 48))
    return f"""
    mov x20, #{CALL}; mov x19, #{CODE + VECTORS}; msr vbar_el1, x19;
    {keep} mov x22, x21; mov x30, x21;
    again: movz x0, #0x199; movk x0, #0xC400, lsl #16; mov x1, x20; smc #0;
    {_ORDER}
    tbnz x0, #63, access;
    smc #0;
    results: {_RESULTS}
    b again;
    access: tbnz x0, #2, wait; tbnz x0, #1, pair; tbnz x0, #0, store;
    ldr x2, [x1]; b results;
    store: str x2, [x1]; b results;
    pair: ldp x2, x3, [x1]; b results;
    wait: wfi; b results;
    @ {VECTORS + SYNCHRONOUS}: mrs x0, esr_el1; mrs x1, far_el1;
    {_RESULTS}
    b #{CODE + _PROLOGUE};
"""


_SEEN_EMULATABLE, _SEEN = 0xFDC0_9E7F, 0xFC00_1E3F
_IL, _ISV, _EA = 1 << 25, 1 << 24, 1 << 9
_DOUBLEWORD_X2 = 3 << 22 | 2 << 16 | 1 << 15
_GRANULE_PROTECTION = 0x28


def run(model: Model, realm: Realm, rec: Rec, enter: dict[str, Any]) -> Iterator[Exit | None]:
    """The exit. Before that, None each time the Realm makes an SMC, while the REC runs."""
    exit = _answer(model, realm, rec, enter)
    while exit is None:
        if not rec.phase:
            rec.phase = "call"
        fault = _fetch(model, realm)
        if fault is not None:
            exit = fault
        elif rec.phase in ("call", "smc"):
            yield None
            exit = _call(model, realm, rec)
        else:
            exit = _STEPS[rec.phase](model, realm, rec)
    yield exit


def foreseen(model: Model, realm: Realm, rec: Rec, enter: dict[str, Any]) -> bool:
    """The code is in its place, and nothing makes it fault for ever."""
    if not rec.phase and rec.pc != CODE:
        return False
    if any(model.walk(realm, ipa, 3).entry.ripas is Ripas.EMPTY for ipa in (CODE, CALL)):
        return False
    if _fetch(model, realm) is None:
        page = model.page(realm, CODE)
        assert page is not None
        if not bytes(model.contents[page]).startswith(model.code):
            return False
    x = _next_order(model, realm, rec, enter["gprs"])
    return x is None or _order_foreseen(model, realm, rec, x, enter["flags"])


def _next_order(model: Model, realm: Realm, rec: Rec, gprs: Sequence[int]) -> Sequence[int] | None:
    """X0.. of what the Realm does next, if that is not its own host call."""
    if rec.phase == "answered":
        return gprs
    if rec.phase == "order":
        page = model.page(realm, CALL)
        return None if page is None else struct.unpack(f"<{KEPT}Q", model.read(page + 8, 8 * KEPT))
    return rec.x if rec.phase in ("access", "smc") else None


def _order_foreseen(model: Model, realm: Realm, rec: Rec, x: Sequence[int], flags: int) -> bool:
    """An order that ends, and that leads to no token, and to no memory of which the model knows nothing."""
    if x[0] & ACCESS and x[0] & WAIT:
        return bool(flags & TRAP_WFI)
    if x[0] & ACCESS:
        if x[1] + 16 > realm.end:
            return False
        w = model.walk(realm, x[1], 3)
        pa = (w.entry.pa + x[1] % span(w.level)) & -PAGE
        return w.entry.hipas is not Hipas.ASSIGNED_NS or pa in model.shared or not model.is_ns(pa)
    if rec.token and is_token_continue(x[0]):
        return not realm.protected(x[1]) or model.walk(realm, x[1], 3).entry.ripas is Ripas.EMPTY or x[1] % PAGE != 0
    return True


# -- entry
def _answer(model: Model, realm: Realm, rec: Rec, enter: dict[str, Any]) -> Exit | None:
    """What the Host answers; an exit if its answer to a host call has nowhere to go."""
    flags, gprs = enter["flags"], enter["gprs"]
    abort, rec.abort = rec.abort, None
    if abort is not None and flags & INJECT_SEA:
        _take(rec, _external(abort.esr), abort.far)
    elif abort is not None and flags & EMUL_MMIO:
        if not abort.write:
            rec.x[2] = gprs[0]
        rec.phase = "results"
    if rec.ripas is not None:
        request, rec.ripas = rec.ripas, None
        rejected = flags & REJECT and request.value == Ripas.RAM and request.reached != request.top
        rec.x[:4] = [0, request.reached, int(bool(rejected)), 0]
    if rec.host_call is not None:
        w = model.walk(realm, rec.host_call, 3)
        if w.entry.ripas is not Ripas.EMPTY:
            if w.entry.hipas is not Hipas.ASSIGNED or w.entry.ripas is not Ripas.RAM:
                return data_abort(rec.host_call, w.level)._replace(ran=False)
            model.write(w.entry.pa + rec.host_call % span(w.level) + 8, struct.pack("<31Q", *gprs))
        rec.host_call = None
        rec.x[:4] = [0, 0, 0, 0]
        if rec.phase == "answered":
            rec.phase = "order"
    return None


def _take(rec: Rec, esr: int, far: int) -> None:
    """An exception at EL1: its handler's results."""
    rec.x[:2] = [esr, far]
    rec.phase = "results"


def _external(esr: int) -> int:
    """A synchronous external abort in place of what the PE reported, at the same level."""
    return esr & ~(0x3F << 26 | 1 << 10 | 1 << 7 | 0x3F) | 0x25 << 26 | _EA | 0x10


# -- the code
def _fetch(model: Model, realm: Realm) -> Exit | None:
    w = model.walk(realm, CODE, 3)
    if w.entry.hipas is Hipas.ASSIGNED and w.entry.ripas is Ripas.RAM:
        return None
    return Exit(SYNC, esr=0x20 << 26 | 0x04 + w.level, hpfar=CODE >> 12 << 4)


def _structure(model: Model, realm: Realm) -> int | Exit:
    """The memory of the host call structure, for a load or a store."""
    w = model.walk(realm, CALL, 3)
    if w.entry.hipas is Hipas.ASSIGNED and w.entry.ripas is Ripas.RAM:
        return w.entry.pa + CALL % span(w.level)
    return data_abort(CALL, w.level)


def _call(model: Model, realm: Realm, rec: Rec) -> Exit | None:
    """SMC #0."""
    made = rec.phase
    if made == "call":
        rec.x[:2] = [0xC400_0199, CALL]
    result = serve(model, realm, rec)
    if isinstance(result, Registers):
        rec.x[: len(result.x)] = result.x
    if isinstance(result, Registers) or result.advance:
        rec.phase = "results" if made == "smc" else "answered"
    return None if isinstance(result, Registers) else result


def _order(model: Model, realm: Realm, rec: Rec) -> Exit | None:
    place = _structure(model, realm)
    if isinstance(place, Exit):
        return place
    rec.x[:KEPT] = struct.unpack(f"<{KEPT}Q", model.read(place + 8, 8 * KEPT))
    rec.phase = "access" if rec.x[0] & ACCESS else "smc"
    return None


def _results(model: Model, realm: Realm, rec: Rec) -> Exit | None:
    place = _structure(model, realm)
    if isinstance(place, Exit):
        return place
    model.write(place + 8, struct.pack(f"<{KEPT}Q", *rec.x[:KEPT]))
    rec.phase = "call"
    return None


def _access(model: Model, realm: Realm, rec: Rec) -> Exit | None:
    """A load of X2, or of X2 and X3, or a store of X2; stage 1 is off."""
    if rec.x[0] & WAIT:
        rec.phase = "results"
        return Exit(SYNC, esr=0x01 << 26)
    ipa, pair = rec.x[1], bool(rec.x[0] & PAIR)
    write = bool(rec.x[0] & WRITE) and not pair
    w = model.walk(realm, ipa, 3)
    pa = w.entry.pa + ipa % span(w.level)
    syndrome = 0x24 << 26 | _IL | (0 if pair else _ISV | _DOUBLEWORD_X2) | write << 6
    if realm.protected(ipa):
        if w.entry.ripas is Ripas.EMPTY:
            _take(rec, _external(syndrome), ipa)
        elif w.entry.hipas is Hipas.ASSIGNED and w.entry.ripas is Ripas.RAM:
            _transfer(rec, pair, write, model.read(pa, 16), lambda data: model.write(pa, data))
        else:
            return data_abort(ipa, w.level)
        return None
    refused = _refused(w.entry, write)
    if refused is not None:
        return _to_host(rec, syndrome | refused + w.level, ipa, pair, write)
    if not model.is_ns(pa & -0x1000):
        _take(rec, 0x25 << 26 | _IL | write << 6 | _GRANULE_PROTECTION, ipa)
        return None
    _transfer(rec, pair, write, model.host_read(pa, 16), lambda data: model.host_written.update({pa: data}))
    return None


def _refused(entry: Entry, write: bool) -> int | None:
    """The fault status of level 0 with which stage 2 refuses an access at an Unprotected IPA."""
    if entry.hipas is not Hipas.ASSIGNED_NS:
        return 0x04
    return None if entry.attributes >> (7 if write else 6) & 1 else 0x0C


def _to_host(rec: Rec, esr: int, ipa: int, pair: bool, write: bool) -> Exit:
    """The Host may emulate what one register takes part in."""
    rec.abort = Abort(not pair, write, esr, ipa)
    seen = esr & (_SEEN if pair else _SEEN_EMULATABLE)
    value = (rec.x[2],) if write else ()
    return Exit(SYNC, esr=seen, far=0 if pair else ipa & 0xFFF, hpfar=ipa >> 12 << 4, gprs=value)


def _transfer(rec: Rec, pair: bool, write: bool, old: bytes, put: Any) -> None:
    if write:
        put(struct.pack("<Q", rec.x[2]))
    else:
        rec.x[2 : 4 if pair else 3] = struct.unpack_from("<2Q" if pair else "<Q", old)
    rec.phase = "results"


_STEPS = {"order": _order, "results": _results, "access": _access}
