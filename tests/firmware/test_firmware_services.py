"""General service queries: which ranges EL3 serves, and as what it presents itself."""

from typing import Any
from uuid import UUID

import pytest
from secure_code import FAST, PREEMPT, YIELDING, payload

from cca_arch.smccc import NOT_SUPPORTED, Owner, Query, query
from cca_arch.tsp import PREEMPTED
from cca_arch.types import SecurityState
from cca_firmware.bl31.names import function_name
from cca_platform.board import Board
from cca_platform.errors import MachineError

SERVED = (Owner.ARCH, Owner.SIP, Owner.STANDARD_SECURE, Owner.VENDOR_EL3)
TOS_UID = query(Owner.TRUSTED_OS, Query.UID)


def uid(results: list[int]) -> UUID:
    """The UUID in W0 to W3."""
    assert all(word < 1 << 32 for word in results[:4])
    return UUID(bytes=b"".join(word.to_bytes(4, "little") for word in results[:4]))


class TestQueries:
    def test_numbers(self) -> None:
        """The queries are fast SMC32 calls at the end of each range (DEN0028)."""
        assert [query(Owner.STANDARD_SECURE, one) for one in Query] == [0x8400_FF00, 0x8400_FF01, 0x8400_FF03]
        assert (query(Owner.ARCH, Query.UID), TOS_UID) == (0x8000_FF01, 0xBF00_FF01)
        assert function_name(0x8400_FF00) == "STANDARD_SECURE_CALL_COUNT"

    @pytest.mark.parametrize("world", [SecurityState.NON_SECURE, SecurityState.SECURE, SecurityState.REALM])
    def test_every_world(self, booted: Any, world: SecurityState) -> None:
        """Each world gets an answer for each range that EL3 serves; the UIDs tell the ranges apart."""
        pe = booted.pe
        pe.security = world
        found = {owner: uid(pe.smc(query(owner, Query.UID), 1, 2, 3)) for owner in SERVED}
        assert len({*found.values()}) == len(SERVED)
        for owner in SERVED:
            assert pe.smc(query(owner, Query.REVISION), 7, 7, 7)[:4] == [0, 1, 7, 7]
            count = pe.smc(query(owner, Query.CALL_COUNT), 7)[0]
            assert (count == 0) == (owner in (Owner.SIP, Owner.VENDOR_EL3))

    def test_counts(self, booted: Any) -> None:
        """The count is that of the functions: of SMCCC itself two, of the Standard services those of PSCI."""
        psci = booted.firmware.psci.handlers
        assert booted.pe.smc(query(Owner.ARCH, Query.CALL_COUNT))[0] == 2
        assert booted.pe.smc(query(Owner.STANDARD_SECURE, Query.CALL_COUNT))[0] == len(psci)

    @pytest.mark.parametrize("owner", [one for one in Owner if one not in SERVED])
    def test_not_served(self, booted: Any, owner: Owner) -> None:
        """A range that nobody serves has no UID, that of the Trusted OS without a payload included."""
        for one in Query:
            assert booted.pe.smc(query(owner, one), 1, 2, 3)[:4] == [NOT_SUPPORTED, 1, 2, 3]

    @pytest.mark.parametrize("fid", [0x8400_FF02, 0x8400_FF04, 0xC400_FF01, 0x0400_FF01, 0x8402_FF01])
    def test_unknown(self, booted: Any, fid: int) -> None:
        """The reserved number, and queries as SMC64 or yielding calls, are unknown."""
        assert booted.pe.smc(fid)[0] == NOT_SUPPORTED


class TestTrustedOs:
    def test_uid(self, start: Any) -> None:
        """EL3 answers the UID itself, on every PE; the payload gets count and revision."""
        booted = start(payload(fast="mov x1, #9; mov x2, #8;"))
        assert uid(booted.pe.smc(TOS_UID)) == uid(booted.machine.pes[5].smc(TOS_UID))

    def test_busy(self, start: Any) -> None:
        """Also while a call of the payload is preempted, which goes on afterwards."""
        booted = start(payload(yielding=f"{PREEMPT} b never;"))
        pe = booted.pe
        pe.start_call(YIELDING)
        while not pe.call_done:
            pe.step()
        assert pe.x[0] == PREEMPTED
        assert uid(pe.smc(TOS_UID)).bytes[0] != 0xFF
        assert pe.smc(FAST)[0] == NOT_SUPPORTED

    def test_not_started(self, start: Any) -> None:
        """A payload that could not start is no Trusted OS."""
        assert start(payload(ready="mov x1, #0;")).pe.smc(TOS_UID)[0] == NOT_SUPPORTED


class TestBoard:
    """A board can set the UIDs."""

    UID = UUID("00112233-4455-6677-8899-aabbccddeeff")

    def board(self, path: Any, value: str) -> str:
        path.write_text(f'like = "fvp"\n[smccc]\nuid = {value}\n')
        return str(path)

    def test_all(self, start: Any, tmp_path: Any) -> None:
        """One UUID for all ranges, its first byte in the lowest bits of W0."""
        booted = start(board=self.board(tmp_path / "board.toml", f'"{self.UID}"'))
        for owner in (*SERVED, Owner.TRUSTED_OS):
            assert booted.pe.smc(query(owner, Query.UID))[:4] == [0x33221100, 0x77665544, 0xBBAA9988, 0xFFEEDDCC]

    def test_one(self, boot_machine: Any, tmp_path: Any) -> None:
        """One each; the others keep ours."""
        booted = boot_machine(board=self.board(tmp_path / "board.toml", f'{{ standard_secure = "{self.UID}" }}'))
        found = [uid(booted.pe.smc(query(owner, Query.UID))) for owner in SERVED]
        assert [one == self.UID for one in found] == [owner == Owner.STANDARD_SECURE for owner in SERVED]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("1", "smccc.uid: must be text or a table, not 1"),
            ('"no"', r"uid of arch must be a UUID such as .*, not 'no'"),
            ('{ sip = "ffffffff-0000-0000-0000-000000000000" }', "uid of sip must not begin with ffffffff"),
            ('{ oem = "00000000-0000-0000-0000-000000000000" }', "smccc.uid.oem: no such key; the keys are arch"),
        ],
    )
    def test_refused(self, tmp_path: Any, value: str, message: str) -> None:
        """A value that is no UUID, one that means "unknown function" in W0, a range that EL3 does not serve."""
        with pytest.raises(MachineError, match=message):
            Board.load(self.board(tmp_path / "board.toml", value))
