"""RMI_DATA_CREATE, RMI_DATA_CREATE_UNKNOWN and RMI_DATA_DESTROY."""

from typing import Final

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import Rmi, RmiRipas
from cca_rmm.command import REALM_ERROR, RTT, Call, Check, Command, Result, granule, ns_page, realm_at, walk_at
from cca_rmm.commands.realm import not_new
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.granule import State

__all__ = ["COMMANDS"]

_PAGE_LEVEL: Final = 3


def data_create(call: Call) -> Result:
    """Whatever the RIPAS was, it is RAM now: the content is part of the measured initial state."""
    rmm, realm, content = call.rmm, call.realm, call.content
    assert content is not None
    rmm.port.write(call.data, content)
    rmm.granules.move(call.pe, call.data, "DATA_CREATE")
    rmm.edit(call, call.w, rtte.assigned(RmiRipas.RAM, call.data, _PAGE_LEVEL))
    old, page = measurement.load(rmm.port, call.rd, 0), measurement.page_digest(realm.hash_algo, call.flags, content)
    rim = measurement.rim_data(realm.hash_algo, old, call.ipa, call.flags, page)
    measurement.store(rmm.port, rmm.trace, call.pe, call.rd, realm, 0, rim, "DATA_CREATE", call.ipa, page)
    return (0,)


def data_create_unknown(call: Call) -> Result:
    """The granule is DELEGATED, so all zero; the RIPAS stays."""
    call.rmm.granules.move(call.pe, call.data, "DATA_CREATE_UNKNOWN")
    call.rmm.edit(call, call.w, rtte.assigned(rtte.ripas(call.w.entry), call.data, _PAGE_LEVEL))
    return (0,)


def data_destroy(call: Call) -> Result:
    """RAM becomes DESTROYED: the Realm shall notice that its page is gone. EMPTY and DESTROYED stay."""
    w, data = call.w, rtte.address(call.w.entry)
    ripas = rtte.ripas(w.entry)
    call.rmm.edit(call, w, rtte.unassigned(RmiRipas.DESTROYED if ripas == RmiRipas.RAM else ripas))
    if rtte.valid(w.entry):
        call.rmm.invalidate(call, call.ipa, _PAGE_LEVEL)
    call.rmm.granules.release(call.pe, data, "DATA_DESTROY")
    return 0, data, rtt.skip_top(call.rmm.port, call.ipa, w, edited=True)


def data_top(call: Call) -> Result:
    """X1 = 0, X2 = top of a refused RMI_DATA_DESTROY."""
    return 0, rtt.skip_top(call.rmm.port, call.ipa, call.w)


def not_unassigned(call: Call) -> bool:
    """The page's entry is not UNASSIGNED."""
    return rtte.live(call.w.entry)


_CONTEXT: Final = {"realm": realm_at("rd"), "w": walk_at("ipa", lambda c: _PAGE_LEVEL)}
_RD: Final = granule("rd", State.RD)
_IPA: Final = (
    Check("ipa_bound", lambda c: c.ipa >= c.realm.protected_top),
    Check("ipa_align", lambda c: c.ipa & 0xFFF),
)
_WALK: Final = (
    Check("data_bound2", lambda c: c.data >> 48),
    Check("rtt_walk", lambda c: c.w.level < _PAGE_LEVEL, RTT, lambda c: c.w.level),
    Check("rtte_state", not_unassigned, RTT, lambda c: c.w.level),
)
_SRC_ALIGN, _SRC_BOUND, _SRC_STATE = granule("src", State.UNDELEGATED, last="pas")

COMMANDS: Final = (
    Command(
        Rmi.DATA_CREATE, "DATA_CREATE", data_create, ins=("rd", "data", "ipa", "src", "flags"),
        context={**_CONTEXT, "content": ns_page("src")},
        checks=(
            Check("flags_valid", lambda c: c.flags >> 1),
            _SRC_ALIGN,
            _SRC_BOUND,
            _SRC_STATE,
            *granule("data", State.DELEGATED),
            *_RD,
            Check("realm_state", not_new, REALM_ERROR),
            *_IPA,
            *_WALK,
            Check("src_pas_access", lambda c: c.content is None),
        ),
    ),
    Command(
        Rmi.DATA_CREATE_UNKNOWN, "DATA_CREATE_UNKNOWN", data_create_unknown, ins=("rd", "data", "ipa"),
        context=_CONTEXT,
        checks=(*granule("data", State.DELEGATED), *_RD, *_IPA, *_WALK),
    ),
    Command(
        Rmi.DATA_DESTROY, "DATA_DESTROY", data_destroy, ins=("rd", "ipa"), outs=("data", "top"), context=_CONTEXT,
        checks=(
            *_RD,
            *_IPA,
            Check("rtt_walk", lambda c: c.w.level < _PAGE_LEVEL, RTT, lambda c: c.w.level, data_top),
            Check("rtte_state", lambda c: not rtte.live(c.w.entry), RTT, lambda c: c.w.level, data_top),
        ),
    ),
)  # fmt: skip
