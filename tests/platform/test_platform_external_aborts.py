"""External aborts, alignment faults and accesses that a device does not support, as code at EL1 and EL2 gets them."""

from typing import Any, Final

import pytest

CODE, VECTORS, TABLE = 0x8010_0000, 0x8011_0000, 0x8021_0000
UART, DMA = 0x1C09_0000, 0x1C30_0000
NOWHERE = 0x7000_0000
PAGE = 0x9000_0000  # an IPA
IL, WNR = 1 << 25, 1 << 6
EXTERNAL, ALIGNMENT, UNSUPPORTED = 0x10, 0x21, 0x35
_MMU = {"tcr": 25 | 25 << 16 | 5 << 32 | 1 << 31, "ttbr0": TABLE, "mair": 0x44_FF00, "sctlr": 0x30D0_0801}
_EL2 = _MMU | {"tcr": 25 | 5 << 16 | 1 << 31 | 1 << 23, "sctlr": 0x30C5_0831}


def run(bench: Any, source: str, el: int, **registers: int) -> tuple[int, int, int]:
    """(ESR, FAR, ELR - CODE) of the exception of ``source``, or zeros when there was none."""
    report = f"mrs x20, esr_el{el}; mrs x21, far_el{el}; mrs x22, elr_el{el}; mov x25, #1; smc #0"
    for offset in range(0, 0x800, 0x80):
        bench.place(VECTORS + offset, report)
    bench.pe.write_sysreg(f"vbar_el{el}", VECTORS)
    x = bench.run(f"{source}; smc #0", el=el, **{"x25": 0} | registers)
    return (x[20], x[21], x[22] - CODE) if x[25] else (0, 0, 0)


@pytest.mark.parametrize("el", [1, 2])
class TestNobody:
    """An address that nobody answers: synchronous external abort, DFSC or IFSC 0x10, FAR valid."""

    @pytest.mark.parametrize(
        ("source", "wnr"),
        [("ldr x1, [x0, #8]", 0), ("str x1, [x0, #8]", 1), ("ldrb w1, [x0, #8]", 0), ("stp x1, x2, [x0, #8]", 1)],
    )
    def test_data(self, bench: Any, el: int, source: str, wnr: int) -> None:
        """A load or store; no register and no base has changed."""
        assert run(bench, source, el, x0=NOWHERE, x1=5) == (0x25 << 26 | IL | EXTERNAL | wnr << 6, NOWHERE + 8, 0)
        assert bench.pe.x[:2].tolist() == [NOWHERE, 5]

    def test_writeback(self, bench: Any, el: int) -> None:
        """The base register stays when the access aborts."""
        assert run(bench, "ldr x1, [x0, #16]!", el, x0=NOWHERE)[0] & 0x3F == EXTERNAL
        assert bench.pe.x[0] == NOWHERE

    @pytest.mark.parametrize("target", [NOWHERE, UART])
    def test_fetch(self, bench: Any, el: int, target: int) -> None:
        """A fetch, from a device too."""
        assert run(bench, "br x0", el, x0=target)[:2] == (0x21 << 26 | IL | EXTERNAL, target)

    @pytest.mark.parametrize("level", [1, 2])
    def test_walk(self, bench: Any, el: int, level: int) -> None:
        """A table in the device space: external abort on the walk with the level of the table."""
        raw = bench.machine.memory.backdoor
        raw.write64(TABLE + 8 * 2, 0x8000_0000 | 0x705)
        raw.write64(TABLE + 8 * 3, (UART if level == 2 else TABLE + 0x1000) | 3)
        raw.write64(TABLE + 0x1000, UART | 3)
        for name, value in (_EL2 if el == 2 else _MMU).items():
            bench.pe.write_sysreg(f"{name}_el{el}", value)
        found = run(bench, "str x1, [x0]", el, x0=0xC000_0010)
        assert found == (0x25 << 26 | IL | 0x14 + (2 if level == 2 else 3) | WNR, 0xC000_0010, 0)


