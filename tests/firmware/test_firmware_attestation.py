"""EL3's part of attestation: the keys, the platform token, and the two calls by which the RMM gets them."""

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from cca_arch import cose
from cca_arch.cca_token import PLATFORM_PROFILE
from cca_arch.el3 import RmmEl3, RmmEl3Status
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.types import Pas, SecurityState
from cca_firmware.bl31.attestation import LIFECYCLE, cpak, cpak_pem, instance_id

PAGE = 0x1000
OK, BAD_ADDR, INVAL = (int(getattr(RmmEl3Status, name)) for name in ("OK", "BAD_ADDR", "INVAL"))
KEY, TOKEN = RmmEl3.ATTEST_GET_REALM_KEY, RmmEl3.ATTEST_GET_PLAT_TOKEN


class Caller:
    """The RMM's view: calls of EL3, and the shared page."""

    def __init__(self, booted: Any) -> None:
        self.booted = booted
        self.page = booted.firmware.shared_page
        self.port = booted.machine.memory.port(SecurityState.REALM, Pas.REALM)

    def __call__(self, fid: int, *args: int) -> list[int]:
        """X0..X2 of a call by the RMM."""
        results: list[int] = []

        def answer(pe: Any) -> tuple[int, ...]:
            results.extend(pe.smc(fid, *args))
            return (0, 0, 0, 0, 0)

        self.booted.rmm.answer = answer
        self.booted.pe.smc(Rmi.VERSION)
        return results[:3]

    def key(self) -> bytes:
        """The RAK."""
        assert self(KEY, self.page, PAGE, 0)[:2] == [OK, 48]
        return bytes(self.port.read(self.page, 48))

    def token(self, challenge: bytes, hunk: int = PAGE) -> bytes:
        """The platform token, in hunks."""
        self.port.write(self.page, challenge)
        token, size, remaining = b"", len(challenge), 1
        while remaining:
            status, length, remaining = self(TOKEN, self.page, hunk, size)
            assert (status, length) == (OK, min(hunk, length))
            token, size = token + bytes(self.port.read(self.page, length)), 0
        return token


@pytest.fixture
def el3(booted: Any) -> Caller:
    """Calls of the RMM to EL3."""
    return Caller(booted)


def claims(token: bytes) -> dict[int, Any]:
    """The claims of a COSE_Sign1."""
    value: dict[int, Any] = cbor2.loads(cbor2.loads(token).value[2])
    return value


