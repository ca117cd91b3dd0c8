"""FF-A 1.1 between Non-secure software and the Secure payload."""

from collections.abc import Callable
from typing import Any

import pytest
from calls import call
from ns_code import assemble, constant
from secure_code import BASE, FAST, YIELDING, payload

from cca_arch.ffa import FFA_FIDS, PARTITION_ID, SPMC_ID, Ffa, FfaStatus
from cca_arch.psci import Psci
from cca_arch.smccc import NOT_SUPPORTED
from cca_arch.tsp import SMC64, Tsp
from cca_firmware.base.errors import BootError
from cca_firmware.secure.world import SecureState

TO_PARTITION = PARTITION_ID
NOBODY = 0x8002
PREEMPT = f"{constant('x0', Tsp.PREEMPTED)} smc #0;"
JOIN = f"mov x20, x0; mov x21, x1; mov x22, x2; {constant('x0', Ffa.VERSION)} {constant('x1', 0x10001)} smc #0;"
REPLY = "lsr w9, w1, #16; mov w10, #0x8001; orr w1, w9, w10, lsl #16;"
ECHO = f"add x0, x0, #1; {REPLY} add x3, x3, #1;"
"""The answer to a message: the same words, X3 one more."""

MESSAGES = payload(start=JOIN, fast=ECHO)
WAITING = assemble(
    f"""{constant("x0", Ffa.MSG_WAIT)} smc #0; again: {ECHO} {constant("x28", 0x5EC)} smc #0; b again;""", BASE
)
"""A partition that ends its start with FFA_MSG_WAIT: every message is the return from its last call."""


def error(status: FfaStatus) -> list[int]:
    return [Ffa.ERROR, 0, status, 0, 0]


@pytest.fixture
def start(boot_machine: Callable[..., Any]) -> Callable[..., Any]:
    """Boot with a Secure payload."""
    return lambda code=MESSAGES, **arguments: boot_machine(secure_image=code, **arguments)


