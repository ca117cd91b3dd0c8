"""Stage 2 of a plain VM as real EL2 code sets it up: VTCR_EL2 shapes, hardware update, TLBI, AT, VMIDs."""

from typing import Any

import pytest

from cca_arch.types import Gpi

CODE, DATA = 0x8010_0000, 0x8012_0000
IL, RW = 1 << 25, 1 << 31
AF, WRITE, DBM = 1 << 10, 1 << 7, 1 << 51
TRANSLATION, ACCESS_FLAG, PERMISSION = 0x04, 0x08, 0x0C
HA, HD = 1 << 21, 1 << 22
GPF_WALK = 0x24
OTHER = 0x9000_0000
# (bits of the IPA, start level): with one table, the fewest and the most concatenated ones
_SHAPES = [
    (48, 0), (44, 0), (40, 0), (43, 1), (42, 1), (41, 1), (40, 1), (39, 1), (36, 1), (33, 1), (32, 1),
    (34, 2), (33, 2), (32, 2),
]  # fmt: skip


def vtcr(bits: int, level: int) -> int:
    """VTCR_EL2 for an IPA size and a start level."""
    return 64 - bits | (2 - level) << 6 | 0x3500 | 5 << 16


class TestShapes:
    """T0SZ and SL0, with concatenated tables at the start."""

    @pytest.mark.parametrize(("bits", "level"), _SHAPES)
    def test_shape(self, guest: Any, bits: int, level: int) -> None:
        """The last page of the IPA space is reached; what is above it is a translation fault of level 0."""
        guest.root = guest.table(1 << max(0, bits - (48 - 9 * level)))
        guest.map(0x8000_0000, 0x8000_0000, guest.S2, 2, level)
        last = (1 << bits) - 0x1000
        guest.map(last, DATA, guest.S2, 3, level)
        guest.machine.memory.backdoor.write64(DATA, 0x1234)
        got = guest.enter("ldr x5, [x0]", x0=last, x11=vtcr(bits, level))
        assert (got.level, got.x[5]) == (0, 0x1234)
        if bits < 48:
            got = guest.enter("ldr x5, [x0]", x0=1 << bits, x11=vtcr(bits, level))
            assert (got.level, got.esr & 0x3F, got.hpfar) == (2, TRANSLATION, 1 << bits >> 8)

    @pytest.mark.parametrize(("bits", "level"), [(39, 0), (44, 1), (30, 1), (35, 2), (48, 1)])
    def test_inconsistent(self, guest: Any, bits: int, level: int) -> None:
        """A start level that does not go with the size: translation fault of level 0, of the first fetch."""
        got = guest.enter("nop", x11=vtcr(bits, level))
        assert (got.level, got.esr) == (2, 0x20 << 26 | IL | TRANSLATION)
        assert (got.far, got.hpfar) == (guest.START, CODE >> 8)

    def test_base(self, guest: Any) -> None:
        """A table beyond VTCR_EL2.PS is an address size fault of level 0."""
        got = guest.enter("nop", x11=guest.VTCR & ~(7 << 16), x12=1 << 40)
        assert (got.level, got.esr) == (2, 0x20 << 26 | IL)

    def test_off(self, guest: Any) -> None:
        """Without HCR_EL2.VM an IPA is a PA; with DC stage 2 is on."""
        guest.machine.memory.backdoor.write64(OTHER, 0x77)
        assert guest.enter("ldr x5, [x0]", x0=OTHER, x10=RW).x[5] == 0x77
        assert guest.enter("ldr x5, [x0]", x0=OTHER, x10=RW | 1 << 12).level == 2


