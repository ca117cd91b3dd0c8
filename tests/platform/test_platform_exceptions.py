"""From what the engine reports to exceptions: into the vectors of real code, with their syndromes."""

from typing import Any

import pytest

CODE = 0x8010_0000
VECTORS = 0x8011_0000
DATA = 0x8012_0000
IL = 1 << 25
TO_EL1 = (
    "msr vbar_el2, x1; msr hcr_el2, x4; adr x2, el1; msr elr_el2, x2; mov x3, #0x3c5; msr spsr_el2, x3; eret"
)  # x1 = vectors of EL2, x4 = HCR_EL2; seven instructions


class TestEntry:
    """Exception entry into real vectors: offset, ELR, SPSR, ESR and PSTATE."""

    @pytest.mark.parametrize(
        ("source", "el", "esr", "after"),
        [
            ("svc #0x123", 0, 0x15 << 26 | IL | 0x123, 4),
            ("svc #7", 1, 0x15 << 26 | IL | 7, 4),
            ("brk #0x55", 1, 0x3C << 26 | IL | 0x55, 0),
            ("brk #0x55", 0, 0x3C << 26 | IL | 0x55, 0),
            (".word 0", 1, IL, 0),
            ("smc #0", 0, IL, 0),
            ("mrs x0, vbar_el2", 1, IL, 0),
            ("mrs x0, ttbr0_el1", 0, IL, 0),
        ],
    )
    def test_syndrome(self, bench: Any, source: str, el: int, esr: int, after: int) -> None:
        """SVC returns after itself, BRK and undefined instructions to themselves; each has its class and immediate."""
        bench.vectors("mrs x20, esr_el1; mrs x22, elr_el1; mrs x23, spsr_el1; adr x24, .; mrs x25, currentel; smc #0")
        x = bench.run(f"nop; {source}", el=el)
        assert x[20] == esr
        assert x[22] == CODE + 4 + after
        assert x[23] & 0xF == {0: 0, 1: 5}[el]
        assert x[24] == VECTORS + (0x400 if el == 0 else 0x200) + 12
        assert x[25] == 4

    def test_stack_pointers(self, bench: Any) -> None:
        """EL0 uses SP_EL0, its exception SP_EL1, and ERET gives SP_EL0 back."""
        bench.vectors("mov x20, sp; mrs x21, sp_el0; msr elr_el1, x9; mov x10, #0x3c5; msr spsr_el1, x10; eret")
        bench.place(CODE + 0x100, "mov x22, sp; smc #0")
        source = "adr x9, .+0x100; mov sp, x1; msr sp_el0, x2; adr x3, el0; msr elr_el1, x3; msr spsr_el1, xzr; eret"
        x = bench.run(f"{source}; el0: sub sp, sp, #16; svc #0", x1=0x8030_0000, x2=0x8038_0000)
        assert x[20:23] == [0x8030_0000, 0x8038_0000 - 16, 0x8030_0000]

    def test_hvc_to_el2_code(self, bench: Any) -> None:
        """HVC from EL1 enters the vectors of real EL2 code, after the HVC; ERET there is native."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, elr_el2; mrs x22, currentel; smc #0")
        x = bench.run(f"{TO_EL1}; el1: mrs x5, currentel; hvc #0x44", el=2, x1=VECTORS, x4=1 << 31)
        assert x[5] == 4
        assert x[20] == 0x16 << 26 | IL | 0x44
        assert (x[21], x[22]) == (CODE + 9 * 4, 8)

    def test_smc_immediate(self, bench: Any) -> None:
        """EL3 sees the immediate of an SMC."""
        bench.run("smc #0x3e")
        assert bench.el3.syndromes == [0x17 << 26 | IL | 0x3E]

    def test_trapped_smc(self, bench: Any) -> None:
        """HCR_EL2.TSC: an SMC of EL1 is an exception to EL2, at the SMC itself."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, elr_el2; smc #0")
        x = bench.run(f"{TO_EL1}; el1: smc #9", el=2, x1=VECTORS, x4=1 << 31 | 1 << 19)
        assert x[20:22] == [0x17 << 26 | IL | 9, CODE + 7 * 4]

    def test_unaligned_exclusive(self, bench: Any) -> None:
        """A misaligned exclusive is an alignment fault: DFSC 0x21, FAR the address."""
        bench.vectors()
        x = bench.run("ldxr x2, [x1]", x1=DATA + 1)
        assert x[20:23] == [0x25 << 26 | IL | 0x21, DATA + 1, CODE]
