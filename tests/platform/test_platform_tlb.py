"""What a PE has cached of memory: translated code."""

from typing import Any

DATA = 0x8012_0000


class TestCode:
    """Translated code never outlives the bytes it was made of."""

    def test_written_from_python(self, bench: Any) -> None:
        """Code that a port rewrites is executed anew."""
        assert bench.run("mov x1, #1; smc #0")[1] == 1
        assert bench.run("mov x1, #2; smc #0")[1] == 2

    def test_written_by_itself(self, bench: Any) -> None:
        """Code that a store rewrites is executed anew, with the maintenance that the architecture wants."""
        patched = int.from_bytes(b"\xe3\x00\x80\xd2", "little")  # mov x3, #7
        maintenance = "dc cvau, x1; dsb ish; ic ivau, x1; dsb ish; isb"
        assert bench.run(f"adr x1, place; str w2, [x1]; {maintenance}; place: mov x3, #1; smc #0", x2=patched)[3] == 7

    def test_written_by_another_pe(self, bench: Any) -> None:
        """IC IVAU reaches the other PEs: what one wrote, the other executes."""
        first, second = bench.machine.pes[:2]
        bench.place(DATA, "mov x3, #1; smc #0")

        def call(pe: Any, source: str, **registers: int) -> list[int]:
            bench.pe = pe
            result: list[int] = bench.run(source, **registers)
            return result

        assert call(second, "br x1", x1=DATA)[3] == 1
        patched = int.from_bytes(b"\xe3\x00\x80\xd2", "little")
        call(first, "str w2, [x1]; dc cvau, x1; dsb ish; ic ivau, x1; dsb ish; smc #0", x1=DATA, x2=patched)
        assert call(second, "br x1", x1=DATA)[3] == 7
