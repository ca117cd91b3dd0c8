"""Attestation: the CCA token that RSI_ATTESTATION_TOKEN_INIT and RSI_ATTESTATION_TOKEN_CONTINUE return to a Realm.

The token is two signed sets of claims (DEN0137 1.0 "CCA attestation token"). The RMM gets the platform token and the
Realm attestation key (RAK) from EL3 once and keeps them in its own memory. TF-RMM fetches them at boot; here the first
RSI_ATTESTATION_TOKEN_INIT makes the same calls, so that a run without attestation does not pay for the keys.

INIT freezes the Realm's claims in the REC's auxiliary granule. Signing takes time, as it does on a PE. CONTINUE spends
it in slices; a Host interrupt between two slices ends the call with RSI_INCOMPLETE and the REC's run with RMI_EXIT_IRQ.
The next CONTINUE resumes with the remaining slices. Then the granule holds the token, and CONTINUE copies it to the
Realm piece by piece.
"""

import struct
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cca_arch import cose
from cca_arch.cca_token import CCA_TAG, PLATFORM_TOKEN, REALM_PROFILE, REALM_TOKEN, RealmClaim
from cca_arch.el3 import ATTEST_CURVE_P384, RmmEl3
from cca_arch.rmi.v1_0 import HashAlgorithm, RecExitReason
from cca_arch.rsi.v1_0 import Rsi, RsiStatus
from cca_arch.types import GRANULE_SIZE
from cca_rmm.base.command import Check, Command, Refusal, Result, loaded
from cca_rmm.commands.calls import ServiceCall, el3_call
from cca_rmm.commands.service_memory import ADDR_BOUND, PAGE_ALIGN, RIPAS, MemoryCall, page
from cca_rmm.costs import SIGN_SLICE, SIGN_SLICES, spend
from cca_rmm.objects import measurement
from cca_rmm.objects.measurement import HASH_SIZE
from cca_rmm.objects.realm import REM_COUNT, RPV_OFFSET
from cca_rmm.objects.words import Layout
from cca_rmm.world.exit import leave

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe
    from cca_rmm.base.core import Core
    from cca_rmm.objects.rec import Rec

__all__ = ["ATTEST", "ATTEST_OFFSET", "COMMANDS", "KEYS", "MAX_TOKEN", "Attest", "AttestState"]

MAX_TOKEN: Final = GRANULE_SIZE
"""The upper bound that INIT reports: the size of the auxiliary granule."""

ATTEST_OFFSET: Final = 0x800  # of Attest in the REC granule
_RAK: Final = 0x40  # offsets in the RMM's key area, whose first page starts with Keys
_RAK_CLAIM: Final = 0x80
_RAK_CLAIM_SIZE: Final = 107
_PLATFORM: Final = GRANULE_SIZE
_HUNK: Final = GRANULE_SIZE

_HASH_NAME: Final = {HashAlgorithm.SHA_256: "sha-256", HashAlgorithm.SHA_512: "sha-512"}


class AttestState(IntEnum):
    """RmmRecAttestState, with IN_PROGRESS split in two."""

    NONE = 0
    SIGNING = 1  # the auxiliary granule holds the claims
    SIGNED = 2  # the auxiliary granule holds the token


class Attest(NamedTuple):
    """The attestation state of a REC at ATTEST_OFFSET in its granule, one word per field."""

    state: int  # AttestState
    size: int  # bytes in the auxiliary granule
    slices: int  # of signing that are complete
    copied: int  # bytes of the token already copied to the Realm


class Keys(NamedTuple):
    """The header of the RMM's key area; the RAK, its public key and the platform token follow."""

    ready: int
    platform_size: int


ATTEST: Final = Layout(Attest)
KEYS: Final = Layout(Keys)


class InitCall(ServiceCall):
    """RSI_ATTESTATION_TOKEN_INIT."""

    challenge0: int
    challenge1: int
    challenge2: int
    challenge3: int
    challenge4: int
    challenge5: int
    challenge6: int
    challenge7: int


