"""SVC between levels of code: taken in the engine's hook, or in Python for the trace, with one outcome."""

from typing import Any

import pytest

from cca_arch.types import SecurityState
from cca_platform.native import block as w
from cca_platform.trace.sinks import Listing

_CODE, _VECTORS = 0x8010_0000, 0x8011_0000
_STACK = 0x8013_0000
_HANDLER = (
    "mrs x20, esr_el1; mrs x21, elr_el1; mrs x22, spsr_el1; mrs x23, currentel; mov x24, sp; "
    "eor x25, x25, x20; add x25, x25, x21; eor x25, x25, x22, lsl #3; add x26, x26, #1; eret"
)
_HANDLER_EL2 = _HANDLER.replace("_el1", "_el2")
_OF_EL0 = _HANDLER.removesuffix("eret") + (
    "and x8, x20, #0xffff; movz x7, #0xdead; cmp x8, x7; b.eq out; eret; out: smc #0"
)
_LOOP = "again: svc #0x1234; mov x9, x20; svc #0xffff; nop; svc #0; subs x19, x19, #1; b.ne again; smc #0"
_SVC = 0x15


def run(bench: Any, el: int, source: str, state: SecurityState, traced: bool) -> tuple[list[int], int, int, int]:
    """X0..X30 in the end, and the clock, the instructions and the exceptions of the run."""
    listing = Listing()
    if traced:
        bench.machine.trace.add(listing)
    bench.place(_VECTORS + (0x400 if el == 0 else 0x200), (_OF_EL0, _HANDLER, _HANDLER_EL2)[el])
    bench.pe.write_sysreg(f"vbar_el{2 if el == 2 else 1}", _VECTORS)
    x = bench.run(source, state, el, x19=50, x25=0, x26=0)
    taken = sum(record["event"] == "exception.take" for record in listing)
    assert taken == (x[26] if traced else 0)
    return x, bench.machine.clock.now, bench.pe.words[w.P_RETIRED], bench.machine.clock.exceptions


class TestSvc:
    """From each level that code has."""

    @pytest.mark.parametrize("cpu", ["a72", "max"])
    @pytest.mark.parametrize(
        ("el", "state"),
        [
            (0, SecurityState.NON_SECURE), (0, SecurityState.REALM), (1, SecurityState.REALM),
            (1, SecurityState.NON_SECURE), (1, SecurityState.SECURE), (2, SecurityState.NON_SECURE),
        ],
    )  # fmt: skip
    def test_traced_or_not(self, benches: Any, el: int, state: SecurityState, cpu: str) -> None:
        """Registers, instructions and time are the same whether Python sees each SVC or none."""
        source = _LOOP if el else _LOOP.replace("smc #0", "svc #0xdead; b .")
        ends = []
        for traced in (False, True):
            ends.append(run(benches(cpu=cpu), el, source, state, traced))
        assert ends[0] == ends[1]
        x = ends[0][0]
        assert x[26] == 150 + (el == 0) and x[20] >> 26 == _SVC and x[23] == max(el, 1) << 2

    def test_syndrome(self, bench: Any) -> None:
        """ESR has the immediate, ELR the next instruction, SPSR the state of the caller."""
        bench.place(_VECTORS + 0x200, _HANDLER)
        bench.pe.write_sysreg("vbar_el1", _VECTORS)
        x = bench.run("cmp x0, x0; svc #0x1234; smc #0")
        assert (x[20], x[21], x[22]) == (_SVC << 26 | 1 << 25 | 0x1234, _CODE + 8, 0x6000_03C5)

    def test_general_exceptions(self, bench: Any) -> None:
        """HCR_EL2.TGE sends the SVC of EL0 to EL2, which is Python's to do."""
        bench.place(_VECTORS + 0x400, f"{_HANDLER_EL2.removesuffix('eret')} smc #0")
        bench.pe.write_sysreg("vbar_el2", _VECTORS)
        bench.pe.set_el2(1 << 31 | 1 << 27, 0, 0, 0x8000_0000)
        x = bench.run("svc #7; b .", el=0)
        assert (x[20], x[23]) == (_SVC << 26 | 1 << 25 | 7, 8)

    def test_without_end(self, bench: Any) -> None:
        """A handler that makes the call that it is there for is found out, as with the trace on."""
        bench.place(_VECTORS + 0x200, "svc #1; b .")
        bench.pe.write_sysreg("vbar_el1", _VECTORS)
        with pytest.raises(AssertionError, match="must end with an SMC"):
            bench.run("svc #0; smc #0", ticks=10_000_000)
        assert bench.pe.stuck