class TestKeys:
    """Keys come out of the device's secret, and are the same in every run."""

    def test_keys_differ(self) -> None:
        """Each board has its own; a secret gives a key for each purpose."""
        keys = {cpak("fvp"), cpak("virt"), cose.derive_scalar(b"s", b"a"), cose.derive_scalar(b"s", b"b")}
        assert len(keys) == 4
        assert all(len(key) == 48 for key in keys)

    def test_public_half(self) -> None:
        """The PEM file holds the public half."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

        key = load_pem_public_key(cpak_pem("fvp").encode())
        assert key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == cose.point(cpak("fvp"))

    def test_realm_key_follows_the_images(self, el3: Caller, boot_machine: Callable[..., Any]) -> None:
        """The same images give the same RAK in every boot; another RMM gives another RAK."""
        assert el3.key() == el3.key() == Caller(boot_machine()).key()

        class Other:
            event_log = tuple(entry._replace(digest=bytes(32)) for entry in el3.booted.firmware.event_log)

        from cca_firmware.base.carveout import Carveout
        from cca_firmware.bl31.attestation import PlatformAttestation

        machine = el3.booted.machine
        other = PlatformAttestation(machine, Carveout(machine.board, "root"), el3.page, Other.event_log)
        assert other.realm_key() != el3.key()


class TestPlatformToken:
    """What the platform token says."""

    @pytest.mark.parametrize("size", [32, 48, 64])
    def test_claims(self, el3: Caller, size: int) -> None:
        """Every claim, in one token for a challenge of each size."""
        challenge = bytes(range(size))
        found = claims(el3.token(challenge))
        assert (found[265], found[10], found[2395], found[2402]) == (PLATFORM_PROFILE, challenge, LIFECYCLE, "sha-256")
        assert len(found[2396]) == 32
        assert found[256] == instance_id("fvp") == b"\x01" + hashlib.sha256(cose.point(cpak("fvp"))).digest()
        assert found[2401] == b"board=fvp"
        assert isinstance(found[2400], str)

    def test_components_are_the_images_in_use(self, el3: Caller) -> None:
        """Name, digest, version, signer and algorithm of the event log; the Non-secure image is no part of it."""
        log = [entry for entry in el3.booted.firmware.event_log if entry.name != "BL33"]
        assert [entry.name for entry in log] == ["BL2", "BL31", "RMM"]
        assert claims(el3.token(bytes(32)))[2399] == [
            {1: entry.name, 2: entry.digest, 4: entry.version, 5: entry.signer_id, 6: entry.algorithm} for entry in log
        ]

    def test_signature(self, el3: Caller) -> None:
        """COSE_Sign1 with ES384 by the CPAK; equal challenges give equal bytes."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP384R1, EllipticCurvePublicKey
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
        from cryptography.hazmat.primitives.hashes import SHA384

        token = el3.token(bytes(32))
        outer = cbor2.loads(token)
        protected, unprotected, payload, signature = outer.value
        assert (outer.tag, protected.hex(), unprotected, len(signature)) == (18, "a1013822", {}, 96)
        r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
        key = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), cose.point(cpak("fvp")))
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        key.verify(encode_dss_signature(r, s), signed, ECDSA(SHA384()))
        assert el3.token(bytes(32)) == token

    @pytest.mark.parametrize("hunk", [1 << 12, 500, 97])
    def test_hunks(self, el3: Caller, hunk: int) -> None:
        """The token comes in hunks of the buffer's size, with what remains."""
        assert el3.token(bytes(32), hunk) == el3.token(bytes(32))

    def test_a_challenge_starts_again(self, el3: Caller) -> None:
        """A second challenge amid the hunks gives the token for it, from its start."""
        el3.port.write(el3.page, bytes(32))
        assert el3(TOKEN, el3.page, 100, 32)[0] == OK
        assert claims(el3.token(bytes(range(48))))[10] == bytes(range(48))


class TestRefusals:
    """What EL3 answers to a buffer, a size or a curve that is none; nothing is written then."""

    CASES = (
        (KEY, (-PAGE, PAGE, 0), BAD_ADDR),
        (KEY, (PAGE, PAGE, 0), BAD_ADDR),
        (KEY, (1, PAGE, 0), INVAL),
        (KEY, (0, PAGE + 1, 0), INVAL),
        (KEY, (0, 0, 0), INVAL),
        (KEY, (0, (1 << 64) - 1, 0), INVAL),
        (KEY, (0, 47, 0), INVAL),
        (KEY, (0, PAGE, 1), INVAL),
        (KEY, (-PAGE, PAGE + 1, 1), BAD_ADDR),
        (TOKEN, (-PAGE, PAGE, 32), BAD_ADDR),
        (TOKEN, (0, PAGE + 1, 32), INVAL),
        (TOKEN, (0, PAGE, 31), INVAL),
        (TOKEN, (0, PAGE, 65), INVAL),
        (TOKEN, (0, PAGE, 0), INVAL),
        (TOKEN, (PAGE - 16, 16, 32), INVAL),
    )

    @pytest.mark.parametrize("number", range(len(CASES)))
    def test_refused(self, el3: Caller, number: int) -> None:
        """The status, zeroes, and a shared page as it was."""
        fid, (offset, size, last), status = self.CASES[number]
        el3.port.write(el3.page, b"\xa5" * PAGE)
        assert el3(fid, el3.page + offset, size, last)[:2] == [status, 0]
        assert bytes(el3.port.read(el3.page, PAGE)) == b"\xa5" * PAGE

    def test_nothing_after_the_last_hunk(self, el3: Caller) -> None:
        """A token that has been given in full gives no more hunks."""
        el3.token(bytes(32))
        assert el3(TOKEN, el3.page, PAGE, 0) == [INVAL, 0, 0]

    def test_state_is_in_root_memory(self, el3: Caller) -> None:
        """A snapshot amid the hunks goes on where it was."""
        machine = el3.booted.machine
        whole = el3.token(bytes(32))
        el3.port.write(el3.page, bytes(32))
        el3(TOKEN, el3.page, 100, 32)
        saved = machine.snapshot()
        for _ in range(2):
            assert el3(TOKEN, el3.page, 100, 0) == [OK, 100, len(whole) - 200]
            machine.restore(saved)
