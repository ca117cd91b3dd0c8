"""RSI_ATTESTATION_TOKEN_INIT and RSI_ATTESTATION_TOKEN_CONTINUE, called by Realm code, with a Host that interrupts."""

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from cca_arch.el3 import RmmEl3, RmmEl3Status
from cca_arch.rmi.v1_0 import RecExitReason, Rmi
from cca_arch.rsi.v1_0 import Rsi, RsiStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.types import SecurityState
from cca_platform.errors import GranuleProtectionFault
from cca_platform.isa import frame
from cca_rmm.commands import attestation
from cca_rmm.commands.attestation import ATTEST, ATTEST_OFFSET, MAX_TOKEN, AttestState
from cca_rmm.costs import SIGN_SLICE
from cca_rmm.costs import SIGN_SLICES as SLICES

SLICE_TICKS = SIGN_SLICE // 10  # the counter of the board has 100 MHz
RAM, PAGE = 0x8000_0000, 0x1000
CALL, BUFFER = RAM + PAGE, RAM + 2 * PAGE
UNPROTECTED = 0x1_0000_0000
CHALLENGE = bytes(range(64))
INIT, CONTINUE = Rsi.ATTESTATION_TOKEN_INIT, Rsi.ATTESTATION_TOKEN_CONTINUE

SERVER = "; ".join(
    [
        f"movz x20, #{CALL & 0xFFFF}; movk x20, #{CALL >> 16}, lsl #16",
        f"loop: movz x0, #{Rsi.HOST_CALL & 0xFFFF}; movk x0, #{Rsi.HOST_CALL >> 16}, lsl #16",
        "mov x1, x20; smc #0",
        *(f"ldr x{number}, [x20, #{8 + 8 * number}]" for number in range(11)),
        "smc #0",
        *(f"str x{number}, [x20, #{8 + 8 * number}]" for number in range(12)),
        "b loop",
    ]
)
"""Code that makes the calls that the Host asks for, and answers with X0..X11."""


class Caller:
    """A Realm of SERVER: makes RSI calls from inside, and shows what the RMM keeps of the REC."""

    def __init__(self, realm: Any) -> None:
        self.realm = realm
        self.host = realm.host
        self.clock = realm.host.machine.clock
        self.interrupts = 0
        assert realm.enter().exit_reason == RecExitReason.HOST_CALL

    def __call__(self, fid: int, *args: int) -> list[int]:
        """X0..X3 after a call; interrupts that the Host takes meanwhile are counted."""
        left = self.realm.enter(gprs=(fid, *args))
        while left.exit_reason == RecExitReason.IRQ:
            self.interrupts += 1
            self.host.pe.host_timer(None)
            left = self.realm.enter()
        assert left.exit_reason == RecExitReason.HOST_CALL, left
        return list(left.gprs[:4])

    def init(self, challenge: bytes = CHALLENGE) -> list[int]:
        """RSI_ATTESTATION_TOKEN_INIT."""
        words = [int.from_bytes(challenge[at : at + 8], "little") for at in range(0, 64, 8)]
        return self(INIT, *words)

    def part(self, offset: int, size: int) -> tuple[int, bytes]:
        """RSI_ATTESTATION_TOKEN_CONTINUE into the buffer: the status and what was copied."""
        status, length, *_ = self(CONTINUE, BUFFER, offset, size)
        return status, self.peek(self.realm.data[BUFFER] + offset, length)

    def token(self, challenge: bytes = CHALLENGE) -> bytes:
        """A whole token."""
        assert self.init(challenge)[:2] == [RsiStatus.SUCCESS, MAX_TOKEN]
        status, token = self.part(0, PAGE)
        while status == RsiStatus.INCOMPLETE and not token:
            status, token = self.part(0, PAGE)
        assert status == RsiStatus.SUCCESS
        return token

    def peek(self, pa: int, size: int) -> bytes:
        """Memory, whoever owns it."""
        return bytes(self.host.peek.read(pa, size))

    @property
    def attest(self) -> Any:
        """The attestation of the REC."""
        return ATTEST.load(self.host.peek, self.realm.recs[0] + ATTEST_OFFSET)

    @property
    def aux(self) -> bytes:
        """The auxiliary granule of attestation."""
        return self.peek(self.realm.aux[0][1], PAGE)


