"""The Realm Descriptor (RD), and values derived from a Realm's parameters."""

from enum import IntEnum
from typing import Final, NamedTuple

from cca_arch.descriptors import rtte
from cca_arch.fields import Record
from cca_arch.rmi.v1_0 import HashAlgorithm
from cca_rmm.objects.words import Layout

__all__ = [
    "REALM",
    "REALM_STATE",
    "REM_COUNT",
    "RIM_OFFSET",
    "RPV_OFFSET",
    "SLOT",
    "Realm",
    "RealmState",
    "hash_valid",
    "measurement_offset",
    "rtt_shape_valid",
]

RPV_OFFSET: Final = 0x100
RIM_OFFSET: Final = 0x140
REM_COUNT: Final = 4
SLOT: Final = 64  # bytes of a measurement slot, for any hash


class RealmState(IntEnum):
    """RmmRealmState."""

    NEW = 0
    ACTIVE = 1
    SYSTEM_OFF = 2


REALM_STATE: Final[dict[tuple[RealmState, str], RealmState]] = {
    (RealmState.NEW, "REALM_ACTIVATE"): RealmState.ACTIVE,
    (RealmState.ACTIVE, "PSCI_SYSTEM_OFF"): RealmState.SYSTEM_OFF,
    (RealmState.ACTIVE, "PSCI_SYSTEM_RESET"): RealmState.SYSTEM_OFF,
    (RealmState.SYSTEM_OFF, "PSCI_SYSTEM_OFF"): RealmState.SYSTEM_OFF,
    (RealmState.SYSTEM_OFF, "PSCI_SYSTEM_RESET"): RealmState.SYSTEM_OFF,
}
"""(state, input) -> state. SYSTEM_OFF can repeat, because another REC of the Realm may still be running."""


class Realm(NamedTuple):
    """The header of an RD granule, one word per field; RPV, RIM and REM 0..3 follow at 0x100, 64 bytes each."""

    state: int
    flags: int
    s2sz: int
    sve_vl: int
    num_bps: int
    num_wps: int
    pmu_num_ctrs: int
    hash_algo: int
    vmid: int
    rtt_base: int
    rtt_level_start: int
    rtt_num_start: int
    rec_index: int  # the next REC's index; REC_DESTROY does not decrement it
    num_recs: int  # live RECs

    @property
    def protected_top(self) -> int:
        """The first Unprotected IPA."""
        return 1 << (self.s2sz - 1)

    @property
    def ipa_top(self) -> int:
        """The first address outside the IPA space."""
        return 1 << self.s2sz


REALM: Final = Layout(Realm)


# -- parameters ---------------------------------------------------------------------------------------------------
_START_LEVELS: Final = {2: range(32, 35), 1: range(32, 44), 0: range(40, 49)}  # s2sz by rtt_level_start, without LPA2
_RESOLVED: Final = {level: rtte.LSB[level] + 9 for level in _START_LEVELS}  # bits that one table resolves


def hash_valid(params: Record) -> bool:
    """True if hash_algo is an encoding of RmiHashAlgorithm."""
    return params.hash_algo in tuple(HashAlgorithm)


def rtt_shape_valid(params: Record) -> bool:
    """True if (s2sz, rtt_level_start, rtt_num_start) are consistent: at most 16 concatenated tables."""
    level, s2sz = params.rtt_level_start, params.s2sz
    if s2sz not in _START_LEVELS.get(level, ()):
        return False
    return bool(params.rtt_num_start == 1 << max(0, s2sz - _RESOLVED[level]))


def measurement_offset(index: int) -> int:
    """The offset in the RD of measurement ``index``: 0 is the RIM, 1..4 are REM[index - 1]."""
    return RIM_OFFSET + SLOT * index
