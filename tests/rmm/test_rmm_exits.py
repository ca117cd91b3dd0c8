"""REC entry and exit to the letter: every byte of run.exit, emulated accesses, injected aborts, GIC and timer state."""

from collections.abc import Callable
from typing import Any

import pytest
from realm_code import CALL, REPORT, load, reported, smc, with_vectors

from cca_arch.descriptors.rtte import Rtte
from cca_arch.rmi.v1_0 import RecEnterFlags, RecExitReason, Rmi, RmiRecExit, RmiRipas, RmiStatus
from cca_arch.rsi.v1_0 import Rsi
from cca_arch.sysregs.encodings import Encoding
from cca_platform.gic.virtual import VMCR_RESET

RAM, PAGE = 0x8000_0000, 0x1000
UNPROTECTED = 0x1_0000_0000
READ_ONLY = int(Rtte.make(host_memattr=6, readable=1))
ONES = (1 << 64) - 1
MMIO, SEA = RecEnterFlags.make(emul_mmio=1), RecEnterFlags.make(inject_sea=1)
BOTH = RecEnterFlags.make(emul_mmio=1, inject_sea=1)
SECRETS = "; ".join(load(f"x{number}", 0x5EC2_E700 + number) for number in range(10, 20))
Running = Callable[..., Any]
DATA, FETCH = 0x24 << 26, 0x20 << 26
ISV = 1 << 24


def whole(host: Any, realm: Any, **enter: Any) -> bytes:
    """run.exit as bytes, where everything was 0xFF before."""
    run = realm.prepare(**enter)
    host.memory.write(run + 0x800, b"\xff" * 0x800)
    host.ok(Rmi.REC_ENTER, realm.recs[0], run)
    return bytes(host.memory.read(run + 0x800, 0x800))


def record(**members: Any) -> bytes:
    """run.exit with these members, a virtual CPU interface as after reset, and zero everywhere else."""
    members.setdefault("gicv3_vmcr", VMCR_RESET)
    members["gprs"] = (*members.get("gprs", ()), *(0,) * 31)[:31]
    return bytes(RmiRecExit.pack(**members))


def at(ipa: int, instruction: str) -> str:
    """An access at ``ipa`` with X3 = 0x1122334455667788 and other registers full of what the Host must not see."""
    return f"{SECRETS}; {load('x3', 0x1122_3344_5566_7788)}; {load('x9', ipa)}; {instruction}"


