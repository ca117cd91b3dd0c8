"""The translation regime of EL2 with real EL2 code on its own tables: sizes, permissions, faults, TLBI and AT."""

from typing import Any

import pytest

from cca_arch.types import Gpi

CODE, DATA, TABLES = 0x8010_0000, 0x8012_0000, 0x8060_0000
CODE_VA, DATA_VA = 0x10_0000, 0x12_0000
VECTORS = CODE + 0x1000
IL = 1 << 25
AF, READ_ONLY, XN, DBM = 1 << 10, 1 << 7, 1 << 54, 1 << 51
PAGE = AF | 0x300 | 1 << 6 | 3  # inner shareable, AP[1] = RES1, attribute 0
ADDRESS_SIZE, TRANSLATION, ACCESS_FLAG, PERMISSION, EXTERNAL = 0x00, 0x04, 0x08, 0x0C, 0x14
RES1, M, WXN = 0x30C5_0830, 1, 1 << 19
TCR = 1 << 31 | 1 << 23 | 0x3500
PS = (32, 36, 40, 42, 44, 48)
GPF_WALK = 0x24
NOWHERE = 0x6000_0000


class El2:
    """EL2 on tables of its own, started with its MMU on; code, vectors and data are mapped at low addresses."""

    def __init__(self, bench: Any, t0sz: int = 25, ps: int = 5, tcr: int = 0, sctlr: int = 0) -> None:
        self.bench, self.raw, self.pe = bench, bench.machine.memory.backdoor, bench.pe
        self.level = 0 if t0sz < 25 else 1 if t0sz < 34 else 2
        self.next = TABLES
        self.root = self.table()
        for name, value in (
            ("ttbr0", self.root),
            ("tcr", TCR | t0sz | ps << 16 | tcr),
            ("mair", 0x44_00FF),  # 0 Normal Write-Back, 1 Device-nGnRnE, 2 Normal Non-cacheable
            ("sctlr", RES1 | M | sctlr),
            ("vbar", CODE_VA + 0x1000),
        ):
            self.pe.write_sysreg(f"{name}_el2", value)
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, far_el2; mrs x22, elr_el2; mov x25, #1; smc #0")
        self.map(CODE_VA, CODE, PAGE | READ_ONLY)
        self.map(CODE_VA + 0x1000, VECTORS, PAGE | READ_ONLY)
        self.map(DATA_VA, DATA)
        self.raw.write64(DATA, 0x1122)

    def table(self) -> int:
        """A zeroed page."""
        self.next += 0x1000
        return self.next - 0x1000

    def map(self, va: int, pa: int, attributes: int = PAGE, level: int = 3) -> int:
        """Map a page or block; the address of its descriptor."""
        table = self.root
        for at in range(self.level, level):
            entry = table + 8 * (va >> 39 - 9 * at & 511)
            if not self.raw.read64(entry) & 1:
                self.raw.write64(entry, self.table() | 3)
            table = self.raw.read64(entry) & 0xFFFF_FFFF_F000
        entry = table + 8 * (va >> 39 - 9 * level & 511)
        self.raw.write64(entry, pa | (attributes if level == 3 else attributes & ~2))
        return entry

    def run(self, source: str, **registers: int) -> list[int]:
        """Run ``source``; X20 to X22 = ESR, FAR, ELR of an exception, X25 = 1 if there was one."""
        bench, pe = self.bench, self.pe
        bench.place(CODE, f"{source}; smc #0")
        for name, value in ({"x25": 0} | registers).items():
            pe.x[int(name[1:])] = value
        pe.elr, pe.spsr = CODE_VA, 0x3C9
        bench.machine.stopped = None
        bench.machine.memory.tlbi_paall()
        pe.eret(1, 2)
        before = len(bench.el3.calls)
        pe.run(bench.machine.clock.now + 10_000)
        assert len(bench.el3.calls) == before + 1, pe
        return list(bench.el3.calls[-1])

    def fault(self, source: str, va: int) -> tuple[int, int, int]:
        """(EC, ISS, FAR) of the exception of ``source`` with X0 = ``va``."""
        x = self.run(source, x0=va)
        assert x[25], source
        return x[20] >> 26, x[20] & 0x1FF_FFFF, x[21]


