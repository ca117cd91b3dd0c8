"""Numbers of DEN0137 1.0 and the state that its rules speak of: granules, Realms, RECs."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NamedTuple

__all__ = [
    "ONES",
    "PAGE",
    "Abort",
    "Answer",
    "Blob",
    "FeatureField",
    "Granule",
    "Platform",
    "Realm",
    "RealmState",
    "Rec",
    "RipasRequest",
    "Status",
    "mpidr_index",
    "signed",
]

PAGE = 0x1000
ONES = (1 << 64) - 1
X = tuple[int, ...]


class Granule(Enum):
    """The state of a granule."""

    UNDELEGATED = "UNDELEGATED"
    DELEGATED = "DELEGATED"
    RD = "RD"
    REC = "REC"
    REC_AUX = "REC_AUX"
    DATA = "DATA"
    RTT = "RTT"


class RealmState(Enum):
    """The state of a Realm."""

    NEW = "NEW"
    ACTIVE = "ACTIVE"
    SYSTEM_OFF = "SYSTEM_OFF"


class Status(IntEnum):
    """Bits 7:0 of X0."""

    SUCCESS = 0
    INPUT = 1
    REALM = 2
    REC = 3
    RTT = 4


class Answer(NamedTuple):
    """What a command returns. ``x`` are X1.. as far as the command defines them; the rest of X1..X3 is zero."""

    status: Status
    index: int = 0
    x: X = ()

    @property
    def x0(self) -> int:
        """The return code."""
        return self.status | (self.index & 0xFF) << 8


class FeatureField(NamedTuple):
    """A field of feature register 0."""

    low: int
    width: int

    def of(self, value: int) -> int:
        """Its value."""
        return value >> self.low & (1 << self.width) - 1


S2SZ, LPA2, SVE_EN, SVE_VL = FeatureField(0, 8), FeatureField(8, 1), FeatureField(9, 1), FeatureField(10, 4)
NUM_BPS, NUM_WPS = FeatureField(14, 6), FeatureField(20, 6)
PMU_EN, PMU_NUM_CTRS = FeatureField(26, 1), FeatureField(27, 5)
SHA_256, SHA_512 = FeatureField(32, 1), FeatureField(33, 1)
NUM_LRS, MAX_RECS_ORDER = FeatureField(34, 4), FeatureField(38, 4)


@dataclass(frozen=True)
class Platform:
    """What the specification leaves to the implementation."""

    banks: tuple[tuple[int, int], ...]
    """[base, top) of the memory that the RMM manages."""
    features: int
    """RmiFeatureRegister0."""
    aux_count: int
    """RMI_REC_AUX_COUNT of any Realm."""
    vmid_bits: int = 8
    pa_bits: int = 48

    def tracked(self, pa: int) -> bool:
        """The address lies in managed memory."""
        return any(base <= pa < top for base, top in self.banks)


@dataclass
class Realm:
    """A Realm Descriptor."""

    rd: int
    s2sz: int
    start: int
    roots: tuple[int, ...]
    vmid: int
    flags: int
    hash_algo: int
    rpv: bytes
    rim: bytes
    state: RealmState = RealmState.NEW
    rems: list[bytes] = field(default_factory=lambda: [bytes(64)] * 4)
    next_index: int = 0
    serial: int = 0
    """Of its pages that go out; 0 until the first does."""
    version: int = 0
    """Of the page that went out last."""
    recs: set[int] = field(default_factory=set)

    @property
    def half(self) -> int:
        """The first Unprotected IPA."""
        return 1 << self.s2sz - 1

    @property
    def end(self) -> int:
        """The first IPA outside."""
        return 1 << self.s2sz

    def protected(self, ipa: int) -> bool:
        """In the lower half."""
        return ipa < self.half


@dataclass
class RipasRequest:
    """RSI_IPA_STATE_SET that waits for the Host."""

    base: int
    top: int
    value: int
    destroyed: bool
    reached: int


class Blob(NamedTuple):
    """What a page was when it went out."""

    serial: int
    ipa: int
    version: int
    content: bytes
    tag: tuple[int, ...]


class Abort(NamedTuple):
    """The Data Abort with which a REC exited last."""

    emulatable: bool
    write: bool
    esr: int
    """What the PE had reported."""
    far: int


@dataclass
class Rec:
    """A REC."""

    rd: int
    index: int
    runnable: bool
    aux: tuple[int, ...]
    pc: int
    x: list[int]
    running: bool = False
    phase: str = ""
    """Where its code is: see :mod:`rmm_model.guest`."""
    psci: tuple[int, int, int, int] | None = None
    """FID and X1..X3 of the PSCI call that waits for RMI_PSCI_COMPLETE."""
    ripas: RipasRequest | None = None
    host_call: int | None = None
    """IPA of the structure of a host call that waits for the next entry."""
    token: bool = False
    abort: Abort | None = None
    """The last exit, if it was a Data Abort at an Unprotected IPA."""


def mpidr_index(mpidr: int) -> int:
    """The REC index that an MPIDR in PSCI's form names."""
    return mpidr & 0xF | (mpidr >> 8 & 0xFF) << 4 | (mpidr >> 16 & 0xFF) << 12 | (mpidr >> 32 & 0xFF) << 20


def signed(value: int) -> int:
    """An Int64 in a register."""
    return value - (1 << 64) if value >> 63 else value
