"""The commands that shape and read the RTT: RMI_RTT_*."""

from typing import Final

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import Kind
from cca_arch.rmi.v1_0 import Rmi, RmiRipas
from cca_rmm.command import (
    REALM_ERROR,
    REC_ERROR,
    RTT,
    Call,
    Check,
    Command,
    Result,
    granule,
    realm_at,
    rec_at,
    walk_at,
)
from cca_rmm.commands.realm import not_new
from cca_rmm.objects import measurement, rtt
from cca_rmm.objects.granule import State
from cca_rmm.objects.rec import REC, RecState
from cca_rmm.objects.rtt import Walk

__all__ = ["COMMANDS"]


# -- structure ----------------------------------------------------------------------------------------------------
def rtt_create(call: Call) -> Result:
    """The new table says what the parent entry said; a live entry is replaced by break-before-make."""
    rmm, w = call.rmm, call.w
    rmm.port.write(call.rtt, rtt.children(w.entry, call.level))
    rmm.granules.move(call.pe, call.rtt, "RTT_CREATE")
    break_before_make(call)
    rmm.edit(call, w, rtte.table(call.rtt))
    return (0,)


def break_before_make(call: Call) -> None:
    """Take a valid entry away and drop it from every TLB before something else stands in its place (DDI 0487 D8.16)."""
    if rtte.valid(call.w.entry):
        call.rmm.port.write64(call.w.pa, 0)
        call.rmm.invalidate(call, call.ipa, call.w.level)


def rtt_destroy(call: Call) -> Result:
    """The RIPAS of the entries is lost: DESTROYED for a protected IPA."""
    rmm, w = call.rmm, call.w
    table = rtte.address(w.entry)
    protected = call.ipa < call.realm.protected_top
    rmm.edit(call, w, rtte.unassigned(RmiRipas.DESTROYED) if protected else rtte.UNASSIGNED_NS)
    rmm.invalidate(call, call.ipa, w.level)
    rmm.granules.release(call.pe, table, "RTT_DESTROY")
    return 0, table, rtt.skip_top(rmm.port, call.ipa, w, edited=True)


def rtt_fold(call: Call) -> Result:
    """The parent entry takes what all entries of the table have in common; what was mapped stays mapped."""
    rmm, w = call.rmm, call.w
    table = rtte.address(w.entry)
    entry = rtt.fold(rmm.port, table, call.level)
    assert entry is not None
    break_before_make(call)
    rmm.edit(call, w, entry)
    rmm.granules.release(call.pe, table, "RTT_FOLD")
    return 0, table


def block_level(call: Call) -> bool:
    """Every entry is live, and the block that it would fold into is larger than a level 1 block."""
    return call.level <= 1 and rtt.all_leaves_live(call.rmm.port, rtte.address(call.w.entry))


def not_homogeneous(call: Call) -> bool:
    """The 512 entries do not say one thing."""
    return rtt.fold(call.rmm.port, rtte.address(call.w.entry), call.level) is None


def read_entry(call: Call) -> Result:
    """Where the walk ended, and what it found there."""
    return 0, call.w.level, *rtte.read_entry(call.w.entry, call.w.level)


# -- Unprotected mappings -----------------------------------------------------------------------------------------
def map_unprotected(call: Call) -> Result:
    """The PA is the Host's business: the granule protection check alone guards what it points to."""
    call.rmm.edit(call, call.w, rtte.assigned_ns(call.desc, call.level))
    return (0,)


def unmap_unprotected(call: Call) -> Result:
    """The mapping goes, from the tables and from every TLB."""
    call.rmm.edit(call, call.w, rtte.UNASSIGNED_NS)
    call.rmm.invalidate(call, call.ipa, call.level)
    return 0, rtt.skip_top(call.rmm.port, call.ipa, call.w, edited=True)


def unmap_top(call: Call) -> Result:
    """X1 = top of a refused RMI_RTT_UNMAP_UNPROTECTED."""
    return (rtt.skip_top(call.rmm.port, call.ipa, call.w),)


def destroy_top(call: Call) -> Result:
    """X1 = 0, X2 = top of a refused RMI_RTT_DESTROY."""
    return 0, rtt.skip_top(call.rmm.port, call.ipa, call.w)


# -- RIPAS --------------------------------------------------------------------------------------------------------
def init_ripas(call: Call) -> Result:
    """Measure and set every entry from ``base`` that is UNASSIGNED with EMPTY or RAM and fits below ``top``."""
    rmm, realm, w = call.rmm, call.realm, call.w
    size, ram = rtte.level_size(w.level), rtte.unassigned(RmiRipas.RAM)
    rim = measurement.load(rmm.port, call.rd, 0)
    at, ipa = w, call.base
    while True:
        rmm.edit(call, at, ram, ipa)
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


