"""What a PE has cached of memory: translated code, and translations of addresses."""

from collections.abc import Iterator
from typing import Any

import pytest

from cca_arch.types import Gpi, SecurityState
from cca_platform.native import block as w

CODE = 0x8010_0000
DATA = 0x8012_0000
VECTORS = 0x8011_0000


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


PAGE = 0x1000


class Caller:
    """Code that is there from the start, to be called on any PE: nothing but itself has the engines drop anything.

    ``call`` calls a routine, ``invalidate(operation)`` does an operation with X1 and a context synchronisation.
    """

    OPERATIONS = ("ic ivau, x1", "ic iallu", "ic ialluis")

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        bench.place(CODE, "blr x1; smc #0")
        for number, operation in enumerate(self.OPERATIONS, 1):
            bench.place(CODE + 64 * number, f"{operation}; dsb ish; isb; smc #0")
        self.call(0, DATA, "mov x3, #0; ret")

    def write(self, address: int, source: str) -> None:
        """Write code as through another address: the engine does not see it."""
        memory, loud = self.bench.machine.memory, self.bench.write

        def quiet(pa: int, data: bytes) -> None:
            at = memory.offset(pa)
            memory.dram[at : at + len(data)] = data

        self.bench.write = quiet
        self.bench.place(address, source)
        self.bench.write = loud

    def _run(self, number: int, entry: int, x1: int) -> int:
        bench = self.bench
        pe = bench.machine.pes[number]
        pe.x[1], pe.elr, pe.spsr = x1, entry, 0x3C5
        bench.machine.stopped = None
        pe.eret(1, 1)
        pe.run(bench.machine.clock.now + 1000)
        return int(bench.el3.calls[-1][3])

    def call(self, number: int, address: int, source: str = "") -> int:
        """X3 after a routine on PE ``number``, which is placed first if ``source`` is given."""
        if source:
            self.bench.place(address, source)
        return self._run(number, CODE, address)

    def invalidate(self, number: int, operation: str, address: int) -> None:
        """Do an operation on PE ``number``."""
        self._run(number, CODE + 64 * (1 + self.OPERATIONS.index(operation)), address)


@pytest.fixture
def caller(bench: Any) -> Iterator[Caller]:
    """The routines on a machine."""
    yield Caller(bench)


class TestInstructionCaches:
    """IC makes code that was written through another address visible: on this PE at once, on others by broadcast."""

    @pytest.mark.parametrize("operation", Caller.OPERATIONS)
    def test_own(self, caller: Caller, operation: str) -> None:
        """After IC and ISB a PE runs the new code, time and again."""
        caller.call(0, DATA, "mov x3, #1; ret")
        for value in range(2, 6):
            caller.write(DATA, f"mov x3, #{value}; ret")
            caller.invalidate(0, operation, DATA)
            assert caller.call(0, DATA) == value

    def test_another_line(self, caller: Caller) -> None:
        """IC IVAU need not reach more than its line, but it does not miss it: the last instruction of a page counts."""
        last = DATA + PAGE - 4
        caller.call(0, last, "mov x3, #1; ret")
        caller.write(last, "mov x3, #2; ret")
        caller.invalidate(0, "ic ivau, x1", last)
        assert caller.call(0, last) == 2

    @pytest.mark.parametrize("operation", ["ic ivau, x1", "ic ialluis"])
    @pytest.mark.parametrize("pages", [1, w.DROPS, w.DROPS + 1, 3 * w.DROPS])
    def test_of_others(self, caller: Caller, operation: str, pages: int) -> None:
        """The other PEs have new code next time they run, however many pages it is."""
        places = [DATA + PAGE * number for number in range(pages)]
        for pe in (1, 2):
            assert [caller.call(pe, place, "" if pe == 2 else "mov x3, #1; ret") for place in places] == [1] * pages
        for value in (2, 3):
            for place in places:
                caller.write(place, f"mov x3, #{value}; ret")
                caller.invalidate(0, operation, place)
            for pe in (1, 2, 0):
                assert [caller.call(pe, place) for place in places] == [value] * pages

    def test_code_of_its_own_page(self, caller: Caller) -> None:
        """IC IVAU of the page that it is on: what follows in that page goes on, and is the new code."""
        source = "ic ivau, x1; dsb ish; isb; b next; .space 64; next: mov x3, #{}; ret"
        assert caller.call(0, DATA, source.format(1)) == 1
        for value in (2, 3):
            caller.write(DATA, source.format(value))
            assert caller.call(0, DATA) == value

    def test_only_what_is_named(self, caller: Caller) -> None:
        """IC IVAU of one page leaves the translations of others alone: code there is known to be translated."""
        other, memory = DATA + PAGE, caller.bench.machine.memory
        caller.call(0, other, "mov x3, #1; ret")
        caller.call(0, DATA)
        caller.invalidate(0, "ic ivau, x1", DATA)
        assert [bool(memory.executed[memory.page_index(page)]) for page in (DATA, other)] == [False, True]
        assert not memory.block[w.M_CODE_WRITTEN]

    def test_all_of_many(self, caller: Caller) -> None:
        """IC IALLU drops what was writable when it was fetched first, however many pages that is."""
        for pages in (2, w.MIXED, w.MIXED + 1):
            places = [DATA + PAGE * number for number in range(pages)]
            assert [caller.call(0, place, "mov x3, #7; ret") for place in places] == [7] * pages
            for value in (1, 2):
                for place in places:
                    caller.write(place, f"mov x3, #{value}; ret")
                caller.invalidate(0, "ic iallu", 0)
                assert [caller.call(0, place) for place in places] == [value] * pages

    def test_written_pages_alone(self, caller: Caller) -> None:
        """A page whose code is written, by Python here, has its translations dropped, and no other has."""
        memory, other = caller.bench.machine.memory, DATA + PAGE
        caller.call(0, other, "mov x3, #5; ret")
        caller.call(0, DATA, "mov x3, #1; ret")
        assert caller.call(0, DATA, "mov x3, #2; ret") == 2
        assert memory.executed[memory.page_index(other)] and not memory.block[w.M_CODE_WRITTEN]
        assert caller.call(0, other) == 5

    @pytest.mark.parametrize("pages", [1, w.DROPS, w.DROPS + 1])
    def test_written_for_others(self, caller: Caller, pages: int) -> None:
        """Whoever has translated a page that is written drops that before it runs, also one that runs rarely."""
        places = [DATA + PAGE * number for number in range(pages)]
        for value in (1, 2, 3):
            for place in places:
                caller.bench.place(place, f"mov x3, #{value}; ret")
            for pe in (value % 3, 0, 1, 2):
                assert [caller.call(pe, place) for place in places] == [value] * pages

    def test_nothing_stays_behind(self, caller: Caller) -> None:
        """Code that goes to where the engine had the page for a moment gets an exception."""
        caller.call(0, DATA)
        caller.invalidate(0, "ic ivau, x1", DATA)
        bench = caller.bench
        bench.vectors("mrs x3, esr_el1; lsr x3, x3, #26; smc #0")
        assert caller.call(0, w.DROP_VA) == 0x21


