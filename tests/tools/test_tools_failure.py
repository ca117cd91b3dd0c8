"""What a failed run says: its cause in the first line, the exception that began it, the registers at its end."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dwarf import with_lines
from ns_code import ENTRY, FOREVER, OFF, assemble
from realm_code import load, smc
from rmm_host import RAM, to_code
from secure_code import payload as secure_payload

import realmlab
from cca_arch.psci import Psci
from cca_arch.rsi.v1_0 import Rsi
from cca_firmware.package.nsimage import NsImage
from cca_host.kvmtool.console import HOST_CALL_IMM, HostFunction
from cca_tools.cli import main
from realmlab.failure import CAUSES

SHARED, NOWHERE = 1 << 32, 0x4000_0000
GICD, GICR = 0x3FFF_0000 | SHARED, 0x3FFE_0000 | SHARED
GIB, TABLE = 1 << 30, 0x4000
M, WXN = 1 << 0, 1 << 19
EL0, READ_ONLY, PXN, DEVICE = 1 << 6, 1 << 7, 1 << 53, 1 << 2
BLOCK = 1 << 10 | 3 << 8 | 1 << 54 | 1  # AF, SH, UXN
TCR = 25 | 0x3500 | 1 << 23 | 2 << 32
REMOTE = load("x1", GIB + 0x8000)
SHARE = smc(Rsi.IPA_STATE_SET, RAM + 0x8000, RAM + 0x9000, 0, 0)
Parts = str | Mapping[int, str | bytes]


def image(parts: Parts, base: int = RAM) -> bytes:
    """A raw image of code and data by offset."""
    data = b""
    for offset, part in (parts if isinstance(parts, Mapping) else {0: parts}).items():
        data = data.ljust(offset, b"\0") + (part if isinstance(part, bytes) else to_code(part, base + offset))
    return data


def mmu(then: str = "", flat: int = BLOCK, remote: int = 0, tcr: int = TCR, control: int = M, first: int = RAM,
        table: int = RAM + TABLE, block: int = GIB) -> dict[int, str | bytes]:  # fmt: skip
    """A Realm that turns stage 1 on: its RAM is mapped at ``first``, and once more at 1 GiB as ``remote``."""
    rows = [0] * 512
    rows[first // block] = RAM | flat
    rows[1] = RAM | remote if remote else 0
    setup = ((table, "ttbr0_el1"), (tcr, "tcr_el1"), (0x04FF, "mair_el1"))
    writes = "; ".join(f"{load('x8', value)}; msr {register}, x8" for value, register in setup)
    on = f"isb; mrs x8, sctlr_el1; {load('x9', control)}; orr x8, x8, x9; msr sctlr_el1, x8; isb"
    return {0: f"{writes}; {on}; {then}; nop; b .", TABLE: struct.pack("<512Q", *rows)}


@pytest.fixture(scope="module")
def machine() -> Any:
    """One machine for the Realms of all tests."""
    with realmlab.Machine() as booted:
        yield booted


@pytest.fixture
def realm(machine: Any, tmp_path: Path) -> Any:
    """Runs a Realm; returns its result."""

    def run(parts: Parts, **options: Any) -> realmlab.RunResult:
        path = tmp_path / "code.bin"
        path.write_bytes(image(parts))
        return machine.run_realm(path, **{"memory": "16M", "max_insns": 20_000, **options})

    return run


def ns(parts: Parts, **options: Any) -> realmlab.NsResult:
    """A run at Non-secure EL2, without a console."""
    with realmlab.NsMachine(realmlab.NsImage(image(parts, ENTRY)), **options) as booted:
        return booted.run(max_insns=20_000)


TIMER = "; ".join(
    (
        *(
            f"{load('x9', at)}; {load('x10', value)}; str w10, [x9]"
            for at, value in (
                (0x2F00_0000, 0x12),
                (0x2F10_0014, 0),
                (0x2F11_0100, 1 << 30),
            )
        ),
        "mov x9, #0xf0; msr icc_pmr_el1, x9; mov x9, #1; msr icc_igrpen1_el1, x9; isb",
        "mov x9, #0x10; msr hcr_el2, x9; mov x9, #1; msr cntp_tval_el0, x9; msr cntp_ctl_el0, x9; isb",
    )
)
"""Software at EL2 that lets the physical timer, INTID 30, interrupt it."""
VECTORS = f"{load('x9', ENTRY + 0x800)}; msr vbar_el2, x9; isb; {TIMER}; msr daifclr, #2; b ."
ACKNOWLEDGE = "mrs x0, icc_iar1_el1; msr icc_eoir1_el1, x0; eret"
VIRTUAL = "msr cntp_ctl_el0, xzr; msr cntv_tval_el0, x9; msr cntv_ctl_el0, x9; isb"


def enabled(*writes: tuple[int, int]) -> str:
    """Writes to registers of the interrupt controller after ``TIMER``."""
    return "; ".join((TIMER, *(f"{load('x9', at)}; {load('x10', value)}; str w10, [x9]" for at, value in writes)))


REALMS: dict[str, Parts] = {
    "unknown-feature": ".word 0xD65F0BFF",
    "hvc-in-realm": "hvc #0",
    "semihosting": "hlt #0xf000",
    "register-of-higher-level": "mrs x0, sctlr_el2",
    "zeroes": "b .+16; .space 12; .word 0",
    "undefined": ".word 0xffffffff",
    "pc-alignment": "adr x1, .; add x1, x1, #2; br x1",
    "illegal-state": "mov x1, #0x3c9; msr spsr_el1, x1; adr x1, .; msr elr_el1, x1; eret",
    "null-call": "mov x1, #0; blr x1",
    "no-stack": "stp x29, x30, [sp, #-16]!",
    "uart-not-shared": f"{load('x1', 0x0100_0000)}; strb w0, [x1]",
    "gic-not-shared": f"{load('x1', 0x3FFF_0000)}; str w0, [x1]",
    "above-ipa-space": f"{load('x1', RAM | 1 << 47)}; str x0, [x1]",
    "shared-code": f"{SHARE}; {load('x1', RAM + 0x8000 | SHARED)}; br x1",
    "ripas-empty": f"{SHARE}; {load('x1', RAM + 0x8000)}; str x0, [x1]",
    "stage1-walk": mmu(table=NOWHERE),
    "granule-size": mmu(tcr=TCR | 1 << 14, block=1 << 29),
    "mmu-without-code": mmu(first=RAM + GIB),
    "interrupt-vector": f"{load('x9', GICD)}; mov w10, #0x12; str w10, [x9]; {load('x9', GICR + 0x100)}; "
    f"{load('x10', 1 << 27)}; str w10, [x9]; {load('x9', GICR + 0x41B)}; mov w10, #0xA0; strb w10, [x9]; "
    "mov x9, #0xf0; msr icc_pmr_el1, x9; mov x9, #1; msr icc_igrpen1_el1, x9; isb; mov x9, #100; "
    "msr cntv_tval_el0, x9; mov x9, #1; msr cntv_ctl_el0, x9; isb; msr daifclr, #2; b .",
    "call-not-handled": {0: f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb; svc #0; b .", 0xA00: "b ."},
    "all-off": f"{smc(Psci.CPU_OFF)}",
    "stack-overflow": f"{load('x1', RAM)}; mov sp, x1; str x0, [sp, #-16]!",
    "null-pointer": "mov x1, #0; str x0, [x1, #24]",
    "va-beyond-tables": mmu(f"{load('x1', 1 << 45)}; ldr x0, [x1]"),
    "jump-to-nowhere": f"{load('x1', NOWHERE)}; br x1",
    "stage1-unmapped": mmu(f"{load('x1', 5 * GIB)}; ldr x0, [x1]"),
    "access-flag": mmu(f"{REMOTE}; ldr x0, [x1]", remote=BLOCK & ~(1 << 10)),
    "execute-never": mmu(f"{REMOTE}; br x1", remote=BLOCK | PXN),
    "read-only": mmu(f"{REMOTE}; str x0, [x1]", remote=BLOCK | READ_ONLY),
    "device-memory": mmu(f"{REMOTE}; ldr x0, [x1, #1]", remote=BLOCK | DEVICE),
    "smc-at-el0": "adr x1, user; msr elr_el1, x1; msr spsr_el1, xzr; eret; user: smc #0",
    "address-size": mmu(f"{REMOTE}; ldr x0, [x1]", remote=BLOCK | 1 << 41),
    "permission": mmu(
        f"adr x2, user; msr elr_el1, x2; msr spsr_el1, xzr; {REMOTE}; eret; user: ldr x0, [x1]",
        flat=BLOCK & ~(1 << 54) | EL0 | READ_ONLY, remote=BLOCK,
    ),
    "alignment": f"{load('x1', RAM + 0x801)}; ldxr x0, [x1]",
    "no-syndrome": f"{load('x1', 0x0100_0000 | SHARED)}; ldr w0, [x1], #4",
    "shared-nothing": f"{load('x1', 0x2F00_0000 | SHARED)}; str w0, [x1]",
    "not-memory": f"{load('x1', RAM + (32 << 20))}; str x0, [x1]",
    "no-handler": "svc #3",
    "call-of-another-world": f"{smc(0xC400_0150, 0x10000)}; b .",
    "call-of-another-width": f"{smc(Rsi.HOST_CALL & ~(1 << 30))}; b .",
    "unknown-function": f"{smc(0xC400_1099)}; b .",
    "call-refused": f"{smc(Rsi.HOST_CALL, RAM + 0x8010)}; b .",
    "exclusive-loop": f"{load('x1', RAM + 0x8000)}; ldxr w0, [x1]; stxr w2, w0, [x1]; b .-8",
    "branch-to-self": "b .",
    "loop": f"{load('x1', RAM + 0x800)}; ldr w0, [x1]; cbz w0, .-4",
    "busy": "again: " + "nop; " * 80 + "b again",
    "no-interrupt-enabled": "wfi; b .-4",
}  # fmt: skip


class TestRealms:
    """Realms that fail."""

    @pytest.mark.parametrize("rule", REALMS)
    def test_rule(self, realm: Any, rule: str) -> None:
        """The row of the table that explains it is in the message."""
        result = realm(REALMS[rule])
        assert result.failure is not None and result.failure.rule == rule, result.message
        assert result.message == result.failure.message and "\n" not in result.message

    def test_report(self, realm: Any) -> None:
        """The first exception has its place and instruction, its syndrome in words, its address and the state of it."""
        result = realm(REALMS["ripas-empty"])
        failure = result.failure
        first = failure.first
        pc = RAM + len(to_code(f"{SHARE}; {load('x1', RAM + 0x8000)}"))
        assert (first.pc, first.instruction, first.far, first.ipa) == (pc, "str x0, [x1]", RAM + 0x8000, RAM + 0x8000)
        assert (first.ripas, first.hipas, first.el, first.target) == ("EMPTY", "UNASSIGNED", 1, 1)
        assert first.meaning == "data abort: external abort, on a write"
        assert failure.note == "VBAR_EL1 is 0: there are no vectors"
        registers = failure.registers["vCPU 0"]
        assert registers["x1"] == RAM + 0x8000 and registers["pc"] == 0x200 and registers["vbar_el1"] == 0
        assert {*(f"x{number}" for number in range(31)), "sp", "pstate", "esr_el1", "elr_el1", "spsr_el1", "far_el1",
                "sctlr_el1"} <= registers.keys()  # fmt: skip

    @pytest.mark.parametrize(
        ("before", "note"),
        [
            (f"{load('x9', RAM + 0x900)}; msr vbar_el1, x9; isb", "VBAR_EL1 is 0x80000900, but a table of vectors"),
            (f"{load('x9', NOWHERE)}; msr vbar_el1, x9; isb", "VBAR_EL1 is 0x40000000, where no code can run"),
            (f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb", "the vector at 0x80000a00 is empty"),
            (f"{load('x9', RAM + 0x1000)}; msr vbar_el1, x9; isb", "its handler fails itself at 0x80001204"),
        ],
    )
    def test_vectors(self, realm: Any, before: str, note: str) -> None:
        """What is wrong with the vectors is told beside what they should have handled."""
        result = realm({0: f"{before}; svc #0; b .", 0x1200: "nop; .word 0"})
        assert note in result.failure.note and "SVC #0x0 at" in result.message

    def test_handler_that_loops(self, realm: Any) -> None:
        """A handler that does not come back is told at a limit, with the exception that led there."""
        code = {0: f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb; .word 0xffffffff", 0xA00: "b ."}
        failure = realm(code).failure
        assert (failure.rule, failure.first.pc) == ("undefined", RAM + len(to_code(code[0])) - 4)
        assert failure.note == "its handler does not come back: it is at 0x80000a00"

    def test_handler_that_goes_on(self, realm: Any) -> None:
        """An exception that was handled is no cause, however its handler came back: here without ERET."""
        stack = f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb; {load('x8', RAM + 0x10000)}; mov sp, x8"
        code = {0: f"{stack}; sub sp, sp, #16; .word 0xffffffff", 0xA00: f"{load('x9', RAM + 0x1200)}; br x9"}
        assert realm({**code, 0x1200: "b ."}).failure.rule == "undefined"  # SP is still that of a handler
        failure = realm({**code, 0x1200: "add sp, sp, #16; b ."}).failure
        assert (failure.first, failure.note) == (None, "")

    @pytest.mark.parametrize("then", ["b .", "b .-4", "wfi; b .-4"], ids=["once", "always", "waits"])
    def test_call_that_is_answered(self, realm: Any, then: str) -> None:
        """SVC is no cause if its handler answers it, once or again and again; it is if the handler hangs."""
        setup = f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb; svc #0; {then}"
        assert realm({0: setup, 0xA00: "eret"}).failure.first is None
        assert realm({0: setup, 0xA00: "b ."}).failure.first.meaning.startswith("SVC")

    def test_function_that_goes_on(self, realm: Any) -> None:
        """Nor is it one if the function goes on that it interrupted."""
        scene = f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb; .word 0xffffffff; nop; b ."
        code = image({0: scene, 0xA00: f"{load('x9', RAM + len(to_code(scene)) - 4)}; br x9"})
        assert realm({0: code}).failure.first is not None  # nothing says where the function ends
        assert realm({0: with_lines(code, RAM, "main", "main.c", [])}).failure.first is None

    def test_success(self, realm: Any) -> None:
        """A run that does not fail has no report, however it comes to its end."""
        for code in (smc(Psci.SYSTEM_OFF), f"{smc(0xC400_1099)}; {smc(Psci.SYSTEM_OFF)}"):
            assert (realm(code).failure, realm(code).message) == (None, "")

    def test_live(self, machine: Any, tmp_path: Path) -> None:
        """A live Realm reports its failure in the progress of its run and in its result; a snapshot takes it back."""
        path = tmp_path / "code.bin"
        path.write_bytes(image("nop; wfi; b .-4"))
        with machine.realm(path, memory="16M") as live:
            before = machine.snapshot()
            progress = live.run()
            assert progress.failure.rule == "no-interrupt-enabled" and progress.message == progress.failure.message
            machine.restore(before)
            assert live.run(max_insns=1).failure is None
        assert live.result.failure is None

    def test_second_vcpu_nowhere(self, realm: Any) -> None:
        """A vCPU that begins where no code is was given a wrong entry point."""
        failure = realm(f"{smc(Psci.CPU_ON_64, 1, NOWHERE, 0)}; wfi; b .-4", vcpus=2).failure
        assert failure.rule == "entry-point" and failure.cause.startswith("vCPU 1 starts at 0x40000000")

    def test_handler_that_returns(self, realm: Any) -> None:
        """A handler that returns to the instruction as it was is told with the times that it came."""
        start = f"{load('x9', RAM + 0x800)}; msr vbar_el1, x9; isb; {load('x1', NOWHERE)}; ldr x0, [x1]"
        failure = realm({0: start, 0xA00: "eret"}).failure
        assert failure.rule == "not-memory" and "returns to it again and again" in failure.note

    def test_next_vcpu(self, realm: Any) -> None:
        """The vCPU that fails is reported, with all its registers, and the others."""
        start = f"{smc(Psci.CPU_ON_64, 1, RAM + 0x1000, 0)}; wfi; b .-4"
        failure = realm({0: start, 0x1000: f"{load('x1', NOWHERE)}; ldr x0, [x1]"}, vcpus=2).failure
        assert failure.what == "vCPU 1 takes exceptions without end" and failure.rule == "not-memory"
        assert [*failure.registers] == ["vCPU 1", "vCPU 0"]

    def test_random(self, machine: Any, tmp_path: Path) -> None:
        """Whatever a Realm does, its report can be made."""
        import random

        path = tmp_path / "noise.bin"
        for seed in range(12):
            path.write_bytes(random.Random(seed).randbytes(4096))
            result = machine.run_realm(path, memory="16M", max_insns=50_000)
            assert (result.failure is None) == (result.reason in ("exit", "system_off", "system_reset"))
            assert result.failure is None or str(result.failure)


class TestPlaces:
    """Places in the code of ELF files have the names of symbols, and lines where there is a line table."""

    CODE = to_code("nop; mov x1, #0; str x0, [x1, #24]; b .")

    @pytest.mark.parametrize(("base", "kind"), [(RAM, 2), (0, 3)])
    def test_realm(self, machine: Any, tmp_path: Path, base: int, kind: int) -> None:
        """The payload of a Realm, also one that is moved to the start of RAM."""
        path = tmp_path / "mine.elf"
        path.write_bytes(with_lines(self.CODE, base, "main", "src/mine.c", [10, 11, 12, 13], kind))
        failure = machine.run_realm(path, memory="16M").failure
        assert failure.first.place == "0x80000008 <main+0x8> (mine.c:12)"
        assert "a null pointer: main+0x8 (mine.c:12) writes address 0x18" in failure.message

    def test_several_images(self) -> None:
        """Software of several images, one of them moved."""
        code = with_lines(self.CODE, 0, "second", "second.S", [7, 8, 9, 10], kind=3)
        jump = NsImage(to_code(f"{load('x1', 0x9000_0000)}; br x1", ENTRY), ENTRY)
        with realmlab.NsMachine([jump, NsImage(code, 0x9000_0000)], entry=ENTRY) as booted:
            failure = booted.run(max_insns=20_000).failure
        assert failure.first.place == "0x90000008 <second+0x8> (second.S:9)"

    def test_damaged(self, machine: Any, tmp_path: Path) -> None:
        """A line table that cannot be read is none."""
        image = with_lines(self.CODE, RAM, "main", "mine.c", [10, 11, 12, 13])
        at = image.index(b"mine.c")
        path = tmp_path / "mine.elf"
        for start in (at - 30, at - 12, at + 8):
            path.write_bytes(image[:start] + b"\xff" * 6 + image[start + 6 :])
            assert "<main+0x8>" in machine.run_realm(path, memory="16M").failure.first.place

    def test_gone(self, machine: Any, tmp_path: Path) -> None:
        """A payload that is no more has no names."""
        path = tmp_path / "mine.elf"
        path.write_bytes(with_lines(self.CODE, RAM, "main", "mine.c", [10, 11, 12, 13]))
        with machine.realm(path, memory="16M") as live:
            path.unlink()
            assert live.run().failure.first.place == "0x80000008"


class TestNonSecure:
    """Images at Non-secure EL2 that fail."""

    @pytest.mark.parametrize(
        ("register", "el", "remedy"),
        [("sctlr_el2", 1, "level, or start the image at EL2"), ("scr_el3", 2, "level: EL3 belongs to the firmware")],
    )
    def test_levels(self, register: str, el: int, remedy: str) -> None:
        """Nobody is sent to a level where no software of a user can be."""
        assert remedy in ns(f"mrs x0, {register}", el=el).failure.remedy

    @pytest.mark.parametrize(
        ("rule", "parts", "options"),
        [
            ("no-handler", "hvc #1", {}),
            ("hvc-without-el2", "hvc #1", {"el": 1}),
            ("register-of-higher-level", "mrs x0, scr_el3", {}),
            ("nothing-there", f"{load('x1', 0x7_0000_0000)}; ldr x0, [x1]", {}),
            ("unknown-function", f"{smc(0x8400_7777)}; b .", {}),
            ("unknown-function", f"{smc(0xC400_0156)}; b .", {}),
            ("call-of-another-world", f"{smc(Rsi.HOST_CALL, ENTRY)}; b .", {}),
            ("call-refused", f"{smc(0xC400_0151, ENTRY + 1)}; b .", {}),
            ("call-refused", f"{smc(Psci.CPU_ON_64, 1, ENTRY)}; b .", {}),
            ("uart-of-another-board", f"{load('x1', 0x0900_0000)}; mov w0, #65; strb w0, [x1]; b .", {}),
            ("no-device", f"{load('x1', 0x1A00_0000)}; ldr w0, [x1]; b .", {}),
            ("wild-address", f"{load('x1', 1 << 50)}; ldr x0, [x1]", {}),
            ("granule-protection", f"{smc(0xC400_0151, 0x9000_0000)}; {load('x1', 0x9000_0000)}; ldr x0, [x1]", {}),
            ("no-interrupt-enabled", "wfi; b .-4", {}),
            ("no-event", "sevl; wfe; wfe; b .-4", {}),
            ("in-interrupt-vector", {0: VECTORS, 0xA80: "b ."}, {}),
            ("interrupt-again", {0: "nop; nop; nop; " + VECTORS, 0xA80: ACKNOWLEDGE}, {}),  # ends between two
            ("interrupt-active", f"{TIMER}; mov x9, #500; subs x9, x9, #1; b.ne .-4; mrs x0, icc_iar1_el1; b .", {}),
            ("other-timer", f"{TIMER}; mov x9, #1; {VIRTUAL}; b .", {}),
            ("intid-confused", f"{enabled((0x2F11_0180, 1 << 30), (0x2F00_0104, 1 << 30))}; b .", {}),
            ("distributor-group-disabled", f"{enabled((0x2F00_0000, 0x10))}; b .", {}),
            ("timer-far-away", f"{TIMER}; mov x9, #-1; msr cntp_cval_el0, x9; isb; wfi; b .-4", {}),
            ("nothing-armed", f"{TIMER}; msr cntp_ctl_el0, xzr; isb; wfi; b .-4", {}),
            ("not-routed-to-el2", f"{TIMER}; msr hcr_el2, xzr; isb; b .", {}),
            ("irq-masked", f"{TIMER}; b .", {}),
            ("priority-masked", f"{TIMER}; msr icc_pmr_el1, xzr; isb; b .", {}),
            ("group-disabled", f"{TIMER}; msr icc_igrpen1_el1, xzr; isb; b .", {}),
            ("timer-masked", "mov x1, #3; msr cntp_ctl_el0, x1; wfi; b .-4", {}),
            ("interrupt-disabled", "mov x1, #1; msr cntp_ctl_el0, x1; b .", {}),
        ],
    )
    def test_rule(self, rule: str, parts: Parts, options: dict[str, Any]) -> None:
        """The row of the table that explains it is in the message."""
        result = ns(parts, **options)
        assert result.failure is not None and result.failure.rule == rule, result.message
        assert result.message.startswith(result.failure.message)

    @pytest.mark.parametrize(
        ("mpidr", "entry", "why"),
        [
            (1, ENTRY, "INVALID_PARAMETERS: X1 is the MPIDR of no PE"),
            (0x100, 0x40, "INVALID_ADDRESS: X2, the entry point, must be an instruction in Non-secure DRAM"),
            (0, ENTRY, "ALREADY_ON: the PE with the MPIDR in X1 is on already"),
        ],
    )
    def test_psci(self, mpidr: int, entry: int, why: str) -> None:
        """A refused call of PSCI has its name, its place, its status and what that means."""
        result = ns(f"{smc(Psci.CPU_ON_64, mpidr, entry)}; b .")
        at = ENTRY + len(assemble(smc(Psci.CPU_ON_64, mpidr, entry))) - 4
        assert f"PSCI_CPU_ON at {at:#x} was refused with {why}" in result.message

    def test_secure(self, tmp_path: Path) -> None:
        """So is that of a Secure payload that does not start."""
        path = tmp_path / "secure.bin"
        path.write_bytes(secure_payload(start=".word 0;"))
        with pytest.raises(realmlab.MachineError, match=r"is zero: what runs there is no code.* see cca_arch/tsp\.py"):
            realmlab.NsMachine(realmlab.NsImage(assemble(OFF + FOREVER)), secure=path)


class TestGivenUp:
    """A payload whose handler meets an exception that it does not expect, and says so to the host."""

    CODE = (
        f"{load('x8', RAM + 0x4000)}; movz x9, #{HOST_CALL_IMM:#x}; str x9, [x8]; mov x9, #{{function}}; "
        f"str x9, [x8, #8]; mov x9, #5; str x9, [x8, #16]; {load('x1', RAM + 0x4000)}; "
        f"{load('x0', int(Rsi.HOST_CALL))}; smc #0; b ."
    )

    def end(self, machine: Any, tmp_path: Path, function: HostFunction) -> Any:
        """A write to address 0, whose handler ends the run by this host call."""
        handler = self.CODE.format(function=int(function))
        write = f"{load('x8', RAM + 0x800)}; msr vbar_el1, x8; isb; mov x1, #0; str x0, [x1, #24]; b ."
        path = tmp_path / "code.bin"
        path.write_bytes(image({0: write, 0xA00: handler, 0x4000: bytes(4096)}))
        return machine.run_realm(path, memory="16M")

    def test_report(self, machine: Any, tmp_path: Path) -> None:
        """The run ends with the payload's status, and its report explains the exception."""
        result = self.end(machine, tmp_path, HostFunction.GIVE_UP)
        assert (result.status, result.reason, result.failure.rule) == (5, "exit", "null-pointer")
        assert result.message.startswith(
            "vCPU 0 takes an exception that the payload does not expect: a null pointer: 0x80000014 writes address 0x18"
        )
        assert result.failure.first.pc == RAM + 0x14 and result.failure.note == ""

    def test_exit(self, machine: Any, tmp_path: Path) -> None:
        """One that expects it, and ends by EXIT, has nothing explained."""
        result = self.end(machine, tmp_path, HostFunction.EXIT)
        assert (result.status, result.reason, result.failure, result.message) == (5, "exit", None, "")

    def test_sdk(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The handler of the SDK gives up so."""
        assert main(["run", "stackoverflow", "--quiet"]) == 3
        out, err = capfd.readouterr()
        assert out.startswith("panic: stack overflow, FAR ")
        assert err.startswith("realmlab: vCPU 0 takes an exception that the payload does not expect: the stack ran ")


class TestTable:
    """The table of causes."""

    def test_names(self) -> None:
        """Each row has a name of its own in its table, a cause, and a remedy without a full stop."""
        for rules in CAUSES.values():
            assert len({rule.name for rule in rules}) == len(rules)
            for rule in rules:
                assert rule.cause and rule.remedy and not (rule.cause + rule.remedy).endswith(".")


class TestCommand:
    """``realmlab run``."""

    def test_registers(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """After the message come the first exception and the registers, in 80 columns, then the summary."""
        path = tmp_path / "code.bin"
        path.write_bytes(image(REALMS["null-pointer"]))
        assert main(["run", str(path), "--memory", "16M"]) == 3
        first, *lines = capfd.readouterr().err.splitlines()
        assert first.startswith("realmlab: vCPU 0 takes exceptions without end: a null pointer: 0x80000004 writes")
        report = lines[: next(at for at, line in enumerate(lines) if line.startswith("payload"))]
        assert max(map(len, report)) <= 80
        text = "\n".join(report)
        for part in ("first exception  data abort", "str x0, [x1, #24]", "vCPU 0  x0 ", "0x3c5: EL1h, DAIF masked"):
            assert part in text

    def test_quiet_and_good(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """--quiet leaves the message alone, and a good run shows no registers."""
        path = tmp_path / "code.bin"
        path.write_bytes(image("svc #0"))
        assert main(["run", str(path), "--memory", "16M", "--quiet"]) == 3
        assert len(capfd.readouterr().err.splitlines()) == 1
        assert main(["run", "hello"]) == 0
        assert "pstate" not in capfd.readouterr().err

    def test_json(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """--json has it as fields, words of 64 bits as text."""
        path = tmp_path / "code.bin"
        path.write_bytes(image("svc #0"))
        assert main(["run", str(path), "--memory", "16M", "--json"]) == 3
        failure = json.loads(capfd.readouterr().out)["failure"]
        assert (failure["rule"], failure["first"]["pc"]) == ("no-handler", hex(RAM))
        assert failure["registers"]["vCPU 0"]["pc"] == "0x200"
        assert main(["run", "hello", "--json"]) == 0
        assert json.loads(capfd.readouterr().out)["failure"] is None