def next_entry(call: Call, at: Walk) -> Walk:
    """The entry after this one in its table."""
    return Walk(at.level, at.table, at.slot + 1, call.rmm.port.read64(at.pa + 8))


def can_init(entry: int, level: int) -> bool:
    """UNASSIGNED with RIPAS EMPTY or RAM."""
    return rtte.kind_of(entry, level) == Kind.UNASSIGNED and rtte.ripas(entry) != RmiRipas.DESTROYED


def set_ripas(call: Call) -> Result:
    """Change the RIPAS as the Realm asked, up to an entry that must not change, ``top``, or the end of the table."""
    rmm, rec, at, ipa = call.rmm, call.rec_, call.w, call.base
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


def change_ripas(call: Call, at: Walk, ipa: int) -> None:
    """HIPAS and output address stay; a mapping that ceases to be valid leaves the TLBs."""
    value = call.rec_.ripas_value
    if rtte.kind_of(at.entry, at.level) == Kind.UNASSIGNED:
        new = rtte.unassigned(value)
    else:
        new = rtte.assigned(value, rtte.address(at.entry), at.level)
    if new != at.entry:
        call.rmm.edit(call, at, new, ipa)
        if rtte.valid(at.entry):
            call.rmm.invalidate(call, ipa, at.level)


def can_change(entry: int, level: int, destroyed: int) -> bool:
    """The entry has a RIPAS, and it is not DESTROYED unless the Realm allows that to change."""
    if rtte.kind_of(entry, level) not in (Kind.UNASSIGNED, Kind.ASSIGNED):
        return False
    return bool(destroyed) or rtte.ripas(entry) != RmiRipas.DESTROYED


# -- rows ---------------------------------------------------------------------------------------------------------
def kind(call: Call) -> Kind:
    """What the walk found."""
    return rtte.kind_of(call.w.entry, call.w.level)


def w_level(call: Call) -> int:
    """The level where the walk stopped: the index of RMI_ERROR_RTT."""
    return call.w.level


_RD: Final = granule("rd", State.RD)
_PARENT: Final = {"realm": realm_at("rd"), "w": walk_at("ipa", lambda c: c.level - 1)}
_ENTRY: Final = {"realm": realm_at("rd"), "w": walk_at("ipa", lambda c: c.level)}
_RANGE: Final = {"realm": realm_at("rd"), "rec_": rec_at("rec"), "w": walk_at("base", lambda c: 3)}
_STRUCTURE: Final = (
    Check("level_bound", lambda c: not c.realm.rtt_level_start < c.level <= 3),
    Check("ipa_bound", lambda c: c.ipa >= c.realm.ipa_top),
    Check("ipa_align", lambda c: not rtte.aligned(c.ipa, c.level - 1)),
)
_MAP_LEVEL: Final = Check("level_bound", lambda c: c.level not in (1, 2, 3))
_UNPROTECTED: Final = (
    Check("ipa_bound", lambda c: c.ipa >= c.realm.ipa_top),
    Check("ipa_align", lambda c: not rtte.aligned(c.ipa, c.level)),
    Check("ipa_prot", lambda c: c.ipa < c.realm.protected_top),
)
_MAP_START: Final = Check("level_bound", lambda c: c.level < c.realm.rtt_level_start)
_SIZE: Final = Check("size_valid", lambda c: c.top <= c.base)
_TOP_ALIGN: Final = Check("top_gran_align", lambda c: c.top & 0xFFF)
_PROGRESS: Final = (
    Check("base_align", lambda c: not rtte.aligned(c.base, c.w.level), RTT, w_level),
    Check("no_progress", lambda c: c.base + rtte.level_size(c.w.level) > c.top, RTT, w_level),
)

