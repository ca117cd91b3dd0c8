"""Look at an untrusted token: reads as much as possible, and lists everything that is odd."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cca_arch.cca_token import CCA_TAG, PLATFORM_TOKEN, REALM_TOKEN
from realmlab.attest.cbor import CborError, Tag, decode, diagnostic
from realmlab.attest.cose import CoseError, parse_sign1
from realmlab.attest.token import COMPONENT, PLATFORM, REALM, Claim, Claims, TokenError, examine
from realmlab.attest.verify import STEPS, Result, verify

__all__ = ["Look", "look"]

_PAYLOAD: Final = 2  # its place in a COSE_Sign1
_OF_ITSELF: Final = ("structure", "platform-claims", "realm-signature", "realm-claims", "binding", "profile")
_TOLD_ELSEWHERE: Final = ("structure", "platform-claims", "realm-claims")


@dataclass(slots=True)
class Look:
    """What a token says, and what is odd about it. A half without readable claims is None."""

    platform: Claims | None = None
    realm: Claims | None = None
    odd: list[str] = field(default_factory=list)


def look(data: bytes) -> Look:
    """Read what can be read of a token; raises TokenError if it has no half with claims.

    Nothing is trusted, so ``odd`` leaves out what takes a key to know: whether the platform's half is genuine.
    """
    found = Look()
    halves = _collection(data, found)
    for name, number in (("platform", PLATFORM_TOKEN), ("realm", REALM_TOKEN)):
        if number in halves:
            setattr(found, name, _half(halves[number], name, found))
        else:
            found.odd.append(f"the token must have {number}, the {name} token")
    if found.platform is None and found.realm is None:
        raise TokenError("; ".join(found.odd))
    for step, result, detail in verify(data, {}, steps=[one for one in STEPS if one[0] in _OF_ITSELF]).outcomes:
        if result is Result.FAILED and step not in _TOLD_ELSEWHERE:
            found.odd.append(f"{step}: {detail}")
    return found


def _collection(data: bytes, found: Look) -> dict[Any, Any]:
    """The halves by number."""
    try:
        value = decode(data)
    except CborError as error:
        raise TokenError(str(error)) from None
    tag = value.number if isinstance(value, Tag) else None
    if tag != CCA_TAG:
        found.odd.append(f"a CCA token of RMM 1.0 must have CBOR tag {CCA_TAG}, not {'none' if tag is None else tag}")
    halves = value.value if isinstance(value, Tag) else value
    if not isinstance(halves, dict):
        raise TokenError(f"a CCA token must be a map of {PLATFORM_TOKEN} and {REALM_TOKEN}")
    for key in halves:
        if key not in (PLATFORM_TOKEN, REALM_TOKEN):
            found.odd.append(
                f"a CCA token must be a map of {PLATFORM_TOKEN} and {REALM_TOKEN}, without {diagnostic(key)}"
            )
    return halves


def _half(value: Any, name: str, found: Look) -> Claims | None:
    """The claims of a half, or None."""
    try:
        payload = parse_sign1(value).payload if isinstance(value, bytes) else None
        if payload is None:
            found.odd.append(f"the {name} token must be a byte string")
            return None
    except CoseError as error:
        found.odd.append(f"{name} token: {error}")
        payload = _payload(value)
        if payload is None:
            return None
    try:
        claims = examine(payload, realm=name == "realm")
    except TokenError as error:
        found.odd.append(f"{name} token: {error}")
        return None
    found.odd += claims.troubles
    found.odd += _suspicious(claims, REALM if name == "realm" else PLATFORM, f"the {name} token")
    return claims


def _payload(data: bytes) -> bytes | None:
    """The payload of a COSE_Sign1 that is not well-formed, if it has one."""
    try:
        value = decode(data)
    except CborError:
        return None
    parts = value.value if isinstance(value, Tag) else value
    payload = parts[_PAYLOAD] if isinstance(parts, list) and len(parts) > _PAYLOAD else None
    return payload if isinstance(payload, bytes) else None


def _suspicious(claims: Claims, rows: tuple[Claim, ...], where: str) -> Iterator[str]:
    """What no rule forbids, but what is there to deceive: keys that look like claims, text that a terminal obeys."""
    numbers: dict[int | str, int] = {row.name: row.key for row in rows}
    for name, value in claims.items():
        if isinstance(value, str) and not value.isprintable():
            yield f"{where}: claim {int(numbers[name])} ({name}) has control characters in its text"
    for key in claims.unknown:
        if key in numbers:
            yield f"{where} has {diagnostic(key)}, which is not claim {int(numbers[key])} ({key}): its key is a text"
    components = claims.get("components")
    for number, item in enumerate(components if isinstance(components, list) else (), 1):
        if isinstance(item, Claims):
            yield from _suspicious(item, COMPONENT, f"software component {number}")
