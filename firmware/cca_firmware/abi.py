"""What EL3 offers to the worlds below it: SMCCC, PSCI and the RMM-EL3 interface, as numbers and structures.

Status values are the unsigned 64-bit contents of X0, so that they compare equal with a register. Sources: Arm DEN0028
(SMCCC), DEN0022 (PSCI), and the RMM-EL3 communication interface 0.4 with boot manifest 0.3.
"""

import struct
from enum import IntEnum
from typing import Final

from cca_platform.fields import Bits, Field, Member, Struct
from cca_platform.types import MPIDR_AFFINITY, PA, SecurityState

__all__ = [
    "ATTEST_CURVE_P384",
    "CONSOLE",
    "CORE_MANIFEST",
    "DRAM_BANK",
    "EL3_FEATURES_0",
    "MANIFEST_VERSION",
    "NOT_SUPPORTED",
    "PSCI_FIDS",
    "PSCI_VERSION",
    "REGISTER_MASK",
    "RMI_FIDS",
    "RMI_FIDS_LATER",
    "RMM_EL3_FIDS",
    "RMM_EL3_VERSION",
    "RSI_FIDS",
    "SMCCC_VERSION",
    "SMC_EC",
    "AffinityInfo",
    "BootCode",
    "Fid",
    "Owner",
    "Psci",
    "PsciStatus",
    "RmmEl3",
    "RmmEl3Status",
    "ScrEl3",
    "Smccc",
    "checksum",
    "mpidr_affinity",
    "scr_of",
    "version",
]

REGISTER_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
NOT_SUPPORTED: Final = REGISTER_MASK
"""X0 of every call that nobody implements (SMCCC 1.x, NOT_SUPPORTED = -1)."""

SMC_EC: Final = 0x17
"""ESR_ELx.EC of an SMC executed in AArch64 state."""

SMCCC_VERSION: Final = 0x10005
PSCI_VERSION: Final = 0x10001


def version(major: int, minor: int) -> int:
    """A version as the RMM-EL3 interface and the manifest carry it: major in bits 30:16, minor in bits 15:0."""
    return major << 16 | minor


RMM_EL3_VERSION: Final = version(0, 4)
MANIFEST_VERSION: Final = version(0, 3)


# -- function identifiers -------------------------------------------------------------------------------------------
class Owner(IntEnum):
    """The owning entities of SMCCC function identifiers (DEN0028, table 6-2)."""

    ARCH = 0
    CPU = 1
    SIP = 2
    OEM = 3
    STANDARD_SECURE = 4
    STANDARD_HYP = 5
    VENDOR_HYP = 6
    VENDOR_EL3 = 7


class Fid(Bits):
    """A function identifier: W0 of an SMC or HVC."""

    fast = Field(31)
    smc64 = Field(30)
    owner = Field(29, 24)
    zero = Field(23, 17)
    sve_hint = Field(16)
    number = Field(15, 0)


RMI_FIDS: Final = range(0xC400_0150, 0xC400_0190)
RMI_FIDS_LATER: Final = range(0xC400_01D0, 0xC400_02D0)
"""The second RMI range, which only a later RMM knows; an RMM 1.0 answers NOT_SUPPORTED."""
RSI_FIDS: Final = range(0xC400_0190, 0xC400_01B0)
RMM_EL3_FIDS: Final = range(0xC400_01B0, 0xC400_01D0)
PSCI_FIDS: Final = range(0x8400_0000, 0x8400_0020)
"""The SMC32 half of PSCI; the SMC64 half is the same with bit 30 set."""


class Smccc(IntEnum):
    """The Arm Architecture calls of SMCCC."""

    VERSION = 0x8000_0000
    ARCH_FEATURES = 0x8000_0001
    ARCH_SOC_ID = 0x8000_0002
    ARCH_WORKAROUND_1 = 0x8000_8000


class Psci(IntEnum):
    """PSCI 1.1 functions; ``_64`` marks the SMC64 form of a function that has both."""

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
    """What PSCI_AFFINITY_INFO tells of a PE."""

    ON = 0
    OFF = 1
    ON_PENDING = 2


def mpidr_affinity(mpidr: int) -> int:
    """Aff3 (bits 39:32), Aff2, Aff1 and Aff0 of an MPIDR: the ``target_cpu`` of PSCI."""
    return mpidr & MPIDR_AFFINITY