class ContinueCall(MemoryCall):
    """RSI_ATTESTATION_TOKEN_CONTINUE."""

    addr: int
    offset: int
    size: int

    @loaded
    def attest(self) -> Attest:
        """The attestation state of the calling REC."""
        return ATTEST.load(self.rmm.port, self.rmm.current(self.pe) + ATTEST_OFFSET)


# -- keys -----------------------------------------------------------------------------------------------------------
def fetch_keys(rmm: "Core", pe: "Pe") -> bool:
    """Get the RAK and the platform token from EL3 unless the RMM has them; returns False if EL3 refuses.

    The platform token's challenge is the SHA-256 of the RAK's public key, which binds the two tokens.
    """
    port, area, shared = rmm.port, rmm.key_area, rmm.shared_page
    if port.read64(area):
        return True
    status, size, *_ = el3_call(pe, RmmEl3.ATTEST_GET_REALM_KEY, shared, GRANULE_SIZE, ATTEST_CURVE_P384)
    scalar = port.read(shared, cose.SCALAR_SIZE)
    port.zero(shared, GRANULE_SIZE)
    if status or size != cose.SCALAR_SIZE:
        return False
    claim = cose.cose_key(cose.point(scalar))
    port.write(shared, sha256(claim).digest())
    token, challenge, remaining = b"", sha256().digest_size, 1
    while remaining:
        status, hunk, remaining, *_ = el3_call(pe, RmmEl3.ATTEST_GET_PLAT_TOKEN, shared, _HUNK, challenge)
        if status or not 0 < hunk <= _HUNK or len(token) + hunk > GRANULE_SIZE:
            return False
        token, challenge = token + port.read(shared, hunk), 0
    port.zero(shared, GRANULE_SIZE)
    port.write(area + _RAK, scalar)
    port.write(area + _RAK_CLAIM, claim)
    port.write(area + _PLATFORM, token)
    KEYS.create(port, area, Keys(ready=1, platform_size=len(token)))
    return True


# -- INIT -----------------------------------------------------------------------------------------------------------
NO_KEYS: Final = Refusal("other", RsiStatus.ERROR_UNKNOWN)
"""EL3 refuses the RAK or the platform token."""


def token_init(call: InitCall) -> Result | Refusal:
    """Freeze the claims and drop any unfinished token."""
    rmm, rec, realm = call.rmm, call.record, call.realm
    if not fetch_keys(rmm, call.pe):
        return NO_KEYS
    port, rd = rmm.port, rec.rd
    hash_algo = HashAlgorithm(realm.hash_algo)
    rim, *rems = (measurement.load(port, rd, index)[: HASH_SIZE[hash_algo]] for index in range(1 + REM_COUNT))
    claims = cose.encode({
        RealmClaim.CHALLENGE: struct.pack("<8Q", *(getattr(call, name) for name in call.ins)),
        RealmClaim.PERSONALIZATION_VALUE: port.read(rd + RPV_OFFSET, 64),
        RealmClaim.PUBLIC_KEY: port.read(rmm.key_area + _RAK_CLAIM, _RAK_CLAIM_SIZE),
        RealmClaim.HASH_ALGO_ID: _HASH_NAME[hash_algo],
        RealmClaim.PUBLIC_KEY_HASH_ALGO_ID: _HASH_NAME[HashAlgorithm.SHA_256],
        RealmClaim.PROFILE: REALM_PROFILE,
        RealmClaim.INITIAL_MEASUREMENT: rim,
        RealmClaim.EXTENSIBLE_MEASUREMENTS: rems,
    })
    store(rmm, call.pe, rec, claims, AttestState.SIGNING)
    return 0, MAX_TOKEN


def store(rmm: "Core", pe: "Pe", rec: "Rec", content: bytes, state: AttestState) -> None:
    """Store ``content`` in the auxiliary granule and clear the rest."""
    rmm.port.write(rec.aux_attest, content.ljust(MAX_TOKEN, b"\0"))
    ATTEST.create(rmm.port, rmm.current(pe) + ATTEST_OFFSET, Attest(state, len(content), slices=0, copied=0))


