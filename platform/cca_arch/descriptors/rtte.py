"""Entries of a Realm translation table (RTT): stage 2 descriptors, with what the RMM keeps in those that map nothing.

An entry that the walker ignores (bit 0 clear) keeps the Realm's view of the IPA in the ignored bits: HIPAS and RIPAS
(DEN0137 "RTT entry state"; their encoding is Realmlab's choice). A valid protected leaf has RIPAS RAM. An entry is an
``int`` whose meaning depends on its level; the masks are for who looks at 512 of them at once.
"""

from enum import IntEnum
from typing import Final

from cca_arch.descriptors.stage2 import BLOCK, PAGE, TABLE, Stage2Descriptor
from cca_arch.fields import Field
from cca_arch.rmi.v1_0 import RmiRipas, RmiRttEntryState

__all__ = [
    "ADDRESS",
    "ENTRIES",
    "HOST_NORMAL",
    "LIVE",
    "LSB",
    "NS",
    "TABLE_TYPE",
    "UNASSIGNED_NS",
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
    "table",
    "unassigned",
    "valid",
]


class Hipas(IntEnum):
    """What the Host has put at an IPA, in an entry that maps nothing."""

    UNASSIGNED = 0
    ASSIGNED = 1


class Rtte(Stage2Descriptor):
    """A stage 2 descriptor as the RMM writes it, with its own fields in invalid ones."""

    valid = Field(0)
    hipas = Field(4, 2, Hipas)  # invalid entries only
    ripas = Field(6, 5, RmiRipas)  # invalid entries only
    host_memattr = Field(4, 2)  # MemAttr[2:0] of an Unprotected mapping, the Host's; MemAttr[3] is zero


class Kind(IntEnum):
    """HIPAS of an entry, with TABLE."""

    UNASSIGNED = 0
    ASSIGNED = 1
    UNASSIGNED_NS = 2
    ASSIGNED_NS = 3
    TABLE = 4


WITH_RIPAS: Final = (Kind.UNASSIGNED, Kind.ASSIGNED)
"""Entries of protected IPAs that are no tables."""
ENTRIES: Final = 512
LSB: Final = {level: 12 + 9 * (3 - level) for level in range(4)}
"""Level -> the lowest bit of an IPA that its tables resolve."""

_VALID: Final = Rtte.valid.mask
_ASSIGNED: Final = int(Rtte.make(hipas=Hipas.ASSIGNED))
NS: Final = Rtte.ns.mask
ADDRESS: Final = Rtte.address.mask
_ADDRESS_BITS: Final = Rtte.address.high + 1
TABLE_TYPE: Final = TABLE
"""The type of a TABLE, above level 3, and the mask of that field."""
LIVE: Final = _VALID | _ASSIGNED
"""Any of these bits makes an entry live."""
UNASSIGNED_NS: Final = NS

_NORMAL_WRITE_BACK: Final = 0b0110  # MemAttr with HCR_EL2.FWB
_INNER_SHAREABLE: Final = 0b11
_READ_WRITE: Final = 0b11
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
"""A Host's half of a descriptor, without the address: Normal Write-Back memory, read and write."""


def fits(pa: int) -> bool:
    """Whether an entry can hold the address: it has 48 bits without LPA2."""
    return not pa >> _ADDRESS_BITS


def level_size(level: int) -> int:
    """Bytes that one entry of ``level`` maps."""
    return 1 << LSB[level]


def aligned(ipa: int, level: int) -> bool:
    """Whether ``ipa`` is the start of an entry of ``level`` and has no bit above 47."""
    return not ipa & ((1 << LSB[level]) - 1) and not ipa >> _ADDRESS_BITS


# -- entries made ---------------------------------------------------------------------------------------------------
def unassigned(value: int) -> int:
    """UNASSIGNED with this RIPAS."""
    return value << Rtte.ripas.low


def assigned(value: int, pa: int, level: int) -> int:
    """ASSIGNED with this RIPAS: a valid mapping only for RAM."""
    if value == RmiRipas.RAM:
        return pa | _RAM[level]
    return pa | _ASSIGNED | value << Rtte.ripas.low


def assigned_ns(desc: int, level: int) -> int:
    """ASSIGNED_NS from the Host's half of the descriptor: never executable, Non-secure PAS."""
    return desc | _HOST[level]


def table(pa: int) -> int:
    """TABLE pointing at the RTT granule ``pa``."""
    return pa | TABLE_TYPE


def at_level(entry: int, level: int) -> int:
    """The entry as a leaf of another level: a block or a page, if it maps anything."""
    return entry & ~TABLE_TYPE | _LEAF_TYPE[level] if entry & _VALID else entry


# -- entries read ---------------------------------------------------------------------------------------------------
def valid(entry: int) -> int:
    """Whether the walker follows or uses the entry, and a TLB may hold what it says."""
    return entry & _VALID


def live(entry: int) -> bool:
    """Whether something is there: TABLE, ASSIGNED or ASSIGNED_NS."""
    return entry & LIVE != 0


def is_table(entry: int, level: int) -> bool:
    """Whether an entry of ``level`` points to a table."""
    return level < 3 and entry & TABLE_TYPE == TABLE_TYPE


def kind_of(entry: int, level: int) -> Kind:
    """The HIPAS of an entry of ``level``, or TABLE."""
    if entry & _VALID:
        if is_table(entry, level):
            return Kind.TABLE
        return Kind.ASSIGNED_NS if entry & NS else Kind.ASSIGNED
    if entry & NS:
        return Kind.UNASSIGNED_NS
    return Kind.ASSIGNED if entry & _ASSIGNED else Kind.UNASSIGNED


def ripas(entry: int) -> int:
    """RIPAS of a protected entry that is no table."""
    return RmiRipas.RAM if entry & _VALID else (entry & Rtte.ripas.mask) >> Rtte.ripas.low


def address(entry: int) -> int:
    """Output address of an ASSIGNED entry, or the address of a table."""
    return entry & ADDRESS


def name(entry: int, level: int) -> str:
    """The entry's state in words, for traces: ``ASSIGNED,RAM``."""
    kind = kind_of(entry, level)
    return f"{kind.name},{RmiRipas(ripas(entry)).name}" if kind in WITH_RIPAS else kind.name


def host_desc(entry: int) -> int:
    """What the Host wrote of an ASSIGNED_NS entry: address, MemAttr and S2AP."""
    return entry & (ADDRESS | _HOST_ATTRIBUTES)


def host_desc_valid(desc: int, level: int) -> bool:
    """Whether the Host's descriptor of an Unprotected mapping is one (SH and everything else must be zero)."""
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
    return RmiRttEntryState.UNASSIGNED, 0, ripas(entry) if kind == Kind.UNASSIGNED else 0