class TestMaintenance:
    """DC and IC by VA of EL2 itself: translated, and checked for what each of them needs."""

    OPERATIONS = ("dc cvac", "dc cvau", "dc civac", "dc ivac", "ic ivau")
    CM_WNR = 1 << 8 | 1 << 6

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("hcr", [0, 3 << 23])  # TPCP and TPU trap lower levels alone
    def test_unmapped(self, bench: Any, operation: str, hcr: int) -> None:
        """An address without a page is a translation fault at EL2, before anything that follows, time and again."""
        el2 = El2(bench)
        va = DATA_VA + 0x1240
        source = f"msr hcr_el2, x1; {operation}, x2; {operation}, x0; mov x5, #1"
        for _ in range(2):
            x = el2.run(source, x0=va, x1=1 << 31 | hcr, x2=DATA_VA, x5=0)
            assert x[20:23] == [0x25 << 26 | IL | self.CM_WNR | TRANSLATION | 3, va, CODE_VA + 8]
            assert (x[5], x[25]) == (0, 1)
        el2.map(va & ~0xFFF, DATA)
        x = el2.run(f"{source}; mrs x3, hcr_el2; mrs x4, currentel", x0=va, x1=1 << 31 | hcr, x2=DATA_VA, x5=0)
        assert (x[5], x[25], x[3], x[4] >> 2) == (1, 0, 1 << 31 | hcr, 2)

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("attributes", [READ_ONLY, XN, READ_ONLY | XN])
    def test_permission(self, bench: Any, operation: str, attributes: int) -> None:
        """DC IVAC needs to write; to clean memory, or to invalidate instructions, a mapping is enough."""
        el2 = El2(bench)
        el2.map(DATA_VA, DATA, PAGE | attributes)
        x = el2.run(f"{operation}, x0", x0=DATA_VA)
        if operation == "dc ivac" and attributes & READ_ONLY:
            assert x[20:22] == [0x25 << 26 | IL | self.CM_WNR | PERMISSION | 3, DATA_VA]
        else:
            assert x[25] == 0

    def test_one_after_another(self, bench: Any) -> None:
        """That an operation was permitted says nothing of another one, in the same page."""
        el2 = El2(bench)
        el2.map(DATA_VA, DATA, PAGE | READ_ONLY)
        x = el2.run("dc civac, x0; dc ivac, x0", x0=DATA_VA)
        assert x[20:23] == [0x25 << 26 | IL | self.CM_WNR | PERMISSION | 3, DATA_VA, CODE_VA + 4]