@pytest.fixture
def realm_calls(running: Callable[..., Any]) -> Caller:
    """A Realm that makes calls."""
    return Caller(running(SERVER))


def halves(token: bytes) -> tuple[Any, Any]:
    """The claims of the platform and of the Realm, by an independent decoder of CBOR."""
    outer = cbor2.loads(token)
    assert (outer.tag, list(outer.value)) == (399, [44234, 44241])
    parts = [cbor2.loads(part) for part in outer.value.values()]
    return cbor2.loads(parts[0].value[2]), cbor2.loads(parts[1].value[2])


class TestToken:
    """What is in a token."""

    def test_claims_of_the_realm(self, realm_calls: Caller) -> None:
        """Challenge, RPV, RIM and REMs are the Realm's, in TF-RMM's order and cut to the hash."""
        token = realm_calls.token()
        _, realm = halves(token)
        assert list(realm) == [10, 44235, 44237, 44236, 44240, 265, 44238, 44239]
        assert realm[10] == CHALLENGE
        assert realm[44235] == bytes(64)
        assert realm[44236] == realm[44240] == "sha-256"
        assert realm[265] == "tag:arm.com,2023:realm#1.0.0"
        assert realm[44238] == realm_calls.realm.rim[:32]
        assert realm[44239] == [bytes(32)] * 4

    def test_binding(self, realm_calls: Caller) -> None:
        """The platform's challenge is the SHA-256 of the COSE_Key in the Realm's claims."""
        platform, realm = halves(realm_calls.token())
        assert len(realm[44237]) == 107
        assert platform[10] == hashlib.sha256(realm[44237]).digest()

    def test_first_bytes(self, realm_calls: Caller) -> None:
        """Tag 399, a map of two, the platform's half first."""
        token = realm_calls.token()
        assert token[:7].hex() == "d9018fa219acca"
        assert bytes.fromhex("19acd159") in token

    def test_tokens_of_one_boot_share_the_platform_half(self, realm_calls: Caller) -> None:
        """Only the Realm's half is made anew."""
        first, second = (cbor2.loads(realm_calls.token(bytes((n,)) * 64)).value for n in (1, 2))
        assert first[44234] == second[44234]
        assert first[44241] != second[44241]

    def test_deterministic(self, realm_calls: Caller) -> None:
        """The same challenge and measurements give the same bytes, signatures included."""
        assert realm_calls.token() == realm_calls.token()

    @pytest.mark.parametrize(("algorithm", "name", "size"), [(0, "sha-256", 32), (1, "sha-512", 64)])
    def test_measurements(self, realms: Any, assemble: Any, algorithm: int, name: str, size: int) -> None:
        """RIM and REMs have the size of the Realm's hash; an extension shows in the next token."""
        realm = realms(hash_algo=algorithm, rpv=b"personal")
        realm.write(RAM, assemble(SERVER))
        for page in (CALL, BUFFER):
            realm.write(page, b"")
        realm.rec()
        realm.activate()
        caller = Caller(realm)
        caller(Rsi.MEASUREMENT_EXTEND, 3, 8, 0x1122334455667788)
        _, claims = halves(caller.token())
        value = (0x1122334455667788).to_bytes(8, "little")
        rem = hashlib.new(name.replace("-", ""), bytes(size) + value).digest()
        assert claims[44236] == name
        assert claims[44238] == realm.rim[:size]
        assert claims[44239] == [bytes(size), bytes(size), rem, bytes(size)]
        assert claims[44235] == b"personal".ljust(64, b"\0")