HPFAR = UNPROTECTED >> 8
MISSING = RAM + 9 * PAGE  # made RAM by the test, and nobody puts a page there
EXITS: dict[str, tuple[str, dict[str, Any]]] = {
    "data-protected-read": (at(MISSING + 0x128, "ldr x3, [x9]"), {"esr": DATA | 7, "hpfar": MISSING >> 8}),
    "data-protected-write": (at(MISSING + 0x128, "str x3, [x9]"), {"esr": DATA | 7, "hpfar": MISSING >> 8}),
    "data-protected-pair": (at(MISSING + 0x128, "stp x3, x4, [x9]"), {"esr": DATA | 7, "hpfar": MISSING >> 8}),
    "fetch-protected": (at(MISSING + 0x20, "br x9"), {"esr": FETCH | 7, "hpfar": MISSING >> 8}),
    "emulatable-read": (
        at(UNPROTECTED + 0x128, "ldr w3, [x9]"), {"esr": DATA | ISV | 2 << 22 | 6, "far": 0x128, "hpfar": HPFAR},
    ),
    "emulatable-read-64": (
        at(UNPROTECTED + 0x128, "ldr x3, [x9]"),
        {"esr": DATA | ISV | 3 << 22 | 1 << 15 | 6, "far": 0x128, "hpfar": HPFAR},
    ),
    "emulatable-write": (
        at(UNPROTECTED + 0x129, "strb w3, [x9]"),
        {"esr": DATA | ISV | 1 << 6 | 6, "far": 0x129, "hpfar": HPFAR, "gprs": (0x88,)},
    ),
    "unprotected-pair-write": (at(UNPROTECTED + 0x128, "stp x3, x4, [x9]"), {"esr": DATA | 6, "hpfar": HPFAR}),
    "unprotected-pair-read": (at(UNPROTECTED + 0x128, "ldp x3, x4, [x9]"), {"esr": DATA | 6, "hpfar": HPFAR}),
    "unprotected-writeback": (at(UNPROTECTED + 0x128, "ldr x3, [x9], #8"), {"esr": DATA | 6, "hpfar": HPFAR}),
    "wfi": (f"{SECRETS}; wfi", {"esr": 1 << 26}),
    "psci": (f"{SECRETS}; {smc(0xC400_0001, 5, 6, 7)}", {"exit_reason": 3, "gprs": (0xC400_0001,)}),
    "cpu-off": (f"{SECRETS}; {smc(0x8400_0002)}", {"exit_reason": 3, "gprs": (0x8400_0002,)}),
    "ripas": (
        f"{SECRETS}; {smc(Rsi.IPA_STATE_SET, MISSING, MISSING + PAGE, RmiRipas.EMPTY, 1)}",
        {"exit_reason": 4, "ripas_base": MISSING, "ripas_top": MISSING + PAGE, "ripas_value": 0},
    ),
    "walk-fault": (
        f"{SECRETS}; {smc(Rsi.HOST_CALL, MISSING + 0x300)}", {"esr": DATA | 7, "hpfar": MISSING >> 8},
    ),
    "sgi": (f"{SECRETS}; msr S3_0_C12_C11_5, x12", {"gprs": (0x5EC2_E70C,)}),
}  # fmt: skip


class TestSanitised:
    """What an exit does not name is zero, byte by byte, whatever was there and whatever the Realm's registers hold."""

    @pytest.mark.parametrize("name", sorted(EXITS))
    def test_record(self, host: Any, realm: Any, assemble: Any, name: str) -> None:
        """The whole of run.exit."""
        source, members = EXITS[name]
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, MISSING, MISSING + PAGE)
        realm.write(RAM, assemble(source))
        realm.rec()
        realm.activate()
        got = whole(host, realm, flags=RecEnterFlags.make(trap_wfi=1))
        if name == "sgi":  # all of the syndrome but Rt
            esr = RmiRecExit.unpack(got).esr
            assert (esr >> 26, esr >> 5 & 31) == (0x18, 0)
            members = {**members, "esr": esr}
        assert got == record(**members)

    def test_permission(self, running: Running, host: Any) -> None:
        """A write that S2AP refuses is emulatable, with a permission fault."""
        realm = running(at(UNPROTECTED, "str w3, [x9]"))
        realm.table(UNPROTECTED, 3)
        host.ok(Rmi.RTT_MAP_UNPROTECTED, realm.rd, UNPROTECTED, 3, host.page() | READ_ONLY)
        esr = DATA | ISV | 2 << 22 | 1 << 6 | 0x0F
        assert whole(host, realm) == record(esr=esr, hpfar=HPFAR, gprs=(0x5566_7788,))

    def test_irq(self, running: Running, host: Any) -> None:
        """An interrupt tells nothing."""
        realm = running(f"{SECRETS}; again: b again")
        host.pe.host_timer(host.machine.clock.now + 1000)
        got = whole(host, realm)
        host.pe.host_timer(None)
        assert got == record(exit_reason=1)

    def test_both_halves(self, host: Any, realm: Any, assemble: Any) -> None:
        """An access across the last Protected page: each page is judged alone."""
        last = UNPROTECTED - PAGE
        realm.table(UNPROTECTED - 0x20_0000, 3)
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, last, UNPROTECTED)
        realm.write(RAM, assemble(at(UNPROTECTED - 4, "ldr x3, [x9]")))
        realm.rec()
        realm.activate()
        assert whole(host, realm) == record(esr=DATA | 7, hpfar=last >> 8)
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), last)
        exit = realm.enter()
        assert (exit.exit_reason, exit.hpfar, exit.far) == (0, HPFAR, 0)
        assert exit.esr & (0x3F << 26 | ISV) == DATA | ISV

    def test_registers_of_a_new_rec(self, running: Running) -> None:
        """X0..X7 as given, all others zero, EL1h with DAIF masked, MMU and caches off, MPIDR with its RES1 bit."""
        given = tuple(0x1000 + number for number in range(8))
        store = "; ".join(f"str x{number}, [x30, #{8 + 8 * number}]" for number in range(30))
        call = f"{load('x0', Rsi.HOST_CALL)}; mov x1, x30; smc #0"
        system = "mrs x0, daif; mrs x1, currentel; mrs x2, sctlr_el1; mrs x3, mpidr_el1; mrs x4, spsel"
        realm = running(f"{load('x30', CALL)}; {store}; {call}; {system}; {REPORT}", gprs=given)
        assert tuple(realm.enter().gprs[:30]) == given + (0,) * 22
        daif, el, sctlr, mpidr, spsel = reported(realm.enter())[:5]
        assert (daif, el, sctlr & 0x1005, mpidr, spsel) == (0x3C0, 4, 0, 1 << 31, 1)


