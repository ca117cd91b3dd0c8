"""Syndromes of a guest's aborts as real EL2 code reads them: every class of load and store, each kind of fault."""

from collections.abc import Callable
from typing import Any

import pytest

from cca_arch.sysregs import DataAbortEsr, GpcEsr
from cca_arch.types import Gpi

DATA = 0x9000_0000  # an IPA of two pages in DRAM
IL = 1 << 25
DATA_ABORT, FETCH_ABORT = 0x24, 0x20
TRANSLATION, ACCESS_FLAG, PERMISSION, EXTERNAL, GPF = 0x04, 0x08, 0x0C, 0x14, 0x24
AF, READ_ONLY, WRITE_ONLY, NO_ACCESS = 1 << 10, ~(1 << 7), ~(1 << 6), ~(3 << 6)
BYTE, HALF, WORD, DOUBLE = range(4)
NOWHERE = 0x6000_0000
DEFAULT_CACHEABLE = 1 << 12  # HCR_EL2.DC: with stage 1 off memory is Normal, so alignment does not matter
ONES = (1 << 64) - 1

# source, SAS, SSE, SRT, SF, AR, WnR of instructions whose syndrome is valid; X0 is the address, X2 an offset of 8
_VALID = [
    ("ldrb w5, [x0]", BYTE, 0, 5, 0, 0, 0),
    ("ldrh w6, [x0]", HALF, 0, 6, 0, 0, 0),
    ("ldr w7, [x0]", WORD, 0, 7, 0, 0, 0),
    ("ldr x8, [x0]", DOUBLE, 0, 8, 1, 0, 0),
    ("ldrsb w5, [x0]", BYTE, 1, 5, 0, 0, 0),
    ("ldrsb x5, [x0]", BYTE, 1, 5, 1, 0, 0),
    ("ldrsh w5, [x0]", HALF, 1, 5, 0, 0, 0),
    ("ldrsh x5, [x0]", HALF, 1, 5, 1, 0, 0),
    ("ldrsw x5, [x0]", WORD, 1, 5, 1, 0, 0),
    ("strb w5, [x0]", BYTE, 0, 5, 0, 0, 1),
    ("strh w5, [x0]", HALF, 0, 5, 0, 0, 1),
    ("str w30, [x0]", WORD, 0, 30, 0, 0, 1),
    ("str x29, [x0]", DOUBLE, 0, 29, 1, 0, 1),
    ("str xzr, [x0]", DOUBLE, 0, 31, 1, 0, 1),
    ("ldr wzr, [x0]", WORD, 0, 31, 0, 0, 0),
    ("ldr x5, [x0, x2]", DOUBLE, 0, 5, 1, 0, 0),
    ("str w5, [x0, w2, uxtw #2]", WORD, 0, 5, 0, 0, 1),
    ("ldur x5, [x0, #9]", DOUBLE, 0, 5, 1, 0, 0),
    ("sturb w5, [x0, #3]", BYTE, 0, 5, 0, 0, 1),
    ("ldtr x5, [x0]", DOUBLE, 0, 5, 1, 0, 0),
    ("ldtrsh w5, [x0]", HALF, 1, 5, 0, 0, 0),
    ("sttr w5, [x0]", WORD, 0, 5, 0, 0, 1),
    ("ldar w5, [x0]", WORD, 0, 5, 0, 1, 0),
    ("ldarb w5, [x0]", BYTE, 0, 5, 0, 1, 0),
    ("stlr x5, [x0]", DOUBLE, 0, 5, 1, 1, 1),
    ("stlrh w5, [x0]", HALF, 0, 5, 0, 1, 1),
]
# source, WnR of those whose syndrome says no more than that
_INVALID = [
    ("ldr x5, [x0], #8", 0),
    ("ldrb w5, [x0, #1]!", 0),
    ("str x5, [x0, #8]!", 1),
    ("strh w5, [x0], #-2", 1),
    ("ldp x5, x6, [x0]", 0),
    ("ldpsw x5, x6, [x0]", 0),
    ("stp w5, w6, [x0]", 1),
    ("stp x5, x6, [x0, #16]!", 1),
    ("ldnp x5, x6, [x0]", 0),
    ("ldxr x5, [x0]", 0),
    ("ldaxrb w5, [x0]", 0),
    ("ldxp x5, x6, [x0]", 0),
    ("ldr q5, [x0]", 0),
    ("str d5, [x0]", 1),
    ("ldp q5, q6, [x0]", 0),
    ("ld1 {v5.16b}, [x0]", 0),
    ("st2 {v5.4s, v6.4s}, [x0]", 1),
    ("dc zva, x0", 1),
]
# LSE: source, WnR when neither reading nor writing is permitted, WnR when reading is
_MAINTENANCE = [
    (el, operation)
    for el in (0, 1)
    for operation in ("dc cvac", "dc cvau", "dc civac", "dc ivac", "ic ivau")
    if el or operation != "dc ivac"  # which is not for EL0
]
_ATOMIC = [(f".word {word:#x}", 0, 1) for word in (0xF8250006, 0xF8A58006, 0xC8A57C06, 0x48247C06)]


