"""Attestation at EL3: the platform's keys and token, and the calls with which the RMM gets them.

The security module of a real platform keeps a secret in fuses. The secret of a development machine is public: it is
derived from the name of the board, so that all machines of a board have the same keys, and **a token proves nothing**.
Derived from it are

- the CPAK (CCA platform attestation key), which signs the platform token: ``HKDF(secret, "CPAK")``;
- the RAK (Realm attestation key), given to the RMM: ``HKDF(secret, "RAK", digests of the images in use)``, so that
  a platform that boots other images has another RAK.

Claims: DEN0137 1.0 "CCA platform token"; the software components are the images of the event log that the platform
trusts. BL33 (Non-secure) and BL32 (a Secure payload) are measured but are not part of the platform.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cca_arch import cose
from cca_arch.cca_token import PLATFORM_PROFILE, ComponentField, PlatformClaim
from cca_arch.el3 import ATTEST_CURVE_P384, RmmEl3, RmmEl3Status
from cca_arch.types import GRANULE_SIZE, PA, Pas, SecurityState
from cca_firmware.base.carveout import Carveout
from cca_firmware.base.images import BL32, BL33, HASH_ALGORITHM, Measurement
from cca_firmware.bl31.functions import Handler

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["LIFECYCLE", "PlatformAttestation", "buffer_status", "cpak", "cpak_pem", "instance_id"]

LIFECYCLE: Final = 0x3003
"""Secured: no debug of the platform or of the RMM."""
VERIFICATION_SERVICE: Final = "realmlab attest verify"

_UEID_RANDOM: Final = b"\x01"
_CHALLENGES: Final = (32, 48, 64)
_TOKEN_LIMIT: Final = GRANULE_SIZE
_BAD_ADDR: Final = int(RmmEl3Status.BAD_ADDR)
_INVAL: Final = int(RmmEl3Status.INVAL)


def _secret(board: str) -> bytes:
    return sha256(b"Realmlab development device secret: " + board.encode()).digest()


def cpak(board: str) -> bytes:
    """The private scalar of the development CPAK of a board's machines, 48 bytes."""
    return cose.derive_scalar(_secret(board), b"CPAK")


def cpak_pem(board: str) -> str:
    """The public CPAK of a board's machines, for verifiers: PEM, SubjectPublicKeyInfo."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), cose.point(cpak(board)))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def instance_id(board: str) -> bytes:
    """The instance ID (EAT UEID, type RAND): 01 and the SHA-256 of the CPAK's point, 33 bytes."""
    return _UEID_RANDOM + sha256(cose.point(cpak(board))).digest()


def buffer_status(page: int, pa: int, size: int, least: int = 0) -> int:
    """The status of a buffer: it must start and end in the shared ``page`` and have ``least`` bytes."""
    if pa & -GRANULE_SIZE != page:
        return _BAD_ADDR
    return _INVAL if pa + size - 1 & -GRANULE_SIZE != page or size < least else 0


class PlatformAttestation:
    """The platform token of one boot, in its own Root granule, and ``handlers`` of the RMM-EL3 interface.

    Nothing is computed until the RMM asks for it.
    """

    def __init__(self, machine: "Machine", root: Carveout, shared_page: PA, event_log: Sequence[Measurement]) -> None:
        self._board = machine.board.name
        self._port = machine.memory.port(SecurityState.ROOT)
        self._shared = machine.memory.port(SecurityState.ROOT, Pas.REALM)
        self._shared_page = shared_page
        outside = (BL32.name, BL33.name)
        self.components = tuple(entry for entry in event_log if not entry.name.startswith(outside))
        """The images that the platform trusts."""
        self._state = root.take("platform token", GRANULE_SIZE)  # words: size of the token, bytes already returned
        self._token = root.take("platform token", _TOKEN_LIMIT)
        self.handlers: dict[int, Handler] = {
            RmmEl3.ATTEST_GET_REALM_KEY: self._get_realm_key,
            RmmEl3.ATTEST_GET_PLAT_TOKEN: self._get_plat_token,
        }

    def realm_key(self) -> bytes:
        """The RAK of this boot: a private scalar of 48 bytes."""
        digests = b"".join(component.digest for component in self.components)
        return cose.derive_scalar(_secret(self._board), b"RAK" + digests)

    def claims(self, challenge: bytes) -> dict[int, Any]:
        """The claims of the platform token for a challenge, the hash of the public RAK."""
        components = [
            {
                ComponentField.TYPE: entry.name,
                ComponentField.MEASUREMENT: entry.digest,
                ComponentField.VERSION: entry.version,
                ComponentField.SIGNER_ID: entry.signer_id,
                ComponentField.HASH_ALGO_ID: entry.algorithm,
            }
            for entry in self.components
        ]
        return {
            PlatformClaim.PROFILE: PLATFORM_PROFILE,
            PlatformClaim.CHALLENGE: challenge,
            PlatformClaim.IMPLEMENTATION_ID: sha256(b"Realmlab platform: " + self._board.encode()).digest(),
            PlatformClaim.INSTANCE_ID: instance_id(self._board),
            PlatformClaim.CONFIG: f"board={self._board}".encode(),
            PlatformClaim.LIFECYCLE: LIFECYCLE,
            PlatformClaim.SW_COMPONENTS: components,
            PlatformClaim.VERIFICATION_SERVICE: VERIFICATION_SERVICE,
            PlatformClaim.HASH_ALGO_ID: HASH_ALGORITHM,
        }

    # -- calls of the RMM -------------------------------------------------------------------------------------------
    def _get_realm_key(self, pe: "Pe", x: memoryview) -> None:
        """X1 buffer, X2 its size, X3 curve -> X1 size of the key."""
        pa, size, curve = x[1], x[2], x[3]
        status = buffer_status(self._shared_page, pa, size)
        if status == 0 and (curve != ATTEST_CURVE_P384 or size < cose.SCALAR_SIZE):
            status = _INVAL
        if status == 0:
            self._shared.write(pa, self.realm_key())
        x[0], x[1] = status, 0 if status else cose.SCALAR_SIZE

    def _get_plat_token(self, pe: "Pe", x: memoryview) -> None:
        """X1 buffer, X2 its size, X3 size of the challenge in it or 0 (next hunk) -> X1 hunk, X2 what remains."""
        pa, size, challenge = x[1], x[2], x[3]
        status = buffer_status(self._shared_page, pa, size)
        wrong = challenge != 0 and challenge not in _CHALLENGES
        if status == 0 and (wrong or buffer_status(self._shared_page, pa, challenge or 1)):
            status = _INVAL
        if status == 0 and challenge:
            self._sign(self._shared.read(pa, challenge))
        total, given = self._port.read64(self._state), self._port.read64(self._state + 8)
        if status == 0 and given == total:
            status = _INVAL  # no token was requested, or all of it has been returned
        if status:
            x[0], x[1], x[2] = status, 0, 0
            return
        hunk = min(size, total - given)
        self._shared.write(pa, self._port.read(self._token + given, hunk))
        self._port.write64(self._state + 8, given + hunk)
        x[0], x[1], x[2] = 0, hunk, total - given - hunk

    def _sign(self, challenge: bytes) -> None:
        """Create a new platform token, none of which has been returned yet."""
        token = cose.sign1(cpak(self._board), cose.encode(self.claims(challenge)))
        assert len(token) <= _TOKEN_LIMIT, f"the platform token must fit {_TOKEN_LIMIT} bytes, not take {len(token)}"
        self._port.write(self._token, token)
        self._port.write64(self._state, len(token))
        self._port.write64(self._state + 8, 0)
