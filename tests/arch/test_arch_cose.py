"""What attestation signs with: keys out of a secret, COSE_Key and COSE_Sign1."""

import hmac

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from cca_arch import cose

KEY = cose.derive_scalar(b"secret", b"purpose")


class TestKeys:
    """A secret gives a key for each purpose."""

    def test_order_of_the_curve(self) -> None:
        """Scalars are below the order of P-384: one less than it gives the base point's mirror image."""
        last, base = cose.point((cose._ORDER - 1).to_bytes(48, "big")), cose.point((1).to_bytes(48, "big"))
        assert last[:49] == base[:49]
        assert last != base

    def test_hkdf(self) -> None:
        """RFC 5869 over SHA-384: the first block by its definition."""
        prk = hmac.digest(bytes(48), b"secret", "sha384")
        assert cose.hkdf(b"secret", b"info", 60)[:48] == hmac.digest(prk, b"info\x01", "sha384")
        assert len(cose.hkdf(b"secret", b"info", 60)) == 60
        first = hmac.digest(prk, b"info\x01", "sha384")
        assert cose.hkdf(b"secret", b"info", 60)[48:] == hmac.digest(prk, first + b"info\x02", "sha384")[:12]

    def test_scalar(self) -> None:
        """FIPS 186-5 A.2.1: 64 more bits than the order has, modulo one less than the order, plus 1."""
        order = (1 << 384) - 0x389CB27E_0BC8D220_A7E5F24D_B74F5885_1313E695_333AD68D
        wide = int.from_bytes(cose.hkdf(b"secret", b"purpose", 56), "big")
        assert int.from_bytes(KEY, "big") == wide % (order - 1) + 1

    def test_keys_differ(self) -> None:
        """Each secret and each purpose has a key of its own, always the same one."""
        assert len({KEY, cose.derive_scalar(b"secret", b"other"), cose.derive_scalar(b"other", b"purpose")}) == 3
        assert cose.derive_scalar(b"secret", b"purpose") == KEY


class TestCose:
    """The structures of RFC 9052, as any library reads them."""

    def test_cose_key(self) -> None:
        """An EC2 key on P-384, by its coordinates."""
        public = cose.point(KEY)
        assert cbor2.loads(cose.cose_key(public)) == {1: 2, -1: 2, -2: public[1:49], -3: public[49:]}

    def test_sign1(self) -> None:
        """ES384 over the Sig_structure; the same bytes every time."""
        token = cose.sign1(KEY, b"payload")
        assert cose.sign1(KEY, b"payload") == token
        protected, unprotected, payload, signature = cbor2.loads(token).value
        assert (cbor2.loads(protected), unprotected, payload) == ({1: -35}, {}, b"payload")
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        halves = (int.from_bytes(half, "big") for half in (signature[:48], signature[48:]))
        key = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), cose.point(KEY))
        key.verify(encode_dss_signature(*halves), signed, ECDSA(SHA384()))