NS, REALM, SECURE = SecurityState.NON_SECURE, SecurityState.REALM, SecurityState.SECURE


class TestWorlds:
    """A translation of EL1&0 is never seen by another world; one of EL2 stays while others have their turns."""

    @pytest.fixture
    def load(self, bench: Any) -> Any:
        """Loads from DATA in a world, by code that is there from the start: the value, or -1 after a GPF."""
        bench.vectors("mov x2, #-1; smc #0")
        bench.place(CODE, "ldr x2, [x1]; smc #0")
        bench.machine.memory.backdoor.write64(DATA, 7)
        bench.protect({DATA: Gpi.NON_SECURE})
        pe = bench.pe

        def run(state: SecurityState, el: int) -> int:
            pe.x[1], pe.x[2], pe.elr, pe.spsr, bench.machine.stopped = DATA, 0, CODE, 0x3C1 | el << 2, None
            pe.eret(state, el)
            pe.run(bench.machine.clock.now + 1000)
            return int(bench.el3.calls.pop()[2])

        pe.write_sysreg("vbar_el2", VECTORS)
        return run

    @pytest.mark.parametrize("turns", [(NS, REALM, NS), (REALM, NS, SECURE, NS), (NS, SECURE, REALM, NS)])
    @pytest.mark.parametrize("el", [1, 2])
    def test_turns(self, load: Any, turns: tuple[SecurityState, ...], el: int) -> None:
        """Whatever a world had in the TLB, another one gets its own answer."""
        answers = [load(state, el if state is NS else 1) for state in turns]
        assert answers == [7 if state is NS else (1 << 64) - 1 for state in turns]

    def test_stays(self, bench: Any, load: Any) -> None:
        """What Non-secure EL2 has translated is there after a Realm's turn: no fill is needed; EL1's are needed."""

        def fills(state: SecurityState, el: int) -> int:
            before = bench.pe.words[w.P_FILLS]
            load(state, el)
            return int(bench.pe.words[w.P_FILLS] - before)

        assert fills(NS, 2) > 0
        for _ in range(3):
            assert fills(REALM, 1) > 0
            assert fills(NS, 2) == 0
        assert fills(NS, 1) > 0

    def test_protection(self, bench: Any, load: Any) -> None:
        """A granule that goes to another world while EL2 waits is refused, though EL2 had it in its TLB."""
        assert load(NS, 2) == 7
        load(REALM, 1)
        bench.protect({DATA: Gpi.REALM})
        bench.machine.memory.tlbi_pa(DATA, 4096)
        assert load(REALM, 1) == 7
        assert load(NS, 2) == (1 << 64) - 1
