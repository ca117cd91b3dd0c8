"""The commands that edit and read the RTT: RMI_RTT_*."""

from typing import Any, Final

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import Kind
from cca_arch.rmi.v1_0 import Rmi, RmiRipas
from cca_rmm.base.command import Check, Command, Result, Signed, loaded
from cca_rmm.commands.calls import RealmCall
from cca_rmm.commands.conditions import RD, RTT, granule
from cca_rmm.objects import rtt
from cca_rmm.objects.granule import State
from cca_rmm.objects.rtt import Walk

__all__ = ["COMMANDS"]


class EntryCall(RealmCall):
    """A command about the entry of a level at an IPA: RMI_RTT_READ_ENTRY, RMI_RTT_UNMAP_UNPROTECTED."""

    rd: int
    ipa: int
    level: Signed

    @loaded
    def w(self) -> Walk:
        """The walk to the entry."""
        return rtt.walk(self.rmm.port, self.realm, self.ipa, self.level)


class MapCall(EntryCall):
    """RMI_RTT_MAP_UNPROTECTED."""

    rd: int
    ipa: int
    level: Signed
    desc: int


class TableCall(EntryCall):
    """A command about the table of a level at an IPA: RMI_RTT_DESTROY, RMI_RTT_FOLD."""

    @loaded
    def w(self) -> Walk:
        """The walk to the parent entry, which points to the table or can do so."""
        return rtt.walk(self.rmm.port, self.realm, self.ipa, self.level - 1)


class CreateCall(TableCall):
    """RMI_RTT_CREATE."""

    rd: int
    rtt: int
    ipa: int
    level: Signed


# -- structure ----------------------------------------------------------------------------------------------------
def rtt_create(call: CreateCall) -> Result:
    """Unfold the parent entry into the new table; a live entry is replaced by break-before-make."""
    rmm, w = call.rmm, call.w
    rmm.port.write(call.rtt, rtt.children(w.entry, call.level))
    rmm.granules.move(call.pe, call.rtt, "RTT_CREATE")
    break_before_make(call)
    call.edit(call.ipa, w, rtte.table(call.rtt))
    return (0,)


def break_before_make(call: TableCall) -> None:
    """Remove a valid entry, also from every TLB, before another replaces it (DDI 0487 D8.16)."""
    if rtte.valid(call.w.entry):
        call.rmm.port.write64(call.w.pa, 0)
        call.invalidate(call.ipa, call.w.level)


def rtt_destroy(call: TableCall) -> Result:
    """Destroy the table; the RIPAS of a protected IPA becomes DESTROYED."""
    rmm, w = call.rmm, call.w
    table = rtte.address(w.entry)
    protected = call.ipa < call.realm.protected_top
    call.edit(call.ipa, w, rtte.unassigned(RmiRipas.DESTROYED) if protected else rtte.UNASSIGNED_NS)
    call.invalidate(call.ipa, w.level)
    rmm.granules.release(call.pe, table, "RTT_DESTROY")
    return 0, table, rtt.skip_top(rmm.port, call.ipa, w, edited=True)


def rtt_fold(call: TableCall) -> Result:
    """Replace the table by one parent entry with the entries' common state; mappings stay in place."""
    rmm, w = call.rmm, call.w
    table = rtte.address(w.entry)
    entry = rtt.fold(rmm.port, table, call.level)
    assert entry is not None
    break_before_make(call)
    call.edit(call.ipa, w, entry)
    rmm.granules.release(call.pe, table, "RTT_FOLD")
    return 0, table


def block_level(call: TableCall) -> bool:
    """The 512 entries are homogeneous, but blocks of that size do not exist: the largest are at level 1."""
    if call.level > 1:
        return False
    first = rtt.common(call.rmm.port, rtte.address(call.w.entry), call.level)
    return first is not None and rtte.live(first)


def not_homogeneous(call: TableCall) -> bool:
    """The 512 entries are not homogeneous."""
    return rtt.common(call.rmm.port, rtte.address(call.w.entry), call.level) is None


def read_entry(call: EntryCall) -> Result:
    """Return the level at which the walk ended and the entry found there."""
    return 0, call.w.level, *rtte.read_entry(call.w.entry, call.w.level)


# -- Unprotected mappings -----------------------------------------------------------------------------------------
def map_unprotected(call: MapCall) -> Result:
    """Map the Host's PA unchecked: the granule protection check alone guards it."""
    call.edit(call.ipa, call.w, rtte.assigned_ns(call.desc, call.level))
    return (0,)


def unmap_unprotected(call: EntryCall) -> Result:
    """Remove the mapping from the tables and from every TLB."""
    call.edit(call.ipa, call.w, rtte.UNASSIGNED_NS)
    call.invalidate(call.ipa, call.level)
    return 0, rtt.skip_top(call.rmm.port, call.ipa, call.w, edited=True)


def unmap_top(call: EntryCall) -> Result:
    """X1 = top of a refused RMI_RTT_UNMAP_UNPROTECTED."""
    return (rtt.skip_top(call.rmm.port, call.ipa, call.w),)