VALUE = 0x8182_8384_8586_8788
LOADS = {
    "ldrb w3": (1, 0, VALUE & 0xFF), "ldrh w3": (2, 0, VALUE & 0xFFFF), "ldr w3": (4, 0, VALUE & 0xFFFF_FFFF),
    "ldr x3": (8, 1, VALUE), "ldrsb w3": (1, 0, 0xFFFF_FF88), "ldrsb x3": (1, 1, 0xFFFF_FFFF_FFFF_FF88),
    "ldrsh w3": (2, 0, 0xFFFF_8788), "ldrsh x3": (2, 1, 0xFFFF_FFFF_FFFF_8788),
    "ldrsw x3": (4, 1, 0xFFFF_FFFF_8586_8788), "ldar w3": (4, 0, VALUE & 0xFFFF_FFFF), "ldarb w3": (1, 0, 0x88),
    "ldrb wzr": (1, 0, None), "ldr xzr": (8, 1, None), "ldrsw xzr": (4, 1, None),
}  # fmt: skip
STORES = {
    "strb w3": 0x88, "strh w3": 0x7788, "str w3": 0x5566_7788, "str x3": 0x1122_3344_5566_7788, "stlr w3": 0x5566_7788,
    "strb wzr": 0, "str xzr": 0,
}  # fmt: skip


