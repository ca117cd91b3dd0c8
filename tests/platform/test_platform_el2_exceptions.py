"""Exceptions around real EL2 code: vectors by source, exception return legal and illegal, PC alignment, debug."""

from typing import Any

import pytest
from realm_code import load

from cca_arch.types import SecurityState

CODE, VECTORS, VECTORS_EL2, DATA = 0x8010_0000, 0x8011_0000, 0x8013_0000, 0x8012_0000
IL, RW, TGE = 1 << 25, 1 << 31, 1 << 27
REALM = SecurityState.REALM
TO_LOWER = "msr hcr_el2, x10; msr spsr_el2, x11; adr x9, lower; msr elr_el2, x9; eret; lower: "
LOWER = CODE + 5 * 4


def run(bench: Any, source: str, el: int = 2, **registers: int) -> list[int]:
    """Run ``source``; X20 to X23 = ESR, FAR, ELR, SPSR, X24 = the vector's offset, X25 = its level (0: none taken)."""
    for level, vectors in ((1, VECTORS), (2, VECTORS_EL2)):
        for offset in range(0, 0x800, 0x80):
            report = "; ".join(f"mrs x{20 + n}, {r}_el{level}" for n, r in enumerate(("esr", "far", "elr", "spsr")))
            bench.place(vectors + offset, f"{report}; mov x24, #{offset}; mov x25, #{level}; smc #0")
        bench.pe.write_sysreg(f"vbar_el{level}", vectors)
    return list(bench.run(source, el=el, **{"x10": RW, "x11": 0x3C5, "x25": 0} | registers))


class TestVectors:
    """The vector of EL2 tells where an exception came from."""

    @pytest.mark.parametrize(
        ("source", "offset", "spsr"),
        [
            ("msr spsel, #0; svc #7", 0x000, 0x3C8),
            ("svc #7", 0x200, 0x3C9),
            ("msr spsel, #0; hvc #7", 0x000, 0x3C8),
            ("hvc #7", 0x200, 0x3C9),
            (TO_LOWER + "hvc #7", 0x400, 0x3C5),
        ],
    )
    def test_call(self, bench: Any, source: str, offset: int, spsr: int) -> None:
        """EL2 with SP_EL0, EL2 with SP_EL2, a lower level."""
        x = run(bench, source)
        assert x[20] == (0x15 if "svc" in source else 0x16) << 26 | IL | 7
        assert x[23:26] == [spsr, offset, 2]

    @pytest.mark.parametrize(("el", "call"), [(1, "svc #7"), (2, "hvc #7")])
    def test_low_bits(self, bench: Any, el: int, call: str) -> None:
        """The low eleven bits of VBAR are RES0: an exception goes to a multiple of 0x800."""
        table = VECTORS if el == 1 else VECTORS_EL2
        x = run(bench, f"{load('x9', table | 0x7E0)}; msr vbar_el{el}, x9; isb; {call}", el=el)
        assert x[24:26] == [0x200, el]

    def test_el0(self, bench: Any) -> None:
        """With TGE the SVC of EL0 is a call of EL2 from a lower level."""
        x = run(bench, TO_LOWER + "svc #7", x10=RW | TGE, x11=0x3C0)
        assert x[20:26] == [0x15 << 26 | IL | 7, x[21], LOWER + 4, 0x3C0, 0x400, 2]

    def test_abort(self, bench: Any) -> None:
        """EL2's own data abort has the class of the same level, one for EL2 from below that of a lower level."""
        source = "ldr x1, [x0]"
        x = run(bench, source, x0=0x7000_0010)
        assert (x[20], x[21], x[24]) == (0x25 << 26 | IL | 0x10, 0x7000_0010, 0x200)
        x = run(bench, TO_LOWER + source, x10=RW | TGE, x11=0x3C0, x0=0x7000_0010)
        assert (x[20], x[21], x[24]) == (0x24 << 26 | IL | 0x10, 0x7000_0010, 0x400)

    def test_state(self, bench: Any) -> None:
        """Entry masks everything, selects SP_EL2 and leaves the condition flags."""
        report = "mrs x1, daif; mrs x2, spsel; mrs x3, nzcv; mrs x4, currentel; mov x5, sp; smc #0"
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS_EL2 + offset, report)
        bench.pe.write_sysreg("vbar_el2", VECTORS_EL2)
        source = "mov sp, x6; msr spsel, #0; mov sp, x7; msr daifclr, #15; msr nzcv, x8; svc #0"
        x = bench.run(source, el=2, x6=0x8030_0000, x7=0x8038_0000, x8=0xA000_0000)
        assert x[1:6] == [0x3C0, 1, 0xA000_0000, 8, 0x8030_0000]


