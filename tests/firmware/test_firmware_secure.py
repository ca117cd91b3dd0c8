"""The Secure payload dispatcher, with payloads in assembly at S-EL1 and Python programs around them."""

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from calls import call
from ns_code import assemble, constant
from secure_code import BASE, FAST, YIELDING, payload

from cca_arch.el3 import RmmEl3
from cca_arch.ffa import Ffa
from cca_arch.psci import Psci, PsciStatus
from cca_arch.rmi.v1_0 import Rmi
from cca_arch.smccc import NOT_SUPPORTED, Smccc
from cca_arch.tsp import ABORT, PREEMPTED, RESUME, SMC64, Tsp
from cca_arch.types import Pas, SecurityState
from cca_firmware import boot
from cca_firmware.errors import BootError
from cca_firmware.secure.world import SecureState
from cca_platform.errors import GranuleProtectionFault, InstructionLimit, MachineStopped
from cca_platform.machine.board import names

NOTES = BASE + 0x8000
PREEMPT = f"{constant('x0', Tsp.PREEMPTED)} smc #0;"


def notes(booted: Any, count: int) -> list[int]:
    """What a payload has stored at NOTES."""
    return list(struct.unpack(f"<{count}Q", booted.machine.memory.backdoor.read(NOTES, 8 * count)))


@pytest.fixture
def start(boot_machine: Callable[..., Any]) -> Callable[..., Any]:
    """Boot with a Secure payload: ``start(code=payload(), **arguments of boot_machine)``."""

    def with_payload(code: bytes | None = None, **arguments: Any) -> Any:
        return boot_machine(secure_image=payload() if code is None else code, **arguments)

    return with_payload


