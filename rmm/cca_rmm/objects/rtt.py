"""Realm translation tables: real stage 2 descriptors in RTT granules, and everything that reads or edits them.

An entry that the walker ignores (bit 0 clear) keeps the Realm's view of the IPA in the ignored bits: HIPAS and RIPAS
(DEN0137 "RTT entry state"; the encoding is ours to choose). A valid protected leaf has RIPAS RAM.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from cca_arch.fields import Bits, Field
from cca_arch.rmi.v1_0 import RmiRipas, RmiRttEntryState
from cca_platform.memory.ports import Port
from cca_rmm.objects.realm import Realm

__all__ = [
    "ENTRIES",
    "UNASSIGNED_NS",
    "WITH_RIPAS",
    "Kind",
    "Rtte",
    "Walk",
    "aligned",
    "all_leaves_live",
    "assigned",
    "assigned_ns",
    "children",
    "entries",
    "fold",
    "host_desc",
    "host_desc_valid",
    "is_table",
    "kind_of",
    "level_size",
    "live",
    "name",
    "oa",
    "read_entry",
    "ripas",
    "skip_top",
    "table",
    "table_live",
    "unassigned",
    "walk",
]

ENTRIES: Final = 512
_PAGE: Final = 0x1000
_TABLE_CODEC: Final = struct.Struct(f"<{ENTRIES}Q")


class Rtte(Bits):
    """A stage 2 descriptor as the RMM writes it (DDI 0487 D8.3), with its own fields in invalid ones."""

    type = Field(1, 0)  # 0b11 table or page, 0b01 block, 0b00 invalid
    hipas = Field(4, 2)  # invalid entries only: 0 UNASSIGNED, 1 ASSIGNED
    ripas = Field(6, 5)  # invalid entries only
    memattr = Field(5, 2)  # valid leaves, with HCR_EL2.FWB
    s2ap = Field(7, 6)
    sh = Field(9, 8)
    af = Field(10)
    addr = Field(47, 12)
    xn = Field(54, 53)
    ns = Field(55)


class Kind(IntEnum):
    """HIPAS of an entry, with TABLE."""

    UNASSIGNED = 0
    ASSIGNED = 1
    UNASSIGNED_NS = 2
    ASSIGNED_NS = 3
    TABLE = 4


WITH_RIPAS: Final = frozenset({Kind.UNASSIGNED, Kind.ASSIGNED})
"""Entries of protected IPA that are no tables."""

_NS: Final = int(Rtte.make(ns=1))
_OA: Final = Rtte.addr.mask
_HIPAS_ASSIGNED: Final = int(Rtte.make(hipas=1))
_TYPE: Final = 0b11
_LIVE: Final = 0b101  # bit 0 valid, bit 2 HIPAS ASSIGNED: any of them makes an entry live
_LEAF_TYPE: Final = {1: 0b01, 2: 0b01, 3: 0b11}
_RAM: Final = {n: int(Rtte.make(type=t, memattr=0b0110, s2ap=0b11, sh=0b11, af=1)) for n, t in _LEAF_TYPE.items()}
_HOST: Final = {n: int(Rtte.make(type=t, sh=0b11, af=1, xn=0b10, ns=1)) for n, t in _LEAF_TYPE.items()}
_HOST_ATTRIBUTES: Final = 0b111 << 2 | 0b11 << 6  # MemAttr[4:2] and S2AP[7:6]: what the Host chooses
_MEMATTR_RESERVED: Final = 0b100 << 2
_LSB: Final = {level: 12 + 9 * (3 - level) for level in range(4)}


def level_size(level: int) -> int:
    """Bytes that one entry of ``level`` maps."""
    return 1 << _LSB[level]


def aligned(ipa: int, level: int) -> bool:
    """Whether ``ipa`` is the start of an entry of ``level`` and has no bit above 47."""
    return not ipa & ((1 << _LSB[level]) - 1) and not ipa >> 48


# -- entries ------------------------------------------------------------------------------------------------------
def unassigned(value: int) -> int:
    """UNASSIGNED with this RIPAS."""
    return value << Rtte.ripas.low


UNASSIGNED_NS: Final = _NS


def assigned(value: int, pa: int, level: int) -> int:
    """ASSIGNED with this RIPAS: a valid mapping only for RAM."""
    if value == RmiRipas.RAM:
        return pa | _RAM[level]
    return pa | _HIPAS_ASSIGNED | value << Rtte.ripas.low


def assigned_ns(desc: int, level: int) -> int:
    """ASSIGNED_NS from the host's half of the descriptor: never executable, Non-secure PAS."""
    return desc | _HOST[level]


def table(pa: int) -> int:
    """TABLE pointing at the RTT granule ``pa``."""
    return pa | _TYPE


def is_table(entry: int, level: int) -> bool:
    """Whether an entry of ``level`` points to a table."""
    return level < 3 and entry & _TYPE == _TYPE


def kind_of(entry: int, level: int) -> Kind:
    """The HIPAS of an entry of ``level``, or TABLE."""
    if entry & 1:
        if is_table(entry, level):
            return Kind.TABLE
        return Kind.ASSIGNED_NS if entry & _NS else Kind.ASSIGNED
    if entry & _NS:
        return Kind.UNASSIGNED_NS
    return Kind.ASSIGNED if entry & _HIPAS_ASSIGNED else Kind.UNASSIGNED


def ripas(entry: int) -> int:
    """RIPAS of a protected entry that is no table."""
    return RmiRipas.RAM if entry & 1 else entry >> 5 & 3


