"""Realms that run: RMI_REC_ENTER, exits, RSI and PSCI, seen by the Host and by real Realm code."""

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from realm_code import CALL, REPORT, VECTORS, load, reported, smc, with_vectors

from cca_arch.descriptors.rtte import HOST_NORMAL
from cca_arch.rmi.v1_0 import ABI_VERSION, RecEnterFlags, RecExitReason, Rmi, RmiRecExit, RmiRipas, RmiStatus
from cca_arch.rsi.v1_0 import Rsi, RsiRealmConfig, RsiStatus
from cca_arch.smccc import NOT_SUPPORTED

RAM, PAGE = 0x8000_0000, 0x1000
BUFFER = RAM + 2 * PAGE
UNPROTECTED = 0x1_0000_0000
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


class TestAborts:
    """Accesses of a Realm by the state of the IPA."""

    def test_unassigned_ram(self, running: Running, host: Any) -> None:
        """Exit SYNC without FAR and ISV; with a page there the access is done, on zeroes."""
        target = RAM + 8 * PAGE
        change = smc(Rsi.IPA_STATE_SET, target, target + PAGE, RmiRipas.RAM, 0)
        realm = running(f"{change}; {load('x9', target)}; ldr x3, [x9, #16]; {REPORT}")
        realm.enter()
        host.ok(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], target, target + PAGE)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.far, exit.hpfar) == (0, 0x24 << 26 | 7, 0, target >> 8)
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), target)
        assert reported(realm.enter())[3] == 0

    @pytest.mark.parametrize("width", ["ldrb w3", "ldrh w3", "ldr w3", "ldr x3", "ldrsb x3", "ldrsh w3"])
    def test_mmio_read(self, running: Running, width: str) -> None:
        """Emulatable: syndrome, low FAR bits and IPA to the Host; its value to the register, extended."""
        realm = running(f"{load('x9', UNPROTECTED + 0x10)}; {width}, [x9]; {REPORT}")
        exit = realm.enter()
        assert exit.exit_reason == RecExitReason.SYNC
        assert exit.esr >> 26 == 0x24 and exit.esr >> 24 & 1 and not exit.esr & ~0xFDC0_9E7F
        assert (exit.far, exit.hpfar, exit.gprs[0]) == (0x10, UNPROTECTED >> 8, 0)
        value = 0x8182_8384_8586_8788
        got = reported(realm.enter(flags=RecEnterFlags.make(emul_mmio=1), gprs=(value,)))[3]
        expected = {
            "ldrb w3": 0x88,
            "ldrh w3": 0x8788,
            "ldr w3": 0x8586_8788,
            "ldr x3": value,
            "ldrsb x3": 0xFFFF_FFFF_FFFF_FF88,
            "ldrsh w3": 0xFFFF_8788,
        }
        assert got == expected[width]

    def test_mmio_write(self, running: Running) -> None:
        """The value is in gprs[0], cut to the access size."""
        realm = running(f"{load('x9', UNPROTECTED + 4)}; {load('x3', 0x1234_5678)}; strh w3, [x9]; {REPORT}")
        exit = realm.enter()
        assert (exit.gprs[0], exit.esr >> 6 & 1, exit.far) == (0x5678, 1, 4)
        assert reported(realm.enter(flags=RecEnterFlags.make(emul_mmio=1)))[3] == 0x1234_5678

    def test_host_maps_instead(self, running: Running, host: Any) -> None:
        """Entered without flags the access is executed again, now on the Host's page."""
        realm = running(f"{load('x9', UNPROTECTED)}; ldr x3, [x9]; {REPORT}")
        realm.enter()
        realm.table(UNPROTECTED, 3)
        page = host.page(b"\x42" + bytes(7))
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, page | HOST_NORMAL)
        assert reported(realm.enter())[3] == 0x42

    def test_unmap_takes_effect(self, running: Running, host: Any) -> None:
        """After UNMAP the next access exits, whatever the TLB held."""
        access = f"{load('x9', UNPROTECTED)}; ldr x3, [x9]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}")
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page(b"\x42") | HOST_NORMAL)
        assert reported(realm.enter())[3] == 0x42
        host.ok(Rmi.RTT_UNMAP_UNPROTECTED, realm.rd, UNPROTECTED, 3)
        assert realm.enter().exit_reason == RecExitReason.SYNC

    def test_destroyed(self, running: Running, host: Any) -> None:
        """A page that the Host took away exits with a Data Abort that cannot be emulated."""
        access = f"{load('x9', BUFFER)}; ldr x3, [x9, #8]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}")
        realm.enter()
        host.ok(Rmi.DATA_DESTROY, realm.rd, BUFFER)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.far, exit.hpfar) == (0, 0x24 << 26 | 7, 0, BUFFER >> 8)
        refused = host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=RecEnterFlags.make(emul_mmio=1)))
        assert refused == (RmiStatus.ERROR_REC, 0)

    def test_empty(self, running: Running) -> None:
        """RIPAS EMPTY: a synchronous external abort to the Realm, no exit."""
        target = RAM + 9 * PAGE + 8
        realm = running(with_vectors(f"{load('x9', target)}; ldr x3, [x9]"))
        esr, far, _, spsr, vector = reported(realm.enter())[:5]
        assert (esr >> 26, esr & 0x3F, esr >> 9 & 1, far, vector) == (0x25, 0x10, 1, target, 0x200)
        assert spsr & 0xF == 5

    def test_inject_sea(self, running: Running) -> None:
        """The Host answers an access at an Unprotected IPA with an external abort; the access is not completed."""
        realm = running(with_vectors(f"{load('x9', UNPROTECTED + 0x123)}; ldrb w3, [x9]"))
        realm.enter()
        flags = RecEnterFlags.make(inject_sea=1, emul_mmio=1)
        esr, far, _, _, vector = reported(realm.enter(flags=flags))[:5]
        assert (esr >> 26, esr & 0x3F, far, vector) == (0x25, 0x10, UNPROTECTED + 0x123, 0x200)

    def test_execute_unprotected(self, running: Running, host: Any) -> None:
        """An instruction fetch from Non-secure memory is an external abort, mapped or not."""
        realm = running(with_vectors(f"{load('x9', UNPROTECTED)}; br x9"))
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page() | HOST_NORMAL)
        esr, far, elr = reported(realm.enter())[:3]
        assert (esr >> 26, esr & 0x3F, far, elr) == (0x21, 0x10, UNPROTECTED, UNPROTECTED)

    def test_hvc(self, running: Running) -> None:
        """HVC is Undefined, and ELR is the HVC itself."""
        realm = running(with_vectors("hvc #0"))
        esr, _, elr, _, vector = reported(realm.enter())[:5]
        assert (esr, vector) == (0x0200_0000, 0x200)
        assert elr % 4 == 0 and RAM < elr < VECTORS


