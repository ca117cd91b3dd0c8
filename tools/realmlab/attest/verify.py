"""Verify a CCA token: a table of steps, each of which extends trust to more of the token."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from cca_arch.cca_token import RealmClaim
from cca_platform.errors import MachineError
from realmlab.attest.cose import CoseError, Sign1, cose_key, point_key, verify_signature
from realmlab.attest.policy import Policy, any_of, hex_bytes
from realmlab.attest.token import (
    PLATFORM_PROFILES,
    CcaToken,
    Claims,
    Layout,
    TokenError,
    claims,
    claims_map,
    lifecycle_name,
    parse,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

__all__ = ["STEPS", "Outcome", "Report", "Result", "development_keys", "load_key", "verify"]

_CHALLENGE_SIZE: Final = 64


class Result(StrEnum):
    """The result of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # nothing was expected, or its input is missing


class Outcome(NamedTuple):
    """A step and its result. ``detail`` says what was found or what is wrong."""

    step: str
    result: Result
    detail: str


@dataclass(slots=True)
class Report:
    """What verification found. Claims are present once they are well-formed, verified or not."""

    outcomes: list[Outcome] = field(default_factory=list)
    layout: Layout | None = None
    platform: Claims | None = None
    realm: Claims | None = None

    @property
    def verified(self) -> bool:
        """True if no step failed."""
        return bool(self.outcomes) and self.failure is None

    @property
    def failure(self) -> Outcome | None:
        """The first step that failed, which is the reason."""
        return next((outcome for outcome in self.outcomes if outcome.result is Result.FAILED), None)


@dataclass(slots=True)
class _State:
    """The inputs and findings of the steps."""

    data: bytes
    keys: Mapping[str, "EllipticCurvePublicKey"]
    challenge: bytes | None
    policy: Policy
    report: Report
    token: CcaToken | None = None


class _Skip(Exception):
    """The step has nothing to do."""


def load_key(pem: bytes) -> "EllipticCurvePublicKey":
    """Load the public key in a PEM file; raises MachineError if it is not an ECDSA key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise MachineError("CPAK must be a public key in PEM (BEGIN PUBLIC KEY), not anything else") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise MachineError("CPAK must be a key on an elliptic curve for ECDSA, not another one")
    return key


def development_keys() -> dict[str, "EllipticCurvePublicKey"]:
    """The CPAKs of this project's boards. Their private halves are public."""
    from cca_firmware.bl31.attestation import cpak_pem
    from cca_platform.board import names

    return {f"the development CPAK of {name}": load_key(cpak_pem(name).encode()) for name in names()}


def _halves(state: _State) -> CcaToken:
    if state.token is None:
        raise _Skip("no token to look at")
    return state.token


def _platform(state: _State) -> Claims:
    if state.report.platform is None:
        raise _Skip("no platform claims to look at")
    return state.report.platform


def _realm(state: _State) -> Claims:
    if state.report.realm is None:
        raise _Skip("no realm claims to look at")
    return state.report.realm


# -- steps ----------------------------------------------------------------------------------------------------------
def _structure(state: _State) -> str:
    state.token = parse(state.data)
    return f"CCA token of {len(state.data)} bytes"


def _platform_signature(state: _State) -> str:
    half, trouble = _halves(state).platform, ""
    for name, key in state.keys.items():
        try:
            verify_signature(half, key)
        except CoseError as error:
            trouble = str(error)
        else:
            return f"signed by {name}"
    raise TokenError(trouble or "there must be a CPAK to verify with")


def _told(found: Claims) -> str:
    return f"{len(found)} claims" + (f", and {len(found.unknown)} unknown" if found.unknown else "")


def _platform_claims(state: _State) -> str:
    state.report.platform = claims(_halves(state).platform.payload, realm=False)
    return _told(state.report.platform)


def _realm_key(half: Sign1) -> tuple[Layout, "EllipticCurvePublicKey"]:
    """The layout of a realm token, which its profile tells, and its RAK."""
    value = claims_map(half.payload)
    layout = Layout.REL0 if RealmClaim.PROFILE in value else Layout.LEGACY
    public = value.get(RealmClaim.PUBLIC_KEY)
    if not isinstance(public, bytes):
        raise TokenError(f"the realm token must have its key in claim {RealmClaim.PUBLIC_KEY}")
    return layout, (cose_key if layout is Layout.REL0 else point_key)(public)


def _realm_signature(state: _State) -> str:
    half = _halves(state).realm
    layout, key = _realm_key(half)
    verify_signature(half, key)
    state.report.layout = layout
    return "signed by the RAK in it"


def _realm_claims(state: _State) -> str:
    state.report.realm = claims(_halves(state).realm.payload, realm=True)
    return _told(state.report.realm)


def _binding(state: _State) -> str:
    platform, realm = _platform(state), _realm(state)
    name = realm["public_key_hash_algorithm"]
    if hashlib.new(name.replace("-", ""), realm["public_key"]).digest() != platform["challenge"]:
        raise TokenError(f"the platform's challenge must be the {name} of the RAK: the halves are of different tokens")
    return "the platform vouches for the RAK"


