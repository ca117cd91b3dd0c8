"""Every way to write memory beside the PE's own stores: code that was executed there never runs again as it was."""

import ctypes
import struct
from collections.abc import Callable
from typing import Any, Final

import pytest

from cca_arch.types import Gpi, SecurityState
from cca_platform.memory.ports import Port

CODE, LOOK, VECTORS, DATA = 0x8010_0000, 0x8010_0100, 0x8011_0000, 0x8012_0000
OLD, NEW = b"\x23\x00\x80\xd2", b"\x43\x00\x80\xd2"  # MOV X3, #1 and MOV X3, #2
(WORD,) = struct.unpack("<I", NEW)
RET = 0xD65F_03C0
UNDEFINED = 1 << 25  # ESR_EL1 of zeroes that are executed

WRITERS: Final[dict[str, Callable[[Port], object]]] = {
    "write": lambda port: port.write(DATA, NEW),
    "write8": lambda port: port.write8(DATA, NEW[0]),
    "write16": lambda port: port.write16(DATA, WORD & 0xFFFF),
    "write32": lambda port: port.write32(DATA, WORD),
    "write64": lambda port: port.write64(DATA, RET << 32 | WORD),
    "write_words": lambda port: port.write_words(DATA, [(0, RET << 32 | WORD)]),
    "host_address": lambda port: ctypes.memmove(port.host_address(DATA, 4), NEW, 4),
    "zero": lambda port: port.zero(DATA, 0x1000),
}
"""The methods of a port that write, each as it is called."""
ACROSS: Final[dict[str, Callable[[Port], object]]] = {
    "write": lambda port: port.write(DATA - 4, OLD + NEW),
    "write64": lambda port: port.write64(DATA - 4, WORD << 32),
    "host_address": lambda port: ctypes.memmove(port.host_address(DATA - 4, 8) + 4, NEW, 4),
    "zero": lambda port: port.zero(DATA - 0x1000, 0x2000),
}
"""Those that can reach into a second page, with the code in that one."""


def executed(bench: Any, number: int, pc: int = CODE, x1: int = DATA) -> int:
    """X20 of the code at ``pc`` on a PE of the bench: X3 of the routine at DATA, or ESR_EL1.

    The code is there already: to place it would itself drop all that is translated.
    """
    pe = bench.machine.pes[number]
    pe.x[1], pe.elr, pe.spsr = x1, pc, 0x3C5
    bench.machine.stopped = None
    pe.eret(SecurityState.NON_SECURE, 1)
    pe.run(bench.machine.clock.now + 1000)
    return int(bench.el3.calls[-1][20])


@pytest.fixture
def ran(bench: Any) -> Any:
    """A machine of which two PEs have run MOV X3, #1 at DATA."""
    bench.vectors()
    for pe in bench.machine.pes[:2]:
        pe.write_sysreg("vbar_el1", VECTORS)
    bench.place(CODE, "blr x1; mov x20, x3; smc #0")
    bench.place(LOOK, "mov x20, #0; ldr x2, [x1]; smc #0")
    bench.place(DATA, "mov x3, #1; ret")
    assert [executed(bench, number) for number in (0, 1)] == [1, 1]
    return bench


class TestWriters:
    """Written by a port, the new code runs at once: on the PE that ran the old, and on every other."""

    def test_complete(self) -> None:
        """The table has every method of a port that writes."""
        names = {name for name in vars(Port) if name.startswith(("write", "zero", "fill", "copy"))}
        assert names | {"host_address"} == WRITERS.keys()

    @pytest.mark.parametrize("writer", WRITERS)
    @pytest.mark.parametrize("who", ["backdoor", "port"])
    def test_own_page(self, ran: Any, who: str, writer: str) -> None:
        """In the page of the code, by the backdoor and by a port that has what it was granted in its TLB."""
        memory = ran.machine.memory
        port = memory.backdoor if who == "backdoor" else memory.port(SecurityState.NON_SECURE)
        port.read64(DATA)
        for number in (0, 1):
            ran.place(DATA, "mov x3, #1; ret")
            assert [executed(ran, one) for one in (0, 1)] == [1, 1]
            WRITERS[writer](port)
            assert executed(ran, number) == (UNDEFINED if writer == "zero" else 2)

    @pytest.mark.parametrize("writer", ACROSS)
    def test_second_page(self, ran: Any, writer: str) -> None:
        """A range whose last page has the code."""
        ACROSS[writer](ran.machine.memory.backdoor)
        assert executed(ran, 0) == (UNDEFINED if writer == "zero" else 2)

    def test_lent_words(self, ran: Any) -> None:
        """What only reads leaves the code as it is."""
        memory = ran.machine.memory
        memory.backdoor.view(DATA, 8)
        memory.backdoor.words(DATA, 8)
        memory.backdoor.host_address(DATA, 8, write=False)
        memory.backdoor.read(DATA, 8)
        assert not any(pe.tlb.code_is_stale for pe in ran.machine.pes)


class TestWorlds:
    """A granule that was executed and goes to another world."""

    def test_scrubbed(self, ran: Any) -> None:
        """Scrubbed by its new owner and given back, it has zeroes for its old one, not code that was translated."""
        memory = ran.machine.memory
        ran.protect({DATA: Gpi.REALM})
        memory.tlbi_paall()
        assert executed(ran, 0) >> 26 == 0x21
        memory.port(SecurityState.REALM).zero(DATA, 0x1000)
        ran.protect({DATA: Gpi.NON_SECURE})
        memory.tlbi_paall()
        assert executed(ran, 0) == UNDEFINED


class TestRanges:
    """TLBI by physical address: every page of the range, and no other, is translated anew."""

    PAGES = 4

    @pytest.mark.parametrize("page", range(PAGES))
    @pytest.mark.parametrize(("first", "count"), [(0, 4), (0, 1), (1, 2), (3, 1), (0, 2), (2, 2)])
    def test_each_page(self, ran: Any, page: int, first: int, count: int) -> None:
        """A PE and a port that have reached a page lose it if the range has it, the last page too; otherwise not."""
        memory = ran.machine.memory
        pages = [DATA + 0x1000 * number for number in range(self.PAGES)]
        ran.protect(dict.fromkeys(pages, Gpi.NON_SECURE))
        port = memory.port(SecurityState.NON_SECURE)
        port.read64(pages[page])
        assert executed(ran, 0, LOOK, pages[page]) == 0
        ran.assign(dict.fromkeys(pages, Gpi.REALM))
        memory.tlbi_pa(pages[first], 0x1000 * count)
        named = first <= page < first + count
        assert (executed(ran, 0, LOOK, pages[page]) != 0) == named
        assert (pages[page] >> 12 in port.tlb) != named
