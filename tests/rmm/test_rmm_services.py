"""Services of a Realm, asked by real Realm code: RSI, PSCI, and those that involve the Host."""

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from exit_records import (
    UNPROTECTED,
)
from realm_code import CALL, REPORT, load, reported, smc
from rmm_host import PAGE, RAM

from cca_arch.descriptors import rtte
from cca_arch.rmi.v1_0 import ABI_VERSION, RecEnterFlags, RecExitReason, Rmi, RmiRecExit, RmiRipas, RmiStatus
from cca_arch.rsi.v1_0 import Rsi, RsiRealmConfig, RsiStatus
from cca_arch.smccc import NOT_SUPPORTED
from cca_rmm.objects import rtt
from cca_rmm.objects.realm import REALM

BUFFER = RAM + 2 * PAGE
ONES = (1 << 64) - 1
Running = Callable[..., Any]


class TestHostCall:
    """RSI_HOST_CALL and its completion."""

    def test_round_trip(self, running: Running) -> None:
        """The Host sees imm and gprs; the structure gets enter.gprs; X0 is RSI_SUCCESS."""
        setup = f"{load('x20', CALL)}; mov w2, #77; strh w2, [x20]"
        again = f"ldr x5, [x20, #8]; ldr x6, [x20, #{8 + 30 * 8}]; {REPORT}"
        realm = running(f"{setup}; mov x3, #5; {REPORT}; {again}")
        first = realm.enter()
        assert (first.imm, first.gprs[3], first.gprs[2]) == (77, 5, 77)
        second = realm.enter(gprs=(11, *range(100, 129), 13))
        assert (second.gprs[0], second.gprs[5], second.gprs[6]) == (0, 11, 13)

    def test_registers_survive(self, running: Running) -> None:
        """Every general register but X0 is as it was."""
        values = "; ".join(load(f"x{n}", 0x1000 + n) for n in range(2, 31) if n not in (20,))
        check = "; ".join(f"{load('x0', 0x1000 + n)}; cmp x0, x{n}; csinc x19, x19, x19, eq" for n in range(21, 31))
        realm = running(f"{values}; mov x19, #0; {REPORT}; {check}; mov x3, x19; {REPORT}")
        realm.enter()
        assert reported(realm.enter())[3] == 0

    def test_only_the_reason_is_given(self, running: Running, host: Any) -> None:
        """Bytes that the exit reason does not name are zero, whatever the Host left there."""
        realm = running(f"mov x3, #5; {REPORT}")
        host.memory.write(realm.prepare() + 0x800, b"\xff" * 0x800)
        run = realm.runs[0]
        host.ok(Rmi.REC_ENTER, realm.recs[0], run)
        record = RmiRecExit.unpack(host.memory.read(run + 0x800, 0x800))
        names = ("exit_reason", "gprs", "imm", "cntp_ctl", "cntp_cval", "cntv_ctl", "cntv_cval", "gicv3_vmcr")
        expected = RmiRecExit.pack(**{name: getattr(record, name) for name in names})
        assert host.memory.read(run + 0x800, 0x800) == expected

    def test_unmapped_at_completion(self, running: Running, host: Any) -> None:
        """The entry returns a stage 2 Data Abort, the Realm does not run, and the call stays pending."""
        realm = running(f"{REPORT}; mov x3, #9; {REPORT}")
        realm.enter()
        host.ok(Rmi.DATA_DESTROY, realm.rd, CALL)
        del realm.data[CALL]
        for _ in range(2):
            exit = realm.enter()
            assert exit.exit_reason == RecExitReason.SYNC
            assert (exit.esr, exit.far, exit.hpfar) == (0x24 << 26 | 0x07, 0, CALL >> 8)


    def test_empty_at_completion(self, running: Running, host: Any) -> None:
        """The call completes, and what the Host answers goes nowhere: memory that is EMPTY takes nothing."""
        realm = running(f"{REPORT}; {smc(0x8400_0008)}")
        realm.enter()
        found = rtt.walk(host.rmm.port, REALM.load(host.rmm.port, realm.rd), CALL, 3)
        host.rmm.port.write64(found.pa, rtte.unassigned(RmiRipas.EMPTY))
        before = host.peek.read(realm.data[CALL], PAGE)
        assert realm.enter(gprs=(0x5EC2E7,) * 31).exit_reason == RecExitReason.PSCI
        assert host.peek.read(realm.data[CALL], PAGE) == before