class TestHardwareUpdate:
    """VTCR_EL2.HA and HD."""

    @pytest.mark.parametrize("source", ["ldr x5, [x0]", "str x5, [x0]"])
    def test_access_flag(self, guest: Any, source: str) -> None:
        """HA: an access sets AF; without HA it is a fault."""
        entry = guest.map(OTHER, OTHER, guest.S2 & ~AF)
        read = guest.machine.memory.backdoor.read64
        got = guest.enter(source, x0=OTHER)
        assert (got.esr & 0x3F, read(entry)) == (ACCESS_FLAG | 3, OTHER | guest.S2 & ~AF | 3)
        assert guest.enter(source, x0=OTHER, x11=guest.VTCR | HA).level == 0
        assert read(entry) == OTHER | guest.S2 | 3

    def test_fetch(self, guest: Any) -> None:
        """A fetch sets it, too."""
        entry = guest.map(OTHER, DATA, guest.S2 & ~AF)
        guest.place(DATA, "smc #0")
        assert guest.enter("br x0", x0=OTHER, x11=guest.VTCR | HA).level == 0
        assert guest.machine.memory.backdoor.read64(entry) & AF

    def test_refused(self, guest: Any) -> None:
        """An access that is not permitted leaves the descriptor alone."""
        entry = guest.map(OTHER, OTHER, guest.S2 & ~(AF | WRITE))
        got = guest.enter("str x5, [x0]", x0=OTHER, x11=guest.VTCR | HA | HD)
        assert got.esr & 0x3F == PERMISSION | 3
        assert guest.machine.memory.backdoor.read64(entry) & AF == 0

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_dirty_state(self, guest: Any, level: int) -> None:
        """HD: a page or block with DBM becomes writable at its first write, and not before."""
        ipa = 0xC000_0000
        entry = guest.map(ipa, 0x8000_0000, guest.S2 & ~WRITE | DBM, level)
        read = guest.machine.memory.backdoor.read64
        control = {"x0": ipa + (0x12_0000 if level < 3 else 0), "x11": guest.VTCR | HA | HD}
        before = read(entry)
        assert guest.enter("ldr x5, [x0]", **control).level == 0
        assert read(entry) == before
        assert guest.enter("ldr x5, [x0]; str x5, [x0]; ldr x6, [x0]", **control).level == 0
        assert read(entry) == before | WRITE

    @pytest.mark.parametrize("controls", [0, HA, HD])
    def test_not_enabled(self, guest: Any, controls: int) -> None:
        """Dirty state needs both."""
        guest.map(OTHER, OTHER, guest.S2 & ~WRITE | DBM)
        assert guest.enter("str x5, [x0]", x0=OTHER, x11=guest.VTCR | controls).esr & 0x3F == PERMISSION | 3

    def test_table_of_stage1(self, guest: Any) -> None:
        """When stage 1 sets the access flag of its leaf, that is a write to the page of its table."""
        raw, table = guest.machine.memory.backdoor, 0x9100_0000
        entry = guest.map(table, table, guest.S2 & ~WRITE | DBM)
        raw.write64(table + 8 * 2, 0x8000_0000 | 0x701)
        raw.write64(table + 8 * 3, 0x8000_0000 | 0x301)  # no access flag yet
        for name, value in (("tcr", 25 | 25 << 16 | 5 << 32 | 1 << 39), ("ttbr0", table), ("mair", 0xFF)):
            guest.pe.write_sysreg(f"{name}_el1", value)
        guest.pe.write_sysreg("sctlr_el1", 0x30D0_0801)
        va = 0xC012_0000
        got = guest.enter("ldr x5, [x0]", x0=va)
        assert (got.level, got.esr & 0xFF, got.hpfar) == (2, 1 << 7 | PERMISSION | 3, table >> 8)
        assert guest.enter("ldr x5, [x0]", x0=va, x11=guest.VTCR | HA | HD).level == 0
        assert raw.read64(entry) & WRITE
        assert raw.read64(table + 8 * 3) & AF


class TestPermissions:
    """What both stages and XNX permit."""

    @pytest.mark.parametrize(
        ("xn", "el1", "el0"), [(0, True, True), (1, False, True), (2, False, False), (3, True, False)]
    )
    def test_execute(self, guest: Any, xn: int, el1: bool, el0: bool) -> None:
        """XN[1:0] (FEAT_XNX) tells EL1 from EL0."""
        guest.map(OTHER, DATA, guest.S2 | xn << 53)
        guest.place(DATA, "svc #0")
        for el, permitted in ((1, el1), (0, el0)):
            got = guest.enter("br x0", el, x0=OTHER)
            if permitted:
                assert (got.level, got.esr >> 26) == (1, 0x15)
            else:
                assert (got.level, got.esr) == (2, 0x20 << 26 | IL | PERMISSION | 3)


