"""The CCA attestation token: the collection, its two halves and their claims (DEN0137 1.0, A7; profiles of 2023)."""

from enum import IntEnum
from typing import Final

__all__ = [
    "CCA_TAG",
    "PLATFORM_PROFILE",
    "PLATFORM_TOKEN",
    "REALM_PROFILE",
    "REALM_TOKEN",
    "ComponentField",
    "PlatformClaim",
    "RealmClaim",
]

CCA_TAG: Final = 399
"""The CBOR tag of a CCA token: a map of the two halves."""
PLATFORM_TOKEN: Final = 44234
REALM_TOKEN: Final = 44241
PLATFORM_PROFILE: Final = "tag:arm.com,2023:cca_platform#1.0.0"
REALM_PROFILE: Final = "tag:arm.com,2023:realm#1.0.0"


class PlatformClaim(IntEnum):
    """Keys of the platform token's claims."""

    CHALLENGE = 10
    INSTANCE_ID = 256
    PROFILE = 265
    LIFECYCLE = 2395
    IMPLEMENTATION_ID = 2396
    SW_COMPONENTS = 2399
    VERIFICATION_SERVICE = 2400
    CONFIG = 2401
    HASH_ALGO_ID = 2402


class ComponentField(IntEnum):
    """Keys of a software component in the platform token."""

    TYPE = 1
    MEASUREMENT = 2
    VERSION = 4
    SIGNER_ID = 5
    HASH_ALGO_ID = 6


class RealmClaim(IntEnum):
    """Keys of the Realm token's claims."""

    CHALLENGE = 10
    PROFILE = 265
    PERSONALIZATION_VALUE = 44235
    HASH_ALGO_ID = 44236
    PUBLIC_KEY = 44237
    INITIAL_MEASUREMENT = 44238
    EXTENSIBLE_MEASUREMENTS = 44239
    PUBLIC_KEY_HASH_ALGO_ID = 44240