class TestTlb:
    """What the RMM takes away is gone from the TLB too."""

    def test_ripas_empty(self, running: Running, host: Any) -> None:
        """A page that has become EMPTY is not reached any more, although it is still assigned."""
        access = f"{load('x9', BUFFER)}; ldr x3, [x9]"
        change = smc(Rsi.IPA_STATE_SET, BUFFER, BUFFER + PAGE, RmiRipas.EMPTY, 0)
        realm = running(with_vectors(f"{access}; {change}; {access}"))
        assert realm.enter().exit_reason == RecExitReason.RIPAS_CHANGE
        host.ok(Rmi.RTT_SET_RIPAS, realm.rd, realm.recs[0], BUFFER, BUFFER + PAGE)
        esr, far = reported(realm.enter())[:2]
        assert (esr & 0x3F, far) == (0x10, BUFFER)

    def test_table_destroyed(self, running: Running, host: Any) -> None:
        """With the table of an Unprotected mapping the mapping goes."""
        access = f"{load('x9', UNPROTECTED)}; ldr x3, [x9]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}")
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page(b"\x42") | HOST_NORMAL)
        assert reported(realm.enter())[3] == 0x42
        host.ok(Rmi.RTT_DESTROY, realm.rd, UNPROTECTED, 3)
        assert realm.enter().exit_reason == RecExitReason.SYNC

    def test_block_and_back(self, running: Running, host: Any) -> None:
        """Folding a table of pages into a block and unfolding it keeps every page where it was."""
        base, last = RAM + 0x20_0000, RAM + 0x3F_F000
        access = f"{load('x9', last)}; ldr x3, [x9]"
        realm = running(f"{access}; {REPORT}; {access}; {REPORT}; {access}; {REPORT}", block=base)
        table = 0
        for change in (None, Rmi.RTT_FOLD, Rmi.RTT_CREATE):
            if change == Rmi.RTT_FOLD:
                table = host.ok(Rmi.RTT_FOLD, realm.rd, base, 3)[0]
            elif change == Rmi.RTT_CREATE:
                host.ok(Rmi.RTT_CREATE, realm.rd, table, base, 3)
            assert reported(realm.enter())[3] == 0x55AA

    def test_vmid_used_again(self, running: Running, host: Any) -> None:
        """A new Realm under the VMID of a dead one sees its own memory."""
        source = f"{load('x9', BUFFER)}; ldr x3, [x9]; {REPORT}; {smc(0x8400_0008)}"
        for value in (1, 2):
            host._vmid = 0
            realm = running(source)
            host.peek.write64(realm.data[BUFFER], value)
            assert reported(realm.enter())[3] == value
            realm.destroy()