class TestInvalidate:
    """What a guest's TLB keeps until EL2 invalidates it."""

    _OLD, _NEW = 0x1111, 0x2222
    # the vector of EL2 changes the leaf and invalidates; the guest's second load shows what it sees then
    _SOURCE = (
        "msr hcr_el2, x10; msr vtcr_el2, x11; msr vttbr_el2, x12; msr vbar_el2, x15; msr spsr_el2, x13; "
        "adr x14, lower; msr elr_el2, x14; eret; lower: ldr x4, [x0]; hvc #0; ldr x5, [x0]; smc #0"
    )

    @pytest.mark.parametrize(
        ("operation", "fresh"),
        [
            ("nop", False),
            ("tlbi alle2", False),
            ("tlbi vmalls12e1", True),
            ("tlbi vmalls12e1is", True),
            ("tlbi alle1", True),
            ("tlbi alle1is", True),
            ("tlbi ipas2e1, x3; dsb sy; tlbi vmalle1", True),
            ("tlbi ipas2e1is, x3; dsb sy; tlbi vmalle1is", True),
            ("tlbi ipas2le1, x3; dsb sy; tlbi vmalle1", True),
            ("mov x9, #1; lsl x9, x9, #48; orr x9, x9, x12; msr vttbr_el2, x9", True),  # another VMID
        ],
    )
    def test_operation(self, guest: Any, operation: str, fresh: bool) -> None:
        """A changed descriptor shows after TLBI of EL1&0, or to another VMID."""
        raw = guest.machine.memory.backdoor
        entry = guest.map(OTHER, DATA, guest.S2)
        raw.write64(DATA, self._OLD)
        raw.write64(DATA + 0x1000, self._NEW)
        vectors = 0x8014_0000
        guest.place(vectors + 0x400, f"str x6, [x7]; dsb sy; {operation}; dsb sy; isb; eret")
        got = guest.run(
            self._SOURCE, el=2, x0=OTHER, x3=OTHER >> 12, x6=DATA + 0x1000 | guest.S2 | 3, x7=entry,
            x10=guest.HCR, x11=guest.VTCR, x12=guest.root, x13=0x3C5, x15=vectors,
        )  # fmt: skip
        assert got[4] == self._OLD
        assert got[5] == (self._NEW if fresh else self._OLD)


class TestAddressTranslate:
    """AT S12E1R and S12E0W at EL2: both stages of the guest."""

    def _at(self, guest: Any, operation: str, va: int) -> int:
        source = "msr hcr_el2, x10; msr vtcr_el2, x11; msr vttbr_el2, x12; isb"
        source += f"; at {operation}, x0; isb; mrs x1, par_el1; smc #0"
        x = guest.run(source, el=2, x0=va, x10=guest.HCR, x11=guest.VTCR, x12=guest.root)
        return int(x[1])

    @pytest.mark.parametrize("operation", ["s12e1r", "s12e1w", "s12e0r", "s12e0w"])
    def test_success(self, guest: Any, operation: str) -> None:
        """The physical address; Device memory of stage 1 (it is off) wins over Normal of stage 2."""
        guest.map(OTHER, 0x8_8012_3000, guest.S2)
        assert self._at(guest, operation, OTHER | 0x456) == 0x8_8012_3000 | 1 << 11 | 2 << 7

    @pytest.mark.parametrize(("attributes", "status"), [(0, TRANSLATION | 3), (0x3C0 | 0xF << 2, ACCESS_FLAG | 3)])
    def test_stage2_fault(self, guest: Any, attributes: int, status: int) -> None:
        """F, the status, and S for stage 2."""
        guest.map(OTHER + 0x1000, OTHER, guest.S2)
        guest.map(OTHER, OTHER, attributes)
        assert self._at(guest, "s12e1r", OTHER) == 1 << 11 | 1 << 9 | status << 1 | 1

    def test_write(self, guest: Any) -> None:
        """A read-only page translates for a read alone."""
        guest.map(OTHER, OTHER, guest.S2 & ~WRITE)
        assert self._at(guest, "s12e1r", OTHER) & 1 == 0
        assert self._at(guest, "s12e1w", OTHER) == 1 << 11 | 1 << 9 | (PERMISSION | 3) << 1 | 1

    def test_granule_protection(self, guest: Any) -> None:
        """What stage 2 gives is not accessed, so nothing protects it; a table of stage 2 is protected."""
        guest.map(OTHER, OTHER, guest.S2)
        guest.protect({OTHER: Gpi.REALM})
        assert self._at(guest, "s12e1r", OTHER) & 0xFFFF_FFFF_F001 == OTHER
        guest.protect({guest.machine.memory.backdoor.read64(guest.root + 8 * (OTHER >> 30)) & ~3: Gpi.REALM})
        assert self._at(guest, "s12e1r", OTHER) == 1 << 11 | 1 << 9 | (GPF_WALK | 2) << 1 | 1

    def test_stage1_alone(self, guest: Any) -> None:
        """AT S1E1R of the guest gives the IPA, whatever stage 2 says."""
        got = guest.enter("at s1e1r, x0; isb; mrs x1, par_el1", x0=OTHER | 0x10)
        assert got.x[1] & 0xFFFF_FFFF_F001 == OTHER
