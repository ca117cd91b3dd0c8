"""Alignment faults: which accesses they are of, and what they come before."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from realm_code import load
from stage1_code import DEVICE, FLAT, NORMAL, NOWHERE, READ_ONLY, REMOTE, mapped, stage1

from cca_arch.sysregs import Esr, Fsc
from cca_arch.types import Gpi, SecurityState
from cca_platform.pe.running import BREAKPOINT

CODE, DATA, VECTORS = 0x8010_0000, 0x8012_0000, 0x8011_0000
THERE = REMOTE + DATA - FLAT
SAME, LOWER = 0x25, 0x24  # Data Abort
ACCESSES = (
    "ldr x3, [x2]", "ldrh w3, [x2]", "str w3, [x2]", "ldp w3, w4, [x2]", "stp x3, x4, [x2]", "ldr q3, [x2]",
    "ldrsw x3, [x2]", "ldr x3, [x2], #8", "ldtr x3, [x2]", "st1 {v3.4s}, [x2]", "dc zva, x2", "ldar x3, [x2]",
    "ldxr x3, [x2]", "ldaxp x3, x4, [x2]",
)  # fmt: skip


def vectors(bench: Any) -> str:
    """Let EL2 report ESR and FAR in X20 and X21; the code that says where. Uses X8."""
    for offset in (0x200, 0x400):
        bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, far_el2; smc #0")
    return f"{load('x8', VECTORS)}; msr vbar_el2, x8; isb; "


def kind(report: Any) -> tuple[int, int, int]:
    """The level that got an exception, its class and its fault status."""
    return report.level, Esr(report.esr).ec, report.esr & 0x3F


@pytest.fixture
def guest(guests: Callable[..., Any]) -> Any:
    """A VM with the tables of stage 1, and the memory for them."""
    made = guests()
    made.map(0x8040_0000, 0x8040_0000, made.S2, level=2)
    mapped(made)
    return made


class TestUnderStage2:
    """The memory type of stage 1 decides, before permissions and before stage 2 (rule XCHFJ)."""

    @pytest.mark.parametrize("code", ACCESSES)
    def test_stage_1_off(self, guest: Any, code: str) -> None:
        """With stage 1 off an unaligned access to what stage 2 does not map is an alignment fault of EL1."""
        report = guest.enter(code, x2=NOWHERE + 1)
        assert (kind(report), report.far) == ((1, SAME, Fsc.ALIGNMENT), NOWHERE + 1)

    @pytest.mark.parametrize("code", ACCESSES)
    def test_device(self, guest: Any, code: str) -> None:
        """The same holds for what a descriptor of stage 1 makes Device."""
        report = guest.enter(stage1(1) + code, x2=NOWHERE + 1)
        assert (kind(report), report.far) == ((1, SAME, Fsc.ALIGNMENT), NOWHERE + 1)

    def test_normal(self, guest: Any) -> None:
        """What stage 1 makes Normal is a fault of stage 2."""
        mapped(guest, nowhere=NORMAL)
        assert kind(guest.enter(f"{stage1(1)} ldr x3, [x2]", x2=NOWHERE + 1)) == (2, LOWER, Fsc.TRANSLATION + 1)

    @pytest.mark.parametrize("code", ["ldr x3, [x2]", "ldrb w3, [x2, #1]", "ldp w3, w4, [x2, #4]"])
    def test_aligned(self, guest: Any, code: str) -> None:
        """So is an aligned access."""
        assert kind(guest.enter(code, x2=NOWHERE)) == (2, LOWER, Fsc.TRANSLATION + 1)

    def test_el0(self, guest: Any) -> None:
        """A fault of EL0 goes to EL1 as one of a lower level."""
        assert kind(guest.enter("ldr w3, [x2]", el=0, x2=NOWHERE + 2)) == (1, LOWER, Fsc.ALIGNMENT)


class TestDeviceDram:
    """DRAM that stage 1 makes Device."""

    @pytest.mark.parametrize("code", ACCESSES)
    def test_unaligned(self, guest: Any, code: str) -> None:
        """Each unaligned access faults, also after an aligned one to the same page."""
        report = guest.enter(f"{stage1(1)} ldr x3, [x2]; str x3, [x2, #8]; add x2, x2, #1; {code}", x2=THERE)
        assert (kind(report), report.far) == ((1, SAME, Fsc.ALIGNMENT), THERE + 1)

    def test_values(self, bench: Any) -> None:
        """Aligned accesses load and store as they do in Normal memory, in two pages, too."""
        mapped(bench)
        x = bench.run(
            f"{stage1(2)} stp x5, x6, [x2]; ldp x7, x9, [x2]; ldrsh x10, [x2, #8]; "
            "mov v0.d[0], x5; mov v0.d[1], x6; str q0, [x2, #-8]!; ldr q1, [x2]; mov x11, v1.d[1]; smc #0",
            el=2, x2=THERE + 0xFF8, x5=0x1122_3344_5566_7788, x6=0x99AA_BBCC_DDEE_FF00,
        )  # fmt: skip
        assert (x[7], x[9], x[10], x[11]) == (x[5], x[6], 0xFFFF_FFFF_FFFF_FF00, x[6])
        assert x[2] == THERE + 0xFF0
        assert struct.unpack("<3Q", bench.machine.memory.backdoor.read(DATA + 0xFF0, 24)) == (x[5], x[6], x[6])

    def test_exclusives(self, bench: Any) -> None:
        """Exclusive accesses work there, and the next access is checked again."""
        mapped(bench)
        x = bench.run(
            f"{vectors(bench)}{stage1(2)} mov x5, #7; str x5, [x2]; again: ldxr x6, [x2]; add x6, x6, #1; "
            "stxr w7, x6, [x2]; cbnz w7, again; ldr x9, [x2]; ldr x10, [x2, #1]",
            el=2, x2=THERE,
        )  # fmt: skip
        assert (x[7], x[9], x[20] & 0x3F) == (0, 8, Fsc.ALIGNMENT)

    @pytest.mark.parametrize(("offset", "status"), [(1, Fsc.ALIGNMENT), (0, Fsc.PERMISSION + 1)])
    def test_read_only(self, bench: Any, offset: int, status: int) -> None:
        """An alignment fault comes before a permission fault, which an aligned access gets."""
        mapped(bench, DEVICE | READ_ONLY)
        assert bench.run(f"{vectors(bench)}{stage1(2)} str x3, [x2]", el=2, x2=THERE + offset)[20] & 0x3F == status

    @pytest.mark.parametrize(("offset", "status"), [(1, Fsc.ALIGNMENT), (0, Fsc.GPF)])
    def test_granule_protection(self, bench: Any, offset: int, status: int) -> None:
        """It comes before a granule protection fault, too."""
        mapped(bench)
        bench.protect({DATA: Gpi.REALM})
        assert bench.run(f"{vectors(bench)}{stage1(2)} ldr x3, [x2]", el=2, x2=THERE + offset)[20] & 0x3F == status

    def test_second_page(self, bench: Any) -> None:
        """A pair that reaches into a page of another world tells that page in FAR, and stores nothing."""
        mapped(bench)
        bench.protect({DATA + 0x1000: Gpi.REALM})
        x = bench.run(f"{vectors(bench)}{stage1(2)} mov x3, #1; stp x3, x3, [x2]", el=2, x2=THERE + 0xFF8)
        assert (x[20] & 0x3F, x[21]) == (Fsc.GPF, THERE + 0x1000)
        assert bench.machine.memory.backdoor.read64(DATA + 0xFF8) == 0


class TestOrdered:
    """Loads that acquire and stores that release require alignment of any memory, whatever SCTLR_ELx.A is."""

    @pytest.mark.parametrize("code", ["ldar x3, [x2]", "ldar w3, [x2]", "ldarh w3, [x2]", "stlr x3, [x2]",
                                      "stlr w3, [x2]", "stlrh w3, [x2]"])  # fmt: skip
    def test_unaligned(self, guest: Any, code: str) -> None:
        """An unaligned one is an alignment fault of its own level, after an aligned one as well."""
        report = guest.enter(f"{stage1(1)} {code}; add x2, x2, #1; {code}", x2=DATA)
        assert (kind(report), report.far) == ((1, SAME, Fsc.ALIGNMENT), DATA + 1)
        assert Esr(report.esr).iss >> 6 & 1 == code.startswith("st")

    @pytest.mark.parametrize("code", ["ldarb w3, [x2]", "stlrb w3, [x2]"])
    def test_bytes(self, guest: Any, code: str) -> None:
        """A byte is aligned."""
        assert guest.enter(f"{stage1(1)} {code}", x2=DATA + 1).level == 0

    def test_stack_pointer(self, bench: Any) -> None:
        """SP as the base is looked at, too."""
        code = f"{vectors(bench)}mov sp, x2; ldar x3, [sp]"
        assert bench.run(code, el=2, x2=DATA + 4)[20:22] == [0x25 << 26 | 1 << 25 | Fsc.ALIGNMENT, DATA + 4]

    @pytest.mark.parametrize(
        ("word", "offset", "faults"),
        [(0x78BFC043, 1, True), (0xD95F0043, 16, False), (0x99001043, 3, False), (0x99003043, 2, True)],
    )
    def test_of_max(self, benches: Callable[..., Any], word: int, offset: int, faults: bool) -> None:
        """LDAPRH; LDAPUR of [X2, #-16]; STLUR of [X2, #1] and [X2, #3]: where a model has them, they are checked."""
        for cpu, esr in (("max", 0x25 << 26 | 1 << 25 | Fsc.ALIGNMENT if faults else 0), ("a72", 1 << 25)):
            bench = benches(cpu=cpu)
            code = f"{vectors(bench)} mov x20, #0; .word {word:#x}; smc #0"
            assert bench.run(code, el=2, x2=DATA + offset)[20] & ~(1 << 6) == esr

    def test_breakpoint(self, bench: Any) -> None:
        """A stop before one comes before its fault, once for each time that it is reached."""
        pe, machine = bench.pe, bench.machine
        bench.place(CODE, f"{vectors(bench)} again: ldar w3, [x2]; add x2, x2, #2; b again")
        at = CODE + 4 * len(vectors(bench).split("; ")[:-1])
        pe.x[2], pe.elr, pe.spsr = DATA, CODE, 0x3C9
        pe.stop_before([at])
        pe.eret(SecurityState.NON_SECURE, 2)
        stops = []
        while machine.run(10_000) == BREAKPOINT:
            stops.append((pe.elr, pe.x[2]))
            machine.stopped = None
        assert stops == [(at, DATA), (at, DATA + 2)]
        assert bench.el3.calls[-1][20:22] == [0x25 << 26 | 1 << 25 | Fsc.ALIGNMENT, DATA + 2]

    def test_many(self, bench: Any) -> None:
        """A program with more of them than 64 is not checked: each would need a hook. All bytes are right."""
        many = "; ".join(["ldar x3, [x2]"] * 65)
        code = f"{vectors(bench)} mov x20, #0; b go; {many}; go: add x2, x2, #1; ldar x3, [x2]; smc #0"
        assert bench.run(code, el=2, x2=DATA)[20] == 0

    def test_state(self, bench: Any) -> None:
        """What is checked is state: after a restore it is decided as before."""
        code = f"{vectors(bench)} mov x20, #0; add x2, x2, #1; ldar x3, [x2]; smc #0"
        saved = bench.machine.snapshot()
        assert bench.run(code, el=2, x2=DATA)[20] & 0x3F == Fsc.ALIGNMENT
        checked = bench.machine.snapshot()
        self.test_many(bench)
        assert bench.pe.save().engine.ordered is None
        bench.machine.restore(checked)
        assert len(bench.pe.save().engine.ordered) == 1
        assert bench.run(code, el=2, x2=DATA)[20] & 0x3F == Fsc.ALIGNMENT
        bench.machine.restore(saved)
        assert bench.run(code, el=2, x2=DATA)[20] & 0x3F == Fsc.ALIGNMENT
