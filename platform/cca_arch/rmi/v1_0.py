"""The Realm Management Interface 1.0 (Arm DEN0137): function identifiers, status codes, structures and registers."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field, Member, Struct

__all__ = [
    "ABI_VERSION",
    "MAX_AUX",
    "RMI_FIRST",
    "RMI_LAST",
    "FeatureRegister0",
    "HashAlgorithm",
    "InterfaceVersion",
    "PmuOverflowStatus",
    "RecCreateFlags",
    "RecEnterFlags",
    "RecExitReason",
    "RecMpidr",
    "Rmi",
    "RmiDataFlags",
    "RmiRealmFlags",
    "RmiRealmParams",
    "RmiRecEnter",
    "RmiRecExit",
    "RmiRecParams",
    "RmiRecRun",
    "RmiResponse",
    "RmiReturn",
    "RmiRipas",
    "RmiRttEntryState",
    "RmiStatus",
    "mpidr_of",
    "rec_index",
]

ABI_VERSION: Final = 0x10000  # 1.0 of both RMI and RSI: bits 30:16 major, 15:0 minor
MAX_AUX: Final = 16  # RmiRecParams.aux has this many slots
RMI_FIRST: Final = 0xC400_0150
RMI_LAST: Final = 0xC400_018F


class Rmi(IntEnum):
    """FIDs of the Realm Management Interface."""

    VERSION = 0xC400_0150
    GRANULE_DELEGATE = 0xC400_0151
    GRANULE_UNDELEGATE = 0xC400_0152
    DATA_CREATE = 0xC400_0153
    DATA_CREATE_UNKNOWN = 0xC400_0154
    DATA_DESTROY = 0xC400_0155
    REALM_ACTIVATE = 0xC400_0157
    REALM_CREATE = 0xC400_0158
    REALM_DESTROY = 0xC400_0159
    REC_CREATE = 0xC400_015A
    REC_DESTROY = 0xC400_015B
    REC_ENTER = 0xC400_015C
    RTT_CREATE = 0xC400_015D
    RTT_DESTROY = 0xC400_015E
    RTT_MAP_UNPROTECTED = 0xC400_015F
    RTT_READ_ENTRY = 0xC400_0161
    RTT_UNMAP_UNPROTECTED = 0xC400_0162
    PSCI_COMPLETE = 0xC400_0164
    FEATURES = 0xC400_0165
    RTT_FOLD = 0xC400_0166
    REC_AUX_COUNT = 0xC400_0167
    RTT_INIT_RIPAS = 0xC400_0168
    RTT_SET_RIPAS = 0xC400_0169


class RmiStatus(IntEnum):
    """RmiStatusCode: bits 7:0 of X0."""

    SUCCESS = 0
    ERROR_INPUT = 1
    ERROR_REALM = 2
    ERROR_REC = 3
    ERROR_RTT = 4


class HashAlgorithm(IntEnum):
    """RmiHashAlgorithm and RsiHashAlgorithm."""

    SHA_256 = 0
    SHA_512 = 1


class RecExitReason(IntEnum):
    """RmiRecExitReason."""

    SYNC = 0
    IRQ = 1
    FIQ = 2
    PSCI = 3
    RIPAS_CHANGE = 4
    HOST_CALL = 5
    SERROR = 6


class RmiRttEntryState(IntEnum):
    """The state of an RTT entry as RMI_RTT_READ_ENTRY reports it."""

    UNASSIGNED = 0
    ASSIGNED = 1
    TABLE = 2


class RmiRipas(IntEnum):
    """RmiRipas and RsiRipas: the Realm IPA state."""

    EMPTY = 0
    RAM = 1
    DESTROYED = 2


class RmiResponse(IntEnum):
    """RmiResponse and RsiResponse: the response to a RIPAS change."""

    ACCEPT = 0
    REJECT = 1


class PmuOverflowStatus(IntEnum):
    """RmiPmuOverflowStatus."""

    NOT_ACTIVE = 0
    ACTIVE = 1


class RmiReturn(Bits):
    """RmiCommandReturnCode: X0 of every RMI command."""

    status = Field(7, 0, RmiStatus)
    index = Field(15, 8)


class InterfaceVersion(Bits):
    """RmiInterfaceVersion and RsiInterfaceVersion."""

    minor = Field(15, 0)
    major = Field(30, 16)


class FeatureRegister0(Bits):
    """RmiFeatureRegister0, which RMI_FEATURES(0) returns. NUM_BPS, NUM_WPS and GICV3_NUM_LRS are encoded minus one."""

    S2SZ = Field(7, 0)
    LPA2 = Field(8)
    SVE_EN = Field(9)
    SVE_VL = Field(13, 10)
    NUM_BPS = Field(19, 14)
    NUM_WPS = Field(25, 20)
    PMU_EN = Field(26)
    PMU_NUM_CTRS = Field(31, 27)
    HASH_SHA_256 = Field(32)
    HASH_SHA_512 = Field(33)
    GICV3_NUM_LRS = Field(37, 34)
    MAX_RECS_ORDER = Field(41, 38)


class RmiRealmFlags(Bits):
    """RmiRealmParams.flags."""

    lpa2 = Field(0)
    sve = Field(1)
    pmu = Field(2)


class RmiDataFlags(Bits):
    """Flags of RMI_DATA_CREATE."""

    measure = Field(0)


class RecCreateFlags(Bits):
    """RmiRecParams.flags."""

    runnable = Field(0)


class RecMpidr(Bits):
    """RmiRecMpidr: bits outside the fields must be zero."""

    aff0 = Field(3, 0)
    aff1 = Field(15, 8)
    aff2 = Field(23, 16)
    aff3 = Field(31, 24)


class RecEnterFlags(Bits):
    """RmiRecEnter.flags."""

    emul_mmio = Field(0)
    inject_sea = Field(1)
    trap_wfi = Field(2)
    trap_wfe = Field(3)
    ripas_response = Field(4, 4, RmiResponse)


RmiRealmParams = Struct(
    "RmiRealmParams",
    0x1000,
    Member("flags", 0x0, 8),
    Member("s2sz", 0x8, 1),
    Member("sve_vl", 0x10, 1),
    Member("num_bps", 0x18, 1),
    Member("num_wps", 0x20, 1),
    Member("pmu_num_ctrs", 0x28, 1),
    Member("hash_algo", 0x30, 1),
    Member("rpv", 0x400, 64),
    Member("vmid", 0x800, 2),
    Member("rtt_base", 0x808, 8),
    Member("rtt_level_start", 0x810, 8, signed=True),
    Member("rtt_num_start", 0x818, 4),
)
RmiRecParams = Struct(
    "RmiRecParams",
    0x1000,
    Member("flags", 0x0, 8),
    Member("mpidr", 0x100, 8),
    Member("pc", 0x200, 8),
    Member("gprs", 0x300, 8, count=8),
    Member("num_aux", 0x800, 8),
    Member("aux", 0x808, 8, count=MAX_AUX),
)
RmiRecEnter = Struct(
    "RmiRecEnter",
    0x800,
    Member("flags", 0x0, 8),
    Member("gprs", 0x200, 8, count=31),
    Member("gicv3_hcr", 0x300, 8),
    Member("gicv3_lrs", 0x308, 8, count=16),
)
RmiRecExit = Struct(
    "RmiRecExit",
    0x800,
    Member("exit_reason", 0x0, 1),
    Member("esr", 0x100, 8),
    Member("far", 0x108, 8),
    Member("hpfar", 0x110, 8),
    Member("gprs", 0x200, 8, count=31),
    Member("gicv3_hcr", 0x300, 8),
    Member("gicv3_lrs", 0x308, 8, count=16),
    Member("gicv3_misr", 0x388, 8),
    Member("gicv3_vmcr", 0x390, 8),
    Member("cntp_ctl", 0x400, 8),
    Member("cntp_cval", 0x408, 8),
    Member("cntv_ctl", 0x410, 8),
    Member("cntv_cval", 0x418, 8),
    Member("ripas_base", 0x500, 8),
    Member("ripas_top", 0x508, 8),
    Member("ripas_value", 0x510, 1),
    Member("imm", 0x600, 2),
    Member("pmu_ovf_status", 0x700, 1),
)
RmiRecRun = Struct("RmiRecRun", 0x1000, Member("enter", 0x0, 0x800), Member("exit", 0x800, 0x800))


def rec_index(mpidr: int) -> int:
    """The index of a REC with this RmiRecMpidr; Aff0 has 4 bits."""
    own = RecMpidr(mpidr)
    return int(own.aff0 | own.aff1 << 4 | own.aff2 << 12 | own.aff3 << 20)


def mpidr_of(index: int) -> RecMpidr:
    """The RmiRecMpidr of REC ``index``: the inverse of :func:`rec_index`."""
    return RecMpidr.make(aff0=index & 0xF, aff1=index >> 4 & 0xFF, aff2=index >> 12 & 0xFF, aff3=index >> 20 & 0xFF)
