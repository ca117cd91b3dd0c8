"""RMI_DATA_CREATE, RMI_DATA_CREATE_UNKNOWN and RMI_DATA_DESTROY."""

from typing import Any, Final

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import Kind
from cca_arch.rmi.v1_0 import Rmi, RmiDataFlags, RmiRipas
from cca_arch.types import GRANULE_SIZE
from cca_rmm.base.command import Check, Command, Result, loaded
from cca_rmm.commands.calls import RealmCall, read_ns
from cca_rmm.commands.conditions import RD, REALM_NEW, RTT, granule
from cca_rmm.costs import HASH_PAGE, spend
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.granule import State
from cca_rmm.objects.rtt import Walk

__all__ = ["COMMANDS", "IPA", "DataCall"]

_RAM, _DESTROYED = int(RmiRipas.RAM), int(RmiRipas.DESTROYED)
_PAGE: Final = rtte.PAGE_LEVEL
_OFFSET: Final = GRANULE_SIZE - 1
_FLAGS: Final = RmiDataFlags.measure.mask

class DataCall(RealmCall):
    """A command about the page at a protected IPA: RMI_DATA_DESTROY."""

    rd: int
    ipa: int

    @loaded
    def w(self) -> Walk:
        """The walk to the page."""
        return rtt.walk(self.rmm.port, self.realm, self.ipa, _PAGE)


class UnknownCall(DataCall):
    """RMI_DATA_CREATE_UNKNOWN."""

    rd: int
    data: int
    ipa: int


class CreateCall(UnknownCall):
    """RMI_DATA_CREATE."""

    rd: int
    data: int
    ipa: int
    src: int
    flags: int

    @loaded
    def content(self) -> bytes | None:
        """The Host's page, or None if it cannot be read."""
        return read_ns(self.rmm, self.src)


def data_create(call: CreateCall) -> Result:
    """Map the page with RIPAS RAM, regardless of the RIPAS before: it is part of the measured initial state."""
    rmm, pe, realm, content = call.rmm, call.pe, call.realm, call.content
    assert content is not None
    port, data, ipa, flags, algorithm = rmm.port, call.data, call.ipa, call.flags, realm.hash_algo
    port.write(data, content)
    rmm.granules.move(pe, data, "DATA_CREATE")
    call.edit(ipa, call.w, rtte.assigned(_RAM, data, _PAGE))
    old, page = measurement.load(port, call.rd, 0), measurement.page_digest(algorithm, flags, content)
    if page:
        spend(pe.clock, HASH_PAGE[algorithm])
    rim = measurement.rim_data(algorithm, old, ipa, flags, page)
    measurement.store(port, rmm.trace, pe, call.rd, realm, 0, rim, "DATA_CREATE", ipa, page)
    return (0,)


def data_create_unknown(call: UnknownCall) -> Result:
    """Map the granule, which is zero because it is DELEGATED; the RIPAS does not change."""
    call.rmm.granules.move(call.pe, call.data, "DATA_CREATE_UNKNOWN")
    call.edit(call.ipa, call.w, rtte.assigned(rtte.ripas(call.w.entry), call.data, _PAGE))
    return (0,)


def data_destroy(call: DataCall) -> Result:
    """Unmap the page. RIPAS RAM becomes DESTROYED, so that the Realm notices; EMPTY and DESTROYED stay.

    A page that is out (SEALED) has no granule: ``data`` is 0, and what went out is lost.
    """
    w, data = call.w, rtte.address(call.w.entry)
    ripas = rtte.ripas(w.entry)
    call.edit(call.ipa, w, rtte.unassigned(_DESTROYED if ripas == _RAM else ripas))
    if rtte.valid(w.entry):
        call.invalidate(call.ipa, _PAGE)
    elif rtte.kind_of(w.entry, _PAGE) == Kind.SEALED:
        return 0, 0, rtt.skip_top(call.rmm.port, call.ipa, w, edited=True)
    call.rmm.granules.release(call.pe, data, "DATA_DESTROY")
    return 0, data, rtt.skip_top(call.rmm.port, call.ipa, w, edited=True)


def data_top(call: DataCall) -> Result:
    """X1 = 0, X2 = top of a refused RMI_DATA_DESTROY."""
    return 0, rtt.skip_top(call.rmm.port, call.ipa, call.w)


def not_unassigned(call: DataCall) -> bool:
    """The page's entry is not UNASSIGNED."""
    return rtte.live(call.w.entry)


IPA: Final[tuple[Check[DataCall], ...]] = (
    Check("ipa_bound", lambda c: c.ipa >= c.realm.protected_top),
    Check("ipa_align", lambda c: c.ipa & _OFFSET),
)
_WALK: Final[tuple[Check[UnknownCall], ...]] = (
    Check("data_bound2", lambda c: not rtte.fits(c.data)),
    Check("rtt_walk", lambda c: c.w.level < _PAGE, RTT, lambda c: c.w.level),
    Check("rtte_state", not_unassigned, RTT, lambda c: c.w.level),
)

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[CreateCall](
        Rmi.DATA_CREATE, "DATA_CREATE", CreateCall, data_create,
        checks=(
            Check("flags_valid", lambda c: c.flags & ~_FLAGS),
            *granule("src", State.UNDELEGATED, last="pas"),
            *granule("data", State.DELEGATED),
            *RD,
            REALM_NEW,
            *IPA,
            *_WALK,
            Check("src_pas_access", lambda c: c.content is None),
        ),
    ),
    Command[UnknownCall](
        Rmi.DATA_CREATE_UNKNOWN, "DATA_CREATE_UNKNOWN", UnknownCall, data_create_unknown,
        checks=(*granule("data", State.DELEGATED), *RD, *IPA, *_WALK),
    ),
    Command[DataCall](
        Rmi.DATA_DESTROY, "DATA_DESTROY", DataCall, data_destroy, outs=("data", "top"),
        checks=(
            *RD,
            *IPA,
            Check("rtt_walk", lambda c: c.w.level < _PAGE, RTT, lambda c: c.w.level, data_top),
            Check("rtte_state", lambda c: not rtte.live(c.w.entry), RTT, lambda c: c.w.level, data_top),
        ),
    ),
)  # fmt: skip
