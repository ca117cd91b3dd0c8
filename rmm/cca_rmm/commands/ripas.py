"""The commands that set the RIPAS of a range: RMI_RTT_INIT_RIPAS, and RMI_RTT_SET_RIPAS at a Realm's request."""

from typing import Any, Final

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import WITH_RIPAS, Kind
from cca_arch.rmi.v1_0 import Rmi, RmiRipas
from cca_arch.types import GRANULE_SIZE
from cca_rmm.base.command import Check, Command, Result, loaded
from cca_rmm.commands.calls import RealmCall
from cca_rmm.commands.conditions import RD, REALM_NEW, REC_ERROR, RTT, granule
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.granule import State
from cca_rmm.objects.rec import REC, Rec, RecState
from cca_rmm.objects.rtt import Walk

__all__ = ["COMMANDS"]

_OFFSET: Final = GRANULE_SIZE - 1


class RangeCall(RealmCall):
    """RMI_RTT_INIT_RIPAS."""

    rd: int
    base: int
    top: int

    @loaded
    def w(self) -> Walk:
        """The walk to the first page."""
        return rtt.walk(self.rmm.port, self.realm, self.base, rtte.PAGE_LEVEL)


class SetCall(RangeCall):
    """RMI_RTT_SET_RIPAS."""

    rd: int
    rec: int
    base: int
    top: int

    @loaded
    def record(self) -> Rec:
        """The REC that requested the change."""
        return REC.load(self.rmm.port, self.rec)


def init_ripas(call: RangeCall) -> Result:
    """Measure and set every entry from ``base`` that is UNASSIGNED with EMPTY or RAM and fits below ``top``."""
    rmm, realm, w = call.rmm, call.realm, call.w
    size, ram = rtte.level_size(w.level), rtte.unassigned(RmiRipas.RAM)
    rim = measurement.load(rmm.port, call.rd, 0)
    at, ipa = w, call.base
    while True:
        call.edit(ipa, at, ram)
        rim = measurement.rim_ripas(realm.hash_algo, rim, ipa, ipa + size)
        measurement.store(rmm.port, rmm.trace, call.pe, call.rd, realm, 0, rim, "RTT_INIT_RIPAS", ipa)
        rim = rim.ljust(64, b"\0")
        ipa += size
        if at.slot + 1 == rtte.ENTRIES or ipa + size > call.top:
            break
        at = next_entry(call, at)
        if not can_init(at.entry, at.level):
            break
    return 0, ipa


def next_entry(call: RangeCall, at: Walk) -> Walk:
    """The next entry of the same table."""
    return Walk(at.level, at.table, at.slot + 1, call.rmm.port.read64(at.pa + 8))


def can_init(entry: int, level: int) -> bool:
    """UNASSIGNED with RIPAS EMPTY or RAM."""
    return rtte.kind_of(entry, level) == Kind.UNASSIGNED and rtte.ripas(entry) != RmiRipas.DESTROYED


def set_ripas(call: SetCall) -> Result:
    """Change the RIPAS as requested, up to an entry that must not change, ``top``, or the end of the table."""
    rmm, rec, at, ipa = call.rmm, call.record, call.w, call.base
    size = rtte.level_size(at.level)
    while True:
        change_ripas(call, at, ipa)
        ipa += size
        if at.slot + 1 == rtte.ENTRIES or ipa + size > call.top:
            break
        at = next_entry(call, at)
        if not can_change(at.entry, at.level, rec.ripas_destroyed):
            break
    REC.write(rmm.port, call.rec, ripas_addr=ipa)
    return 0, ipa


def change_ripas(call: SetCall, at: Walk, ipa: int) -> None:
    """Change the RIPAS only; a mapping that becomes invalid is removed from the TLBs."""
    value, kind = call.record.ripas_value, rtte.kind_of(at.entry, at.level)
    if kind == Kind.UNASSIGNED:
        new = rtte.unassigned(value)
    elif kind == Kind.SEALED:
        new = rtte.sealed(value, rtte.version(at.entry))
    else:
        new = rtte.assigned(value, rtte.address(at.entry), at.level)
    if new != at.entry:
        call.edit(ipa, at, new)
        if rtte.valid(at.entry):
            call.invalidate(ipa, at.level)


def can_change(entry: int, level: int, destroyed: int) -> bool:
    """The entry has a RIPAS, which is not DESTROYED unless the Realm allows that to change."""
    if rtte.kind_of(entry, level) not in WITH_RIPAS:
        return False
    return bool(destroyed) or rtte.ripas(entry) != RmiRipas.DESTROYED


# -- rows ---------------------------------------------------------------------------------------------------------
def w_level(call: RangeCall) -> int:
    """The level at which the walk stopped: the index of RMI_ERROR_RTT."""
    return call.w.level


_SIZE: Final[Check[RangeCall]] = Check("size_valid", lambda c: c.top <= c.base)
_TOP_ALIGN: Final[Check[RangeCall]] = Check("top_gran_align", lambda c: c.top & _OFFSET)
_PROGRESS: Final[tuple[Check[RangeCall], ...]] = (
    Check("base_align", lambda c: not rtte.aligned(c.base, c.w.level), RTT, w_level),
    Check("no_progress", lambda c: c.base + rtte.level_size(c.w.level) > c.top, RTT, w_level),
)

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[RangeCall](
        Rmi.RTT_INIT_RIPAS, "RTT_INIT_RIPAS", RangeCall, init_ripas, outs=("out_top",),
        checks=(
            _SIZE,
            *RD,
            _TOP_ALIGN,
            Check("base_gran_align", lambda c: c.base & _OFFSET),
            Check("top_bound", lambda c: max(c.base, c.top - GRANULE_SIZE) >= c.realm.protected_top),
            REALM_NEW,
            *_PROGRESS,
            Check("rtte_state", lambda c: not can_init(c.w.entry, c.w.level), RTT, w_level),
        ),
    ),
    Command[SetCall](
        Rmi.RTT_SET_RIPAS, "RTT_SET_RIPAS", SetCall, set_ripas, outs=("out_top",),
        checks=(
            _SIZE,
            _TOP_ALIGN,
            *RD,
            *granule("rec", State.REC, last="gran_state"),
            Check("rec_state", lambda c: c.record.state == RecState.RUNNING, REC_ERROR),
            Check("rec_owner", lambda c: c.record.rd != c.rd, REC_ERROR),
            Check("base_bound", lambda c: c.base != c.record.ripas_addr),
            Check("top_bound", lambda c: c.top > c.record.ripas_top),
            *_PROGRESS,
            Check(
                "rtte_ripas", lambda c: not can_change(c.w.entry, c.w.level, c.record.ripas_destroyed), RTT, w_level
            ),
        ),
    ),
)  # fmt: skip
