"""The recent exceptions of a PE: how an endless series began, whose it is, and what the trace makes of it."""

from typing import Any

import pytest

from cca_arch.sysregs import Ec
from cca_arch.types import SecurityState
from cca_platform.native import block as w
from cca_platform.pe.recent import began, forget, recent
from cca_platform.trace.sinks import Listing

NS = SecurityState.NON_SECURE
CODE, VECTORS, NOWHERE = 0x8000_0000, 0x8000_1000, 0x7000_0000
ON = 0x3C5


@pytest.fixture
def storm(bench: Any) -> Any:
    """Runs code at EL1 until its exceptions come without end; returns the PE."""

    def run(source: str, vbar: int = NOWHERE, handler: str = "", x1: int = NOWHERE) -> Any:
        pe = bench.pe
        if handler:
            for offset in range(0, 0x800, 0x80):
                bench.place(VECTORS + offset, handler)
        pe.write_sysreg("vbar_el1", VECTORS if handler else vbar)
        bench.place(CODE, source)
        pe.x[1] = x1
        pe.elr, pe.spsr = CODE, ON
        pe.eret(NS, 1)
        assert bench.machine.run(1_000_000) == "PE 0 takes exceptions without end"
        return pe

    return run


class TestRecent:
    """What is noted."""

    def test_first(self, storm: Any) -> None:
        """The exception that began it comes first; those that are alike are counted."""
        pe = storm("nop; ldr x0, [x1]")
        first, rest = recent(pe)
        assert (first.pc, first.far, first.ec, first.count) == (CODE + 4, NOWHERE, Ec.DATA_ABORT_SAME, 1)
        assert (rest.pc, rest.ec, rest.nested) == (NOWHERE + 0x200, Ec.INSTRUCTION_ABORT_SAME, True)
        assert rest.count >= 999 and rest.vbar == first.vbar == NOWHERE
        assert began(pe) == first

    def test_state_before(self, storm: Any) -> None:
        """It has PSTATE, SP and X30 of that moment."""
        first = began(storm("mov x30, #0x40; mov x2, #0x900; mov sp, x2; .word 0"))
        assert (first.sp, first.lr, first.pstate, first.el, first.target) == (0x900, 0x40, ON, 1, 1)

    def test_handler_that_fails(self, storm: Any) -> None:
        """A handler that fails itself is no beginning."""
        first = began(storm(".word 0", handler="sub sp, sp, #16; ldr x0, [x1]"))
        assert (first.pc, first.ec) == (CODE, Ec.UNKNOWN)

    def test_call_that_returned(self, storm: Any) -> None:
        """A call before is none either: it was meant, and has returned."""
        handler = "mrs x2, esr_el1; lsr x2, x2, #26; cmp x2, #0x15; b.ne .+8; eret; ldr x0, [x1]"
        first = began(storm("svc #1; svc #2; .word 0", handler=handler))
        assert (first.pc, first.ec) == (CODE + 8, Ec.UNKNOWN)

    def test_return_before(self, storm: Any) -> None:
        """An exception return before it does not hide how it began."""
        source = "adr x2, end; msr elr_el1, x2; mov x2, #0x3c5; msr spsr_el1, x2; eret; .space 44; end: .word 0"
        assert began(storm(source)).pc == CODE + 0x40

    def test_forgotten(self, storm: Any) -> None:
        """Another run begins anew."""
        pe = storm(".word 0")
        forget(pe)
        assert (recent(pe), began(pe), pe.words[w.P_NESTED]) == ([], None, 0)

    def test_state(self, bench: Any, storm: Any) -> None:
        """It belongs to the state of the PE."""
        before = bench.machine.snapshot()
        pe = storm("nop; ldr x0, [x1]")
        noted, after = recent(pe), bench.machine.snapshot()
        bench.machine.restore(before)
        assert recent(pe) == []
        bench.machine.restore(after)
        assert recent(pe) == noted


class TestOwner:
    """Exceptions of one vCPU are not counted for the next one."""

    @pytest.mark.parametrize("other", ["vttbr", "vmpidr", None])
    def test_below_the_limit(self, bench: Any, other: str | None) -> None:
        """What one leaves below the limit, another on the same PE does not take over; its own it does."""
        pe = bench.pe
        pe.write_sysreg("vbar_el1", VECTORS)
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "nop; .word 0")
        bench.place(CODE, ".word 0")
        pe.elr, pe.spsr = CODE, ON
        pe.eret(NS, 1)
        pe.set_el2(pe.words[w.P_HCR], 0, 0, 0)
        while pe.words[w.P_NESTED] < w.NESTED_LIMIT - 100:
            pe.step(alone=True)
        count = pe.words[w.P_NESTED]
        changed = {"vttbr": (1 << 48, 1), "vmpidr": (0, 1), None: (0, 0)}
        pe.set_el2(pe.words[w.P_HCR], 0, *changed[other])
        while pe.words[w.P_NESTED] in (0, count):
            pe.step(alone=True)
        assert pe.words[w.P_NESTED] == (count + 1 if other is None else 1)
        assert (began(pe).pc == CODE) == (other is None)


class TestTrace:
    """The trace tells an endless series in few events."""

    @pytest.mark.parametrize("handler", ["", "sub sp, sp, #16; ldr x0, [x1]"])
    def test_folded(self, bench: Any, storm: Any, handler: str) -> None:
        """The beginning is told, then how often the rest was repeated: together all that was taken."""
        listing = Listing()
        bench.machine.trace.add(listing)
        taken = bench.machine.clock.exceptions
        pe = storm("nop; ldr x0, [x1]", handler=handler)
        events = [record for record in listing if record["event"].startswith("exception.")]
        repeats = [record for record in events if record["event"] == "exception.repeat"]
        told = len(events) - len(repeats) + sum(record["count"] for record in repeats)
        assert told == bench.machine.clock.exceptions - taken
        assert len(repeats) == 1 and events[-1] is repeats[0]
        last = recent(pe)[-1]
        assert (repeats[0]["pc"], repeats[0]["esr"], repeats[0]["target"]) == (hex(last.pc), hex(last.esr), "0x1")
        assert len(events) <= (3 if not handler else w.NESTED_SUSPECT + 3)

    def test_not_folded(self, bench: Any) -> None:
        """Exceptions that return are told one by one, however alike they are."""
        listing = Listing()
        bench.machine.trace.add(listing)
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "eret")
        bench.pe.write_sysreg("vbar_el1", VECTORS)
        bench.place(CODE, "mov x3, #1000; again: svc #0; subs x3, x3, #1; b.ne again; smc #0")
        bench.pe.elr, bench.pe.spsr = CODE, ON
        bench.pe.eret(NS, 1)
        bench.machine.run(20_000)
        assert [record["event"] for record in listing].count("exception.take") == 1000

    def test_changes_nothing(self, benches: Any) -> None:
        """With a trace or without, a PE ends in the same state."""
        states = []
        for sink in (Listing(), None):
            bench = benches()
            if sink is not None:
                bench.machine.trace.add(sink)
            bench.place(CODE, "nop; ldr x0, [x1]")
            bench.pe.write_sysreg("vbar_el1", NOWHERE)
            bench.pe.x[1] = NOWHERE
            bench.pe.elr, bench.pe.spsr = CODE, ON
            bench.pe.eret(NS, 1)
            bench.machine.run(1_000_000)
            states.append(bench.pe.save())
        assert states[0] == states[1]
