"""The last instruction of the address space: what comes after it is at address 0, whoever does the addition."""

import pytest

from cca_arch.types import SecurityState
from cca_platform.pe.running import BREAKPOINT

from .conftest import Bench, Recorder

UART = 0x1C09_0000
TABLES, LAST_PAGE, FIRST_PAGE = 0x8060_0000, 0x8070_0000, 0x8071_0000
LAST = (1 << 64) - 4
TCR = 25 | 25 << 16 | 0x3500_3500 | 2 << 30 | 5 << 32  # 39 bits below and above
PAGE, DEVICE = 0x703, 0x401 | 1 << 2
TSC = 1 << 19


def begin(bench: Bench, *last: str) -> None:
    """EL1 is about to run these instructions, the last ones of its address space; at address 0 is ``smc #7``."""
    raw, pe = bench.machine.memory.backdoor, bench.pe
    for half, at, page in ((0, 0, FIRST_PAGE), (1, 511, LAST_PAGE)):
        table = TABLES + 0x3000 * half
        raw.write64(table + 8 * at, table + 0x1000 | 3)
        raw.write64(table + 0x1000 + 8 * at, table + 0x2000 | 3)
        raw.write64(table + 0x2000 + 8 * at, page | PAGE)
    raw.write64(TABLES + 8, 0x4000_0000 | PAGE & ~2)
    raw.write64(TABLES + 0x1000 + 8 * (UART >> 21), UART & ~0x1F_FFFF | DEVICE)
    values = {"mair": 0x00FF, "tcr": TCR, "ttbr0": TABLES, "ttbr1": TABLES + 0x3000, "sctlr": 0x30D0_0801}
    for name, value in values.items():
        pe.write_sysreg(f"{name}_el1", value)
    bench.place(FIRST_PAGE, "smc #7")
    for number, source in enumerate(reversed(last)):
        bench.place(LAST_PAGE + 0xFFC - 4 * number, source)
    pe.x[1] = UART + 0x18
    pe.elr, pe.spsr = LAST - 4 * (len(last) - 1), 0x3C5
    bench.machine.stopped = None
    pe.eret(SecurityState.NON_SECURE, 1)


def go(bench: Bench) -> str | None:
    """Run until the machine stops; why."""
    bench.machine.stopped = None
    bench.pe.run(bench.machine.clock.now + 1000)
    return bench.machine.stopped


class TestLastInstruction:
    """PC is a 64-bit number: it wraps."""

    @pytest.mark.parametrize(
        "source",
        ["nop", "ldr w3, [x1]", "str w3, [x1], #8", "mrs x3, S3_0_C4_C6_0", "msr S3_0_C4_C6_0, x3", "dc cvac, xzr"],
    )
    def test_goes_on(self, bench: Bench, source: str) -> None:
        """Whether the engine or the platform does it: a device, a register of the GIC."""
        begin(bench, source)
        assert go(bench) == "SMC"
        assert (bench.pe.elr, bench.pe.retired) == (4, 2)

    def test_call(self, bench: Bench) -> None:
        """SMC returns to address 0."""
        begin(bench, "smc #0")
        assert go(bench) == "SMC"
        assert bench.pe.elr == 0

    def test_trapped_call(self, bench: Bench) -> None:
        """An SMC that EL2 in Python traps has not been executed."""
        host = Recorder(bench.machine)
        bench.machine.install(SecurityState.NON_SECURE, 2, host)
        begin(bench, "smc #0")
        bench.pe.set_el2(1 << 31 | TSC, 0, 0, 0)
        assert go(bench) == "SMC"
        assert (bench.pe.elr, len(host.calls), len(bench.el3.calls)) == (LAST, 1, 0)

    @pytest.mark.parametrize(("source", "offset", "returns"), [("svc #0", 0x200, 0), (".word 0", 0x200, LAST)])
    def test_exception(self, bench: Bench, source: str, offset: int, returns: int) -> None:
        """ELR is where the architecture has it."""
        begin(bench, source)
        bench.place(FIRST_PAGE + offset, "mrs x3, elr_el1; smc #0")
        bench.pe.write_sysreg("vbar_el1", 0)
        assert go(bench) == "SMC"
        assert bench.pe.x[3] == returns

    def test_stop_in_its_block(self, bench: Bench) -> None:
        """A stop before it leaves it to be run, and nothing else of its block."""
        begin(bench, "mov x3, #1", "mov x4, #2", "mov x5, #3")
        bench.pe.stop_before({LAST})
        assert go(bench) == BREAKPOINT
        assert (bench.pe.elr, bench.pe.x[4], bench.pe.retired) == (LAST, 2, 2)
        assert bench.pe.resumes
        assert go(bench) == "SMC"
        assert (bench.pe.x[5], bench.pe.retired) == (3, 4)