class TestReturn:
    """ERET from EL2 to each lower level, and back."""

    @pytest.mark.parametrize(("spsr", "el"), [(0x3C9, 2), (0x3C8, 2), (0x3C5, 1), (0x3C4, 1)])
    def test_level(self, bench: Any, spsr: int, el: int) -> None:
        """CurrentEL, SPSel and the flags are those of SPSR_EL2."""
        x = run(bench, TO_LOWER + "mrs x1, currentel; mrs x2, spsel; mrs x3, nzcv; smc #0", x11=spsr | 0x6000_0000)
        assert x[1:4] == [el << 2, spsr & 1, 0x6000_0000]
        assert x[25] == 0

    def test_el0(self, bench: Any) -> None:
        """EL0 runs with SP_EL0, and its SVC is EL1's."""
        x = run(bench, f"msr sp_el0, x7; {TO_LOWER} mov x1, sp; svc #3", x11=0x3C0, x7=DATA)
        assert x[1] == DATA
        assert x[20:26] == [0x15 << 26 | IL | 3, x[21], LOWER + 12, 0x3C0, 0x400, 1]


class TestIllegalReturn:
    """An illegal exception return: the level stays, PSTATE.IL is set, and the next instruction is EC 0x0E."""

    @pytest.mark.parametrize("mode", [0x1, 0x2, 0x3, 0x6, 0xA, 0xB, 0xC, 0xD, 0x10, 0x13, 0x1F])
    @pytest.mark.parametrize("state", [SecurityState.NON_SECURE, REALM])
    def test_el1(self, bench: Any, state: SecurityState, mode: int) -> None:
        """From EL1 to a mode that is none, to a level above or to AArch32, which no PE has."""
        self._check(bench, state, 1, mode)

    @pytest.mark.parametrize("mode", [0x1, 0x2, 0xB, 0xC, 0xD, 0x10, 0x13, 0x1A])
    def test_el2(self, bench: Any, mode: int) -> None:
        """From EL2, to EL3 among others."""
        self._check(bench, SecurityState.NON_SECURE, 2, mode)

    @staticmethod
    def _check(bench: Any, state: SecurityState, el: int, mode: int) -> None:
        report = f"mrs x20, esr_el{el}; mrs x22, elr_el{el}; mrs x23, spsr_el{el}; mrs x24, currentel; smc #0"
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, report)
        bench.pe.write_sysreg(f"vbar_el{el}", VECTORS)
        source = f"msr spsr_el{el}, x1; adr x2, there; msr elr_el{el}, x2; eret; mov x5, #1; there: mov x5, #2; smc #0"
        x = bench.run(source, state, el, x1=0x3C0 | 0x9000_0000 | mode, x5=0)
        assert x[5] == 0
        assert x[20] == 0x0E << 26 | IL
        assert (x[22], x[24]) == (CODE + 5 * 4, el << 2)
        assert x[23] == 0x9000_0000 | 1 << 20 | 0x3C0 | el << 2 | 1

    def test_illegal_bit(self, bench: Any) -> None:
        """SPSR.IL = 1 makes a return to a legal mode one into the illegal state, which EL1 reports."""
        x = run(bench, TO_LOWER + "mov x5, #2", x11=0x3C5 | 1 << 20, x5=0)
        assert x[20:26] == [0x0E << 26 | IL, x[21], LOWER, 0x3C5 | 1 << 20, 0x200, 1]
        assert x[5] == 0

    def test_general_exceptions(self, bench: Any) -> None:
        """Under HCR_EL2.TGE there is no EL1 to return to."""
        x = run(bench, TO_LOWER + "mov x5, #2", x10=RW | TGE, x5=0)
        assert x[20:26] == [0x0E << 26 | IL, x[21], LOWER, 0x3C9 | 1 << 20, 0x200, 2]

    def test_goes_on(self, bench: Any) -> None:
        """Once the handler has cleared IL in SPSR the code goes on."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "mrs x3, spsr_el1; bic x3, x3, #0x100000; msr spsr_el1, x3; eret")
        bench.pe.write_sysreg("vbar_el1", VECTORS)
        x = bench.run("msr spsr_el1, x1; adr x2, there; msr elr_el1, x2; eret; there: mov x5, #2; smc #0", x1=2, x5=0)
        assert x[5] == 2


class TestHypervisorConfiguration:
    """HCR_EL2 as this PE has it."""

    @pytest.mark.parametrize(
        ("written", "read"),
        [
            (0, RW),
            (1, RW | 1),
            (RW | 1 << 34, RW),  # E2H: no FEAT_VHE
            (RW | 1 << 46 | 1 << 48 | 1 << 37, RW | 1 << 46 | 1 << 48 | 1 << 37),  # FWB, GPF, TEA
            (RW | 1 << 29 | 1 << 15 | 0x7FFF << 49, RW),
            ((1 << 64) - 1 & ~(1 << 27), 0x0001_4023_DFFF_7FFF & ~(1 << 27)),
        ],
    )
    def test_bits(self, bench: Any, written: int, read: int) -> None:
        """RW reads as one, for EL1 is never AArch32; what belongs to features that are not there reads as zero."""
        assert run(bench, "msr hcr_el2, x10; isb; mrs x1, hcr_el2; smc #0", x10=written)[1] == read

    def test_aarch64_without_rw(self, bench: Any) -> None:
        """EL1 is AArch64 whatever was written to RW, and a change of DC or VM with it takes effect."""
        x = run(bench, "ldr x1, [x0]; " + TO_LOWER + "mrs x2, currentel; ldr x3, [x0]; smc #0", x10=0, x0=DATA)
        assert x[2] == 4
        bench.pe.write_sysreg("vtcr_el2", 0x8005_3558)
        x = run(bench, TO_LOWER + "nop; hvc #0", x10=1)
        assert (x[20] >> 26, x[25]) == (0x20, 2)  # its tables map nothing


class TestPcAlignment:
    """A branch to an address that is no multiple of 4: EC 0x22 at the target."""

    @pytest.mark.parametrize("off", [1, 2, 3])
    @pytest.mark.parametrize("source", ["br x1", "blr x1", "ret x1"])
    @pytest.mark.parametrize("el", [1, 2])
    def test_branch(self, bench: Any, el: int, source: str, off: int) -> None:
        """FAR and ELR are the misaligned address; nothing is executed there."""
        bench.place(DATA, "mov x5, #1; smc #0")
        x = run(bench, source, el, x1=DATA + off, x5=0)
        assert x[20:26] == [0x22 << 26 | IL, DATA + off, DATA + off, x[23], 0x200, el]
        assert x[5] == 0

    @pytest.mark.parametrize("target", [DATA + 2, 0x7000_0002])
    def test_return(self, bench: Any, target: int) -> None:
        """ERET to such an address at EL0 is EL1's exception, even where nothing could be fetched."""
        x = run(bench, "msr spsr_el1, xzr; msr elr_el1, x1; eret", 1, x1=target)
        assert x[20:26] == [0x22 << 26 | IL, target, target, 0, 0x400, 1]


