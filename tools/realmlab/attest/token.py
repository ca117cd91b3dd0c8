"""The CCA token: its two halves and the rules for their claims (DEN0137 1.0, and the layout before 2023).

The profile claim of the realm token tells the layout: rel0 has the claim and holds the RAK as a COSE_Key; legacy
has neither and holds a raw point. The tables below define each claim: number, name, type and rule.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from cca_arch.cca_token import (
    CCA_TAG,
    PLATFORM_PROFILE,
    PLATFORM_TOKEN,
    REALM_PROFILE,
    REALM_TOKEN,
    ComponentField,
    PlatformClaim,
    RealmClaim,
)
from cca_platform.errors import OneLine
from realmlab.attest.cbor import CborError, Tag, decode
from realmlab.attest.cose import CoseError, Sign1, parse_sign1

__all__ = [
    "COMPONENT",
    "HASHES",
    "LIFECYCLES",
    "PLATFORM",
    "PLATFORM_PROFILES",
    "REALM",
    "CcaToken",
    "Claim",
    "Claims",
    "Layout",
    "TokenError",
    "claims",
    "claims_map",
    "examine",
    "lifecycle_name",
    "parse",
]

HASHES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_DIGESTS: Final = tuple(HASHES.values())
_REM_COUNT: Final = 4


class Layout(StrEnum):
    """The forms of a token."""

    REL0 = "rel0"
    LEGACY = "legacy"


PLATFORM_PROFILES: Final = {
    PLATFORM_PROFILE: Layout.REL0,
    "http://arm.com/CCA-SSD/1.0.0": Layout.LEGACY,
}
LIFECYCLES: Final = {
    0x00: "unknown",
    0x10: "assembly-and-test",
    0x20: "cca-platform-rot-provisioning",
    0x30: "secured",
    0x40: "non-cca-platform-debug",
    0x50: "recoverable-cca-platform-debug",
    0x60: "decommissioned",
}
"""Bits 15:8 of the lifecycle claim -> the state."""


def lifecycle_name(value: int) -> str:
    """The state that a lifecycle value encodes; "unknown" for undefined values."""
    return LIFECYCLES.get(value >> 8, LIFECYCLES[0])


class TokenError(OneLine, ValueError):
    """A token or a claim is malformed or has the wrong value."""


Rule = Callable[[Any], bool]


class Claim(NamedTuple):
    """A row of a claim table. ``must`` describes what ``rule`` checks."""

    key: int
    name: str
    kind: type
    must: str
    rule: Rule = lambda value: True
    mandatory: bool = True


def _bytes(key: int, name: str, *sizes: int, mandatory: bool = True) -> Claim:
    wanted = " or ".join(map(str, sizes))
    return Claim(key, name, bytes, f"{wanted} bytes", lambda value: len(value) in sizes, mandatory)


def _text(key: int, name: str, mandatory: bool = True) -> Claim:
    return Claim(key, name, str, "text", mandatory=mandatory)


def _hash(key: int, name: str, mandatory: bool = True) -> Claim:
    return Claim(key, name, str, "one of " + ", ".join(HASHES), lambda value: value in HASHES, mandatory)


COMPONENT: Final = (
    _text(ComponentField.TYPE, "type", mandatory=False),
    _bytes(ComponentField.MEASUREMENT, "measurement", *_DIGESTS),
    _text(ComponentField.VERSION, "version", mandatory=False),
    _bytes(ComponentField.SIGNER_ID, "signer_id", *_DIGESTS),
    _hash(ComponentField.HASH_ALGO_ID, "hash_algorithm", mandatory=False),
)
"""The fields of a software component of the platform."""

PLATFORM: Final = (
    Claim(
        PlatformClaim.PROFILE, "profile", str, "a profile of the CCA platform", lambda value: value in PLATFORM_PROFILES
    ),
    _bytes(PlatformClaim.CHALLENGE, "challenge", *_DIGESTS),
    _bytes(PlatformClaim.IMPLEMENTATION_ID, "implementation_id", 32),
    Claim(
        PlatformClaim.INSTANCE_ID,
        "instance_id",
        bytes,
        "33 bytes, the first 01",
        lambda value: len(value) == 33 and value[0] == 1,
    ),
    Claim(PlatformClaim.CONFIG, "config", bytes, "bytes"),
    Claim(PlatformClaim.LIFECYCLE, "lifecycle", int, "16 bits", lambda value: 0 <= value < 1 << 16),
    Claim(
        PlatformClaim.SW_COMPONENTS, "components", list, "an array of at least one map", lambda value: len(value) > 0
    ),
    _text(PlatformClaim.VERIFICATION_SERVICE, "verification_service", mandatory=False),
    _hash(PlatformClaim.HASH_ALGO_ID, "hash_algorithm"),
)

REALM: Final = (
    Claim(RealmClaim.PROFILE, "profile", str, REALM_PROFILE, lambda value: value == REALM_PROFILE, mandatory=False),
    _bytes(RealmClaim.CHALLENGE, "challenge", 64),
    _bytes(RealmClaim.PERSONALIZATION_VALUE, "rpv", 64),
    _hash(RealmClaim.HASH_ALGO_ID, "hash_algorithm"),
    Claim(RealmClaim.PUBLIC_KEY, "public_key", bytes, "bytes"),
    Claim(RealmClaim.INITIAL_MEASUREMENT, "rim", bytes, "bytes"),
    Claim(
        RealmClaim.EXTENSIBLE_MEASUREMENTS,
        "rems",
        list,
        f"an array of {_REM_COUNT}",
        lambda value: len(value) == _REM_COUNT,
    ),
    _hash(RealmClaim.PUBLIC_KEY_HASH_ALGO_ID, "public_key_hash_algorithm"),
)


class Claims(dict[str, Any]):
    """The claims of a half, or the fields of a software component, by name.

    A name here is always a claim's of the tables. What a token has besides is in ``unknown`` by its key, so a text key
    that is spelled like a name stays what it is: unknown.
    """

    __slots__ = ("odd", "unknown")

    def __init__(self) -> None:
        super().__init__()
        self.unknown: dict[int | str, Any] = {}
        """The items that no table has, by key."""
        self.odd: dict[str, str] = {}
        """What is wrong with a claim, by its name: it is absent, or not what it must be."""

    @property
    def troubles(self) -> Iterator[str]:
        """Everything that is odd, here and in the software components."""
        yield from self.odd.values()
        components = self.get("components")
        for item in components if isinstance(components, list) else ():
            if isinstance(item, Claims):
                yield from item.troubles


@dataclass(frozen=True, slots=True)
class CcaToken:
    """A CCA token, parsed but not verified: its two signed halves."""

    platform: Sign1
    realm: Sign1


def parse(data: bytes) -> CcaToken:
    """Parse a CCA token; raises TokenError if its structure is wrong."""
    try:
        value = decode(data)
    except CborError as error:
        raise TokenError(str(error)) from None
    if not isinstance(value, Tag) or value.number != CCA_TAG:
        raise TokenError(f"a CCA token of RMM 1.0 must have CBOR tag {CCA_TAG}")
    halves = value.value
    if not isinstance(halves, dict) or set(halves) != {PLATFORM_TOKEN, REALM_TOKEN}:
        raise TokenError(f"a CCA token must be a map of {PLATFORM_TOKEN} and {REALM_TOKEN}")
    return CcaToken(_half(halves[PLATFORM_TOKEN], "platform"), _half(halves[REALM_TOKEN], "realm"))


def _half(value: Any, name: str) -> Sign1:
    if not isinstance(value, bytes):
        raise TokenError(f"the {name} token must be a byte string")
    try:
        return parse_sign1(value)
    except CoseError as error:
        raise TokenError(f"{name} token: {error}") from None


def claims_map(payload: bytes) -> dict[Any, Any]:
    """The claims of a payload by number, unchecked; raises TokenError if the payload is not a map."""
    try:
        value = decode(payload)
    except CborError as error:
        raise TokenError(str(error)) from None
    if not isinstance(value, dict):
        raise TokenError("the payload must be a map of claims")
    return value


def _named(rows: tuple[Claim, ...], value: Mapping[Any, Any], where: str) -> Claims:
    """The items of a map by name, and what is wrong with them."""
    found = Claims()
    for row in rows:
        label = f"claim {row.key} ({row.name})"
        if row.key in value:
            item = found[row.name] = value[row.key]
            if type(item) is not row.kind or not row.rule(item):
                found.odd[row.name] = f"{where}: {label} must be {row.must}"
        elif row.mandatory:
            found.odd[row.name] = f"{where} must have {label}"
    known = {row.key for row in rows}
    found.unknown = {key: item for key, item in value.items() if key not in known}
    return found


def _platform(value: Mapping[Any, Any]) -> Claims:
    found = _named(PLATFORM, value, "the platform token")
    items = found.get("components")
    if isinstance(items, list):
        if not all(isinstance(item, dict) for item in items):
            found.odd["components"] = "the platform token: a software component must be a map"
        found["components"] = [
            _named(COMPONENT, item, f"software component {number}") if isinstance(item, dict) else item
            for number, item in enumerate(items, 1)
        ]
    return found


def _realm(value: Mapping[Any, Any]) -> Claims:
    found = _named(REALM, value, "the realm token")
    if "hash_algorithm" in found.odd:
        return found  # nobody knows how long a measurement must be
    algorithm = found["hash_algorithm"]
    size = HASHES[algorithm]
    for name in ("rim", "rems"):
        if name not in found.odd:
            values = found[name] if isinstance(found[name], list) else [found[name]]
            if not all(isinstance(item, bytes) and len(item) == size for item in values):
                found.odd[name] = f"the realm token: {name} must have the {size} bytes of {algorithm}"
    return found


def examine(payload: bytes, *, realm: bool) -> Claims:
    """The claims of one half, whatever is wrong with them; raises TokenError if the payload is not a map."""
    value = claims_map(payload)
    return _realm(value) if realm else _platform(value)


def claims(payload: bytes, *, realm: bool) -> Claims:
    """The claims of one half, type and size checked; raises TokenError for the first that is wrong."""
    found = examine(payload, realm=realm)
    trouble = next(found.troubles, None)
    if trouble is not None:
        raise TokenError(trouble)
    return found