class TestStates:
    """NONE, INIT, IN_PROGRESS, and back."""

    def test_continue_without_init(self, realm_calls: Caller) -> None:
        """There is nothing to go on with."""
        assert realm_calls(CONTINUE, BUFFER, 0, PAGE)[:2] == [RsiStatus.ERROR_STATE, 0]

    def test_continue_after_the_end(self, realm_calls: Caller) -> None:
        """The last bytes end the operation, and nothing of it is left."""
        realm_calls.token()
        assert realm_calls.attest == (AttestState.NONE, 0, 0, 0)
        assert not any(realm_calls.aux)
        assert realm_calls(CONTINUE, BUFFER, 0, PAGE)[0] == RsiStatus.ERROR_STATE

    def test_second_init_drops_the_first(self, realm_calls: Caller) -> None:
        """INIT before CONTINUE, and amid the copying, starts again with the new challenge."""
        realm_calls.init(bytes(64))
        assert halves(realm_calls.token())[1][10] == CHALLENGE
        realm_calls.init(bytes(64))
        assert realm_calls.part(0, 100)[0] == RsiStatus.INCOMPLETE
        assert halves(realm_calls.token())[1][10] == CHALLENGE

    def test_claims_are_frozen_by_init(self, realm_calls: Caller) -> None:
        """An extension between INIT and CONTINUE is not in this token, but in the next."""
        realm_calls.init()
        realm_calls(Rsi.MEASUREMENT_EXTEND, 1, 8, 1)
        status, token = realm_calls.part(0, PAGE)
        assert status == RsiStatus.SUCCESS
        assert halves(token)[1][44239][0] == bytes(32)
        assert halves(realm_calls.token())[1][44239][0] != bytes(32)

    @pytest.mark.parametrize("size", [97, 1000])
    def test_pieces(self, realm_calls: Caller, size: int) -> None:
        """A token in pieces is the token: INCOMPLETE until the last byte, which comes with SUCCESS."""
        whole = realm_calls.token()
        realm_calls.init()
        token, status = b"", int(RsiStatus.INCOMPLETE)
        while status == RsiStatus.INCOMPLETE:
            status, piece = realm_calls.part(len(token) % size, size)
            token += piece
        assert (status, token) == (RsiStatus.SUCCESS, whole)

    def test_exact_end(self, realm_calls: Caller) -> None:
        """The call that delivers exactly what is left returns SUCCESS."""
        size = len(realm_calls.token())
        realm_calls.init()
        assert realm_calls.part(0, size - 1)[0] == RsiStatus.INCOMPLETE
        assert realm_calls.part(0, 1)[0] == RsiStatus.SUCCESS

    def test_size_zero(self, realm_calls: Caller) -> None:
        """Nothing is copied, and the operation goes on."""
        realm_calls.init()
        assert realm_calls(CONTINUE, BUFFER, 0, 0)[:2] == [RsiStatus.INCOMPLETE, 0]
        assert realm_calls.part(0, PAGE)[0] == RsiStatus.SUCCESS

    def test_per_rec(self, realms: Any, assemble: Any) -> None:
        """The operation of one REC is not that of another."""
        realm = realms()
        realm.write(RAM, assemble(SERVER))
        for page in (CALL, BUFFER):
            realm.write(page, b"")
        realm.rec()
        realm.rec()
        realm.activate()
        caller = Caller(realm)
        caller.init()
        assert ATTEST.load(caller.host.peek, realm.recs[1] + ATTEST_OFFSET).state == AttestState.NONE


BAD = {
    "addr_align": ((BUFFER + 8, 0, 16), RsiStatus.ERROR_INPUT),
    "offset_bound": ((BUFFER, PAGE, 0), RsiStatus.ERROR_INPUT),
    "size_overflow": ((BUFFER, 16, (1 << 64) - 8), RsiStatus.ERROR_INPUT),
    "size_bound": ((BUFFER, 16, PAGE - 15), RsiStatus.ERROR_INPUT),
    "addr_bound": ((UNPROTECTED, 0, 16), RsiStatus.ERROR_INPUT),
    "ripas": ((0, 0, 16), RsiStatus.ERROR_INPUT),
}