def data_abort(fsc: int, **fields: int) -> int:
    """ESR of a Data Abort from a lower level."""
    return DATA_ABORT << 26 | IL | DataAbortEsr.make(fsc=fsc, **fields)


class TestInstructions:
    """ISV, SAS, SSE, SRT, SF, AR and WnR of a translation fault at level 3."""

    @pytest.mark.parametrize(("source", "sas", "sse", "srt", "sf", "ar", "wnr"), _VALID)
    @pytest.mark.parametrize("el", [0, 1])
    def test_valid(
        self, guest: Any, el: int, source: str, sas: int, sse: int, srt: int, sf: int, ar: int, wnr: int
    ) -> None:
        """An access of one general register without writeback describes it."""
        guest.map(DATA + 0x2000, DATA, guest.S2)  # a table down to level 3
        got = guest.enter(source, el, x0=DATA + 0x120, x2=8, x10=guest.HCR | DEFAULT_CACHEABLE)
        expected = data_abort(TRANSLATION | 3, isv=1, sas=sas, sse=sse, srt=srt, sf=sf, ar=ar, wnr=wnr)
        assert (got.level, got.esr, got.hpfar) == (2, expected, DATA >> 8)
        far = DATA + 0x120
        for text, distance in (("x2]", 8), ("uxtw", 32), ("#9", 9), ("#3", 3)):
            far += distance if text in source else 0
        assert (got.far, got.elr, got.spsr & 0xF) == (far, guest.START, 5 if el else 0)

    @pytest.mark.parametrize(("source", "wnr"), _INVALID)
    def test_invalid(self, guest: Any, source: str, wnr: int) -> None:
        """Pairs, writeback, exclusives, vectors and DC ZVA leave ISV zero, and no register changed."""
        guest.map(DATA + 0x2000, DATA, guest.S2)
        got = guest.enter(source, x0=DATA + 0x120, x5=0x55, x10=guest.HCR | DEFAULT_CACHEABLE)
        assert (got.level, got.esr, got.hpfar) == (2, data_abort(TRANSLATION | 3, wnr=wnr), DATA >> 8)
        far = DATA + 0x120 + {"#1]!": 1, "#8]!": 8, "#16]!": 16}.get(source.rpartition(" ")[2], 0)
        assert (got.far, got.x[0], got.x[5]) == (far, DATA + 0x120, 0x55)

    @pytest.mark.parametrize(("source", "none", "readable"), _ATOMIC)
    def test_atomic(self, guests: Callable[..., Any], source: str, none: int, readable: int) -> None:
        """WnR of an atomic is 1 only where a read would have been permitted."""
        guest = guests(cpu="max")
        for attributes, fsc, wnr in (
            (0, TRANSLATION, none),
            (guest.S2 & NO_ACCESS, PERMISSION, none),
            (guest.S2 & READ_ONLY, PERMISSION, readable),
        ):
            guest.map(DATA + 0x1000, DATA, guest.S2)
            guest.map(DATA, DATA, attributes)
            got = guest.enter(source, x0=DATA + 0x120)
            assert (got.level, got.esr, got.far) == (2, data_abort(fsc | 3, wnr=wnr), DATA + 0x120)
            guest.machine.memory.tlbi_paall()

    def test_prefetch(self, guest: Any) -> None:
        """A prefetch never aborts."""
        assert guest.enter("prfm pldl1keep, [x0]", x0=DATA).level == 0

    @pytest.mark.parametrize(("el", "operation"), _MAINTENANCE)
    def test_maintenance(self, guest: Any, el: int, operation: str) -> None:
        """Maintenance by VA is translated like a load; its abort has CM and WnR, and FAR is the register."""
        guest.pe.write_sysreg("sctlr_el1", 0x30D0_0800 | 1 << 26)
        guest.map(DATA, DATA, guest.S2)
        source = f"{operation}, x1; {operation}, x0; mov x5, #1"
        got = guest.enter(source, el, x0=DATA + 0x1234, x1=DATA + 0xFFF, x5=0)
        assert (got.level, got.esr) == (2, data_abort(TRANSLATION | 3, cm=1, wnr=1))
        assert (got.far, got.hpfar, got.elr) == (DATA + 0x1234, DATA + 0x1000 >> 8, guest.START + 4)
        assert got.x[5] == 0
        guest.map(DATA + 0x1000, DATA, guest.S2)
        guest.machine.memory.tlbi_paall()
        got = guest.enter(source, el, x0=DATA + 0x1234, x1=DATA + 0xFFF, x5=0)
        assert (got.level, got.x[5]) == ((0 if el else 1), 1)

    @pytest.mark.parametrize("attributes", [READ_ONLY, WRITE_ONLY, NO_ACCESS])
    @pytest.mark.parametrize(("el", "operation"), _MAINTENANCE)
    def test_permission_of_maintenance(self, guest: Any, el: int, operation: str, attributes: int) -> None:
        """DC IVAC needs to write; EL0 needs to read what it maintains; above EL0 a mapping is enough."""
        guest.pe.write_sysreg("sctlr_el1", 0x30D0_0800 | 1 << 26)
        guest.map(DATA, DATA, guest.S2 & attributes)
        got = guest.enter(f"{operation}, x0", el, x0=DATA + 0x120)
        if attributes != (WRITE_ONLY if operation == "dc ivac" else READ_ONLY if el == 0 else attributes):
            assert (got.level, got.esr) == (2, data_abort(PERMISSION | 3, cm=1, wnr=1))
            assert (got.far, got.hpfar) == (DATA + 0x120, DATA >> 8)
        else:
            assert got.level == (0 if el else 1)  # by the SVC

    def test_maintenance_trapped(self, guest: Any) -> None:
        """A trap comes before an abort, and an abort leaves no trap behind."""
        got = guest.enter("dc civac, x0", x0=DATA, x10=guest.HCR | 1 << 23)
        assert (got.level, got.esr >> 26) == (2, 0x18)
        got = guest.enter("dc civac, x0", x0=DATA)
        assert (got.level, got.esr >> 26) == (2, 0x24)
        got = guest.enter("dc civac, x0", x0=0x8012_0000, x10=guest.HCR | 1 << 23)
        assert (got.level, got.esr >> 26) == (2, 0x18)
        assert guest.enter("dc civac, x0", x0=0x8012_0000).level == 0

    def test_maintenance_is_not_for_el0(self, guest: Any) -> None:
        """DC IVAC at EL0, and what this PE does not have, are undefined wherever they point."""
        guest.pe.write_sysreg("sctlr_el1", 0x30D0_0800 | 1 << 26)
        for source, el in (("dc ivac, x0", 0), (".word 0xd50b7c20", 1)):  # DC CVAP
            assert guest.enter(source, el, x0=DATA)[:2] == (1, IL)

    def test_maintenance_under_tge(self, guest: Any) -> None:
        """With HCR_EL2.TGE the engine has no trap to make an abort of: no abort, and no trap that stays."""
        guest.pe.write_sysreg("sctlr_el1", 0x30D0_0800 | 1 << 26)
        got = guest.enter("dc civac, x0; mov x5, #1", 0, x0=DATA, x10=guest.HCR | 1 << 27, x5=0)
        assert (got.level, got.esr >> 26, got.x[5]) == (2, 0x15, 1)
        assert guest.enter("dc civac, x0; .word 0", x0=0x8012_0000)[:2] == (1, IL)

    def test_maintenance_of_stage1(self, guest: Any) -> None:
        """What stage 1 does not map is EL1's."""
        TestStage1Walk().tables(guest)
        guest.map(TestStage1Walk.TABLE, TestStage1Walk.TABLE, guest.S2)
        got = guest.enter("dc cvac, x0", x0=0x10)
        assert got[:3] == (1, 0x25 << 26 | IL | 1 << 8 | 1 << 6 | TRANSLATION | 1, 0x10)

    def test_fetch(self, guest: Any) -> None:
        """An instruction abort has its class, no ISV, and ELR = FAR."""
        got = guest.enter("br x0", x0=DATA + 0x40)
        assert got[:4] == (2, FETCH_ABORT << 26 | IL | TRANSLATION | 2, DATA + 0x40, DATA + 0x40)
        assert got.hpfar == DATA >> 8

    def test_first_page(self, guest: Any) -> None:
        """A fault at IPA 0 has HPFAR 0, not what was there."""
        guest.pe.write_sysreg("hpfar_el2", 0xABCD0)
        got = guest.enter("ldr x1, [x0]", x0=8)
        assert (got.level, got.far, got.hpfar) == (2, 8, 0)


    def test_no_ipa(self, guest: Any) -> None:
        """A fault of stage 1 that HCR_EL2.TGE routes to EL2 has no IPA: HPFAR_EL2 stays as it was."""
        guest.pe.write_sysreg("hpfar_el2", 0xABCD0)
        got = guest.enter("ldr x1, [x0]", 0, x0=1 << 50, x10=guest.HCR | 1 << 27)
        assert (got.level, got.esr >> 26, got.far, got.hpfar) == (2, 0x24, 1 << 50, 0xABCD0)


