"""Signing for attestation: P-384 keys derived from a secret, COSE_Key and COSE_Sign1 (RFC 9052), ES384 (RFC 9053).

Both signers of a CCA token use this: EL3 with the platform's key, the RMM with the Realm key. Everything is
deterministic, including signatures (RFC 6979), so that two runs produce the same token. cryptography and cbor2 are
imported when the first key is needed.
"""

import hmac
from functools import lru_cache
from hashlib import sha384
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["SCALAR_SIZE", "cose_key", "derive_scalar", "encode", "hkdf", "point", "sign1"]

SCALAR_SIZE: Final = 48
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
_EXTRA: Final = 8  # FIPS 186-5 A.2.1: 64 bits more than the order, so that the remainder is uniform
_ALG, _ES384 = 1, -35
_KTY, _EC2, _CRV, _P384, _X, _Y = 1, 2, -1, 2, -2, -3
_SIGN1_TAG: Final = 18


def encode(value: Any) -> bytes:
    """Encode ``value`` as CBOR; maps keep the order of their keys."""
    import cbor2

    return cbor2.dumps(value)


def hkdf(secret: bytes, info: bytes, size: int) -> bytes:
    """HKDF with SHA-384 (RFC 5869), without a salt."""
    key = hmac.digest(bytes(sha384().digest_size), secret, "sha384")
    block, result = b"", b""
    for number in range(1, -(-size // sha384().digest_size) + 1):
        block = hmac.digest(key, block + info + bytes((number,)), "sha384")
        result += block
    return result[:size]


def derive_scalar(secret: bytes, info: bytes) -> bytes:
    """A private key on P-384: a big-endian scalar of 48 bytes, different for each ``secret`` and ``info``."""
    wide = int.from_bytes(hkdf(secret, info, SCALAR_SIZE + _EXTRA), "big")
    return (wide % (_ORDER - 1) + 1).to_bytes(SCALAR_SIZE, "big")


@lru_cache(maxsize=16)
def _key(scalar: bytes) -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, derive_private_key

    return derive_private_key(int.from_bytes(scalar, "big"), SECP384R1())


def point(scalar: bytes) -> bytes:
    """The public key of a private key as an uncompressed point: 04, x, y; 97 bytes."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return _key(scalar).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def cose_key(public: bytes) -> bytes:
    """The COSE_Key of an uncompressed point on P-384: 107 bytes."""
    x, y = public[1 : 1 + SCALAR_SIZE], public[1 + SCALAR_SIZE :]
    return encode({_KTY: _EC2, _CRV: _P384, _X: x, _Y: y})


def sign1(scalar: bytes, payload: bytes) -> bytes:
    """COSE_Sign1 (tag 18) of ``payload``, signed with ES384."""
    import cbor2
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA384

    protected = encode({_ALG: _ES384})
    signed = encode(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(_key(scalar).sign(signed, ECDSA(SHA384(), deterministic_signing=True)))
    signature = r.to_bytes(SCALAR_SIZE, "big") + s.to_bytes(SCALAR_SIZE, "big")
    return encode(cbor2.CBORTag(_SIGN1_TAG, [protected, {}, payload, signature]))