class TestRsi:
    """Services that are answered without the Host."""

    @pytest.mark.parametrize(
        ("call", "expected"),
        [
            ((Rsi.VERSION, ABI_VERSION), (0, ABI_VERSION, ABI_VERSION, 0)),
            ((Rsi.VERSION, 0x2_0000), (RsiStatus.ERROR_INPUT, ABI_VERSION, ABI_VERSION, 0)),
            ((Rsi.FEATURES, 0), (0, 0, 0, 0)),
            ((Rsi.REALM_CONFIG, BUFFER + 8), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.REALM_CONFIG, UNPROTECTED), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.REALM_CONFIG, RAM + 9 * PAGE), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.MEASUREMENT_READ, 5), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.MEASUREMENT_EXTEND, 0, 8), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.MEASUREMENT_EXTEND, 1, 65), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.IPA_STATE_GET, RAM, RAM + 8 * PAGE), (0, RAM + 3 * PAGE, RmiRipas.RAM, 0)),
            ((Rsi.IPA_STATE_GET, RAM + 3 * PAGE, RAM + 8 * PAGE), (0, RAM + 8 * PAGE, RmiRipas.EMPTY, 0)),
            ((Rsi.IPA_STATE_GET, RAM, RAM), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.IPA_STATE_GET, RAM, UNPROTECTED + PAGE), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.IPA_STATE_SET, RAM, RAM + PAGE, RmiRipas.DESTROYED), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((Rsi.HOST_CALL, CALL + 8), (RsiStatus.ERROR_INPUT, 0, 0, 0)),
            ((0x8000_0000,), (0x10002, 0, 0, 0)),
            ((0x8000_0001, 0x8000_0000), (NOT_SUPPORTED, 0, 0, 0)),
            ((0x8400_0000,), (0x10001, 0, 0, 0)),
            ((0x8400_000A, 0x8000_0000), (0, 0, 0, 0)),
            ((0x8400_000A, 0x8400_0008), (0, 0, 0, 0)),
            ((0x8400_000A, 0xDEAD_BEEF_8400_0008), (0, 0, 0, 0)),  # SMC32 takes the low half of its arguments
            ((0xC400_0004, 0xDEAD_BEEF_0000_0000, 0), (-2 & ONES, 0, 0, 0)),  # SMC64 takes all of them
            ((0x8400_0004, 0xDEAD_BEEF_0000_0000, 0xDEAD_BEEF_0000_0000), (0, 0, 0, 0)),
            ((0x8400_000A, 0x8400_0000), (NOT_SUPPORTED, 0, 0, 0)),
            ((0x8400_0005,), (NOT_SUPPORTED, 0, 0, 0)),
            ((0xC400_0003, 0, RAM, 0), (-4 & ONES, 0, 0, 0)),
            ((0xC400_0003, 1, RAM, 0), (-2 & ONES, 0, 0, 0)),
            ((0xC400_0003, 0, UNPROTECTED, 0), (-9 & ONES, 0, 0, 0)),
            ((0xC400_0004, 0, 1), (-2 & ONES, 0, 0, 0)),
            ((0xC400_0004, 0, 0), (0, 0, 0, 0)),
            ((Rmi.VERSION, ABI_VERSION), (NOT_SUPPORTED, 0, 0, 0)),
            ((Rsi.VERSION | 1 << 16, ABI_VERSION), (0, ABI_VERSION, ABI_VERSION, 0)),
        ],
        ids=lambda value: f"{value[0]:x}-{value[1] if len(value) > 1 else 0:x}",
    )
    def test_answer(self, running: Running, call: tuple[int, ...], expected: tuple[int, ...]) -> None:
        """X0..X3; X4 and the rest are preserved."""
        realm = running(f"{load('x4', 0x44)}; {smc(*call)}; {REPORT}")
        got = reported(realm.enter())
        assert got[:4] == expected
        assert len(call) > 4 or got[4] == 0x44

    def test_realm_config(self, running: Running, host: Any) -> None:
        """Width, hash and RPV in the Realm's own page, all else zero."""
        realm = running(f"{smc(Rsi.REALM_CONFIG, BUFFER)}; {REPORT}")
        assert reported(realm.enter())[0] == 0
        assert host.peek.read(realm.data[BUFFER], PAGE) == RsiRealmConfig.pack(ipa_width=33, hash_algo=0)

    def test_measurements(self, running: Running) -> None:
        """The Realm reads its RIM; a REM is the hash of the old one and the value."""
        value = struct.unpack("<Q", b"12345678")[0]
        extend = smc(Rsi.MEASUREMENT_EXTEND, 2, 8, value)
        realm = running(f"{smc(Rsi.MEASUREMENT_READ, 0)}; {REPORT}; {extend}; {smc(Rsi.MEASUREMENT_READ, 2)}; {REPORT}")
        assert struct.pack("<8Q", *reported(realm.enter())[1:9]) == realm.rim
        rem = hashlib.sha256(bytes(32) + b"12345678").digest()
        assert struct.pack("<8Q", *reported(realm.enter())[1:9]) == rem.ljust(64, b"\0")

    def test_walk_fault(self, running: Running, host: Any) -> None:
        """A buffer that is RAM but not there exits; once the Host has put a page there the SMC is executed again."""
        realm = running(f"{smc(Rsi.REALM_CONFIG, BUFFER)}; {REPORT}")
        host.ok(Rmi.DATA_DESTROY, realm.rd, BUFFER)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.hpfar) == (RecExitReason.SYNC, 0x24 << 26 | 7, BUFFER >> 8)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.hpfar) == (RecExitReason.SYNC, 0x24 << 26 | 7, BUFFER >> 8)


