"""Realm translation tables (RTTs): granules of 512 entries, and the code that walks, edits and compares them.

:mod:`cca_arch.descriptors.rtte` defines the entries.
"""

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from cca_arch.descriptors import rtte
from cca_arch.descriptors.rtte import ENTRIES, LIVE, NS, Kind, level_size, live
from cca_arch.types import GRANULE_SIZE
from cca_platform.memory.ports import Port
from cca_platform.trace.events import RttEdit
from cca_platform.trace.forms import UNSET
from cca_platform.trace.trace import Trace
from cca_rmm.objects.realm import Realm

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = [
    "Walk",
    "children",
    "common",
    "edit",
    "entries",
    "fold",
    "invalidate",
    "skip_top",
    "table_live",
    "walk",
]

_LSB: Final = rtte.LSB
_SEALED: Final = Kind.SEALED.name  # which has a version where others have an address
_LEVEL, _SLOT, _PAGE = 7, ENTRIES - 1, -GRANULE_SIZE  # of what a descent finds
_TABLE_CODEC: Final = struct.Struct(f"<{ENTRIES}Q")
_EACH: Final = int.from_bytes(_TABLE_CODEC.pack(*[1] * ENTRIES), "little")  # times an entry: a table of them
_INDEX: Final = int.from_bytes(_TABLE_CODEC.pack(*range(ENTRIES)), "little")  # a table of 0, 1, 2, ...
_LIVE_EACH: Final = LIVE * _EACH
_LIVE_BITS: Final = tuple(bit for bit in range(64) if LIVE >> bit & 1)
_NS_BIT: Final = NS.bit_length() - 1


# -- walks --------------------------------------------------------------------------------------------------------
class Walk(NamedTuple):
    """The result of a walk: the level, the RTT granule, the index of the entry, and the entry."""

    level: int
    table: int
    slot: int
    entry: int

    @property
    def pa(self) -> int:
        """The physical address of the entry."""
        return self.table + 8 * self.slot


def walk(port: Port, realm: Realm, ipa: int, target: int) -> Walk:
    """Walk from the starting level toward level ``target``; stop there or at the first entry that is not a table."""
    level = realm.rtt_level_start
    first = realm.rtt_base + 8 * (ipa >> _LSB[level])  # starting-level tables are concatenated
    found = port.descend(first, level, target, ipa)
    return tuple.__new__(Walk, (found & _LEVEL, found & _PAGE, found >> 3 & _SLOT, port.read64(found & ~_LEVEL)))


def edit(port: Port, trace: Trace, pe: "Pe", cmd: str, rd: int, ipa: int, w: Walk, new: int) -> None:
    """Write the entry for ``ipa`` that a walk has found; ``cmd`` is the command that causes it."""
    port.write64(w.pa, new)
    if trace.on:
        told = rtte.name(new, w.level)
        state, _, ripas = told.partition(",")
        event = RttEdit(
            rd=rd, ipa=ipa, level=w.level, old=rtte.name(w.entry, w.level), new=told, cmd=cmd,
            pa=0 if state == _SEALED else new & rtte.ADDRESS, rtt=w.table, state=state, ripas=ripas or UNSET,
        )  # fmt: skip
        trace.emit(event, pe)


def invalidate(machine: "Machine", vmid: int, ipa: int, level: int) -> None:
    """TLBI IPAS2 for what one entry of ``level`` at ``ipa`` mapped, on every PE."""
    size = level_size(level)
    machine.tlbi_ipas2(vmid, ipa & -size, size)


def entries(port: Port, at: int) -> int:
    """The 512 entries of the RTT granule at ``at`` as one number, the first lowest: one step looks at them all."""
    return int.from_bytes(port.view(at, GRANULE_SIZE), "little")


def skip_top(port: Port, ipa: int, at: Walk, *, edited: bool = False) -> int:
    """``top``: ``ipa`` if its entry is live, else the end of the run of non-live entries in this table.

    ``edited`` says that the entry of the walk has become non-live since.
    """
    if not edited and live(at.entry):
        return ipa
    after = at.slot + 1
    if after == ENTRIES or port.read64(at.table + 8 * after) & LIVE:
        top = after
    else:
        found = entries(port, at.table) & _LIVE_EACH & -1 << 64 * after
        top = ENTRIES if not found else ((found & -found).bit_length() - 1) // 64
    size = level_size(at.level)
    return (ipa & -size) + (top - at.slot) * size


def table_live(port: Port, at: int) -> bool:
    """True if the table has a TABLE, or a protected ASSIGNED or SEALED entry.

    Mappings of Non-secure memory do not count.
    """
    found = entries(port, at)
    lives = 0
    for bit in _LIVE_BITS:
        lives |= found >> bit
    return lives & ~(found >> _NS_BIT) & _EACH != 0


# -- whole tables -------------------------------------------------------------------------------------------------
def children(entry: int, level: int) -> bytes:
    """The table of ``level`` that unfolds a parent entry: 512 entries of the parent's kind, addresses split."""
    if not live(entry):
        return entry.to_bytes(8, "little") * ENTRIES
    step = level_size(level)
    first = rtte.at_level(entry, level)
    return _TABLE_CODEC.pack(*range(first, first + ENTRIES * step, step))


def common(port: Port, at: int, level: int) -> int | None:
    """The first entry of the table at ``at`` if it is homogeneous, so that one of ``level - 1`` could replace it.

    Live entries are homogeneous if they map what a block would map, even if no block of that size exists. Pages that
    are out never are: each has a version of its own.
    """
    first = port.read64(at)
    if not live(first):
        return first if entries(port, at) == first * _EACH else None
    step = level_size(level)
    if rtte.kind_of(first, level) in (Kind.TABLE, Kind.SEALED) or rtte.address(first) & (level_size(level - 1) - 1):
        return None
    return first if entries(port, at) == first * _EACH + step * _INDEX else None


def fold(port: Port, at: int, level: int) -> int | None:
    """The entry of ``level - 1`` that is equivalent to the table at ``at``; None if it is not homogeneous."""
    first = common(port, at, level)
    return None if first is None else rtte.at_level(first, level - 1)