class TestEmulated:
    """Emulatable Data Aborts, there and back."""

    @pytest.mark.parametrize("instruction", sorted(LOADS))
    def test_load(self, running: Running, instruction: str) -> None:
        """SAS and SF say what was asked; the register gets gprs[0] cut and extended; the others keep what they had."""
        size, sf, value = LOADS[instruction]
        source = at(UNPROTECTED + 0x40, f"{instruction}, [x9]")
        realm = running(f"{source}; mov x5, x9; mov x6, x10; {REPORT}")
        exit = realm.enter()
        assert (exit.esr >> 22 & 3, exit.esr >> 15 & 1, exit.esr >> 24 & 1) == (size.bit_length() - 1, sf, 1)
        assert exit.esr & (1 << 21 | 31 << 16 | 1 << 14 | 1 << 6) == 0  # SSE, SRT, AR, WnR
        got = reported(realm.enter(flags=MMIO, gprs=(VALUE, *(0xBAD,) * 30)))
        assert got[3] == (0x1122_3344_5566_7788 if value is None else value)
        assert got[5:7] == (UNPROTECTED + 0x40, 0x5EC2_E70A)

    @pytest.mark.parametrize("instruction", sorted(STORES))
    def test_store(self, running: Running, instruction: str) -> None:
        """gprs[0] is Rt cut to the size; the instruction is done, whatever the Host gives."""
        realm = running(f"{at(UNPROTECTED + 0x40, f'{instruction}, [x9]')}; {REPORT}")
        exit = realm.enter()
        assert (exit.gprs[0], exit.esr >> 6 & 1) == (STORES[instruction], 1)
        assert not any(exit.gprs[1:])
        assert reported(realm.enter(flags=MMIO, gprs=(0xBAD,) * 31))[3] == 0x1122_3344_5566_7788

    def test_once(self, running: Running) -> None:
        """The exit that was answered cannot be answered again."""
        realm = running(f"{at(UNPROTECTED, 'ldr w3, [x9]')}; {REPORT}")
        realm.enter()
        reported(realm.enter(flags=MMIO))
        refused = realm.host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO))
        assert refused == (RmiStatus.ERROR_REC, 0)

    def test_repeated(self, running: Running) -> None:
        """Entered without flags, the access exits again, and can still be emulated."""
        realm = running(f"{at(UNPROTECTED, 'ldr w3, [x9]')}; {REPORT}")
        first = realm.enter()
        second = realm.enter()
        assert (first.esr, first.hpfar) == (second.esr, second.hpfar)
        assert reported(realm.enter(flags=MMIO, gprs=(7,)))[3] == 7

    def test_failed_entry_keeps_it(self, running: Running) -> None:
        """A refused entry does not use the abort up."""
        realm = running(f"{at(UNPROTECTED, 'ldr w3, [x9]')}; {REPORT}")
        realm.enter()
        refused = realm.host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO, gicv3_hcr=1))
        assert refused == (RmiStatus.ERROR_REC, 0)
        assert reported(realm.enter(flags=MMIO, gprs=(7,)))[3] == 7

    def test_not_emulatable(self, running: Running) -> None:
        """A pair has no syndrome: emul_mmio is RMI_ERROR_REC."""
        realm = running(at(UNPROTECTED, "ldp x3, x4, [x9]"))
        realm.enter()
        refused = realm.host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO))
        assert refused == (RmiStatus.ERROR_REC, 0)

    def test_protected_mapped_meanwhile(self, host: Any, realm: Any, assemble: Any) -> None:
        """After an abort at a Protected IPA emul_mmio is refused, also when the page is there by now."""
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, MISSING, MISSING + PAGE)
        realm.write(RAM, assemble(f"{at(MISSING, 'ldr w3, [x9]')}; {REPORT}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.activate()
        realm.enter()
        host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), MISSING)
        assert host.status(Rmi.REC_ENTER, realm.recs[0], realm.prepare(flags=MMIO)) == (RmiStatus.ERROR_REC, 0)
        assert reported(realm.enter())[3] == 0


class TestInjected:
    """Synchronous external aborts that the Host asks for."""

    @pytest.mark.parametrize("flags", [SEA, BOTH])
    @pytest.mark.parametrize("instruction", ["ldr w3, [x9]", "str w3, [x9]", "ldp x3, x4, [x9]", "ldrsb x3, [x9], #1"])
    def test_sea(self, running: Running, instruction: str, flags: int) -> None:
        """With and without a syndrome; the SEA wins over emul_mmio; FAR is whole; the access is not done."""
        realm = running(with_vectors(f"{load('x9', UNPROTECTED + 0xABC)}; {instruction}"))
        realm.enter()
        esr, far, elr, spsr, vector = reported(realm.enter(flags=flags, gprs=(ONES,)))[:5]
        assert (esr >> 26, esr & 0x3F, esr >> 9 & 1, esr >> 10 & 1, esr >> 7 & 1) == (0x25, 0x10, 1, 0, 0)
        assert (far, vector, spsr & 0xF) == (UNPROTECTED + 0xABC, 0x200, 5)
        assert RAM < elr < RAM + 0x100

    @pytest.mark.parametrize("kind", ["protected", "host_call"])
    def test_no_effect(self, host: Any, realm: Any, assemble: Any, kind: str) -> None:
        """After any other exit the flag does nothing."""
        access = at(MISSING, "ldr w3, [x9]") if kind == "protected" else REPORT
        host.ok(Rmi.RTT_INIT_RIPAS, realm.rd, MISSING, MISSING + PAGE)
        realm.write(RAM, assemble(f"{access}; mov x3, #9; {REPORT}"))
        realm.write(CALL, b"")
        realm.rec()
        realm.activate()
        realm.enter()
        if kind == "protected":
            host.ok(Rmi.DATA_CREATE_UNKNOWN, realm.rd, host.granules(), MISSING)
        assert reported(realm.enter(flags=SEA))[3] == 9

    def test_from_el0(self, running: Running) -> None:
        """Taken from EL0 the class is that of a lower level, and so is the vector."""
        user = f"{load('x10', RAM + 0x80)}; msr elr_el1, x10; msr spsr_el1, xzr; eret"
        code = f"{load('x9', UNPROTECTED)}; ldr w3, [x9]"
        source = with_vectors(user)
        head, _, tail = source.partition("@0x700:")
        realm = running(f"{head} @0x80: {code} @0x700:{tail}")
        realm.enter()
        esr, far, elr, spsr, vector = reported(realm.enter(flags=SEA))[:5]
        assert (esr >> 26, far, spsr & 0xF, vector) == (0x24, UNPROTECTED, 0, 0x400)
        assert elr >= RAM + 0x80


