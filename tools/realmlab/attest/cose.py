"""COSE as attestation tokens use it: COSE_Sign1 (RFC 9052) with ECDSA (RFC 9053), and COSE_Key of type EC2."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cca_platform.errors import OneLine
from realmlab.attest.cbor import CborError, Tag, decode, encode_bytes, encode_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

__all__ = ["ALGORITHMS", "CoseError", "Sign1", "cose_key", "parse_sign1", "point_key", "verify_signature"]

_SIGN1_TAG: Final = 18
_ALG, _CRIT = 1, 2
_KTY, _CRV, _X, _Y = 1, -1, -2, -3
_EC2: Final = 2
_P384: Final = 2
_UNCOMPRESSED: Final = 4


class CoseError(OneLine, ValueError):
    """A COSE structure or a key is malformed, or a signature does not verify."""


class _Algorithm(NamedTuple):
    name: str
    hash_name: str
    curve: int


class _Curve(NamedTuple):
    name: str  # the name that the cryptography package uses
    size: int  # bytes of a coordinate


ALGORITHMS: Final = {-7: _Algorithm("ES256", "SHA256", 1), -35: _Algorithm("ES384", "SHA384", 2),
                     -36: _Algorithm("ES512", "SHA512", 3)}  # fmt: skip
"""COSE algorithm -> its parameters. Each algorithm implies one curve, as in RFC 9864."""
_CURVES: Final = {1: _Curve("secp256r1", 32), 2: _Curve("secp384r1", 48), 3: _Curve("secp521r1", 66)}


@dataclass(frozen=True, slots=True)
class Sign1:
    """A COSE_Sign1: the encoded protected header, its algorithm, the payload and the signature."""

    protected: bytes
    algorithm: int
    payload: bytes
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that are signed: Sig_structure."""
        parts = (encode_text("Signature1"), encode_bytes(self.protected), encode_bytes(b""), encode_bytes(self.payload))
        return b"\x84" + b"".join(parts)


def _decode(data: bytes, what: str) -> Any:
    try:
        return decode(data)
    except CborError as error:
        raise CoseError(f"{what}: {error}") from None


def parse_sign1(data: bytes) -> Sign1:
    """Parse a tagged COSE_Sign1; raises CoseError if it is malformed."""
    value = _decode(data, "COSE_Sign1")
    if not isinstance(value, Tag) or value.number != _SIGN1_TAG:
        raise CoseError(f"COSE_Sign1 must have tag {_SIGN1_TAG}")
    parts = value.value
    if not isinstance(parts, list) or [type(part) for part in parts] != [bytes, dict, bytes, bytes]:
        raise CoseError("COSE_Sign1 must be an array of protected header, map, payload and signature")
    protected, _, payload, signature = parts
    header = _decode(protected, "protected header")
    if not isinstance(header, dict) or type(header.get(_ALG)) is not int:
        raise CoseError("the protected header must be a map with an algorithm")
    if _CRIT in header:
        raise CoseError("the protected header must not have critical parameters: none is known")
    return Sign1(protected, header[_ALG], payload, signature)


def _key(crv: int, x: bytes, y: bytes) -> "EllipticCurvePublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    curves: dict[int, ec.EllipticCurve] = {1: ec.SECP256R1(), 2: ec.SECP384R1(), 3: ec.SECP521R1()}
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curves[crv])
    try:
        return numbers.public_key()
    except ValueError:
        raise CoseError(f"a key must be a point on {_CURVES[crv].name}") from None


def cose_key(data: bytes) -> "EllipticCurvePublicKey":
    """Parse an encoded COSE_Key of type EC2 with both coordinates; raises CoseError if it is malformed."""
    value = _decode(data, "COSE_Key")
    if not isinstance(value, dict) or value.get(_KTY) != _EC2:
        raise CoseError("COSE_Key must be a map with kty 2 (EC2)")
    crv, x, y = value.get(_CRV), value.get(_X), value.get(_Y)
    if type(crv) is not int or crv not in _CURVES:
        raise CoseError(f"COSE_Key must have crv 1, 2 or 3, not {crv!r}")
    size = _CURVES[crv].size
    if not (isinstance(x, bytes) and isinstance(y, bytes) and len(x) == len(y) == size):
        raise CoseError(f"COSE_Key must have x and y of {size} bytes each")
    return _key(crv, x, y)


def point_key(data: bytes) -> "EllipticCurvePublicKey":
    """Parse an uncompressed P-384 point, the form in legacy tokens; raises CoseError if it is malformed."""
    size = _CURVES[_P384].size
    if len(data) != 1 + 2 * size or data[0] != _UNCOMPRESSED:
        raise CoseError(f"a raw key must be 04 and two coordinates of {size} bytes")
    return _key(_P384, data[1 : 1 + size], data[1 + size :])


def verify_signature(message: Sign1, key: "EllipticCurvePublicKey") -> None:
    """Raise CoseError unless ``key`` made the signature of ``message``."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    algorithm = ALGORITHMS.get(message.algorithm)
    if algorithm is None:
        names = ", ".join(row.name for row in ALGORITHMS.values())
        raise CoseError(f"the algorithm must be one of {names}, not {message.algorithm}")
    curve = _CURVES[algorithm.curve]
    if key.curve.name != curve.name:
        raise CoseError(f"{algorithm.name} must go with a key on {curve.name}, not {key.curve.name}")
    signature, size = message.signature, curve.size
    if len(signature) != 2 * size:
        raise CoseError(f"a signature of {algorithm.name} must have {2 * size} bytes, not {len(signature)}")
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message.signed, ECDSA(getattr(hashes, algorithm.hash_name)()))
    except InvalidSignature:
        raise CoseError("the signature is not that of the key over these bytes") from None