COMMANDS: Final = (
    Command(
        Rmi.RTT_CREATE, "RTT_CREATE", rtt_create, ins=("rd", "rtt", "ipa", "level"), signed="level", context=_PARENT,
        checks=(
            *granule("rtt", State.DELEGATED),
            *_RD,
            *_STRUCTURE,
            Check("rtt_bound2", lambda c: c.rtt >> 48),
            Check("rtt_walk", lambda c: c.w.level < c.level - 1, RTT, w_level),
            Check("rtte_state", lambda c: kind(c) == Kind.TABLE, RTT, w_level),
        ),
    ),
    Command(
        Rmi.RTT_DESTROY, "RTT_DESTROY", rtt_destroy, ins=("rd", "ipa", "level"), outs=("rtt", "top"), signed="level",
        context=_PARENT,
        checks=(
            *_RD,
            *_STRUCTURE,
            Check("rtt_walk", lambda c: c.w.level < c.level - 1, RTT, w_level, destroy_top),
            Check("rtte_state", lambda c: kind(c) != Kind.TABLE, RTT, w_level, destroy_top),
            Check(
                "rtt_live", lambda c: rtt.table_live(c.rmm.port, rtte.address(c.w.entry)), RTT, lambda c: c.level,
                lambda c: (0, c.ipa),
            ),
        ),
    ),
    Command(
        Rmi.RTT_MAP_UNPROTECTED, "RTT_MAP_UNPROTECTED", map_unprotected, ins=("rd", "ipa", "level", "desc"),
        signed="level", context=_ENTRY,
        checks=(
            _MAP_LEVEL,
            *_RD,
            _MAP_START,
            Check("desc_valid", lambda c: not rtte.host_desc_valid(c.desc, c.level)),
            *_UNPROTECTED,
            Check("rtt_walk", lambda c: c.w.level < c.level, RTT, w_level),
            Check("rtte_state", lambda c: kind(c) != Kind.UNASSIGNED_NS, RTT, w_level),
        ),
    ),
    Command(
        Rmi.RTT_READ_ENTRY, "RTT_READ_ENTRY", read_entry, ins=("rd", "ipa", "level"),
        outs=("walk_level", "state", "desc", "ripas"), signed="level", context=_ENTRY,
        checks=(
            *_RD,
            Check("level_bound", lambda c: not c.realm.rtt_level_start <= c.level <= 3),
            Check("ipa_bound", lambda c: c.ipa >= c.realm.ipa_top),
            Check("ipa_align", lambda c: not rtte.aligned(c.ipa, c.level)),
        ),
    ),
    Command(
        Rmi.RTT_UNMAP_UNPROTECTED, "RTT_UNMAP_UNPROTECTED", unmap_unprotected, ins=("rd", "ipa", "level"),
        outs=("top",), signed="level", context=_ENTRY,
        checks=(
            _MAP_LEVEL,
            *_RD,
            _MAP_START,
            *_UNPROTECTED,
            Check("rtt_walk", lambda c: c.w.level < c.level, RTT, w_level, unmap_top),
            Check("rtte_state", lambda c: kind(c) != Kind.ASSIGNED_NS, RTT, w_level, unmap_top),
        ),
    ),
    Command(
        Rmi.RTT_FOLD, "RTT_FOLD", rtt_fold, ins=("rd", "ipa", "level"), outs=("rtt",), signed="level", context=_PARENT,
        checks=(
            *_RD,
            *_STRUCTURE,
            Check("rtt_walk", lambda c: c.w.level < c.level - 1, RTT, w_level),
            Check("rtte_state", lambda c: kind(c) != Kind.TABLE, RTT, w_level),
            Check("rtt_block_level", block_level, RTT, lambda c: c.level - 1),
            Check("rtt_homo", not_homogeneous, RTT, lambda c: c.level),
        ),
    ),
    Command(
        Rmi.RTT_INIT_RIPAS, "RTT_INIT_RIPAS", init_ripas, ins=("rd", "base", "top"), outs=("out_top",), context=_RANGE,
        checks=(
            _SIZE,
            *_RD,
            _TOP_ALIGN,
            Check("base_gran_align", lambda c: c.base & 0xFFF),
            Check("top_bound", lambda c: max(c.base, c.top - 0x1000) >= c.realm.protected_top),
            Check("realm_state", not_new, REALM_ERROR),
            *_PROGRESS,
            Check("rtte_state", lambda c: not can_init(c.w.entry, c.w.level), RTT, w_level),
        ),
    ),
    Command(
        Rmi.RTT_SET_RIPAS, "RTT_SET_RIPAS", set_ripas, ins=("rd", "rec", "base", "top"), outs=("out_top",),
        context=_RANGE,
        checks=(
            _SIZE,
            _TOP_ALIGN,
            *_RD,
            *granule("rec", State.REC, last="gran_state"),
            Check("rec_state", lambda c: c.rec_.state == RecState.RUNNING, REC_ERROR),
            Check("rec_owner", lambda c: c.rec_.rd != c.rd, REC_ERROR),
            Check("base_bound", lambda c: c.base != c.rec_.ripas_addr),
            Check("top_bound", lambda c: c.top > c.rec_.ripas_top),
            *_PROGRESS,
            Check(
                "rtte_ripas", lambda c: not can_change(c.w.entry, c.w.level, c.rec_.ripas_destroyed), RTT, w_level
            ),
        ),
    ),
)  # fmt: skip