# -- CONTINUE -------------------------------------------------------------------------------------------------------
def token_continue(call: ContinueCall) -> Result | None:
    """Sign if necessary, then copy what fits."""
    rmm, pe = call.rmm, call.pe
    target = page(call)
    if target is None:
        return None
    if call.attest.state == AttestState.SIGNING and not signed(call):
        pe.x[0:4] = memoryview(struct.pack("<4Q", RsiStatus.INCOMPLETE, 0, 0, 0)).cast("Q")
        leave(rmm, pe, RecExitReason.IRQ)
        return None
    at = rmm.current(pe) + ATTEST_OFFSET
    attest = ATTEST.load(rmm.port, at)
    length = min(call.size, attest.size - attest.copied)
    rmm.port.write(target + call.offset, rmm.port.read(call.record.aux_attest + attest.copied, length))
    copied = attest.copied + length
    if copied < attest.size:
        ATTEST.write(rmm.port, at, copied=copied)
        return int(RsiStatus.INCOMPLETE), length
    store(rmm, pe, call.record, b"", AttestState.NONE)
    return int(RsiStatus.SUCCESS), length


def signed(call: ContinueCall) -> bool:
    """Spend the remaining slices and sign; returns False if a Host interrupt comes first."""
    rmm, pe, clock = call.rmm, call.pe, call.pe.machine.clock
    for done in range(call.attest.slices, SIGN_SLICES):
        if pe.interrupted():
            ATTEST.write(rmm.port, rmm.current(pe) + ATTEST_OFFSET, slices=done)
            return False
        spend(clock, SIGN_SLICE)
    port, area, aux = rmm.port, rmm.key_area, call.record.aux_attest
    realm_token = cose.sign1(port.read(area + _RAK, cose.SCALAR_SIZE), port.read(aux, call.attest.size))
    platform_token = port.read(area + _PLATFORM, KEYS.load(port, area).platform_size)
    store(rmm, pe, call.record, cca_token(platform_token, realm_token), AttestState.SIGNED)
    return True


def cca_token(platform_token: bytes, realm_token: bytes) -> bytes:
    """The CCA token of rel0: tag 399 and a map of the two tokens, platform token first."""
    import cbor2

    token = cose.encode(cbor2.CBORTag(CCA_TAG, {PLATFORM_TOKEN: platform_token, REALM_TOKEN: realm_token}))
    assert len(token) <= MAX_TOKEN, f"a CCA token must fit {MAX_TOKEN} bytes, not take {len(token)}"
    return token


# -- rows -----------------------------------------------------------------------------------------------------------
_INPUT: Final = RsiStatus.ERROR_INPUT
_UNKNOWN: Final = RsiStatus.ERROR_UNKNOWN

COMMANDS: Final[tuple[Command[Any], ...]] = (
    Command[InitCall](
        Rsi.ATTESTATION_TOKEN_INIT, "ATTESTATION_TOKEN_INIT", InitCall, token_init, ("max_size",), refusals=(NO_KEYS,),
    ),
    Command[ContinueCall](
        Rsi.ATTESTATION_TOKEN_CONTINUE, "ATTESTATION_TOKEN_CONTINUE", ContinueCall, token_continue, ("len",),
        (
            PAGE_ALIGN,
            Check("offset_bound", lambda c: c.offset >= GRANULE_SIZE, _INPUT),
            Check("size_overflow", lambda c: (c.offset + c.size) >> 64, _INPUT),
            Check("size_bound", lambda c: c.offset + c.size > GRANULE_SIZE, _INPUT),
            ADDR_BOUND,
            Check("state", lambda c: c.attest.state == AttestState.NONE, RsiStatus.ERROR_STATE),
            RIPAS,
            Check("unknown", lambda c: not KEYS.load(c.rmm.port, c.rmm.key_area).ready, _UNKNOWN),
        ),
    ),
)  # fmt: skip
