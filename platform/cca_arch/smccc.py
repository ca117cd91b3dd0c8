"""The SMC Calling Convention (Arm DEN0028): function identifiers, owners, ranges, and the Arm Architecture calls.

Status values are the unsigned 64-bit contents of X0, so that they can be compared with a register.
"""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field

__all__ = [
    "FUNCTION",
    "NOT_SUPPORTED",
    "PSCI_FIDS",
    "REGISTER_MASK",
    "RMI_FIDS",
    "RMI_FIDS_LATER",
    "RMM_EL3_FIDS",
    "RSI_FIDS",
    "SMCCC_VERSION",
    "SVE_HINT",
    "Fid",
    "Owner",
    "Query",
    "Smccc",
    "query",
]

REGISTER_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
NOT_SUPPORTED: Final = REGISTER_MASK
"""X0 of every unimplemented call (SMCCC 1.x, NOT_SUPPORTED = -1)."""
SMCCC_VERSION: Final = 0x10005


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
    TRUSTED_APPLICATION = 48
    """The first of the two owners of trusted applications."""
    TRUSTED_OS = 63
    """The last of the Trusted OS owners, which has the queries of all."""


class Fid(Bits):
    """A function identifier: W0 of an SMC or HVC."""

    fast = Field(31)
    smc64 = Field(30)
    owner = Field(29, 24)
    zero = Field(23, 17)
    sve_hint = Field(16)
    number = Field(15, 0)


SVE_HINT: Final = Fid.sve_hint.mask
"""The FID bit that is ignored in comparisons."""
FUNCTION: Final = 0xFFFF_FFFF & ~SVE_HINT
"""The bits of X0 that identify a function: W0 without the SVE hint."""


RMI_FIDS: Final = range(0xC400_0150, 0xC400_0190)
RMI_FIDS_LATER: Final = range(0xC400_01D0, 0xC400_02D0)
"""The second RMI range, for later RMM versions; RMM 1.0 returns NOT_SUPPORTED."""
RSI_FIDS: Final = range(0xC400_0190, 0xC400_01B0)
RMM_EL3_FIDS: Final = range(0xC400_01B0, 0xC400_01D0)
PSCI_FIDS: Final = range(0x8400_0000, 0x8400_0020)
"""The SMC32 range of PSCI; the SMC64 range is the same with bit 30 set."""


class Query(IntEnum):
    """The numbers of the general service queries, which are fast SMC32 calls of each owner."""

    CALL_COUNT = 0xFF00
    UID = 0xFF01
    REVISION = 0xFF03


def query(owner: Owner, number: Query) -> int:
    """The function identifier of a general service query."""
    return int(Fid.make(fast=1, owner=owner, number=number))


class Smccc(IntEnum):
    """The Arm Architecture calls of SMCCC."""

    VERSION = 0x8000_0000
    ARCH_FEATURES = 0x8000_0001
    ARCH_SOC_ID = 0x8000_0002
    ARCH_WORKAROUND_1 = 0x8000_8000