def oa(entry: int) -> int:
    """Output address of an ASSIGNED entry, or the address of a table."""
    return entry & _OA


def live(entry: int) -> bool:
    """Whether something is there: TABLE, ASSIGNED or ASSIGNED_NS."""
    return entry & _LIVE != 0


def name(entry: int, level: int) -> str:
    """The entry's state in words, for traces: ``ASSIGNED,RAM``."""
    kind = kind_of(entry, level)
    return f"{kind.name},{RmiRipas(ripas(entry)).name}" if kind in WITH_RIPAS else kind.name


def host_desc(entry: int) -> int:
    """What the host wrote of an ASSIGNED_NS entry: OA, MemAttr and S2AP."""
    return entry & (_OA | _HOST_ATTRIBUTES)


def host_desc_valid(desc: int, level: int) -> bool:
    """Whether the host's descriptor of an Unprotected mapping is one (SH and everything else must be zero)."""
    allowed = (_OA & -(1 << _LSB[level])) | _HOST_ATTRIBUTES
    return not desc & ~allowed and desc & (0b111 << 2) != _MEMATTR_RESERVED


def read_entry(entry: int, level: int) -> tuple[int, int, int]:
    """(state, desc, ripas) as RMI_RTT_READ_ENTRY reports an entry."""
    kind = kind_of(entry, level)
    if kind == Kind.TABLE:
        return RmiRttEntryState.TABLE, oa(entry), 0
    if kind == Kind.ASSIGNED_NS:
        return RmiRttEntryState.ASSIGNED, host_desc(entry), 0
    if kind == Kind.ASSIGNED:
        return RmiRttEntryState.ASSIGNED, oa(entry), ripas(entry)
    return RmiRttEntryState.UNASSIGNED, 0, ripas(entry) if kind == Kind.UNASSIGNED else 0


# -- walks --------------------------------------------------------------------------------------------------------
class Walk(NamedTuple):
    """Where a walk stopped: the level, the RTT granule, the number of the entry in it, and the entry."""

    level: int
    table: int
    slot: int
    entry: int

    @property
    def pa(self) -> int:
        """Physical address of the entry."""
        return self.table + 8 * self.slot


def walk(port: Port, realm: Realm, ipa: int, target: int) -> Walk:
    """Walk from the starting level toward level ``target``; stop there or at the first entry that is no table."""
    level = realm.rtt_level_start
    shift = _LSB[level]
    index = ipa >> shift
    at = realm.rtt_base + (index >> 9) * _PAGE  # starting-level tables are concatenated
    index &= ENTRIES - 1
    entry = port.read64(at + 8 * index)
    while level < target and entry & _TYPE == _TYPE:
        level += 1
        shift -= 9
        at = entry & _OA
        index = ipa >> shift & (ENTRIES - 1)
        entry = port.read64(at + 8 * index)
    return Walk(level, at, index, entry)


def entries(port: Port, at: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """The 512 entries of the RTT granule at ``at``, read-only and live."""
    return np.frombuffer(port.view(at, _PAGE), np.uint64)


def skip_top(port: Port, ipa: int, at: Walk, *, edited: bool = False) -> int:
    """``top``: ``ipa`` when something is at it, else the end of the run of entries in this table that are not live.

    ``edited`` says that the entry of the walk has become not live since.
    """
    if not edited and live(at.entry):
        return ipa
    found = entries(port, at.table)[at.slot + 1 :] & np.uint64(_LIVE) != 0
    after = int(found.argmax()) if len(found) else 0
    run = 1 + (after if len(found) and found[after] else len(found))
    size = level_size(at.level)
    return (ipa & -size) + run * size


def table_live(port: Port, at: int) -> bool:
    """Liveness of a table: a TABLE or a protected ASSIGNED entry. Mappings of Non-secure memory do not count."""
    all_entries = entries(port, at)
    return bool(((all_entries & np.uint64(_LIVE) != 0) & (all_entries & np.uint64(_NS) == 0)).any())


# -- whole tables -------------------------------------------------------------------------------------------------
def children(entry: int, level: int) -> bytes:
    """The table of ``level`` that unfolds a parent entry: 512 entries of the parent's kind, addresses split."""
    if not live(entry):
        return entry.to_bytes(8, "little") * ENTRIES
    step = level_size(level)
    first = entry if not entry & 1 else entry & ~_TYPE | _LEAF_TYPE[level]
    return _TABLE_CODEC.pack(*range(first, first + ENTRIES * step, step))


def fold(port: Port, at: int, level: int) -> int | None:
    """The one entry of ``level - 1`` that says what the table at ``at`` says; None when it is not homogeneous."""
    all_entries = entries(port, at)
    first = int(all_entries[0])
    if not live(first):
        return first if bool((all_entries == all_entries[0]).all()) else None
    step = level_size(level)
    if kind_of(first, level) == Kind.TABLE or oa(first) & (level_size(level - 1) - 1):
        return None
    expected = np.arange(ENTRIES, dtype=np.uint64) * np.uint64(step) + np.uint64(first)
    if not bool((all_entries == expected).all()):
        return None
    return first & ~_TYPE | _LEAF_TYPE[level - 1] if first & 1 else first


def all_leaves_live(port: Port, at: int) -> bool:
    """Whether every entry of a table is TABLE, ASSIGNED or ASSIGNED_NS."""
    return bool((entries(port, at) & np.uint64(_LIVE) != 0).all())