@pytest.mark.parametrize("el", [1, 2])
class TestDevice:
    """Device memory takes aligned accesses only, and no exclusives."""

    @pytest.mark.parametrize(
        ("source", "far", "status"),
        [
            ("ldr w1, [x0, #0x1a]", 0x1A, ALIGNMENT),
            ("ldrh w1, [x0, #0x19]", 0x19, ALIGNMENT),
            ("ldur x1, [x0, #0x14]", 0x14, ALIGNMENT),
            ("str w1, [x0, #3]!", 3, ALIGNMENT | WNR),
            ("ldp w1, w2, [x3]", 2, ALIGNMENT),
            ("dc zva, x0", 0, ALIGNMENT | WNR),
            ("ldxr w1, [x0]", 0, UNSUPPORTED),
            ("ldxp w1, w2, [x0]", 0, UNSUPPORTED),
        ],
    )
    def test_refused(self, bench: Any, el: int, source: str, far: int, status: int) -> None:
        """A misaligned access is an alignment fault, an exclusive one an IMPLEMENTATION DEFINED fault."""
        found = run(bench, source, el, x0=UART, x3=UART + 2)
        assert found == (0x25 << 26 | IL | status, UART + far, 0)

    @pytest.mark.parametrize("source", ["ldr w1, [x3]", "ldar w1, [x3]", "ldrh w1, [x3]", "ldrb w1, [x0, #0x19]"])
    def test_aligned(self, bench: Any, el: int, source: str) -> None:
        """Each aligned access is the device's business."""
        assert run(bench, source, el, x0=UART, x3=UART + 0x18) == (0, 0, 0)

    def test_vectors(self, bench: Any, el: int) -> None:
        """SIMD and FP registers are loaded and stored, whole or by lanes; those of 128 bits as two of 64."""
        target, length, value = 0x8010_2030_4050, 0x1_2345, 0x67
        source = (
            "fmov d0, x1; mov v0.d[1], x2; str q0, [x0]; ldp x3, x4, [x0]; ldr q1, [x0]; fmov x5, d1; mov x6, v1.d[1];"
            "ld1 {v1.s}[3], [x0], #4; mov x7, v1.d[1]; ldp s2, s3, [x0, #4]!; fmov w8, s2; fmov w9, s3"
        )
        assert run(bench, source, el, x0=DMA + 0x10, x1=target, x2=value << 32 | length) == (0, 0, 0)
        x = bench.el3.calls[-1]
        assert x[3:7] == [target, value << 32 | length] * 2
        assert x[7] == (target & 0xFFFF_FFFF) << 32 | length
        assert (x[8], x[9], x[0]) == (length, value, DMA + 0x18)

    def test_vector_alignment(self, bench: Any, el: int) -> None:
        """A register of 128 bits at an address that is no multiple of 16 is an alignment fault."""
        assert run(bench, "str q0, [x0]", el, x0=DMA + 8) == (0x25 << 26 | IL | ALIGNMENT | WNR, DMA + 8, 0)

    def test_mapped_normal(self, bench: Any, el: int) -> None:
        """Mapped as Normal Non-cacheable memory, a device gets the misaligned access."""
        raw = bench.machine.memory.backdoor
        raw.write64(TABLE, 0x0 | 0x701 | 2 << 2)
        raw.write64(TABLE + 8 * 2, 0x8000_0000 | 0x705)
        for name, value in (_EL2 if el == 2 else _MMU).items():
            bench.pe.write_sysreg(f"{name}_el{el}", value)
        assert run(bench, "ldrh w1, [x0, #0x19]", el, x0=UART) == (0, 0, 0)


class TestSError:
    """SError as EL2 code deals with it: masked, taken, and given to EL1."""

    def test_masked(self, bench: Any) -> None:
        """Pending while PSTATE.A masks it, with ISR_EL1.A; then at the vector of SError with its ISS."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, f"mrs x20, esr_el2; mrs x22, elr_el2; mov x24, #{offset}; smc #0")
        bench.pe.write_sysreg("vbar_el2", VECTORS)
        bench.pe.write_sysreg("hcr_el2", 1 << 31)
        bench.pe.raise_serror(0x12)
        source = "msr hcr_el2, x1; isb; mrs x2, isr_el1; msr daifclr, #4; nop; smc #0"
        x = bench.run(source, el=2, x1=1 << 31 | 1 << 5)
        assert x[2] == 1 << 8
        assert x[20] == 0x2F << 26 | IL | 0x12
        assert (x[22], x[24]) == (CODE + 16, 0x380)


class TestRouting:
    """HCR_EL2.TEA: EL2 gets the synchronous external aborts of lower levels."""

    TEA: Final = 1 << 37

    @pytest.mark.parametrize("el", [0, 1])
    @pytest.mark.parametrize(("source", "ec"), [("ldr x5, [x0]", 0x24), ("str x5, [x0]", 0x24), ("br x0", 0x20)])
    def test_access(self, guest: Any, el: int, source: str, ec: int) -> None:
        """With TEA at EL2, else at EL1; the instruction is not described, and HPFAR_EL2 stays."""
        guest.map(PAGE, NOWHERE, guest.S2)
        wnr = WNR if source[:3] == "str" else 0
        guest.pe.write_sysreg("hpfar_el2", 0xABCD0)
        got = guest.enter(source, el, x0=PAGE)
        assert (got.level, got.esr & ~(1 << 26), got.far) == (1, ec << 26 | IL | EXTERNAL | wnr, PAGE)
        got = guest.enter(source, el, x0=PAGE, x10=guest.HCR | self.TEA)
        assert (got.level, got.esr, got.far) == (2, ec << 26 | IL | EXTERNAL | wnr, PAGE)
        assert got.hpfar == 0xABCD0

    def test_walk(self, guest: Any) -> None:
        """Those of a walk of stage 1, too."""
        guest.map(PAGE, NOWHERE, guest.S2)
        for name, value in (_MMU | {"ttbr0": PAGE}).items():
            guest.pe.write_sysreg(f"{name}_el1", value)
        got = guest.enter("nop", x10=guest.HCR | self.TEA)
        assert (got.level, got.esr) == (2, 0x20 << 26 | IL | 0x15)

    def test_other_aborts(self, guest: Any) -> None:
        """Other aborts go where they went."""
        got = guest.enter("br x0", x0=CODE + 2, x10=guest.HCR | self.TEA)
        assert got.level == 1
        guest.pe.write_sysreg("sctlr_el1", 0x30D0_0800)
        guest.map(PAGE, UART, guest.S2 & ~0x3C)
        got = guest.enter("ldr w5, [x0, #1]", x0=PAGE, x10=guest.HCR | self.TEA)
        assert (got.level, got.esr & 0x3F) == (1, ALIGNMENT)

    def test_el2(self, bench: Any) -> None:
        """EL2's own stay its own, with TEA or without."""
        assert run(bench, "msr hcr_el2, x2; ldr x1, [x0]", 2, x0=NOWHERE, x2=1 << 31 | self.TEA)[0] == (
            0x25 << 26 | IL | EXTERNAL
        )

    def test_readable(self, bench: Any) -> None:
        """TEA reads as it was written."""
        assert bench.run("msr hcr_el2, x2; mrs x3, hcr_el2; smc #0", el=2, x2=self.TEA)[3] == 1 << 31 | self.TEA
