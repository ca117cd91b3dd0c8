"""The Power State Coordination Interface 1.1 (Arm DEN0022): functions and return codes."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field
from cca_arch.smccc import REGISTER_MASK
from cca_arch.sysregs import MPIDR_AFFINITY

__all__ = [
    "PSCI_VERSION",
    "AffinityInfo",
    "ExtendedPowerState",
    "HwState",
    "PowerState",
    "Psci",
    "PsciStatus",
    "SuspendFeatures",
    "mpidr_affinity",
]

PSCI_VERSION: Final = 0x10001


class Psci(IntEnum):
    """PSCI 1.1 functions; ``_64`` marks the SMC64 form of a function that has two."""

    VERSION = 0x8400_0000
    CPU_SUSPEND = 0x8400_0001
    CPU_OFF = 0x8400_0002
    CPU_ON = 0x8400_0003
    AFFINITY_INFO = 0x8400_0004
    MIGRATE = 0x8400_0005
    MIGRATE_INFO_TYPE = 0x8400_0006
    MIGRATE_INFO_UP_CPU = 0x8400_0007
    SYSTEM_OFF = 0x8400_0008
    SYSTEM_RESET = 0x8400_0009
    FEATURES = 0x8400_000A
    NODE_HW_STATE = 0x8400_000D
    SYSTEM_SUSPEND = 0x8400_000E
    SET_SUSPEND_MODE = 0x8400_000F
    STAT_RESIDENCY = 0x8400_0010
    STAT_COUNT = 0x8400_0011
    SYSTEM_RESET2 = 0x8400_0012
    MEM_PROTECT = 0x8400_0013
    MEM_PROTECT_CHECK_RANGE = 0x8400_0014
    CPU_SUSPEND_64 = 0xC400_0001
    CPU_ON_64 = 0xC400_0003
    AFFINITY_INFO_64 = 0xC400_0004
    MIGRATE_64 = 0xC400_0005
    MIGRATE_INFO_UP_CPU_64 = 0xC400_0007
    NODE_HW_STATE_64 = 0xC400_000D
    SYSTEM_SUSPEND_64 = 0xC400_000E
    STAT_RESIDENCY_64 = 0xC400_0010
    STAT_COUNT_64 = 0xC400_0011
    SYSTEM_RESET2_64 = 0xC400_0012
    MEM_PROTECT_CHECK_RANGE_64 = 0xC400_0014


class PsciStatus(IntEnum):
    """PSCI return codes, sign-extended to X0."""

    SUCCESS = 0
    NOT_SUPPORTED = -1 & REGISTER_MASK
    INVALID_PARAMETERS = -2 & REGISTER_MASK
    DENIED = -3 & REGISTER_MASK
    ALREADY_ON = -4 & REGISTER_MASK
    ON_PENDING = -5 & REGISTER_MASK
    INTERNAL_FAILURE = -6 & REGISTER_MASK
    NOT_PRESENT = -7 & REGISTER_MASK
    DISABLED = -8 & REGISTER_MASK
    INVALID_ADDRESS = -9 & REGISTER_MASK


class AffinityInfo(IntEnum):
    """The result of PSCI_AFFINITY_INFO."""

    ON = 0
    OFF = 1
    ON_PENDING = 2


class HwState(IntEnum):
    """The result of PSCI_NODE_HW_STATE."""

    ON = 0
    OFF = 1
    STANDBY = 2


class PowerState(Bits):
    """The ``power_state`` of CPU_SUSPEND in the original format. ``power_down`` is StateType: 0 is standby."""

    state_id = Field(15, 0)
    power_down = Field(16)
    level = Field(25, 24)


class ExtendedPowerState(Bits):
    """The ``power_state`` of CPU_SUSPEND in the extended StateID format."""

    state_id = Field(27, 0)
    power_down = Field(30)


class SuspendFeatures(Bits):
    """The result of PSCI_FEATURES for CPU_SUSPEND: OS-initiated mode, and the extended StateID format."""

    os_initiated = Field(0)
    extended = Field(1)


def mpidr_affinity(mpidr: int) -> int:
    """Aff3 (bits 39:32), Aff2, Aff1 and Aff0 of an MPIDR: the ``target_cpu`` of PSCI."""
    return mpidr & MPIDR_AFFINITY