class TestRipasChange:
    """RSI_IPA_STATE_SET."""

    @pytest.mark.parametrize(
        ("ripas", "flags", "done", "response"),
        [
            (RmiRipas.RAM, 0, 2, 0),
            (RmiRipas.RAM, 0, 1, 0),
            (RmiRipas.RAM, 1, 1, 1),
            (RmiRipas.RAM, 1, 2, 0),
            (RmiRipas.EMPTY, 1, 0, 0),
        ],
    )
    def test_flow(self, running: Running, host: Any, ripas: int, flags: int, done: int, response: int) -> None:
        """The exit names the range; the Realm learns how far the Host got; REJECT counts only for unfinished RAM."""
        base, top = RAM + 4 * PAGE, RAM + 6 * PAGE
        realm = running(f"{smc(Rsi.IPA_STATE_SET, base, top, ripas, 0)}; {REPORT}")
        exit = realm.enter()
        assert exit.exit_reason == RecExitReason.RIPAS_CHANGE
        assert (exit.ripas_base, exit.ripas_top, exit.ripas_value) == (base, top, ripas)
        if done:
            host.ok(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], base, base + done * PAGE)
        got = reported(realm.enter(flags=RecEnterFlags.make(ripas_response=flags)))
        assert got[:4] == (0, base + done * PAGE, response, 0)
        late = host.status(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], base, top)
        assert late == (RmiStatus.ERROR_INPUT, 0)


class TestPsci:
    """Calls that involve the Host."""

    def test_system_off(self, running: Running, host: Any) -> None:
        """The Realm is over: the REC cannot be entered, and the Realm can be destroyed."""
        realm = running(smc(0x8400_0008))
        exit = realm.enter()
        assert (exit.exit_reason, exit.gprs[0]) == (RecExitReason.PSCI, 0x8400_0008)
        refused = host.status(Rmi.REC_ENTER, realm.recs[0], realm.runs[0])
        assert refused == (RmiStatus.ERROR_REALM, 1)
        realm.destroy()

    @pytest.mark.parametrize(("status", "answer"), [(0, 0), (-3, -3 & ONES)])
    def test_cpu_on(self, host: Any, realm: Any, assemble: Any, status: int, answer: int) -> None:
        """The caller gets the Host's answer; granted, the target starts at the entry with the context id."""
        entry = RAM + 0x400
        target = f"mov x3, x0; mrs x4, mpidr_el1; {REPORT}"
        realm.write(RAM, assemble(f"{smc(0xC400_0003, 1, entry, 0x77)}; {REPORT} @0x400: {target}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.rec(flags=0)
        realm.activate()
        exit = realm.enter()
        assert (exit.exit_reason, exit.gprs[0], exit.gprs[1]) == (RecExitReason.PSCI, 0xC400_0003, 1)
        assert host.status(Rmi.REC_ENTER, realm.recs[0], realm.runs[0]) == (RmiStatus.ERROR_REC, 0)
        host.ok(Rmi.PSCI_COMPLETE, *realm.recs, status)
        assert reported(realm.enter())[:4] == (answer, 0, 0, 0)
        if status:
            assert host.status(Rmi.REC_ENTER, realm.recs[1], realm.runs[1]) == (RmiStatus.ERROR_REC, 0)
        else:
            got = reported(realm.enter(1))
            assert (got[3], got[4]) == (0x77, 0x8000_0001)

    def test_cpu_off(self, running: Running, host: Any) -> None:
        """The REC cannot be entered any more."""
        realm = running(smc(0x8400_0002))
        assert realm.enter().gprs[0] == 0x8400_0002
        assert host.status(Rmi.REC_ENTER, realm.recs[0], realm.runs[0]) == (RmiStatus.ERROR_REC, 0)

    def test_cpu_suspend(self, running: Running) -> None:
        """The Realm goes on after the call at the next entry."""
        realm = running(f"{smc(0xC400_0001, 0, 0, 0)}; {REPORT}")
        assert realm.enter().gprs[0] == 0xC400_0001
        assert reported(realm.enter())[0] == 0
