"""Entries of a Realm translation table (RTT): stage 2 descriptors, with the RMM's own fields in invalid ones.

An entry that the walker ignores (bit 0 clear) keeps the Realm's view of the IPA in the ignored bits: HIPAS and RIPAS
(DEN0137 "RTT entry state"; their encoding is Realmlab's choice). A valid protected leaf has RIPAS RAM. An entry is an
``int`` whose meaning depends on its level; the masks serve code that processes 512 entries at once.

A page that the extension ``paging`` has taken out is SEALED: the address bits hold its version, which proves that what
comes back is what went out last.
"""

from enum import IntEnum
from functools import cache
from typing import Final

from cca_arch.descriptors.stage2 import BLOCK, PAGE, TABLE, Stage2Descriptor
from cca_arch.extensions import PagedState
from cca_arch.fields import Field
from cca_arch.rmi.v1_0 import RmiRipas, RmiRttEntryState

__all__ = [
    "ADDRESS",
    "ENTRIES",
    "HOST_NORMAL",
    "HOST_READ_ONLY",
    "LIVE",
    "LSB",
    "NS",
    "PAGE_LEVEL",
    "TABLE_TYPE",
    "UNASSIGNED_NS",
    "VERSION_BITS",
    "WITH_RIPAS",
    "Hipas",
    "Kind",
    "Rtte",
    "address",
    "aligned",
    "assigned",
    "assigned_ns",
    "at_level",
    "fits",
    "host_desc",
    "host_desc_valid",
    "is_table",
    "kind_of",
    "level_size",
    "live",
    "name",
    "read_entry",
    "ripas",
    "sealed",
    "table",
    "unassigned",
    "valid",
    "version",
]

PAGE_LEVEL: Final = 3
"""The level whose entries map pages."""

class Hipas(IntEnum):
    """The Host's state of an IPA, in an invalid entry."""

    UNASSIGNED = 0
    ASSIGNED = 1
    SEALED = 2


class Rtte(Stage2Descriptor):
    """A stage 2 descriptor as the RMM writes it, with its own fields if invalid."""

    valid = Field(0)
    hipas = Field(4, 2, Hipas)  # invalid entries only
    ripas = Field(6, 5, RmiRipas)  # invalid entries only
    host_memattr = Field(4, 2)  # the Host's MemAttr[2:0] of an Unprotected mapping; MemAttr[3] is zero


class Kind(IntEnum):
    """The HIPAS of an entry, or TABLE."""

    UNASSIGNED = 0
    ASSIGNED = 1
    UNASSIGNED_NS = 2
    ASSIGNED_NS = 3
    TABLE = 4
    SEALED = 5


WITH_RIPAS: Final = (Kind.UNASSIGNED, Kind.ASSIGNED, Kind.SEALED)
"""Entries of protected IPAs that are not tables."""
ENTRIES: Final = 512
LSB: Final = {level: 12 + 9 * (3 - level) for level in range(4)}
"""Level -> the lowest IPA bit that its tables resolve."""

_VALID: Final = Rtte.valid.mask
_ASSIGNED: Final = int(Rtte.make(hipas=Hipas.ASSIGNED))
_SEALED: Final = int(Rtte.make(hipas=Hipas.SEALED))
_RIPAS, _RIPAS_LOW = Rtte.ripas.mask, Rtte.ripas.low
_RIPAS_RAM: Final = RmiRipas.RAM  # itself, so that traces have its name
NS: Final = Rtte.ns.mask
ADDRESS: Final = Rtte.address.mask
_ADDRESS_LOW: Final = Rtte.address.low
_ADDRESS_BITS: Final = Rtte.address.high + 1
VERSION_BITS: Final = _ADDRESS_BITS - _ADDRESS_LOW
"""The bits of a version."""
TABLE_TYPE: Final = TABLE
"""The type of a TABLE above level 3, and the mask of that field."""
LIVE: Final = _VALID | _ASSIGNED | _SEALED
"""Any of these bits makes an entry live."""
UNASSIGNED_NS: Final = NS

_NORMAL_WRITE_BACK: Final = 0b0110  # MemAttr with HCR_EL2.FWB
_INNER_SHAREABLE: Final = 0b11
_READ_WRITE: Final = 0b11
_READ_ONLY: Final = 0b01
_NEVER_EXECUTABLE: Final = 0b10
_LEAF_TYPE: Final = {1: BLOCK, 2: BLOCK, 3: PAGE}
_RAM: Final = {
    level: int(Rtte.make(type=kind, memattr=_NORMAL_WRITE_BACK, s2ap=_READ_WRITE, sh=_INNER_SHAREABLE, af=1))
    for level, kind in _LEAF_TYPE.items()
}
_HOST: Final = {
    level: int(Rtte.make(type=kind, sh=_INNER_SHAREABLE, af=1, xn=_NEVER_EXECUTABLE, ns=1))
    for level, kind in _LEAF_TYPE.items()
}
_HOST_ATTRIBUTES: Final = Rtte.host_memattr.mask | Rtte.s2ap.mask
_MEMATTR_RESERVED: Final = int(Rtte.make(host_memattr=0b100))
HOST_NORMAL: Final = int(Rtte.make(host_memattr=_NORMAL_WRITE_BACK, s2ap=_READ_WRITE))
"""The Host's part of a descriptor without the address: Normal Write-Back memory, read and write,"""
HOST_READ_ONLY: Final = int(Rtte.make(host_memattr=_NORMAL_WRITE_BACK, s2ap=_READ_ONLY))
"""or read alone."""