class TestOtherExits:
    """WFI and WFE, interrupts, SGIs."""

    def test_wfi(self, running: Running) -> None:
        """Trapped when the Host asks for it; the instruction is done and gprs are ignored."""
        realm = running(f"mov x3, #7; wfi; {REPORT}")
        exit = realm.enter(flags=RecEnterFlags.make(trap_wfi=1))
        assert (exit.exit_reason, exit.esr) == (RecExitReason.SYNC, 1 << 26)
        assert reported(realm.enter(gprs=(99,) * 31))[3] == 7

    def test_wfe(self, running: Running) -> None:
        """A PE whose event register is set does not wait, and WFE is then not trapped (DDI 0487, HCR_EL2.TWE)."""
        realm = running(f"mov x3, #7; wfe; {REPORT}")
        assert reported(realm.enter(flags=RecEnterFlags.make(trap_wfe=1)))[3] == 7

    def test_irq(self, running: Running, host: Any) -> None:
        """The Host's timer ends the run; the Realm goes on where it was."""
        realm = running(f"mov x3, #0; mov x5, #4000; again: add x3, x3, #1; cmp x3, x5; b.ne again; {REPORT}")
        host.pe.host_timer(host.machine.clock.now + 1000)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr) == (RecExitReason.IRQ, 0)
        host.pe.host_timer(None)
        assert reported(realm.enter())[3] == 4000


class TestTimers:
    """EL1 timers of the Realm."""

    @pytest.mark.parametrize("timer", ["cntv", "cntp"])
    def test_fires(self, running: Running, timer: str) -> None:
        """Exit IRQ with ENABLE and ISTATUS; then the Host knows, and the Realm runs on."""
        wait = "again: add x3, x3, #1; cmp x3, x5; b.ne again"
        arm = f"mov x3, #500; msr {timer}_tval_el0, x3; mov x3, #1; msr {timer}_ctl_el0, x3"
        realm = running(f"{arm}; mov x3, #0; mov x5, #4000; {wait}; {REPORT}")
        exit = realm.enter()
        other = "cntp" if timer == "cntv" else "cntv"
        assert (exit.exit_reason, exit.esr) == (RecExitReason.IRQ, 0)
        assert (getattr(exit, f"{timer}_ctl"), getattr(exit, f"{other}_ctl")) == (5, 0)
        exit = realm.enter()
        assert reported(exit)[3] == 4000
        assert getattr(exit, f"{timer}_ctl") == 5

    def test_masked(self, running: Running) -> None:
        """A timer that the Realm masks interrupts nobody; the exit shows IMASK."""
        arm = "mov x3, #5; msr cntv_tval_el0, x3; mov x3, #3; msr cntv_ctl_el0, x3"
        realm = running(f"{arm}; mov x3, #0; mov x5, #400; again: add x3, x3, #1; cmp x3, x5; b.ne again; {REPORT}")
        exit = realm.enter()
        assert (reported(exit)[3], exit.cntv_ctl) == (400, 7)


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
