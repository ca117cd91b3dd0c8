"""The Realm Descriptor (RD) and the facts that follow from a Realm's parameters."""

from enum import IntEnum
from typing import Final, NamedTuple

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
    "measurement_offset",
]

RPV_OFFSET: Final = 0x100
RIM_OFFSET: Final = 0x140
REM_COUNT: Final = 4
SLOT: Final = 64  # bytes of a measurement slot, whatever the hash


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
"""(state, input) -> state. SYSTEM_OFF repeats itself: another REC of the Realm may still be running."""


class Realm(NamedTuple):
    """The head of an RD granule, a word each; RPV, RIM and REM 0..3 follow at 0x100, 64 bytes each."""

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
    rec_index: int  # the next REC's index; REC_DESTROY does not lower it
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


def measurement_offset(index: int) -> int:
    """Offset in the RD of measurement ``index``: 0 the RIM, 1..4 REM[index - 1]."""
    return RIM_OFFSET + SLOT * index