class TestSizes:
    """TCR_EL2.T0SZ and PS."""

    @pytest.mark.parametrize("t0sz", range(16, 40))
    def test_input(self, bench: Any, t0sz: int) -> None:
        """The last page below 2**(64 - T0SZ) is mapped; the first address above is a translation fault of level 0."""
        el2 = El2(bench, t0sz)
        top = 1 << 64 - t0sz
        el2.map(top - 0x1000, DATA)
        assert el2.run("ldr x5, [x0]", x0=top - 0x1000)[5] == 0x1122
        assert el2.fault("ldr x5, [x0]", top) == (0x25, TRANSLATION, top)
        assert el2.fault("ldr x5, [x0]", 1 << 63 | DATA_VA) == (0x25, TRANSLATION, 1 << 63 | DATA_VA)

    @pytest.mark.parametrize("t0sz", [16, 25, 34])
    def test_start(self, bench: Any, t0sz: int) -> None:
        """The first lookup is at level 0, 1 or 2."""
        el2 = El2(bench, t0sz)
        va = 1 << 63 - t0sz
        assert el2.fault("ldr x5, [x0]", va) == (0x25, TRANSLATION | el2.level, va)

    @pytest.mark.parametrize("bits", PS[:5])
    def test_output(self, bench: Any, bits: int) -> None:
        """An output address beyond PS is an address size fault of the descriptor's level, be it a leaf or a table."""
        el2 = El2(bench, ps=PS.index(bits))
        for level in (1, 2, 3):
            va = 0x40_0000_0000 + (1 << 39 - 9 * level)
            el2.map(va, 1 << bits, level=level)
            assert el2.fault("str x5, [x0]", va) == (0x25, ADDRESS_SIZE | level | 1 << 6, va)
        el2.raw.write64(el2.root + 8 * 257, 1 << bits | 3)
        assert el2.fault("ldr x5, [x0]", 0x40_4000_0000) == (0x25, ADDRESS_SIZE | 1, 0x40_4000_0000)

    @pytest.mark.parametrize("bits", PS[:5])
    def test_base(self, bench: Any, bits: int) -> None:
        """TTBR0_EL2 beyond PS is an address size fault of level 0, of the next fetch first of all."""
        el2 = El2(bench, ps=PS.index(bits))
        el2.pe.write_sysreg("ttbr0_el2", 1 << bits)
        bench.place(CODE, "nop")
        el2.pe.elr, el2.pe.spsr = CODE_VA, 0x3C9
        bench.machine.stopped = None
        el2.pe.eret(1, 2)
        el2.pe.run(bench.machine.clock.now + 100)
        assert el2.pe.read_sysreg("esr_el2") == 0x21 << 26 | IL | ADDRESS_SIZE

    def test_off(self, bench: Any) -> None:
        """With the MMU off an address is its own translation, unless it has more bits than the PE: level 0."""
        for offset in range(0, 0x800, 0x80):
            bench.place(VECTORS + offset, "mrs x20, esr_el2; mrs x21, far_el2; smc #0")
        bench.pe.write_sysreg("vbar_el2", VECTORS)
        x = bench.run("ldr x5, [x0]; smc #0", el=2, x0=1 << 48 | DATA)
        assert x[20:22] == [0x25 << 26 | IL | ADDRESS_SIZE, 1 << 48 | DATA]


class TestTags:
    """Top byte ignore."""

    def test_on(self, bench: Any) -> None:
        """TBI: bits 63:56 of an address do not matter; FAR has them."""
        el2 = El2(bench, tcr=1 << 20)
        assert el2.run("ldr x5, [x0]", x0=0xA5 << 56 | DATA_VA)[5] == 0x1122
        assert el2.fault("ldr x5, [x0, #8]!", 0xA5 << 56) == (0x25, TRANSLATION | 3, 0xA5 << 56 | 8)

    def test_off(self, bench: Any) -> None:
        """Without it they are part of the address."""
        assert El2(bench).fault("ldr x5, [x0]", 0xA5 << 56 | DATA_VA) == (0x25, TRANSLATION, 0xA5 << 56 | DATA_VA)