class TestPageCrossing:
    """An access over two pages faults on the first of them that is not permitted."""

    @pytest.mark.parametrize(
        ("source", "size"),
        [("ldr x5, [x0]", 8), ("str x5, [x0]", 8), ("ldrh w5, [x0]", 2), ("str w5, [x0]", 4),
         ("ldp x5, x6, [x0]", 16), ("stp x5, x6, [x0]", 16), ("ldr q5, [x0]", 16), ("str q5, [x0]", 16)],
    )  # fmt: skip
    @pytest.mark.parametrize("mapped", [(), (0,), (1,)])
    def test_which(self, guest: Any, source: str, size: int, mapped: tuple[int, ...]) -> None:
        """FAR is the access's address or the start of the second page, HPFAR that page; no register is half stored.

        Of a pair the first register is stored, if it is whole in the first page.
        """
        raw = guest.machine.memory.backdoor
        guest.map(DATA + 0x4000, DATA, guest.S2)
        raw.write(DATA + 0xFF0, bytes(32))
        for page in mapped:
            guest.map(DATA + 0x1000 * page, DATA + 0x1000 * page, guest.S2)
        for before in {1, size // 2, size - 1}:
            start = DATA + 0x1000 - before
            got = guest.enter(source, x0=start, x5=ONES, x6=ONES, x10=guest.HCR | DEFAULT_CACHEABLE)
            second = 0 in mapped
            assert got.far == (DATA + 0x1000 if second else start)
            assert got.hpfar == (DATA + 0x1000 * second) >> 8
            assert (got.level, got.esr & 0x3F, got.elr) == (2, TRANSLATION | 3, guest.START)
            assert got.esr >> 24 & 1 == (size <= 8)
        first = b"\0" + b"\xff" * 15 if source.startswith("stp") and 0 in mapped else bytes(16)
        assert raw.read(DATA + 0xFF0, 32) == first + bytes(16)


class TestFaults:
    """Kinds and levels of stage 2 faults."""

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_translation(self, guest: Any, level: int) -> None:
        """The level is that of the invalid entry."""
        if level > 1:
            guest.map(0xC000_0000 ^ (1 << 39 - 9 * level), 0x8000_0000, guest.S2, level=level)
        got = guest.enter("ldr x5, [x0]", x0=0xC000_0000)
        assert got.esr & 0x3F == TRANSLATION | level

    @pytest.mark.parametrize("level", [1, 2, 3])
    @pytest.mark.parametrize(
        ("mask", "set_", "fsc", "source"),
        [
            (~AF, 0, ACCESS_FLAG, "ldr x5, [x0]"),
            (READ_ONLY, 0, PERMISSION, "str x5, [x0]"),
            (WRITE_ONLY, 0, PERMISSION, "ldr x5, [x0]"),
            (NO_ACCESS, 0, PERMISSION, "ldrb w5, [x0]"),
            (~0, 2 << 53, PERMISSION, "br x0"),
            (~0, 1 << 46, 0x00, "ldr x5, [x0]"),  # beyond 40 bits of VTCR_EL2.PS
        ],
    )
    def test_leaf(self, guest: Any, level: int, mask: int, set_: int, fsc: int, source: str) -> None:
        """Access flag, S2AP, XN, and address size."""
        guest.map(0xC000_0000, 0x8000_0000, guest.S2 & mask | set_, level=level)
        got = guest.enter(source, x0=0xC000_0000, x11=guest.VTCR & ~(7 << 16) | 2 << 16)
        assert (got.level, got.esr & 0x3F, got.hpfar) == (2, fsc | level, 0xC000_0000 >> 8)

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_walk(self, guest: Any, level: int) -> None:
        """A table where nothing answers: external abort on the walk, at EL2 without HPFAR or a register."""
        raw = guest.machine.memory.backdoor
        guest.map(DATA, DATA, guest.S2)
        tables = [guest.root, raw.read64(guest.root + 8 * 2) & ~3]
        if level > 1:
            raw.write64(tables[level - 2] + 8 * (DATA >> 48 - 9 * level & 511), NOWHERE | 3)
        got = guest.enter("ldr x5, [x0]", x0=DATA, **({"x12": NOWHERE} if level == 1 else {}))
        assert got.level == 2
        assert got.esr & 0x1FF_FFFF == EXTERNAL | level

    @pytest.mark.parametrize("hcr", [0, 1 << 46])
    def test_attributes(self, guest: Any, hcr: int) -> None:
        """With HCR_EL2.FWB or without, memory is memory."""
        guest.map(DATA, DATA, guest.S2 & ~0x3C | (6 << 2 if hcr else 0xF << 2))
        guest.machine.memory.backdoor.write64(DATA, 77)
        assert guest.enter("ldr x5, [x0]", x0=DATA, x10=guest.HCR | hcr).x[5] == 77


class TestStage1Walk:
    """Stage 2 faults on the guest's own tables."""

    TCR = 25 | 25 << 16 | 0x3500_3500 | 2 << 30 | 5 << 32
    TABLE, INNER = 0x9100_0000, 0x9100_1000

    def tables(self, guest: Any) -> None:
        """39 bits: 1 GiB flat at 0x8000_0000, and a page at 0xC000_0000 by a table of its own."""
        raw = guest.machine.memory.backdoor
        raw.write64(self.TABLE + 8 * 2, 0x8000_0000 | 0x701)  # flat, 1 GiB
        raw.write64(self.TABLE + 8 * 3, self.INNER | 3)
        raw.write64(self.INNER, 0x8000_0000 | 0x701)
        for name, value in (("tcr", self.TCR), ("ttbr0", self.TABLE), ("mair", 0xFF), ("sctlr", 0x30D0_0801)):
            guest.pe.write_sysreg(f"{name}_el1", value)

    @pytest.mark.parametrize(("source", "wnr"), [("ldr x5, [x0]", 0), ("str x5, [x0]", 1), ("ldp x5, x6, [x0]", 0)])
    def test_fault(self, guest: Any, source: str, wnr: int) -> None:
        """S1PTW, the IPA of the descriptor's page in HPFAR, the VA of the access in FAR, no ISV."""
        self.tables(guest)
        guest.map(self.TABLE, self.TABLE, guest.S2)
        got = guest.enter(source, x0=0xC000_0120)
        assert (got.level, got.esr) == (2, data_abort(TRANSLATION | 3, s1ptw=1, wnr=wnr))
        assert (got.far, got.hpfar) == (0xC000_0120, self.INNER >> 8)

    def test_fetch(self, guest: Any) -> None:
        """The same of a fetch."""
        self.tables(guest)
        guest.map(self.TABLE, self.TABLE, guest.S2)
        got = guest.enter("br x0", x0=0xC000_0120)
        assert got[:3] == (2, FETCH_ABORT << 26 | IL | 1 << 7 | TRANSLATION | 3, 0xC000_0120)
        assert got.hpfar == self.INNER >> 8

    @pytest.mark.parametrize("operation", ["s1e1r", "s1e1w", "s1e0r"])
    def test_address_translation(self, guest: Any, operation: str) -> None:
        """AT at EL1 reports a fault of stage 1 in PAR_EL1; one of stage 2 on its walk is an abort to EL2, with CM."""
        self.tables(guest)
        guest.map(self.TABLE, self.TABLE, guest.S2)
        source = f"at {operation}, x0; mov x5, #1; isb; mrs x1, par_el1"
        got = guest.enter(source, x0=0x1000)
        assert (got.level, got.x[1]) == (0, 1 << 11 | (TRANSLATION | 1) << 1 | 1)
        got = guest.enter(source, x0=0xC000_0120, x5=0)
        assert (got.level, got.esr) == (2, data_abort(TRANSLATION | 3, s1ptw=1, cm=1, wnr=1))
        assert (got.far, got.hpfar, got.elr) == (0xC000_0120, self.INNER >> 8, guest.START)
        assert got.x[5] == 0
        guest.map(self.INNER, self.INNER, guest.S2)
        got = guest.enter(source, x0=0xC000_0120)
        assert got.level == 0
        assert got.x[1] & 1 == (operation == "s1e0r")

    @pytest.mark.parametrize("word", [0xD5087900, 0xD5087920])
    def test_address_translation_with_pan(self, guests: Callable[..., Any], word: int) -> None:
        """AT S1E1RP and S1E1WP, where the model has them, see no more of memory than others, and heed PSTATE.PAN."""
        guest = guests(cpu="max")
        self.tables(guest)
        guest.map(self.TABLE, self.TABLE, guest.S2)
        raw = guest.machine.memory.backdoor
        source = f".word {word:#x}; isb; mrs x1, par_el1"  # X0
        got = guest.enter(source, x0=0xC000_0120)
        assert (got.level, got.esr) == (2, data_abort(TRANSLATION | 3, s1ptw=1, cm=1, wnr=1))
        raw.write64(self.TABLE + 8 * 4, 0x8000_0000 | 0x741)  # EL0 may read and write
        for pan, status in ((0, None), (1, PERMISSION | 1)):
            got = guest.enter(f".word {0xD500409F | pan << 8:#x}; {source}", x0=0x1_0000_0000)
            assert got.level == 0
            assert got.x[1] & 0x7F == (0 if status is None else status << 1 | 1)

    @pytest.mark.parametrize("hcr", [0, 1 << 2])
    def test_protected(self, guest: Any, hcr: int) -> None:
        """HCR_EL2.PTW: a table in Device memory is a permission fault on the walk."""
        self.tables(guest)
        guest.map(self.TABLE, self.TABLE, guest.S2)
        guest.map(self.INNER, self.INNER, guest.S2 & ~0x3C)
        got = guest.enter("ldr x5, [x0]", x0=0xC010_0000, x10=guest.HCR | hcr)
        if not hcr:
            assert got.level == 0
        else:
            assert (got.level, got.esr) == (2, data_abort(PERMISSION | 3, s1ptw=1))

    def test_outside(self, guest: Any) -> None:
        """A stage 1 table where no memory answers is an external abort of EL1's own."""
        self.tables(guest)
        guest.map(self.TABLE, self.TABLE, guest.S2)
        guest.map(self.INNER, NOWHERE, guest.S2)
        got = guest.enter("ldr x5, [x0]", x0=0xC000_0120)
        assert got[:3] == (1, 0x25 << 26 | IL | EXTERNAL | 2, 0xC000_0120)


class TestGranuleProtection:
    """Granule protection faults of a guest, and faults of the tables themselves."""

    @pytest.mark.parametrize(("hcr", "level"), [(0, 1), (1 << 48, 2)])
    def test_data(self, guest: Any, hcr: int, level: int) -> None:
        """On the access itself: EL1's, or EL2's with HCR_EL2.GPF."""
        guest.map(DATA, DATA, guest.S2)
        guest.protect({DATA: Gpi.REALM})
        got = guest.enter("str x5, [x0]", x0=DATA + 8, x10=guest.HCR | hcr)
        assert (got.level, got.esr & 0x3FF_FFFF, got.far) == (level, IL | 1 << 6 | 0x28, DATA + 8)

    @pytest.mark.parametrize("level", [2, 3])  # the code itself is under the table of level 1
    def test_stage2_table(self, guest: Any, level: int) -> None:
        """On a stage 2 table: EL2's, with the level of the lookup and the IPA."""
        raw = guest.machine.memory.backdoor
        guest.map(DATA, DATA, guest.S2)
        guest.map(0xC000_0000, DATA, guest.S2)
        second = raw.read64(guest.root + 8 * 3) & ~3
        tables = {2: second, 3: raw.read64(second) & ~3}
        guest.protect({tables[level]: Gpi.REALM})
        got = guest.enter("ldr x5, [x0]", x0=0xC000_0008)
        assert (got.level, got.esr & 0x3F, got.far, got.hpfar) == (2, GPF + level, 0xC000_0008, 0xC000_0000 >> 8)

    @pytest.mark.parametrize(
        ("source", "cm", "wnr", "ind"), [("ldr x5, [x0]", 0, 0, 0), ("str x5, [x0]", 0, 1, 0), ("br x0", 0, 0, 1)]
    )
    def test_walk_fault(self, guest: Any, source: str, cm: int, wnr: int, ind: int) -> None:
        """A GPT that cannot be walked is an exception to EL3: what the access was, and what is wrong with the GPT."""
        guest.map(DATA, DATA, guest.S2)
        guest.protect({DATA: 4})  # type: ignore[dict-item] # a reserved encoding
        guest.run(guest._SETUP + source, el=2, x0=DATA, x10=guest.HCR, x11=guest.VTCR, x12=guest.root, x13=0x3C5)
        expected = GpcEsr.make(ind=ind, gpcsc=0x05, cm=cm, wnr=wnr, xfsc=0x28)
        assert guest.el3.syndromes[-1] == 0x1E << 26 | IL | expected