class TestDebug:
    """Breakpoints and BRK: to the level itself, or to EL2 with MDCR_EL2.TDE."""

    _ARM = (
        "msr mdcr_el2, x12; msr oslar_el1, xzr; adr x1, there; msr dbgbvr1_el1, x1; msr dbgbcr1_el1, x2; "
        "msr mdscr_el1, x3; isb; "
    )

    @pytest.mark.parametrize(("spsr", "level"), [(0x1C0, 0), (0x1C5, 1)])
    @pytest.mark.parametrize("tde", [0, 1])
    def test_breakpoint(self, bench: Any, spsr: int, level: int, tde: int) -> None:
        """Class 0x30 from a lower level, 0x31 from the same, IFSC 0x22; ELR is the instruction, not executed."""
        source = self._ARM + TO_LOWER + "nop; there: mov x5, #1; smc #0"
        x = run(bench, source, x2=0x1E7, x3=1 << 13 | 1 << 15, x11=spsr, x12=tde << 8, x5=0)
        target = 2 if tde else 1
        assert x[20] == (0x30 | (target == level)) << 26 | IL | 0x22
        assert x[22] == CODE + 13 * 4
        assert x[5] == 0
        assert x[24:26] == [0x200 if target == level else 0x400, target]

    @pytest.mark.parametrize(("spsr", "tde", "target"), [(0x3C0, 0, 1), (0x3C5, 0, 1), (0x3C0, 1, 2), (0x3C5, 1, 2)])
    def test_brk(self, bench: Any, spsr: int, tde: int, target: int) -> None:
        """BRK needs no control; its class is 0x3C at every level."""
        x = run(bench, "msr mdcr_el2, x12; " + TO_LOWER + "brk #0x99", x11=spsr, x12=tde << 8)
        assert x[20] == 0x3C << 26 | IL | 0x99
        assert (x[22], x[25]) == (LOWER + 4, target)
