"""The Realm Services Interface 1.0 (Arm DEN0137): function identifiers, status codes and structures."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field, Member, Struct

__all__ = [
    "RSI_FIRST",
    "RSI_LAST",
    "Rsi",
    "RsiHostCall",
    "RsiRealmConfig",
    "RsiRipasChangeFlags",
    "RsiStatus",
]

RSI_FIRST: Final = 0xC400_0190
RSI_LAST: Final = 0xC400_01AF


class Rsi(IntEnum):
    """FIDs of the Realm Services Interface."""

    VERSION = 0xC400_0190
    FEATURES = 0xC400_0191
    MEASUREMENT_READ = 0xC400_0192
    MEASUREMENT_EXTEND = 0xC400_0193
    ATTESTATION_TOKEN_INIT = 0xC400_0194
    ATTESTATION_TOKEN_CONTINUE = 0xC400_0195
    REALM_CONFIG = 0xC400_0196
    IPA_STATE_SET = 0xC400_0197
    IPA_STATE_GET = 0xC400_0198
    HOST_CALL = 0xC400_0199


class RsiStatus(IntEnum):
    """RsiCommandReturnCode: all of X0."""

    SUCCESS = 0
    ERROR_INPUT = 1
    ERROR_STATE = 2
    INCOMPLETE = 3
    ERROR_UNKNOWN = 4


class RsiRipasChangeFlags(Bits):
    """Flags of RSI_IPA_STATE_SET."""

    destroyed = Field(0)


RsiRealmConfig = Struct(
    "RsiRealmConfig",
    0x1000,
    Member("ipa_width", 0x0, 8),
    Member("hash_algo", 0x8, 1),
    Member("rpv", 0x200, 64),
)
RsiHostCall = Struct("RsiHostCall", 0x100, Member("imm", 0x0, 2), Member("gprs", 0x8, 8, count=31))