def destroy_top(call: EntryCall) -> Result:
    """X1 = 0, X2 = top of a refused RMI_RTT_DESTROY."""
    return 0, rtt.skip_top(call.rmm.port, call.ipa, call.w)


# -- rows ---------------------------------------------------------------------------------------------------------
def kind(call: EntryCall) -> Kind:
    """What the walk found."""
    return rtte.kind_of(call.w.entry, call.w.level)


def w_level(call: EntryCall) -> int:
    """The level at which the walk stopped: the index of RMI_ERROR_RTT."""
    return call.w.level


_STRUCTURE: Final[tuple[Check[EntryCall], ...]] = (
    Check("level_bound", lambda c: not c.realm.rtt_level_start < c.level <= 3),
    Check("ipa_bound", lambda c: c.ipa >= c.realm.ipa_top),
    Check("ipa_align", lambda c: not rtte.aligned(c.ipa, c.level - 1)),
)
_MAP_LEVEL: Final[Check[EntryCall]] = Check("level_bound", lambda c: c.level not in (1, 2, 3))
_UNPROTECTED: Final[tuple[Check[EntryCall], ...]] = (
    Check("ipa_bound", lambda c: c.ipa >= c.realm.ipa_top),
    Check("ipa_align", lambda c: not rtte.aligned(c.ipa, c.level)),
    Check("ipa_prot", lambda c: c.ipa < c.realm.protected_top),
)
_MAP_START: Final[Check[EntryCall]] = Check("level_bound", lambda c: c.level < c.realm.rtt_level_start)

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[CreateCall](
        Rmi.RTT_CREATE, "RTT_CREATE", CreateCall, rtt_create,
        checks=(
            *granule("rtt", State.DELEGATED),
            *RD,
            *_STRUCTURE,
            Check("rtt_bound2", lambda c: not rtte.fits(c.rtt)),
            Check("rtt_walk", lambda c: c.w.level < c.level - 1, RTT, w_level),
            Check("rtte_state", lambda c: kind(c) == Kind.TABLE, RTT, w_level),
        ),
    ),
    Command[TableCall](
        Rmi.RTT_DESTROY, "RTT_DESTROY", TableCall, rtt_destroy, outs=("rtt", "top"),
        checks=(
            *RD,
            *_STRUCTURE,
            Check("rtt_walk", lambda c: c.w.level < c.level - 1, RTT, w_level, destroy_top),
            Check("rtte_state", lambda c: kind(c) != Kind.TABLE, RTT, w_level, destroy_top),
            Check(
                "rtt_live", lambda c: rtt.table_live(c.rmm.port, rtte.address(c.w.entry)), RTT, lambda c: c.level,
                lambda c: (0, c.ipa),
            ),
        ),
    ),
    Command[MapCall](
        Rmi.RTT_MAP_UNPROTECTED, "RTT_MAP_UNPROTECTED", MapCall, map_unprotected,
        checks=(
            _MAP_LEVEL,
            *RD,
            _MAP_START,
            Check("desc_valid", lambda c: not rtte.host_desc_valid(c.desc, c.level)),
            *_UNPROTECTED,
            Check("rtt_walk", lambda c: c.w.level < c.level, RTT, w_level),
            Check("rtte_state", lambda c: kind(c) != Kind.UNASSIGNED_NS, RTT, w_level),
        ),
    ),
    Command[EntryCall](
        Rmi.RTT_READ_ENTRY, "RTT_READ_ENTRY", EntryCall, read_entry,
        outs=("walk_level", "state", "desc", "ripas"),
        checks=(
            *RD,
            Check("level_bound", lambda c: not c.realm.rtt_level_start <= c.level <= 3),
            Check("ipa_bound", lambda c: c.ipa >= c.realm.ipa_top),
            Check("ipa_align", lambda c: not rtte.aligned(c.ipa, c.level)),
        ),
    ),
    Command[EntryCall](
        Rmi.RTT_UNMAP_UNPROTECTED, "RTT_UNMAP_UNPROTECTED", EntryCall, unmap_unprotected,
        outs=("top",),
        checks=(
            _MAP_LEVEL,
            *RD,
            _MAP_START,
            *_UNPROTECTED,
            Check("rtt_walk", lambda c: c.w.level < c.level, RTT, w_level, unmap_top),
            Check("rtte_state", lambda c: kind(c) != Kind.ASSIGNED_NS, RTT, w_level, unmap_top),
        ),
    ),
    Command[TableCall](
        Rmi.RTT_FOLD, "RTT_FOLD", TableCall, rtt_fold, outs=("rtt",),
        checks=(
            *RD,
            *_STRUCTURE,
            Check("rtt_walk", lambda c: c.w.level < c.level - 1, RTT, w_level),
            Check("rtte_state", lambda c: kind(c) != Kind.TABLE, RTT, w_level),
            Check("rtt_block_level", block_level, RTT, lambda c: c.level - 1),
            Check("rtt_homo", not_homogeneous, RTT, lambda c: c.level),
        ),
    ),
)  # fmt: skip