class TestOutside:
    """Beyond the IPA space."""

    @pytest.mark.parametrize(("target", "fsc"), [(1 << 33, 0x10), (1 << 40, 0x10), (1 << 48, 0), (1 << 51, 0)])
    def test_data(self, running: Running, target: int, fsc: int) -> None:
        """An external abort, or an Address size fault where the PE has no such address; the Host sees nothing."""
        realm = running(with_vectors(f"{load('x9', target)}; ldr w3, [x9]"))
        esr, far, _, _, vector = reported(realm.enter())[:5]
        assert (esr >> 26, esr & 0x3F, far, vector) == (0x25, fsc, target, 0x200)


def lr(state: int, vintid: int, *, priority: int = 0xA0, hw: int = 0, pintid: int = 0, group: int = 1) -> int:
    """ICH_LR<n>_EL2."""
    return state << 62 | hw << 61 | group << 60 | priority << 48 | pintid << 32 | vintid


LISTS = [
    ("pending", (lr(1, 27),), True), ("active", (lr(2, 27),), True), ("both", (lr(3, 27),), True),
    ("last-spi", (lr(1, 1019),), True), ("special", (lr(1, 1020),), False), ("special-1023", (lr(1, 1023),), False),
    ("reserved", (lr(1, 8191),), False), ("lpi", (lr(1, 8192),), True), ("last-lpi", (lr(1, 0xFFFF),), True),
    ("hw-1", (lr(1, 27, hw=1),), False), ("hw-2", (lr(2, 27, hw=1),), False), ("hw-3", (lr(3, 27, hw=1),), False),
    ("hw-invalid", (lr(0, 27, hw=1),), True), ("eoi", (lr(1, 27, pintid=1 << 9),), True),
    ("pintid", (lr(1, 27, pintid=1),), False), ("priority", (lr(1, 27, priority=0xA1),), False),
    ("priority-4", (lr(1, 27, priority=4),), False), ("priority-8", (lr(1, 27, priority=8),), True),
    ("group-0", (lr(1, 27, group=0),), True), ("twice", (lr(1, 27), lr(2, 27)), False),
    ("twice-invalid", (lr(1, 27), lr(0, 27)), True), ("four", (lr(1, 27), lr(1, 28), lr(1, 29), lr(1, 30)), True),
    ("fifth-ignored", (0, 0, 0, 0, lr(1, 1020, hw=1)), True), ("invalid-junk", (lr(0, 0xFFFF),), True),
]  # fmt: skip