class TestPermissions:
    """AP[2], XN, WXN, the hierarchical bits, and the access flag."""

    @pytest.mark.parametrize("level", [2, 3])
    @pytest.mark.parametrize(
        ("attributes", "source", "ec", "iss"),
        [
            (PAGE | READ_ONLY, "str x5, [x0]", 0x25, PERMISSION | 1 << 6),
            (PAGE | XN, "br x0", 0x21, PERMISSION),
            (PAGE & ~AF, "ldr x5, [x0]", 0x25, ACCESS_FLAG),
            (PAGE & ~AF, "str x5, [x0]", 0x25, ACCESS_FLAG | 1 << 6),
            (PAGE & ~AF, "br x0", 0x21, ACCESS_FLAG),
        ],
    )
    def test_fault(self, bench: Any, level: int, attributes: int, source: str, ec: int, iss: int) -> None:
        """With the level of the leaf."""
        el2 = El2(bench)
        el2.map(0x4000_0000, 0x8000_0000, attributes, level)
        assert el2.fault(source, 0x4000_0000) == (ec, iss | level, 0x4000_0000)

    def test_permitted(self, bench: Any) -> None:
        """Read-only memory can be read and executed, XN memory read and written."""
        el2 = El2(bench)
        el2.map(0x4000_0000, DATA, PAGE | READ_ONLY)
        bench.place(DATA, "smc #0")
        assert not el2.run("ldr x5, [x0]; br x0", x0=0x4000_0000)[25]
        el2.map(0x4000_0000, DATA, PAGE | XN)
        assert el2.run("str x5, [x0]; ldr x6, [x0]", x0=0x4000_0000, x5=7)[6] == 7

    def test_wxn(self, bench: Any) -> None:
        """SCTLR_EL2.WXN: what is writable is not executable."""
        el2 = El2(bench, sctlr=WXN)
        assert el2.fault("br x0", DATA_VA) == (0x21, PERMISSION | 3, DATA_VA)

    @pytest.mark.parametrize(
        ("bits", "source", "ec", "iss"),
        [(1 << 62, "str x5, [x0]", 0x25, PERMISSION | 1 << 6), (1 << 60, "br x0", 0x21, PERMISSION)],
    )
    def test_hierarchical(self, bench: Any, bits: int, source: str, ec: int, iss: int) -> None:
        """APTable and XNTable of a table above, unless TCR_EL2.HPD."""
        for disabled in (0, 1):
            el2 = El2(bench, tcr=disabled << 24)
            el2.map(0x4000_0000, DATA)
            table = el2.root + 8
            el2.raw.write64(table, el2.raw.read64(table) | bits)
            bench.place(DATA, "smc #0")
            if disabled:
                assert not el2.run(source, x0=0x4000_0000)[25]
            else:
                assert el2.fault(source, 0x4000_0000) == (ec, iss | 3, 0x4000_0000)

    def test_hardware_update(self, bench: Any) -> None:
        """TCR_EL2.HA sets the access flag; HD makes a page with DBM writable at its first write."""
        el2 = El2(bench, tcr=1 << 21 | 1 << 22)
        entry = el2.map(0x4000_0000, DATA, PAGE & ~AF | READ_ONLY | DBM)
        assert not el2.run("ldr x5, [x0]", x0=0x4000_0000)[25]
        assert el2.raw.read64(entry) == DATA | PAGE | READ_ONLY | DBM
        assert not el2.run("str x5, [x0]", x0=0x4000_0000)[25]
        assert el2.raw.read64(entry) == DATA | PAGE | DBM


class TestWalk:
    """Tables that cannot be read."""

    @pytest.mark.parametrize("level", [1, 2, 3])
    @pytest.mark.parametrize(
        ("source", "ec", "wnr"), [("ldr x5, [x0]", 0x25, 0), ("str x5, [x0]", 0x25, 1), ("br x0", 0x21, 0)]
    )
    def test_external(self, bench: Any, level: int, source: str, ec: int, wnr: int) -> None:
        """A table where no memory is: external abort on the walk, with the level of the table."""
        el2 = El2(bench, t0sz=16)
        va = 0x8100_4020_1000
        el2.map(va, DATA)
        table = el2.root
        for at in range(level - 1):
            table = el2.raw.read64(table + 8 * (va >> 39 - 9 * at & 511)) & ~0xFFF
        el2.raw.write64(table + 8 * (va >> 48 - 9 * level & 511), NOWHERE | 3)
        assert el2.fault(source, va) == (ec, EXTERNAL | level | wnr << 6, va)

    @pytest.mark.parametrize("level", [0, 1, 2, 3])
    def test_invalid(self, bench: Any, level: int) -> None:
        """An invalid entry is a translation fault of its level, and so is a block at level 0 or a reserved page."""
        el2 = El2(bench, t0sz=16)
        va = 0x8100_4020_1000
        for value in (0, 2, 1 if level in (0, 3) else 0):
            if level:
                el2.map(va, value, 0, level)
            el2.raw.write64(el2.root + 8 * 258, value if level == 0 else el2.raw.read64(el2.root + 8 * 258))
            assert el2.fault("ldr x5, [x0]", va) == (0x25, TRANSLATION | level, va)


