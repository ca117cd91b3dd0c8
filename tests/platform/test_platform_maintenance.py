"""SYS instructions: AT, by the walk of the machine itself."""

from collections.abc import Callable
from typing import Any

DATA = 0x8012_0000


class TestAddressTranslation:
    """AT answers from the machine's own walker."""

    def test_flat(self, bench: Any) -> None:
        """With the MMU off the address comes back; beyond the physical size it is an Address Size Fault, level 0."""
        x = bench.run("at s1e1r, x1; mrs x2, par_el1; at s1e1w, x3; mrs x4, par_el1; smc #0", x1=DATA, x3=1 << 50)
        assert x[2] & 0xFFFF_FFFF_F001 == DATA
        assert x[4] & 0x7F == 0b1

    def test_mapped(self, benches: Callable[..., Any]) -> None:
        """With the MMU on it follows the tables, and a hole is a translation fault of its level."""
        bench = benches()
        raw, pe = bench.machine.memory.backdoor, bench.pe
        table = DATA + 0x1000
        raw.write64(table + 8 * 2, 0x8000_0000 | 0x701)
        raw.write64(table + 8 * 3, 0x8000_0000 | 0x701)
        for name, value in {"mair_el1": 0xFF, "tcr_el1": 25 | 1 << 23 | 5 << 32, "ttbr0_el1": table}.items():
            pe.write_sysreg(name, value)
        pe.write_sysreg("sctlr_el1", 0x30D0_0801)
        source = "at s1e1r, x1; mrs x2, par_el1; at s1e1r, x3; mrs x4, par_el1; smc #0"
        x = bench.run(source, x1=DATA + 0x4000_0000, x3=0x4000_0000)
        assert x[2] & 0xFFFF_FFFF_F001 == DATA
        assert x[4] & 0x7F == 0x05 << 1 | 1