class TestGic:
    """gicv3_hcr and the list registers at entry."""

    @pytest.mark.parametrize("bit", range(64))
    def test_hcr(self, running: Running, host: Any, bit: int) -> None:
        """Only the bits of mask 0x40FE; they come back, and En does not."""
        realm = running(REPORT)
        allowed = bool(0x40FE >> bit & 1)
        run = realm.prepare(gicv3_hcr=1 << bit)
        expected = (RmiStatus.SUCCESS if allowed else RmiStatus.ERROR_REC, 0)
        assert host.status(Rmi.REC_ENTER, realm.recs[0], run) == expected
        if allowed:
            exit = RmiRecExit.unpack(host.memory.read(run + 0x800, 0x800))
            assert exit.gicv3_hcr & 0x40FF == 1 << bit

    @pytest.mark.parametrize(("name", "lrs", "good"), LISTS, ids=[name for name, _, _ in LISTS])
    def test_list_registers(self, running: Running, host: Any, name: str, lrs: tuple[int, ...], good: bool) -> None:
        """Each rule alone; what is accepted comes back where the Realm has not touched it."""
        realm = running(REPORT)
        words = (*lrs, *(0,) * 16)[:16]
        run = realm.prepare(gicv3_lrs=words)
        status = host.status(Rmi.REC_ENTER, realm.recs[0], run)
        assert status == (RmiStatus.SUCCESS if good else RmiStatus.ERROR_REC, 0)
        if good:
            exit = RmiRecExit.unpack(host.memory.read(run + 0x800, 0x800))
            assert tuple(exit.gicv3_lrs) == (*words[:4], *(0,) * 12)


class TestTimerState:
    """Timers in the exit structure, whatever the reason."""

    def test_values(self, running: Running) -> None:
        """CTL with ISTATUS and CVAL as the Realm set them."""
        arm = f"{load('x3', 1 << 40)}; msr cntv_cval_el0, x3; mov x4, #1; msr cntv_ctl_el0, x4"
        arm += f"; {load('x3', 1 << 41)}; msr cntp_cval_el0, x3; mov x4, #3; msr cntp_ctl_el0, x4"
        exit = running(f"{arm}; {REPORT}").enter()
        assert (exit.cntv_ctl, exit.cntv_cval, exit.cntp_ctl, exit.cntp_cval) == (1, 1 << 40, 3, 1 << 41)

    def test_fires_while_out(self, running: Running, host: Any) -> None:
        """A timer whose state has changed since the last exit ends the next entry at once, before any instruction."""
        arm = f"mrs x3, cntvct_el0; {load('x4', 100_000)}; add x3, x3, x4; msr cntv_cval_el0, x3; mov x4, #1"
        realm = running(f"{arm}; msr cntv_ctl_el0, x4; {REPORT}; mov x3, #5; {REPORT}")
        assert realm.enter().cntv_ctl == 1
        host.machine.clock.skip_to(host.machine.clock.now + 200_000)
        exit = realm.enter()
        assert (exit.exit_reason, exit.esr, exit.cntv_ctl) == (RecExitReason.IRQ, 0, 5)
        exit = realm.enter()
        assert (reported(exit)[3], exit.cntv_ctl) == (5, 5)


class TestDebugRegisters:
    """Debug registers are not switched between worlds: those of the PE are out of a Realm's reach."""

    def test_nothing(self, running: Running) -> None:
        """What another world left there is not read, and writes do nothing."""
        registers = ("dbgbvr0_el1", "dbgbcr0_el1", "dbgwvr0_el1", "dbgwcr0_el1")
        read = "; ".join(f"mrs x{3 + number}, {name}" for number, name in enumerate(registers))
        realm = running(f"{load('x9', 0x5EC2_E7F0)}; msr dbgbvr0_el1, x9; msr oslar_el1, x9; {read}; {REPORT}")
        debug = Encoding(2, 0, 0, 0, 4)  # DBGBVR0_EL1
        pe = realm.host.machine.pes[0]
        pe.engine.write_system(debug, 0x1234_5678)
        assert reported(realm.enter())[3:7] == (0, 0, 0, 0)
        assert pe.engine.read_system(debug) == 0x1234_5678