# -- RMM-EL3 --------------------------------------------------------------------------------------------------------
class RmmEl3(IntEnum):
    """Calls from the RMM to EL3 (and the RMM's returns to EL3): X1.. in, X0.. out."""

    RMI_REQ_COMPLETE = 0xC400_018F
    """X1..X5: the results that NS gets in X0..X4; the SMC returns with the next RMI call in X0..X7."""
    GTSI_DELEGATE = 0xC400_01B0
    """X1: PA of an NS granule that becomes Realm."""
    GTSI_UNDELEGATE = 0xC400_01B1
    """X1: PA of a Realm granule that becomes NS; the RMM has wiped it."""
    ATTEST_GET_REALM_KEY = 0xC400_01B2
    """X1 buffer PA (inside the shared page), X2 buffer size, X3 curve -> X1 key size."""
    ATTEST_GET_PLAT_TOKEN = 0xC400_01B3
    """X1 buffer PA, X2 buffer size, X3 challenge size or 0 -> X1 hunk size, X2 bytes that remain."""
    EL3_FEATURES = 0xC400_01B4
    """X1 index -> X1 feature register."""
    EL3_TOKEN_SIGN = 0xC400_01B5
    MEC_REFRESH = 0xC400_01B6
    RESERVE_MEMORY = 0xC400_01BB
    BOOT_COMPLETE = 0xC400_01CF
    """X1: BootCode."""


class RmmEl3Status(IntEnum):
    """E_RMM_* of RMM-EL3 calls."""

    OK = 0
    UNK = -1 & REGISTER_MASK
    BAD_ADDR = -2 & REGISTER_MASK
    BAD_PAS = -3 & REGISTER_MASK
    NOMEM = -4 & REGISTER_MASK
    INVAL = -5 & REGISTER_MASK
    AGAIN = -6 & REGISTER_MASK
    FAULT = -7 & REGISTER_MASK
    IN_PROGRESS = -8 & REGISTER_MASK


class BootCode(IntEnum):
    """E_RMM_BOOT_*: X1 of RMM_BOOT_COMPLETE."""

    SUCCESS = 0
    UNKNOWN = -1 & REGISTER_MASK
    VERSION_NOT_VALID = -2 & REGISTER_MASK
    CPUS_OUT_OF_RANGE = -3 & REGISTER_MASK
    CPU_ID_OUT_OF_RANGE = -4 & REGISTER_MASK
    INVALID_SHARED_BUFFER = -5 & REGISTER_MASK
    MANIFEST_VERSION_NOT_SUPPORTED = -6 & REGISTER_MASK
    MANIFEST_DATA_ERROR = -7 & REGISTER_MASK


EL3_FEATURES_0: Final = 0
"""RMM_EL3_FEATURES, index 0: bit 0 would be RMM_EL3_TOKEN_SIGN, which this monitor does not offer."""


ATTEST_CURVE_P384: Final = 0
"""X3 of ATTEST_GET_REALM_KEY: the one curve there is."""


class ScrEl3(Bits):
    """The part of SCR_EL3 that selects the world below EL3, and whose interrupts are EL3's."""

    ns = Field(0)
    fiq = Field(2)
    nse = Field(62)


def scr_of(state: SecurityState) -> ScrEl3:
    """SCR_EL3 of a world below EL3: {NSE, NS}, and FIQ where that signals a Secure interrupt; Root is EL3 itself."""
    if state is SecurityState.ROOT:
        raise ValueError("the world below EL3 must be Secure, Non-secure or Realm, not Root")
    return ScrEl3.make(ns=state & 1, fiq=state != SecurityState.SECURE, nse=state >> 1)


# -- core manifest --------------------------------------------------------------------------------------------------
CORE_MANIFEST: Final = Struct(
    "rmm_manifest",
    64,
    Member("version", 0, 4),
    Member("padding", 4, 4),
    Member("plat_data", 8, 8),
    Member("num_banks", 16, 8),
    Member("banks", 24, 8),
    Member("banks_checksum", 32, 8),
    Member("num_consoles", 40, 8),
    Member("consoles", 48, 8),
    Member("consoles_checksum", 56, 8),
)
"""The core manifest 0.3, at the start of the shared page; ``banks`` and ``consoles`` are PAs inside that page."""

DRAM_BANK: Final = Struct("ns_dram_bank", 16, Member("base", 0, 8), Member("size", 8, 8))
CONSOLE: Final = Struct(
    "console_info",
    48,
    Member("base", 0, 8),
    Member("map_pages", 8, 8),
    Member("name", 16, 8),
    Member("clk_in_hz", 24, 8),
    Member("baud_rate", 32, 8),
    Member("flags", 40, 8),
)


def checksum(count: int, pointer: PA | int, words: bytes) -> int:
    """The checksum of a manifest list: with it, count, pointer and every word of ``words`` add up to 0 mod 2^64."""
    total: int = count + pointer + sum(struct.unpack(f"<{len(words) // 8}Q", words))
    return -total & REGISTER_MASK
