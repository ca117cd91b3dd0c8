"""The Firmware Framework for A-profile 1.1 (Arm DEN0077A): functions and status codes."""

from enum import IntEnum
from typing import Final

__all__ = [
    "FFA_FIDS",
    "FFA_VERSION",
    "PARTITION_ID",
    "SPMC_ID",
    "Ffa",
    "FfaStatus",
]

FFA_VERSION: Final = 0x1_0001
FFA_FIDS: Final = range(0x8400_0060, 0x8400_0090)
"""The SMC32 range of FF-A; the SMC64 range is the same with bit 30 set."""
SPMC_ID: Final = 0x8000
"""The endpoint ID of the partition manager, which is EL3."""
PARTITION_ID: Final = 0x8001
"""The endpoint ID of the Secure payload. IDs with bit 15 clear belong to Non-secure software."""


class Ffa(IntEnum):
    """FF-A functions; ``_64`` marks the SMC64 form."""

    ERROR = 0x8400_0060
    SUCCESS = 0x8400_0061
    INTERRUPT = 0x8400_0062
    VERSION = 0x8400_0063
    FEATURES = 0x8400_0064
    PARTITION_INFO_GET = 0x8400_0068
    ID_GET = 0x8400_0069
    MSG_WAIT = 0x8400_006B
    RUN = 0x8400_006D
    MSG_SEND_DIRECT_REQ = 0x8400_006F
    MSG_SEND_DIRECT_RESP = 0x8400_0070
    SPM_ID_GET = 0x8400_0085
    SUCCESS_64 = 0xC400_0061
    MSG_SEND_DIRECT_REQ_64 = 0xC400_006F
    MSG_SEND_DIRECT_RESP_64 = 0xC400_0070
    PARTITION_INFO_GET_REGS_64 = 0xC400_008B


class FfaStatus(IntEnum):
    """W2 of FFA_ERROR."""

    NOT_SUPPORTED = -1 & 0xFFFF_FFFF
    INVALID_PARAMETERS = -2 & 0xFFFF_FFFF
    NO_MEMORY = -3 & 0xFFFF_FFFF
    BUSY = -4 & 0xFFFF_FFFF
    INTERRUPTED = -5 & 0xFFFF_FFFF
    DENIED = -6 & 0xFFFF_FFFF
    RETRY = -7 & 0xFFFF_FFFF
    ABORTED = -8 & 0xFFFF_FFFF