def _profile(state: _State) -> str:
    platform, realm = _platform(state), _realm(state)
    layouts = PLATFORM_PROFILES[platform["profile"]], Layout.REL0 if "profile" in realm else Layout.LEGACY
    if layouts[0] is not layouts[1]:
        raise TokenError(f"both halves must have one layout, not {layouts[0]} and {layouts[1]}")
    return layouts[0]


def _challenge(state: _State) -> str:
    found = _realm(state)["challenge"]
    if state.challenge is None:
        raise _Skip("no challenge is expected: the token may be an old one")
    if found != state.challenge.ljust(_CHALLENGE_SIZE, b"\0"):
        raise TokenError(f"the challenge must be {state.challenge.hex()}, not {found.hex()}")
    return "fresh"


def _lifecycle(state: _State) -> str:
    value = _platform(state)["lifecycle"]
    name = lifecycle_name(value)
    if name not in state.policy.lifecycle and value not in state.policy.lifecycle:
        wanted = " or ".join(map(str, state.policy.lifecycle))
        raise TokenError(f"lifecycle must be {wanted}, not {name} ({value:#06x})")
    return f"{name} ({value:#06x})"


def _compare(what: str, found: bytes, expected: tuple[bytes, ...]) -> str:
    if not expected:
        raise _Skip("nothing is expected")
    if found not in expected:
        raise TokenError(f"{what} must be {' or '.join(value.hex() for value in expected)}, not {found.hex()}")
    return "as expected"


def _rim(state: _State) -> str:
    return _compare("RIM", _realm(state)["rim"], any_of(state.policy.rim))


def _rems(state: _State) -> str:
    rems = _realm(state)["rems"]
    if not state.policy.rems:
        raise _Skip("nothing is expected")
    for number, expected in sorted(state.policy.rems.items()):
        _compare(f"REM {number}", rems[int(number) - 1], any_of(expected))
    return "as expected"


def _rpv(state: _State) -> str:
    rpv = _realm(state)["rpv"]
    wanted = state.policy.rpv
    return _compare("RPV", rpv, () if wanted is None else (hex_bytes(wanted).ljust(len(rpv), b"\0"),))


def _implementation(state: _State) -> str:
    found = _platform(state)["implementation_id"]
    return _compare("implementation ID", found, any_of(state.policy.implementation_id))


def _instance(state: _State) -> str:
    return _compare("instance ID", _platform(state)["instance_id"], any_of(state.policy.instance_id))


def _components(state: _State) -> str:
    found, policy = _platform(state)["components"], state.policy
    if not policy.components and not policy.exact_components:
        raise _Skip("nothing is expected")
    for wanted in policy.components:
        known = [item for item in found if item.get("type") == wanted.type]
        if not known:
            raise TokenError(f"there must be a software component {wanted.type}")
        for item in known:
            for name in ("measurement", "signer_id"):
                expected = any_of(getattr(wanted, name))
                if expected:
                    _compare(f"{name} of {wanted.type}", item[name], expected)
            if wanted.version is not None and item.get("version") != wanted.version:
                raise TokenError(f"version of {wanted.type} must be {wanted.version}, not {item.get('version')}")
    types = {row.type for row in policy.components}
    others = [str(item.get("type")) for item in found if item.get("type") not in types]
    if policy.exact_components and others:
        raise TokenError(f"there must be no software component but those of the policy, not {', '.join(others)}")
    return "as expected"


STEPS: Final[tuple[tuple[str, Callable[[_State], str]], ...]] = (
    ("structure", _structure),
    ("platform-signature", _platform_signature),
    ("platform-claims", _platform_claims),
    ("realm-signature", _realm_signature),
    ("realm-claims", _realm_claims),
    ("binding", _binding),
    ("profile", _profile),
    ("challenge", _challenge),
    ("lifecycle", _lifecycle),
    ("rim", _rim),
    ("rems", _rems),
    ("rpv", _rpv),
    ("implementation-id", _implementation),
    ("instance-id", _instance),
    ("components", _components),
)
"""Name and step. A step returns what it found or raises an error."""


def verify(
    data: bytes,
    keys: Mapping[str, "EllipticCurvePublicKey"],
    challenge: bytes | None = None,
    policy: Policy | None = None,
    steps: Iterable[tuple[str, Callable[[_State], str]]] = STEPS,
) -> Report:
    """Run every step. A token is verified if none fails. ``keys`` are the trusted CPAKs by display name.

    ``challenge`` is what the verifier sent: at most 64 bytes, zero-padded.
    """
    report = Report()
    state = _State(data, keys, challenge, policy or Policy(), report)
    for name, step in steps:
        try:
            outcome = Outcome(name, Result.PASSED, step(state))
        except _Skip as skip:
            outcome = Outcome(name, Result.SKIPPED, str(skip))
        except (TokenError, CoseError) as error:
            outcome = Outcome(name, Result.FAILED, str(error))
        report.outcomes.append(outcome)
    return report