class TestStart:
    @pytest.mark.parametrize("board", names())
    def test_every_pe(self, start: Any, board: str) -> None:
        """The payload starts on every PE before Non-secure software, with index, base and size, at S-EL1."""
        note = (
            f"mrs x9, currentel; {constant('x10', NOTES)} add x10, x10, x0, lsl #5;"
            "stp x0, x1, [x10]; stp x2, x9, [x10, #16];"
        )
        booted = start(payload(start=note, cpu_on=note), board=board)
        region = booted.machine.board.region("secure")
        for index, pe in enumerate(booted.machine.pes):
            assert notes(booted, 4 * index + 4)[-4:] == [index, region.base, region.size, 1 << 2]
            assert (pe.security, pe.el, booted.firmware.secure.state[index]) == (1, 2, SecureState.IDLE)
            assert not any(pe.x)

    def test_entry_state(self, start: Any) -> None:
        """MMU off with the RES1 bits set, DAIF masked, SP_EL1 selected, every other general register zero."""
        note = (
            f"{constant('x9', NOTES)} mrs x10, sctlr_el1; mrs x11, daif; stp x10, x11, [x9]; mrs x10, spsel;"
            "mrs x11, vbar_el1; stp x10, x11, [x9, #16]; stp x12, x30, [x9, #32];"
        )
        assert notes(start(payload(start=note)), 6) == [0x30D0_0800, 0x3C0, 1, 0, 0, 0]

    def test_identity(self, start: Any) -> None:
        """MIDR_EL1 and MPIDR_EL1 are those of the PE, whatever EL2 says to its own guests."""
        note = f"{constant('x9', NOTES)} mrs x10, midr_el1; mrs x11, mpidr_el1; stp x10, x11, [x9];"
        booted = start(payload(fast=note))
        pe = booted.machine.pes[1]
        pe.set_el2(hcr=1 << 31, vtcr=0, vttbr=0, vmpidr=0x8000_0042)
        call(pe, FAST)
        assert notes(booted, 2) == [pe.id_register(3, 0, 0, 0, 0), pe.mpidr]

    def test_measured(self, start: Any) -> None:
        """BL32 is in the event log and in the Secure PAS, and no component of the CCA platform."""
        booted = start()
        entry = next(entry for entry in booted.firmware.event_log if entry.name == "BL32")
        code = payload()
        assert (entry.pa, entry.size) == (BASE, len(code))
        memory = booted.machine.memory
        assert memory.port(SecurityState.ROOT, Pas.SECURE).read(BASE, len(code)) == code
        for state in (SecurityState.NON_SECURE, SecurityState.REALM):
            with pytest.raises(GranuleProtectionFault):
                memory.port(state).read(BASE, 8)

    def test_same_platform(self, boot_machine: Any) -> None:
        """With and without a Secure payload the platform attests the same, for it does not trust the payload."""
        keys = []
        for image in (None, payload()):
            firmware = boot_machine(secure_image=image).firmware
            handler = firmware.monitor.rmmd.handlers[RmmEl3.ATTEST_GET_REALM_KEY]
            keys.append(handler.__self__.realm_key())
        assert keys[0] == keys[1]

    def test_trace(self, start: Any) -> None:
        """The stage BL32 comes before the RMM; the switches have both directions."""
        records = start(trace=True).records
        stages = [record["stage"] for record in records if record["event"] == "boot.stage"]
        assert stages == ["BL1", "BL2", "BL31", "BL32", "RMM", "BL33"]
        switches = [(r["source"], r["target"], r["reason"]) for r in records if r["event"] == "world.switch"]
        assert switches[:2] == [("ROOT", "SECURE", "STARTING"), ("SECURE", "ROOT", "STARTING")]

    def test_failed(self, start: Any) -> None:
        """A payload that gives no vectors could not start: the boot goes on, and there is no Secure service."""
        booted = start(payload(ready="mov x1, #0;"))
        assert not booted.firmware.secure.ready
        for pe in booted.machine.pes:
            for fid in (FAST, YIELDING, RESUME, ABORT):
                assert call(pe, fid, 1)[:2] == [NOT_SUPPORTED, 1]

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (payload(start="b never;"), "within 50000 instructions and without waiting, not be at 0xfc0000"),
            (payload(start="wfi;"), "without waiting"),
            (payload(start=".word 0;"), "without waiting"),
            (payload(start="smc #1; b never;"), "within 50000"),
            (b"\xff" * 64, "without waiting"),
        ],
        ids=["endless", "waiting", "undefined", "unknown SMC", "noise"],
    )
    def test_never_ready(self, start: Any, monkeypatch: pytest.MonkeyPatch, code: bytes, reason: str) -> None:
        """A payload that does not become ready fails the boot, with what it should have done."""
        monkeypatch.setattr(boot, "_START_LIMIT", 50_000)
        with pytest.raises(BootError, match=f"the Secure payload must become ready on PE 0 .*{reason}"):
            start(code)

    @pytest.mark.parametrize("seed", range(30))
    def test_random_bytes(self, start: Any, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        """Whatever the payload is, the boot ends, with it or with a reason."""
        monkeypatch.setattr(boot, "_START_LIMIT", 50_000)
        noise = random.Random(seed)
        valid = noise.randbytes(64) + payload()
        code = noise.randbytes(4096) if seed % 2 else bytes(noise.choice(valid) for _ in range(4096))
        try:
            booted = start(code)
        except BootError as error:
            assert "Secure payload" in str(error)
        else:
            assert booted.firmware.rmm_ready


class TestWithout:
    @pytest.mark.parametrize("fid", [FAST, FAST | SMC64, YIELDING, RESUME, ABORT, Ffa.VERSION, Ffa.MSG_SEND_DIRECT_REQ])
    def test_not_supported(self, booted: Any, fid: int) -> None:
        """Without a Secure payload every such call is unknown, and nothing but X0 changes."""
        assert booted.firmware.secure is None
        assert call(booted.pe, fid, 1, 2, 3) == [NOT_SUPPORTED, 1, 2, 3, 0]

    def test_interrupt(self, booted: Any) -> None:
        """An interrupt for EL3 that nobody can have made pending is a panic."""
        booted.firmware.monitor.on_irq(booted.pe)
        assert booted.machine.stopped == "EL3 panic: an interrupt that nobody handles on PE 0"


class TestFast:
    @pytest.mark.parametrize("fid", [FAST, FAST | SMC64, 0xBF00_FF01, 0xFF00_0000, FAST | 1 << 16])
    def test_call(self, start: Any, fid: int) -> None:
        """Arguments arrive from X1 on, X1..X4 of the answer become X0..X3; X4 to X30 are the caller's."""
        booted = start()
        pe = booted.machine.pes[2]
        marks = list(range(0x500, 0x500 + 27))
        pe.x[4:31] = memoryview(struct.pack("<27Q", *marks)).cast("B").cast("Q")
        assert call(pe, fid, 0x111, 0x222, 0x333)[:4] == [0, 0x111, 0x222, 0x333]
        assert pe.x[4:31].tolist() == marks
        assert (pe.security, pe.el) == (SecurityState.NON_SECURE, 2)

    def test_all_arguments(self, start: Any) -> None:
        """X0 to X7 reach the payload."""
        booted = start(payload(fast=f"{constant('x9', NOTES)} stp x0, x1, [x9]; stp x6, x7, [x9, #16];"))
        call(booted.pe, FAST, 1, 2, 3, 4, 5, 6, 7)
        assert notes(booted, 4) == [FAST, 1, 6, 7]

    def test_registers_kept(self, start: Any) -> None:
        """The payload finds its general and system registers as it left them, whatever runs meanwhile."""
        code = payload(
            start=f"{constant('x20', 0x77)} msr tpidr_el1, x20; mov sp, x20; {constant('x28', 0xABCD)}",
            fast="mov x1, x28; mrs x2, tpidr_el1; mov x3, sp; mrs x4, tpidr_el0; msr tpidr_el0, x2;",
        )
        booted = start(code)
        pe = booted.pe
        pe.write_sysreg("tpidr_el1", 0x1234)
        assert call(pe, FAST)[:4] == [0xABCD, 0x77, 0x77, 0]
        call(pe, Rmi.VERSION)
        assert call(pe, FAST)[:4] == [0xABCD, 0x77, 0x77, 0x77]
        assert (pe.read_sysreg("tpidr_el1"), pe.read_sysreg("tpidr_el0")) == (0x1234, 0)

    @pytest.mark.parametrize("fid", [0xB100_2000, 0xB202_2000, 0x8000_8000, 0xB000_0000 - 1, *Tsp])
    def test_not_for_the_payload(self, start: Any, fid: int) -> None:
        """Other owners, reserved bits and the payload's own functions are unknown to Non-secure software."""
        assert call(start().pe, fid, 1, 2, 3) == [NOT_SUPPORTED, 1, 2, 3, 0]

    def test_arguments_again(self, start: Any) -> None:
        """GET_ARGS gives the payload the first two arguments of the call once more."""
        code = payload(fast=f"mov x9, x0; {constant('x0', Tsp.GET_ARGS)} smc #0; mov x2, x1; mov x1, x0; mov x0, x9;")
        assert call(start(code).pe, FAST, 0x55, 0x66)[:2] == [0x55, 0x66]

    @pytest.mark.parametrize(
        "fid",
        [Rmi.VERSION, RmmEl3.GTSI_DELEGATE, RmmEl3.RMI_REQ_COMPLETE, Psci.SYSTEM_OFF, Psci.CPU_ON_64, RESUME, FAST + 1,
         Tsp.ENTRY_DONE, Tsp.ON_DONE, Tsp.OFF_DONE, Tsp.PREEMPTED, Tsp.ABORT_DONE, Tsp.HANDLED_S_EL1_INTR],
        ids=lambda fid: getattr(fid, "name", hex(fid)),
    )  # fmt: skip
    def test_denied_to_the_payload(self, start: Any, fid: int) -> None:
        """In a fast call the payload may do nothing but answer: other worlds' functions are unknown to it."""
        code = payload(fast=f"mov x9, x0; {constant('x0', fid)} smc #0; mov x1, x0; mov x0, x9;")
        booted = start(code)
        assert call(booted.pe, FAST)[0] == NOT_SUPPORTED
        assert booted.machine.stopped is None

    def test_smccc_for_the_payload(self, start: Any) -> None:
        """SMCCC_VERSION is everybody's."""
        code = payload(fast=f"mov x9, x0; {constant('x0', Smccc.VERSION)} smc #0; mov x1, x0; mov x0, x9;")
        assert call(start(code).pe, FAST)[0] == 0x10005

    def test_no_el2(self, start: Any) -> None:
        """There is no S-EL2: HVC is undefined at S-EL1, and HCR_EL2 of the Host traps nothing there."""
        vectors = (
            "vectors: .skip 0x200; mrs x1, esr_el1; mrs x2, currentel; mov x0, x9;"
            "mov x3, #0; mov x4, #0; smc #0; b never;"
        )
        code = payload(
            fast="adr x9, vectors; msr vbar_el1, x9; isb; mov x9, x0; mrs x3, id_aa64pfr0_el1; wfi; hvc #7;",
            more=f".balign 2048; {vectors}",
        )
        booted = start(code)
        booted.pe.set_el2(hcr=0x8008_6000 | 1 << 18 | 1, vtcr=0, vttbr=0, vmpidr=0)
        booted.pe.raise_serror()  # an interrupt that ends WFI
        assert call(booted.pe, FAST)[:2] == [1 << 25, 1 << 2]

    @pytest.mark.parametrize(("ns_el", "ec"), [(1, 0x00), (2, 0x16)])
    def test_hvc_of_the_caller(self, start: Any, ns_el: int, ec: int) -> None:
        """Without EL2 software HVC is undefined at Non-secure EL1, with it goes to EL2, also after a call."""
        source = f"""{constant("x19", 0x8900_0000)} {constant("x0", FAST)} mov x1, #0x77; smc #0; stp x0, x1, [x19];
            adr x2, vectors; msr vbar_el{ns_el}, x2; isb; hvc #0;
            .balign 2048; vectors: .skip 0x200; mrs x2, esr_el{ns_el}; str x2, [x19, #16];
            {constant("x0", Psci.SYSTEM_OFF)} smc #0;"""
        booted = start(ns_image=assemble(source), ns_el=ns_el)
        assert booted.machine.run(100_000) == "system off"
        x0, x1, esr = struct.unpack("<3Q", booted.machine.memory.backdoor.read(0x8900_0000, 24))
        assert (x0, x1, esr >> 26) == (0, 0x77, ec)

    @pytest.mark.parametrize("pa", [0x8800_0000, 0xFDC0_0000, 0xFFC0_0000], ids=["NS", "Realm", "Root"])
    def test_memory_of_others(self, start: Any, pa: int) -> None:
        """A Secure access to another world's granule is a GPF, at the payload's own vector."""
        vectors = "vectors: .skip 0x200; mrs x1, esr_el1; mrs x2, far_el1; mov x0, x9; smc #0; b never;"
        code = payload(
            fast=f"adr x9, vectors; msr vbar_el1, x9; isb; mov x9, x0; {constant('x3', pa)} ldr x3, [x3];",
            more=f".balign 2048; {vectors}",
        )
        esr, far, *_ = call(start(code).pe, FAST)
        assert (esr >> 26, esr & 0x3F, far) == (0x25, 0x28, pa)


class TestYielding:
    def test_call(self, start: Any) -> None:
        """Without an interrupt it is as a fast call."""
        assert call(start().pe, YIELDING, 1, 2, 3)[:4] == [0, 1, 2, 3]

    def test_preempted(self, start: Any) -> None:
        """The caller gets PREEMPTED, and its other registers; RESUME returns the results; each PE does so by itself."""
        code = payload(yielding=f"mov x20, x0; mov x21, x1; {PREEMPT} mov x0, x20; mov x1, x21; mov x2, #5;")
        booted = start(code)
        one, two = booted.machine.pes[:2]
        assert call(one, YIELDING, 0x11, 0x22)[:3] == [PREEMPTED, 0x11, 0x22]
        assert call(two, YIELDING, 0x33)[0] == PREEMPTED
        assert booted.firmware.secure.state[:3] == [SecureState.PREEMPTED] * 2 + [SecureState.IDLE]
        assert call(one, RESUME)[:2] == [0x11, 5]
        assert call(two, RESUME | SMC64)[:2] == [0x33, 5]
        assert call(one, RESUME)[0] == NOT_SUPPORTED

    def test_nothing_else_meanwhile(self, start: Any) -> None:
        """While a call is preempted, its PE makes no other."""
        pe = start(payload(yielding=f"mov x9, x0; {PREEMPT} mov x0, x9;")).pe
        call(pe, YIELDING)
        assert call(pe, FAST, 7)[:2] == [NOT_SUPPORTED, 7]
        assert call(pe, YIELDING, 7)[:2] == [NOT_SUPPORTED, 7]
        assert call(pe, Rmi.VERSION)[0] == 0

    def test_abort(self, start: Any) -> None:
        """ABORT enters the payload at its vector; afterwards it is idle."""
        code = payload(yielding=PREEMPT, aborted=f"{constant('x9', NOTES)} str x0, [x9];")
        booted = start(code)
        assert call(booted.pe, ABORT)[0] == NOT_SUPPORTED
        call(booted.pe, YIELDING)
        assert call(booted.pe, ABORT)[0] == 0
        assert notes(booted, 1) == [ABORT]
        assert call(booted.pe, RESUME)[0] == NOT_SUPPORTED
        assert call(booted.pe, FAST, 1)[1] == 1

    def test_snapshot(self, start: Any) -> None:
        """A snapshot keeps what is preempted."""
        booted = start(payload(yielding=f"mov x20, x0; {PREEMPT} mov x0, x20; mov x1, #9;"))
        call(booted.pe, YIELDING)
        snapshot = booted.machine.snapshot()
        for _ in range(2):
            assert call(booted.pe, RESUME)[0] == 9
            assert call(booted.pe, FAST, 1)[1] == 1
            booted.machine.restore(snapshot)
        assert booted.firmware.secure.state[0] is SecureState.PREEMPTED


class TestPower:
    @pytest.mark.parametrize(
        ("fid", "entry", "reason"),
        [
            (Psci.SYSTEM_OFF, "system_off", "system off"),
            (Psci.SYSTEM_RESET, "system_reset", "system reset"),
            (Psci.SYSTEM_RESET2, "system_reset", "system reset"),
            (Psci.SYSTEM_RESET2_64, "system_reset", "system reset"),
        ],
    )
    def test_system(self, start: Any, fid: Psci, entry: str, reason: str) -> None:
        """The payload prepares before the system goes off or resets."""
        booted = start(payload(**{entry: f"{constant('x9', NOTES)} str x9, [x9];"}))
        with pytest.raises(MachineStopped, match=reason):
            call(booted.pe, fid, 0)
        assert notes(booted, 1) == [NOTES]

    def test_refused(self, start: Any) -> None:
        """A reset of a type that there is not is refused, and the payload not asked."""
        booted = start(payload(system_reset="b never;"))
        assert call(booted.pe, Psci.SYSTEM_RESET2, 1)[0] == PsciStatus.INVALID_PARAMETERS

    def test_not_ready(self, start: Any) -> None:
        """A payload that could not start is not asked."""
        with pytest.raises(MachineStopped, match="system off"):
            call(start(payload(ready="mov x1, #0;", system_off="b never;")).pe, Psci.SYSTEM_OFF)


class TestInterrupt:
    def test_of_the_secure_world(self, start: Any) -> None:
        """A Secure interrupt enters the payload from the Non-secure world, which goes on as if nothing had been."""
        code = payload(
            interrupt=f"{constant('x9', NOTES)} str x0, [x9]; mrs x1, s3_0_c12_c12_0; str x1, [x9, #8];"
            "msr s3_0_c12_c12_1, x1;",
            cpu_on="mov x1, #1; msr s3_0_c12_c12_7, x1;",
            start="mov x1, #1; msr s3_0_c12_c12_7, x1;",
        )
        source = f"{constant('x5', 1000)} again: subs x5, x5, #1; b.ne again; {constant('x0', Psci.SYSTEM_OFF)} smc #0;"
        booted = start(code, ns_image=assemble(source))
        frame = booted.machine.gic.secure_redistributors
        frame.write(0x10200, 4, 1 << 9)
        assert booted.machine.run(100_000) == "system off"
        assert notes(booted, 2) == [0x2004, 9]

    def test_without_a_handler(self, start: Any) -> None:
        """Where the payload is off nobody can handle one: EL3 panics, and does not spin."""
        booted = start(payload(ready="mov x1, #0;"))
        booted.firmware.monitor.on_irq(booted.pe)
        assert booted.machine.stopped == "EL3 panic: a Secure interrupt that nobody handles on PE 0"

    def test_between_preemption_and_resumption(self, start: Any) -> None:
        """A Secure interrupt that comes while a call is preempted leaves the registers of the call alone."""
        code = payload(
            start="mov x1, #1; msr s3_0_c12_c12_7, x1;",
            yielding=f"mov x20, x0; mov x21, x1; {PREEMPT} mov x0, x20; mov x1, x21;",
            interrupt="mrs x1, s3_0_c12_c12_0; msr s3_0_c12_c12_1, x1; mov x20, #0; mov x21, #0;",
        )
        source = f"""{constant("x19", 0x8900_0000)} {constant("x0", YIELDING)} mov x1, #0x77; smc #0; str x0, [x19];
            {constant("x5", 5000)} again: subs x5, x5, #1; b.ne again;
            {constant("x0", RESUME)} smc #0; str x0, [x19, #8]; {constant("x0", Psci.SYSTEM_OFF)} smc #0;"""
        booted = start(code, ns_image=assemble(source))
        machine = booted.machine
        with pytest.raises(InstructionLimit):
            machine.run(1_000)
        machine.gic.secure_redistributors.write(0x10200, 4, 1 << 9)
        with pytest.raises(InstructionLimit):
            machine.run(1_000)
        assert not machine.gic.secure_redistributors.read(0x10200, 4) & 1 << 9
        assert booted.firmware.secure.state[0] is SecureState.PREEMPTED
        assert machine.run(100_000) == "system off"
        assert struct.unpack("<2Q", machine.memory.backdoor.read(0x8900_0000, 16)) == (PREEMPTED, 0x77)


class TestHostile:
    """A payload that says everything in every state: each time it gets an answer, and Non-secure software too."""

    ROWS = BASE + 0x1_0000
    LAST = (*(0xF200_0000 + done for done in (1, 2, 6, 7, 8, 9)), Ffa.MSG_SEND_DIRECT_RESP, Ffa.MSG_SEND_DIRECT_RESP_64)
    STORM = (
        f"mov x19, x0; mov x18, x1; {constant('x20', ROWS)} ldr x21, [x20];"
        "next: cmp x21, #0; b.eq last; add x22, x20, x21, lsl #4; ldp x0, x1, [x22]; sub x21, x21, #1; smc #0; b next;"
        "last: mov x0, x19; smc #0; lsr x1, x18, #16; mov x2, #0x8001; orr x1, x1, x2, lsl #16; mov x2, #0;"
        + "".join(f"{constant('x0', fid)} smc #0;" for fid in LAST)
        + "b never;"
    )
    FIDS = (*Tsp, *Ffa, *Psci, *RmmEl3, *Smccc, Rmi.VERSION, Rmi.GRANULE_DELEGATE, FAST, YIELDING, RESUME, ABORT)

    @pytest.mark.parametrize("seed", range(8))
    def test_storm(self, start: Any, seed: int) -> None:
        """Random calls from both sides, on two PEs: everything comes back, and the RMM serves on."""
        noise = random.Random(seed)
        entries = dict.fromkeys(("yielding", "fast", "aborted", "interrupt", "cpu_off"), "b storm;")
        join = f"{constant('x0', Ffa.VERSION)} {constant('x1', 0x10001)} smc #0;"
        booted = start(payload(start=join, more=f"storm: {self.STORM}", **entries))
        gpt = booted.machine.memory.gptbr
        for _ in range(60):
            arguments = (0, 1, 0x8001_0000, noise.getrandbits(64))
            rows = [(noise.choice(self.FIDS), noise.choice(arguments)) for _ in range(6)]
            words = [noise.randrange(7), 0, *(word for row in rows for word in row)]
            booted.machine.memory.backdoor.write(self.ROWS, struct.pack(f"<{len(words)}Q", *words))
            pe = noise.choice(booted.machine.pes[:2])
            fid = noise.choice((FAST, YIELDING, RESUME, ABORT, Ffa.MSG_SEND_DIRECT_REQ, Ffa.RUN))
            ends = 0x8001 if fid == Ffa.MSG_SEND_DIRECT_REQ else 0x8001_0000 | pe.index
            call(pe, fid, ends, 0, noise.getrandbits(64))
            assert (pe.security, pe.el, booted.machine.stopped) == (SecurityState.NON_SECURE, 2, None)
            assert call(pe, Rmi.VERSION)[0] == 0
        assert booted.machine.memory.gptbr == gpt