class TestFailures:
    """Each failure condition, and what a failure leaves alone."""

    @pytest.mark.parametrize("name", BAD)
    def test_bad_arguments_do_not_end_the_operation(self, realm_calls: Caller, name: str) -> None:
        """The error, no output, and the next good CONTINUE goes on."""
        arguments, status = BAD[name]
        realm_calls.init()
        before = realm_calls.attest, realm_calls.aux
        assert realm_calls(CONTINUE, *arguments) == [status, 0, 0, 0]
        assert (realm_calls.attest, realm_calls.aux) == before
        assert realm_calls.part(0, PAGE)[0] == RsiStatus.SUCCESS

    @pytest.mark.parametrize("name", BAD)
    def test_order_with_the_state(self, realm_calls: Caller, name: str) -> None:
        """Arguments come before the state, the state before the RIPAS."""
        arguments, status = BAD[name]
        expected = RsiStatus.ERROR_STATE if name == "ripas" else status
        assert realm_calls(CONTINUE, *arguments)[0] == expected

    def test_last_byte_of_a_page(self, realm_calls: Caller) -> None:
        """Offset and size up to the page's end are good."""
        realm_calls.init()
        assert realm_calls.part(PAGE - 1, 1) == (RsiStatus.INCOMPLETE, b"\xd9")

    def test_page_that_is_not_there(self, realm_calls: Caller) -> None:
        """RIPAS DESTROYED: a Data Abort for the Host, and the SMC is executed again when the page is there."""
        realm, host = realm_calls.realm, realm_calls.host
        realm_calls.init()
        host.ok(Rmi.DATA_DESTROY, realm.rd, BUFFER)
        before = realm_calls.attest
        for _ in range(2):
            left = realm.enter(gprs=(CONTINUE, BUFFER, 0, PAGE))
            assert (left.exit_reason, left.esr, left.hpfar) == (RecExitReason.SYNC, 0x9000_0007, BUFFER >> 8)
            assert realm_calls.attest == before

    def test_no_key_from_el3(self, realm_calls: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a key there is no token context: ERROR_UNKNOWN, until EL3 gives one."""
        monitor = realm_calls.host.machine.program(SecurityState.ROOT, 3)
        routes = monitor._routes[SecurityState.REALM]

        def refuse(pe: Any, x: Any) -> None:
            x[0] = RmmEl3Status.UNK

        for fid in (RmmEl3.ATTEST_GET_REALM_KEY, RmmEl3.ATTEST_GET_PLAT_TOKEN):
            with monkeypatch.context() as patch:
                patch.setitem(routes, int(fid), refuse)
                assert realm_calls.init() == [RsiStatus.ERROR_UNKNOWN, 0, 0, 0]
                assert realm_calls.attest.state == AttestState.NONE
        assert realm_calls.init()[0] == RsiStatus.SUCCESS

    def test_key_lost(self, realm_calls: Caller) -> None:
        """Signing without a key fails with ERROR_UNKNOWN."""
        realm_calls.init()
        rmm = realm_calls.host.rmm
        rmm.port.write64(rmm.key_area, 0)
        assert realm_calls(CONTINUE, BUFFER, 0, PAGE) == [RsiStatus.ERROR_UNKNOWN, 0, 0, 0]


class TestInterruption:
    """Signing takes time, and gives way to the Host."""

    def test_time_passes(self, realm_calls: Caller) -> None:
        """A token costs its slices of virtual time: several milliseconds, so that a Host of 1 ms can interrupt it."""
        realm_calls.init()
        before = realm_calls.clock.now
        realm_calls.part(0, PAGE)
        assert SLICES * SLICE_TICKS <= realm_calls.clock.now - before < (SLICES + 1) * SLICE_TICKS

    def test_an_interrupt_while_signing(self, realm_calls: Caller) -> None:
        """Exit with IRQ and nothing else in the record; the Realm sees INCOMPLETE, 0; later the token comes."""
        whole = realm_calls.token()
        realm_calls.init()
        realm, pe = realm_calls.realm, realm_calls.host.pe
        pe.host_timer(realm_calls.clock.now + 2 * SLICE_TICKS)
        left = realm.enter(gprs=(CONTINUE, BUFFER, 0, PAGE))
        assert (left.exit_reason, left.esr, left.far, left.hpfar) == (RecExitReason.IRQ, 0, 0, 0)
        assert not any(left.gprs)
        attest = realm_calls.attest
        assert attest.state == AttestState.SIGNING
        assert 0 < attest.slices < SLICES
        pe.host_timer(None)
        left = realm.enter()
        assert left.exit_reason == RecExitReason.HOST_CALL
        assert list(left.gprs[:4]) == [RsiStatus.INCOMPLETE, 0, 0, 0]
        assert realm_calls.part(0, PAGE) == (RsiStatus.SUCCESS, whole)

    def test_a_host_of_one_millisecond(self, realm_calls: Caller) -> None:
        """A timer tick of 1 ms, as hosts have it, comes while a token is signed: more than once."""
        realm_calls.init()
        clock, pe, ticks = realm_calls.clock, realm_calls.host.pe, 0
        pe.host_timer(clock.now + clock.counter_hz // 1000)
        exit = realm_calls.realm.enter(gprs=(CONTINUE, BUFFER, 0, PAGE))
        while exit.exit_reason == RecExitReason.IRQ:
            ticks += 1
            pe.host_timer(clock.now + clock.counter_hz // 1000)
            exit = realm_calls.realm.enter()
            if exit.exit_reason == RecExitReason.HOST_CALL and exit.gprs[0] == RsiStatus.INCOMPLETE:
                exit = realm_calls.realm.enter(gprs=(CONTINUE, BUFFER, 0, PAGE))
        pe.host_timer(None)
        assert exit.gprs[0] == RsiStatus.SUCCESS
        assert ticks >= 3

    def test_interrupts_all_the_time(self, realm_calls: Caller) -> None:
        """However often the Host interrupts, the token gets done, and is the same."""
        whole = realm_calls.token()
        realm_calls.init()
        status, token, calls = int(RsiStatus.INCOMPLETE), b"", 0
        while status == RsiStatus.INCOMPLETE:
            realm_calls.host.pe.host_timer(realm_calls.clock.now + SLICE_TICKS + 10)
            status, token = realm_calls.part(0, PAGE)
            calls += 1
        realm_calls.host.pe.host_timer(None)
        assert token == whole
        assert calls > 2
        assert realm_calls.interrupts >= calls - 1

    def test_the_timer_of_the_realm(self, realm_calls: Caller) -> None:
        """The Realm's own timer interrupts too; the Host sees it in the exit record."""
        realm_calls.init()
        realm, clock = realm_calls.realm, realm_calls.clock
        frame_pa = realm.aux[0][0]
        memory = realm_calls.host.peek
        memory.write64(frame_pa + frame.offset("cntv_ctl_el0"), 1)
        memory.write64(frame_pa + frame.offset("cntv_cval_el0"), clock.now + 3 * SLICE_TICKS)
        left = realm.enter(gprs=(CONTINUE, BUFFER, 0, PAGE))
        assert (left.exit_reason, left.cntv_ctl) == (RecExitReason.IRQ, 5)
        left = realm.enter()
        assert list(left.gprs[:2]) == [RsiStatus.INCOMPLETE, 0]
        assert realm_calls.part(0, PAGE)[0] == RsiStatus.SUCCESS

    def test_snapshot_amid_the_signing(self, realm_calls: Caller) -> None:
        """All that a token under construction needs is in granules."""
        realm_calls.init()
        host, realm = realm_calls.host, realm_calls.realm
        host.pe.host_timer(realm_calls.clock.now + 2 * SLICE_TICKS)
        assert realm.enter(gprs=(CONTINUE, BUFFER, 0, PAGE)).exit_reason == RecExitReason.IRQ
        host.pe.host_timer(None)
        realm.enter()
        saved = host.machine.snapshot()
        first = realm_calls.part(0, PAGE)
        host.machine.restore(saved)
        assert realm_calls.part(0, PAGE) == first
        assert first[0] == RsiStatus.SUCCESS

    def test_no_interrupt_once_it_is_signed(self, realm_calls: Caller) -> None:
        """Copying does not wait for anything."""
        realm_calls.init()
        realm_calls.part(0, 10)
        before = realm_calls.clock.now
        realm_calls.part(0, PAGE)
        assert realm_calls.clock.now - before < SLICE_TICKS


class TestSecrets:
    """The RAK stays inside the RMM."""

    def test_the_shared_page_is_wiped(self, realm_calls: Caller) -> None:
        """Neither the key nor the token stay in the page that EL3 and the RMM share."""
        realm_calls.token()
        rmm = realm_calls.host.rmm
        assert not any(realm_calls.peek(rmm.shared_page, PAGE))

    def test_keys_come_once(self, realm_calls: Caller) -> None:
        """The RMM asks EL3 at the first INIT, not at boot, and never again."""
        rmm = realm_calls.host.rmm
        assert not any(realm_calls.peek(rmm.key_area, 2 * PAGE))
        realm_calls.init()
        key = realm_calls.peek(rmm.key_area, 2 * PAGE)
        assert any(key)
        realm_calls.token()
        assert realm_calls.peek(rmm.key_area, 2 * PAGE) == key

    @pytest.mark.parametrize("hunk", [97, 500])
    def test_platform_token_in_hunks(self, realm_calls: Caller, monkeypatch: pytest.MonkeyPatch, hunk: int) -> None:
        """However small the hunks are in which EL3 gives it, the platform token is whole."""
        saved = realm_calls.host.machine.snapshot()
        whole = realm_calls.token()
        realm_calls.host.machine.restore(saved)
        monkeypatch.setattr(attestation, "_HUNK", hunk)
        assert realm_calls.token() == whole

    def test_the_host_cannot_read_them(self, realm_calls: Caller) -> None:
        """Keys, and a token under construction, are in Realm memory."""
        realm_calls.init()
        for pa in (realm_calls.host.rmm.key_area, realm_calls.realm.aux[0][1]):
            with pytest.raises(GranuleProtectionFault):
                realm_calls.host.memory.read(pa, 8)

    def test_gone_with_the_rec(self, realm_calls: Caller) -> None:
        """RMI_REC_DESTROY scrubs the claims with the rest of the REC."""
        realm_calls.init()
        realm, (rec, aux) = realm_calls.realm, (realm_calls.realm.recs[0], realm_calls.realm.aux[0][1])
        realm.host.ok(Rmi.REC_DESTROY, rec)
        assert not any(realm_calls.peek(rec, PAGE) + realm_calls.peek(aux, PAGE))

    def test_no_one_else_gets_them(self, realm_calls: Caller) -> None:
        """The Host's own call is NOT_SUPPORTED."""
        host = realm_calls.host
        assert host.pe.smc(RmmEl3.ATTEST_GET_REALM_KEY, host.rmm.shared_page, PAGE, 0)[0] == NOT_SUPPORTED

    def test_registers_survive(self, realm_calls: Caller) -> None:
        """X4 and up of the Realm are what they were, although the RMM calls EL3 meanwhile."""
        arguments = tuple(range(0x100, 0x10A))
        left = realm_calls.realm.enter(gprs=(INIT, *arguments))
        assert list(left.gprs[4:11]) == list(arguments[3:10])