def fits(pa: int) -> bool:
    """True if an entry can hold the address, which has 48 bits without LPA2."""
    return not pa >> _ADDRESS_BITS


def level_size(level: int) -> int:
    """The bytes that one entry of ``level`` maps."""
    return 1 << LSB[level]


def aligned(ipa: int, level: int) -> bool:
    """True if ``ipa`` is the start of an entry of ``level`` and has no bit above 47."""
    return not ipa & ((1 << LSB[level]) - 1) and not ipa >> _ADDRESS_BITS


# -- making entries -------------------------------------------------------------------------------------------------
def unassigned(value: int) -> int:
    """UNASSIGNED with this RIPAS."""
    return value << _RIPAS_LOW


def assigned(value: int, pa: int, level: int) -> int:
    """ASSIGNED with this RIPAS; only RAM is a valid mapping."""
    if value == _RIPAS_RAM:
        return pa | _RAM[level]
    return pa | _ASSIGNED | value << _RIPAS_LOW


def sealed(value: int, version: int) -> int:
    """SEALED with this RIPAS: the page is out, and this is its version."""
    return _SEALED | value << _RIPAS_LOW | version << _ADDRESS_LOW


def assigned_ns(desc: int, level: int) -> int:
    """ASSIGNED_NS from the Host's part of the descriptor: never executable, Non-secure PAS."""
    return desc | _HOST[level]


def table(pa: int) -> int:
    """TABLE pointing at the RTT granule ``pa``."""
    return pa | TABLE_TYPE


def at_level(entry: int, level: int) -> int:
    """The entry as a leaf of another level: a block or a page if it is valid."""
    return entry & ~TABLE_TYPE | _LEAF_TYPE[level] if entry & _VALID else entry


# -- reading entries ------------------------------------------------------------------------------------------------
def valid(entry: int) -> int:
    """True if the entry is valid for the walker, so that a TLB may cache it."""
    return entry & _VALID


def live(entry: int) -> bool:
    """True for TABLE, ASSIGNED, ASSIGNED_NS and SEALED."""
    return entry & LIVE != 0


def is_table(entry: int, level: int) -> bool:
    """True if an entry of ``level`` points to a table."""
    return level < 3 and entry & TABLE_TYPE == TABLE_TYPE


def kind_of(entry: int, level: int) -> Kind:
    """The HIPAS of an entry of ``level``, or TABLE."""
    if entry & _VALID:
        if is_table(entry, level):
            return Kind.TABLE
        return Kind.ASSIGNED_NS if entry & NS else Kind.ASSIGNED
    if entry & NS:
        return Kind.UNASSIGNED_NS
    if entry & _SEALED:
        return Kind.SEALED
    return Kind.ASSIGNED if entry & _ASSIGNED else Kind.UNASSIGNED


def ripas(entry: int) -> int:
    """The RIPAS of a protected entry that is not a table."""
    return _RIPAS_RAM if entry & _VALID else (entry & _RIPAS) >> _RIPAS_LOW


def address(entry: int) -> int:
    """The output address of an ASSIGNED entry, or the address of a table."""
    return entry & ADDRESS


def version(entry: int) -> int:
    """The version of a SEALED entry."""
    return (entry & ADDRESS) >> _ADDRESS_LOW


def name(entry: int, level: int) -> str:
    """The entry's state as text, for traces: ``ASSIGNED,RAM``, or without RIPAS, ``TABLE``."""
    return _name(entry & ~ADDRESS, level)


@cache
def _name(bits: int, level: int) -> str:
    kind = kind_of(bits, level)
    return f"{kind.name},{RmiRipas(ripas(bits)).name}" if kind in WITH_RIPAS else kind.name


def host_desc(entry: int) -> int:
    """The Host's part of an ASSIGNED_NS entry: address, MemAttr and S2AP."""
    return entry & (ADDRESS | _HOST_ATTRIBUTES)


def host_desc_valid(desc: int, level: int) -> bool:
    """True if the Host's descriptor of an Unprotected mapping is valid (SH and all else must be zero)."""
    allowed = (ADDRESS & -(1 << LSB[level])) | _HOST_ATTRIBUTES
    return not desc & ~allowed and desc & Rtte.host_memattr.mask != _MEMATTR_RESERVED


def read_entry(entry: int, level: int) -> tuple[int, int, int]:
    """(state, desc, ripas) as RMI_RTT_READ_ENTRY reports an entry."""
    kind = kind_of(entry, level)
    if kind == Kind.TABLE:
        return RmiRttEntryState.TABLE, address(entry), 0
    if kind == Kind.ASSIGNED_NS:
        return RmiRttEntryState.ASSIGNED, host_desc(entry), 0
    if kind == Kind.ASSIGNED:
        return RmiRttEntryState.ASSIGNED, address(entry), ripas(entry)
    if kind == Kind.SEALED:
        return PagedState.SEALED, version(entry), ripas(entry)
    return RmiRttEntryState.UNASSIGNED, 0, ripas(entry) if kind == Kind.UNASSIGNED else 0
