"""The RMM-EL3 communication interface 0.4 with boot manifest 0.3, and SCR_EL3 of each world."""

import struct
from enum import IntEnum
from typing import Final

from cca_arch.fields import Member, Struct
from cca_arch.smccc import REGISTER_MASK
from cca_arch.sysregs import Scr
from cca_arch.types import PA, SecurityState

__all__ = [
    "ATTEST_CURVE_P384",
    "CONSOLE",
    "CORE_MANIFEST",
    "DRAM_BANK",
    "EL3_FEATURES_0",
    "MANIFEST_VERSION",
    "RMM_EL3_VERSION",
    "RMM_EL3_VERSION_2",
    "BootCode",
    "RmmEl3",
    "RmmEl3Status",
    "checksum",
    "result_count",
    "scr_of",
    "version",
]


def version(major: int, minor: int) -> int:
    """Encode a version for the RMM-EL3 interface and the manifest: major in bits 30:16, minor in bits 15:0."""
    return major << 16 | minor


RMM_EL3_VERSION: Final = version(0, 4)
RMM_EL3_VERSION_2: Final = version(2, 0)
"""The interface of RMM 2.0, in which the results of RMI calls fill eight registers."""
MANIFEST_VERSION: Final = version(0, 3)


def result_count(interface: int) -> int:
    """The number of result registers that EL3 passes for an RMI call: X0 to X4, or X0 to X7 from interface 2.0 on."""
    return 8 if interface >= RMM_EL3_VERSION_2 else 5


class RmmEl3(IntEnum):
    """Calls from the RMM to EL3 (and the RMM's returns to EL3): X1.. in, X0.. out."""

    RMI_REQ_COMPLETE = 0xC400_018F
    """X1 and up: the results for NS, which gets them in X0 and up; the SMC returns with the next RMI call in X0..X7."""
    GTSI_DELEGATE = 0xC400_01B0
    """X1: PA of an NS granule that becomes Realm."""
    GTSI_UNDELEGATE = 0xC400_01B1
    """X1: PA of a Realm granule that becomes NS; the RMM has already wiped it."""
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
"""RMM_EL3_FEATURES, index 0. Bit 0 is RMM_EL3_TOKEN_SIGN, which this monitor does not support."""
ATTEST_CURVE_P384: Final = 0
"""X3 of ATTEST_GET_REALM_KEY: the only curve."""


def scr_of(state: SecurityState, pauth: bool = False) -> Scr:
    """SCR_EL3 of a world below EL3. Root is EL3 itself.

    {NSE, NS}; FIQ if that signals a Secure interrupt; ST, which gives Secure EL1 its physical timer; APK and API with
    ``pauth``, for EL3 saves the keys of each world.
    """
    if state is SecurityState.ROOT:
        raise ValueError("the world below EL3 must be Secure, Non-secure or Realm, not Root")
    secure = state is SecurityState.SECURE
    return Scr.make(ns=state & 1, fiq=not secure, st=secure, apk=pauth, api=pauth, nse=state >> 1)


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
"""The core manifest 0.3 at the start of the shared page; ``banks`` and ``consoles`` are PAs in that page."""
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
    """The checksum of a manifest list: checksum, count, pointer and all ``words`` add up to 0 mod 2^64."""
    total: int = count + pointer + sum(struct.unpack(f"<{len(words) // 8}Q", words))
    return -total & REGISTER_MASK
