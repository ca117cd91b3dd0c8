"""Tokens to be spoiled: claims, keys, and what signs and assembles them."""

import hashlib
from typing import Any

import cbor2

from cca_arch import cose

__all__ = ["CPAK", "OTHER", "RAK", "Token", "good", "public", "seal"]

Token = dict[str, Any]
CPAK, RAK, OTHER = (bytes((n,)) * 48 for n in (1, 2, 3))


def public(scalar: bytes) -> Any:
    """The public key of a scalar."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey

    return EllipticCurvePublicKey.from_encoded_point(SECP384R1(), cose.point(scalar))


def good() -> Token:
    """The claims of a good token, to be spoiled."""
    key = cose.cose_key(cose.point(RAK))
    component = {1: "RMM", 2: bytes(32), 4: "1", 5: bytes(32), 6: "sha-256"}
    return {
        "platform": {
            265: "tag:arm.com,2023:cca_platform#1.0.0", 10: hashlib.sha256(key).digest(), 2396: bytes(32),
            256: b"\x01" + bytes(32), 2401: b"", 2395: 0x3003, 2399: [component], 2400: "x", 2402: "sha-256",
        },
        "realm": {
            10: bytes(64), 44235: bytes(64), 44237: key, 44236: "sha-256", 44240: "sha-256",
            265: "tag:arm.com,2023:realm#1.0.0", 44238: bytes(32), 44239: [bytes(32)] * 4,
        },
    }  # fmt: skip


def seal(token: Token, cpak: bytes = CPAK, rak: bytes = RAK) -> bytes:
    """Sign and assemble."""
    halves = [cose.sign1(key, cose.encode(token[name])) for name, key in (("platform", cpak), ("realm", rak))]
    return cbor2.dumps(cbor2.CBORTag(399, dict(zip((44234, 44241), halves, strict=True))))