class TestDiscovery:
    def test_version(self, start: Any) -> None:
        """1.1 whatever the caller has, but NOT_SUPPORTED when bit 31 of its version is set."""
        pe = start().pe
        assert [call(pe, Ffa.VERSION, version)[0] for version in (0x10000, 0x10001, 0x20000)] == [0x10001] * 3
        assert call(pe, Ffa.VERSION, 1 << 31)[0] == NOT_SUPPORTED

    def test_ids(self, start: Any) -> None:
        """Non-secure software is endpoint 0, EL3 is the partition manager."""
        pe = start().pe
        assert call(pe, Ffa.ID_GET) == [Ffa.SUCCESS, 0, 0, 0, 0]
        assert call(pe, Ffa.SPM_ID_GET) == [Ffa.SUCCESS, 0, SPMC_ID, 0, 0]

    def test_features(self, start: Any) -> None:
        """FFA_FEATURES says which functions there are, and agrees with what a call of them does."""
        pe = start().pe
        for fid in (*FFA_FIDS, *(fid | SMC64 for fid in FFA_FIDS)):
            found = call(pe, Ffa.FEATURES, fid)
            assert found in ([Ffa.SUCCESS, 0, 0, 0, 0], error(FfaStatus.NOT_SUPPORTED))
            if found[0] == Ffa.ERROR:
                assert call(pe, fid, 0) == error(FfaStatus.NOT_SUPPORTED)
        assert call(pe, Ffa.FEATURES, Ffa.MSG_SEND_DIRECT_REQ)[0] == Ffa.SUCCESS

    @pytest.mark.parametrize("board", ["fvp", "virt"])
    def test_partition(self, start: Any, board: str) -> None:
        """One partition, with an execution context for each PE, that takes direct messages."""
        booted = start(board=board)
        function, _, layout, identity, _ = call(booted.pe, Ffa.PARTITION_INFO_GET_REGS_64)
        assert (function, layout >> 48, layout & 0xFFFF_FFFF) == (Ffa.SUCCESS_64, 24, 0)
        assert (identity & 0xFFFF, identity >> 16 & 0xFFFF) == (PARTITION_ID, len(booted.machine.pes))
        assert identity >> 32 == 0x101

    @pytest.mark.parametrize("arguments", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    def test_no_such_partition(self, start: Any, arguments: tuple[int, int, int]) -> None:
        """No partition has an UUID, and there is none after the first."""
        pe = start().pe
        assert call(pe, Ffa.PARTITION_INFO_GET_REGS_64, *arguments) == error(FfaStatus.INVALID_PARAMETERS)

    def test_payload_without_ffa(self, start: Any) -> None:
        """A payload that never asked for the version is no partition: nobody can send it anything."""
        pe = start(payload()).pe
        assert call(pe, Ffa.VERSION, 0x10001)[0] == 0x10001
        assert call(pe, Ffa.PARTITION_INFO_GET_REGS_64) == error(FfaStatus.INVALID_PARAMETERS)
        assert call(pe, Ffa.MSG_SEND_DIRECT_REQ, TO_PARTITION, 0) == error(FfaStatus.INVALID_PARAMETERS)

    def test_of_the_payload(self, start: Any) -> None:
        """The payload is endpoint 0x8001; the functions of the other side are unknown to it."""
        calls = (Ffa.ID_GET, Ffa.SPM_ID_GET, Ffa.MSG_SEND_DIRECT_REQ, Ffa.MSG_WAIT, Ffa.RUN)
        notes = "".join(
            f"{constant('x0', fid)} smc #0; stp w0, w2, [x19, #{8 * number}];" for number, fid in enumerate(calls)
        )
        fast = f"mov x18, x0; {constant('x19', BASE + 0x8000)} {notes} mov x0, x18;"
        booted = start(payload(start=JOIN, fast=fast))
        call(booted.pe, FAST)
        stored = booted.machine.memory.backdoor.read(BASE + 0x8000, 8 * len(calls))
        found = [int.from_bytes(stored[at : at + 4], "little") for at in range(0, len(stored), 4)]
        assert found[:4] == [Ffa.SUCCESS, PARTITION_ID, Ffa.SUCCESS, SPMC_ID]
        assert found[4:6] == found[8:10] == [Ffa.ERROR, FfaStatus.NOT_SUPPORTED]
        assert found[6:8] == [Ffa.ERROR, FfaStatus.DENIED]


@pytest.mark.parametrize("code", [MESSAGES, WAITING], ids=["vectors", "waiting"])
class TestMessages:
    @pytest.mark.parametrize("sender", [0, 7, 0x7FFF])
    def test_answer(self, start: Any, code: bytes, sender: int) -> None:
        """X3..X7 reach the partition and come back; sender and receiver change places; X8 on are the caller's."""
        booted = start(code)
        for pe in booted.machine.pes[:3]:
            pe.x[8], pe.x[28] = 0x888, 0x2828
            found = call(pe, Ffa.MSG_SEND_DIRECT_REQ_64, sender << 16 | TO_PARTITION, 0, 1 << 40, 44, 55, 66, 77)
            assert found == [Ffa.MSG_SEND_DIRECT_RESP_64, PARTITION_ID << 16 | sender, 0, (1 << 40) + 1, 44]
            assert pe.x[5:9].tolist() == [55, 66, 77, 0x888]
            assert pe.x[28] == 0x2828

    def test_width(self, start: Any, code: bytes) -> None:
        """An SMC32 message has 32-bit words, both ways."""
        pe = start(code).pe
        found = call(pe, Ffa.MSG_SEND_DIRECT_REQ, TO_PARTITION, 0, 0xF_FFFF_FFFF, 1 << 33 | 4)
        assert found == [Ffa.MSG_SEND_DIRECT_RESP, PARTITION_ID << 16, 0, 0, 4]

    @pytest.mark.parametrize(
        ("ends", "flags"),
        [(NOBODY, 0), (0, 0), (0x8000_0000 | TO_PARTITION, 0), (PARTITION_ID << 16 | TO_PARTITION, 0),
         (TO_PARTITION, 1 << 31), (TO_PARTITION, 1)],
    )  # fmt: skip
    def test_invalid(self, start: Any, code: bytes, ends: int, flags: int) -> None:
        """To nobody, from a Secure endpoint, and with flags: INVALID_PARAMETERS, and the partition is left alone."""
        booted = start(code)
        assert call(booted.pe, Ffa.MSG_SEND_DIRECT_REQ_64, ends, flags) == error(FfaStatus.INVALID_PARAMETERS)
        assert booted.firmware.secure.state[0] is SecureState.IDLE


class TestAnswers:
    @pytest.mark.parametrize(
        ("fid", "ends", "status"),
        [
            (Ffa.MSG_SEND_DIRECT_RESP, PARTITION_ID << 16, FfaStatus.INVALID_PARAMETERS),
            (Ffa.MSG_SEND_DIRECT_RESP_64, NOBODY << 16, FfaStatus.INVALID_PARAMETERS),
            (Ffa.MSG_SEND_DIRECT_RESP_64, PARTITION_ID << 16 | 1, FfaStatus.INVALID_PARAMETERS),
            (Ffa.MSG_WAIT, 0, FfaStatus.DENIED),
            (Ffa.ERROR, 0, FfaStatus.DENIED),
        ],
    )
    def test_wrong(self, start: Any, fid: int, ends: int, status: FfaStatus) -> None:
        """Another width, from or to somebody else, and what is no answer: refused; the right one still counts."""
        wrong = f"mov x20, x0; mov x21, x1; {constant('x0', fid)} {constant('x1', ends)} smc #0; mov x4, x2;"
        booted = start(payload(start=JOIN, fast=f"{wrong} mov x0, x20; mov x1, x21; {ECHO}"))
        found = call(booted.pe, Ffa.MSG_SEND_DIRECT_REQ_64, TO_PARTITION, 0)
        assert (found[0], found[4]) == (Ffa.MSG_SEND_DIRECT_RESP_64, status)

    def test_unasked(self, start: Any) -> None:
        """A response that nobody waits for is denied."""
        unasked = f"mov x9, x0; {constant('x0', Ffa.MSG_SEND_DIRECT_RESP)} smc #0; mov x1, x2; mov x0, x9;"
        assert call(start(payload(start=JOIN, fast=unasked)).pe, FAST)[0] == FfaStatus.DENIED


class TestPreemption:
    CODE = payload(
        start=JOIN,
        fast=f"mov x20, x0; mov x21, x1; mov x22, x3; {PREEMPT} mov x0, x20; mov x1, x21; mov x3, x22; {ECHO}",
    )

    def test_run(self, start: Any) -> None:
        """A message that is preempted gives FFA_INTERRUPT with the execution context; FFA_RUN lets that go on."""
        booted = start(self.CODE)
        for index, pe in enumerate(booted.machine.pes[:2]):
            context = PARTITION_ID << 16 | index
            assert call(pe, Ffa.MSG_SEND_DIRECT_REQ_64, TO_PARTITION, 0, 9) == [Ffa.INTERRUPT, context, 0, 0, 0]
            assert booted.firmware.secure.state[index] is SecureState.MESSAGE_PREEMPTED
            assert call(pe, Ffa.MSG_SEND_DIRECT_REQ_64, TO_PARTITION, 0) == error(FfaStatus.BUSY)
            assert call(pe, FAST)[0] == call(pe, YIELDING)[0] == NOT_SUPPORTED
            assert call(pe, Ffa.RUN, context ^ 1) == error(FfaStatus.INVALID_PARAMETERS)
            assert call(pe, Ffa.RUN, context)[3] == 10
            assert call(pe, Ffa.RUN, context) == error(FfaStatus.DENIED)

    def test_snapshot(self, start: Any) -> None:
        """A snapshot keeps a message that is preempted, and who takes part."""
        booted = start(self.CODE)
        call(booted.pe, Ffa.MSG_SEND_DIRECT_REQ, TO_PARTITION, 0, 9)
        snapshot = booted.machine.snapshot()
        for _ in range(2):
            assert call(booted.pe, Ffa.RUN, PARTITION_ID << 16)[3] == 10
            booted.machine.restore(snapshot)


class TestStart:
    def test_waiting_partition_has_no_vectors(self, start: Any) -> None:
        """A partition without vectors gets messages only; the system goes off without asking it."""
        booted = start(WAITING)
        assert booted.firmware.secure.ready
        assert call(booted.pe, FAST, 1)[:2] == [NOT_SUPPORTED, 1]
        with pytest.raises(Exception, match="system off"):
            call(booted.pe, Psci.SYSTEM_OFF)

    def test_failed(self, start: Any) -> None:
        """FFA_ERROR ends a start: the machine boots without Secure services."""
        booted = start(assemble(f"{constant('x0', Ffa.ERROR)} smc #0; never: b never;", BASE))
        assert not booted.firmware.secure.ready
        assert call(booted.pe, Ffa.MSG_SEND_DIRECT_REQ, TO_PARTITION, 0) == error(FfaStatus.INVALID_PARAMETERS)

    def test_message_is_no_start(self, start: Any) -> None:
        """A response ends no start."""
        with pytest.raises(BootError, match="must become ready"):
            start(assemble(f"{constant('x0', Ffa.MSG_SEND_DIRECT_RESP)} smc #0; wfi;", BASE))