class TestInvalidate:
    """A translation stays until TLBI, and each TLBI of EL2 that covers it takes it away."""

    @pytest.mark.parametrize(
        "operation", ["alle2", "alle2is", "vae2, x3", "vae2is, x3", "vale2, x3", "vale2is, x3"]
    )
    def test_operation(self, bench: Any, operation: str) -> None:
        """X1 = with the old translation, X2 = after TLBI."""
        el2 = El2(bench)
        entry = el2.map(0x4000_0000, DATA)
        el2.map(0x13_0000, entry & ~0xFFF)
        el2.raw.write64(DATA + 0x1000, 0x3344)
        source = f"ldr x4, [x0]; str x5, [x6]; ldr x1, [x0]; dsb sy; tlbi {operation}; dsb sy; isb; ldr x2, [x0]"
        x = el2.run(source, x0=0x4000_0000, x3=0x4000_0000 >> 12, x5=DATA + 0x1000 | PAGE, x6=0x13_0000 | entry & 0xFFF)
        assert (x[25], x[4], x[1], x[2]) == (0, 0x1122, 0x1122, 0x3344)


class TestAddressTranslate:
    """AT S1E2R and S1E2W: PAR_EL1."""

    @pytest.mark.parametrize(
        ("attributes", "attr", "sh"),
        [(PAGE, 0xFF, 3), (PAGE & ~0x300 | 0x200, 0xFF, 2), (PAGE & ~0x300, 0xFF, 0), (PAGE | 1 << 2, 0, 2),
         (PAGE | 2 << 2, 0x44, 2)],
    )  # fmt: skip
    def test_success(self, bench: Any, attributes: int, attr: int, sh: int) -> None:
        """The output address, the memory type and the shareability."""
        el2 = El2(bench)
        el2.map(0x4000_0000, 0x8_8123_4000, attributes)
        x = el2.run("at s1e2r, x0; isb; mrs x1, par_el1; at s1e2w, x0; isb; mrs x2, par_el1", x0=0x4000_0ABC)
        assert x[1] == x[2] == attr << 56 | 0x8_8123_4000 | 1 << 11 | sh << 7

    @pytest.mark.parametrize(
        ("attributes", "read", "write"),
        [(0, TRANSLATION | 3, TRANSLATION | 3), (PAGE & ~AF, ACCESS_FLAG | 3, ACCESS_FLAG | 3),
         (PAGE | READ_ONLY, None, PERMISSION | 3)],
    )  # fmt: skip
    def test_failure(self, bench: Any, attributes: int, read: int | None, write: int) -> None:
        """F and the fault status; no exception."""
        el2 = El2(bench)
        el2.map(0x4000_0000, DATA, attributes)
        x = el2.run("at s1e2r, x0; isb; mrs x1, par_el1; at s1e2w, x0; isb; mrs x2, par_el1", x0=0x4000_0000)
        assert x[25] == 0
        assert x[1] == (x[1] if read is None else 1 << 11 | read << 1 | 1)
        assert (x[1] & 1) == (read is not None)
        assert x[2] == 1 << 11 | write << 1 | 1

    @pytest.mark.parametrize("gpi", [Gpi.REALM, Gpi.SECURE, Gpi.ROOT, Gpi.NO_ACCESS])
    def test_granule_protection(self, bench: Any, gpi: Gpi) -> None:
        """The address that AT finds is not accessed, so nothing protects it; the tables that it reads are."""
        el2 = El2(bench)
        table = el2.next
        el2.map(0x4000_0000, DATA)
        bench.protect({DATA: gpi})
        source = "at s1e2r, x0; isb; mrs x1, par_el1; at s1e2w, x0; isb; mrs x2, par_el1"
        x = el2.run(source, x0=0x4000_0ABC)
        assert (x[25], x[1], x[2]) == (0, *[0xFF << 56 | DATA | 1 << 11 | 3 << 7] * 2)
        bench.protect({table: gpi})
        x = el2.run(source, x0=0x4000_0ABC)
        assert (x[25], x[1], x[2]) == (0, *[1 << 11 | (GPF_WALK | 2) << 1 | 1] * 2)

    def test_beyond_memory(self, bench: Any) -> None:
        """An address where nothing answers is an address."""
        el2 = El2(bench)
        el2.map(0x4000_0000, NOWHERE)
        x = el2.run("at s1e2r, x0; isb; mrs x1, par_el1", x0=0x4000_0000)
        assert (x[1] & 1, x[1] & 0xFFFF_FFFF_F000) == (0, NOWHERE)
