"""The rules of translation one by one: faults and levels, permissions, attributes, PAS, granule protection, fills.

The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from cca_arch.types import Access, Gpi, Pas, SecurityState
from cca_platform.machine.board import Board
from cca_platform.memory.memory import Memory
from cca_platform.mmu.gpc import GPC_ADDRESS_SIZE, GPC_EXTERNAL_ABORT, GPC_GPF, GPC_WALK_FAULT
from cca_platform.mmu.stage2 import (
    ACCESS_FLAG,
    ADDRESS_SIZE,
    EXTERNAL_ABORT_WALK,
    GPF,
    GPF_WALK,
    PERMISSION,
    TRANSLATION,
)
from cca_platform.mmu.translate import (
    DEVICE,
    OK,
    REFUSED,
    combine_attributes,
    fill,
    granule_protection_check,
    host_address,
    mark_written,
    page_index,
    translate,
)
from cca_platform.native import block as w

READ, WRITE, FETCH = Access.READ, Access.WRITE, Access.FETCH
VA = 0x0055_4433_2000
DATA = 0x9000_0000
L0GPT, L1GPT = 0xFFC0_0000, 0xFFC2_0000
AF, DBM, READ_ONLY, USER, NS = 1 << 10, 1 << 51, 1 << 7, 1 << 6, 1 << 5
PXN, UXN, NSTABLE = 1 << 53, 1 << 54, 1 << 63
HA, HD = 1 << 39, 1 << 40
VM, PTW, DC, TGE, FWB = 1, 1 << 2, 1 << 12, 1 << 27, 1 << 46
S2_RW, S2_NS, S2_WB = 3 << 6, 1 << 55, 6 << 2
NOWHERE = 0x6000_0000  # neither DRAM nor a table


def signed(value: int) -> int:
    """The same 64 bits as a signed number."""
    return value - (1 << 64) if value >> 63 else value


class Bench:
    """A PE block over real memory, and page tables built by hand in it."""

    def __init__(self) -> None:
        self.memory = Memory(Board.load("fvp"))
        self.store = self.memory.backdoor
        self.tlb_pages = np.zeros(self.memory.pages, np.uint8)
        self.pe = np.zeros(w.P_WORDS, np.int64)
        self.p = int(self.pe.ctypes.data)
        self.m = self.memory.block_address
        self.next = 0xA000_0000
        self.entries: dict[int, int] = {}
        self.root1, self.root2 = self.table(), self.table()
        self.set(
            MACHINE=self.m,
            SECURITY=SecurityState.NON_SECURE,
            EL=1,
            TLB_ERA=7,
            TLB_PAGES=int(self.tlb_pages.ctypes.data),
        )
        self.set(SCTLR=1, TCR=16 | 16 << 16 | 2 << 30 | 5 << 32, TTBR0=self.root1, TTBR1=self.root1, MAIR=0x00FF)

    def set(self, **words: int) -> None:
        """Write words of the PE block by their names without P_."""
        for name, value in words.items():
            self.pe[getattr(w, f"P_{name}")] = signed(value)

    def get(self, name: str) -> int:
        """A word of the PE block by its name without P_."""
        return int(self.pe[getattr(w, f"P_{name}")])

    def table(self) -> int:
        """A zeroed page for a table."""
        self.next += 0x1000
        return self.next - 0x1000

    def map(self, root: int, address: int, leaf: int, level: int = 3, start: int = 0, tables: int = 0) -> int:
        """Make tables from ``root`` (``start`` level) to ``level`` and put ``leaf`` there; gives the leaf's address."""
        table = root
        for at in range(start, level + 1):
            shift = 39 - 9 * at
            entry = table + 8 * (address >> shift & (0x1FFF if at == start else 511))
            if at == level:
                self.store.write64(entry, leaf & (1 << 64) - 1)
                return entry
            if not self.store.read64(entry) & 1:
                self.store.write64(entry, self.table() | tables | 3)
            table = self.store.read64(entry) & 0xFFFF_FFFF_F000
        raise AssertionError("level must not lie above start")

    def page(self, va: int = VA, attributes: int = AF, level: int = 3, output: int = DATA, tables: int = 0) -> int:
        """Map ``va`` by stage 1; gives the leaf's address."""
        output = output >> (39 - 9 * level) << (39 - 9 * level)
        return self.map(
            self.root1, va & 0xFFFF_FFFF_FFFF, output | attributes | (3 if level == 3 else 1), level, 0, tables
        )

    def stage2(self, realm: bool = True, hcr: int = VM | FWB) -> None:
        """Turn stage 2 on (40 bits from level 1, two tables), with the tables of stage 1 mapped flat."""
        self.next = (self.next + 0x1FFF) & ~0x1FFF
        self.root2 = self.table()
        self.table()
        self.set(SECURITY=SecurityState.REALM if realm else SecurityState.NON_SECURE, HCR=hcr)
        self.set(VTCR=24 | 1 << 6 | 5 << 16, VTTBR=self.root2)
        self.ipa(0xA000_0000, 0xA000_0000, level=2)

    def ipa(self, ipa: int, pa: int, attributes: int = AF | S2_RW | S2_WB, level: int = 3) -> int:
        """Map ``ipa`` by stage 2; gives the leaf's address."""
        return self.map(self.root2, ipa, pa | attributes | (3 if level == 3 else 1), level, 1)

    def gpt(self, gpi: int = Gpi.NON_SECURE) -> None:
        """Turn the GPC on (36 bits): the second GiB of DRAM granule by granule, everything else open to any PAS."""
        for index in range(64):
            self.store.write64(L0GPT + 8 * index, Gpi.ANY << 4 | 1)
        self.store.write64(L0GPT + 8 * 2, L1GPT | 3)
        word = int(f"{gpi:x}" * 16, 16)
        self.store.write(L1GPT, word.to_bytes(8, "little") * (1 << 14))
        self.memory.gptbr = L0GPT >> 12
        self.memory.gpccr = 1 << 16 | 1

    def assign(self, pa: int, gpi: int) -> None:
        """Set the GPI of one granule of the second GiB."""
        at = L1GPT + 8 * ((pa & 0x3FFF_FFFF) >> 16)
        shift = 4 * (pa >> 12 & 15)
        self.store.write64(at, self.store.read64(at) & ~(15 << shift) | gpi << shift)

    def translate(self, access: int = READ, va: int = VA, el: int | None = None) -> int:
        """Translate, at ``el`` when given."""
        if el is not None:
            self.set(EL=el)
        return translate(self.p, signed(va), access)

    def refusal(self, access: int = READ, va: int = VA, el: int | None = None) -> tuple[int, int, int]:
        """(FSC, stage, S1PTW) of an access that must be refused."""
        assert self.translate(access, va, el) == REFUSED
        return self.get("FAULT_FSC"), self.get("FAULT_STAGE"), self.get("FAULT_S1PTW")

    def permits(self, va: int = VA) -> dict[int, str]:
        """What EL1 and EL0 may do: {1: "rw", 0: ""}."""
        found = {}
        for el in (1, 0):
            letters = zip("rwx", (READ, WRITE, FETCH), strict=True)
            found[el] = "".join(letter for letter, access in letters if self.translate(access, va, el) == OK)
        return found


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A Non-secure EL1 with 48-bit addresses and nothing mapped."""
    bench = Bench()
    yield bench
    bench.memory.close()


class TestStage1Faults:
    """Stage 1 refuses with the kind and level that the architecture gives, the kinds in their order."""

    @pytest.mark.parametrize("level", range(4))
    def test_translation(self, bench: Bench, level: int) -> None:
        """An invalid entry is a translation fault at its level."""
        bench.page()
        bench.map(bench.root1, VA, 0, level)
        assert bench.refusal() == (TRANSLATION + level, 1, 0)

    @pytest.mark.parametrize("level", [0, 3])
    def test_reserved_entry(self, bench: Bench, level: int) -> None:
        """0b01 is no block at levels 0 and 3."""
        bench.page()
        bench.map(bench.root1, VA, DATA | AF | 1, level)
        assert bench.refusal() == (TRANSLATION + level, 1, 0)

    @pytest.mark.parametrize("level", range(4))
    def test_address_size(self, bench: Bench, level: int) -> None:
        """An output or next table beyond TCR.IPS is an address size fault at the level of the entry."""
        bench.set(TCR=16 | 1 << 32)  # 36 bits
        bench.page()
        bench.map(bench.root1, VA, 1 << 36 | AF | 3, level)
        assert bench.refusal() == (ADDRESS_SIZE + level, 1, 0)

    def test_address_size_of_the_base(self, bench: Bench) -> None:
        """A TTBR beyond TCR.IPS is an address size fault at level 0."""
        bench.set(TCR=16 | 0 << 32, TTBR0=1 << 32)
        assert bench.refusal() == (ADDRESS_SIZE, 1, 0)

    @pytest.mark.parametrize(("ips", "bits"), list(enumerate((32, 36, 40, 42, 44, 48, 48, 48))))
    def test_output_sizes(self, bench: Bench, ips: int, bits: int) -> None:
        """Every IPS up to 48 bits; larger and reserved values count as what the PE has."""
        bench.set(TCR=16 | ips << 32)
        bench.page(output=(1 << bits) - 0x1000)
        assert bench.translate() == (OK if bits == 32 else DEVICE)
        assert bench.get("OUT_PA") == (1 << bits) - 0x1000
        if bits < 48:
            bench.page(output=1 << bits)
            assert bench.refusal() == (ADDRESS_SIZE + 3, 1, 0)

    def test_output_size_of_the_pe(self, bench: Bench) -> None:
        """IPS above what the PE has counts as what it has."""
        bench.memory.block[w.M_PA_BITS] = 40
        bench.page(output=1 << 40)
        assert bench.refusal() == (ADDRESS_SIZE + 3, 1, 0)

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_access_flag(self, bench: Bench, level: int) -> None:
        """AF = 0 without hardware management is an access flag fault, before any permission fault."""
        bench.page(attributes=READ_ONLY, level=level)
        assert bench.refusal(WRITE) == (ACCESS_FLAG + level, 1, 0)

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_permission(self, bench: Bench, level: int) -> None:
        """A write to a read-only page is a permission fault at the level of the leaf."""
        bench.page(attributes=AF | READ_ONLY, level=level)
        assert bench.refusal(WRITE) == (PERMISSION + level, 1, 0)
        assert bench.translate(READ) == OK

    def test_address_size_before_access_flag(self, bench: Bench) -> None:
        """Of two faults at one level the address size fault is reported."""
        bench.set(TCR=16 | 1 << 32)
        bench.page(attributes=0, output=1 << 36)
        assert bench.refusal() == (ADDRESS_SIZE + 3, 1, 0)

    @pytest.mark.parametrize("level", range(4))
    def test_external_abort(self, bench: Bench, level: int) -> None:
        """A table outside DRAM is an external abort on the walk, with the level of the lookup and its address."""
        if level == 0:
            bench.set(TTBR0=NOWHERE)
        else:
            bench.map(bench.root1, VA, NOWHERE | 3, level - 1)
        assert bench.refusal() == (EXTERNAL_ABORT_WALK + level, 1, 0)
        assert bench.get("FAULT_PA") & ~0xFFF == NOWHERE

    @pytest.mark.parametrize("va", [1 << 48, 0x7FFF << 48, 0xFF7F << 48, 0xFFFE << 48, 1 << 55])
    def test_not_canonical(self, bench: Bench, va: int) -> None:
        """An address outside both ranges is a translation fault at level 0."""
        assert bench.refusal(va=va) == (TRANSLATION, 1, 0)

    @pytest.mark.parametrize(("bit", "va"), [(7, VA), (23, 0xFFFF << 48 | VA)])
    def test_walk_disabled(self, bench: Bench, bit: int, va: int) -> None:
        """EPD0 and EPD1 turn the walks of their range off."""
        bench.page()
        assert bench.translate(va=va) == OK
        bench.set(TCR=bench.get("TCR") | 1 << bit)
        assert bench.refusal(va=va) == (TRANSLATION, 1, 0)

    def test_a_fault_is_recorded(self, bench: Bench) -> None:
        """A refused fill says which address and access it was."""
        assert fill(bench.p, VA, WRITE) == 0
        assert (bench.get("FAULT_KIND"), bench.get("FAULT_VA"), bench.get("FAULT_ACCESS")) == (1, VA, WRITE)
        assert bench.get("FAULT_GPF") == 0


class TestStage1Addresses:
    """How an address selects tables."""

    @pytest.mark.parametrize("t0sz", range(16, 40))
    def test_every_size(self, bench: Bench, t0sz: int) -> None:
        """T0SZ 16 to 39 start at level 0, 1 or 2, with a first table of the size that is left."""
        bits = 64 - t0sz
        level = 0 if bits > 39 else 1 if bits > 30 else 2
        va = (1 << bits) - 0x1000
        bench.set(TCR=t0sz | 5 << 32)
        bench.map(bench.root1, va, DATA | AF | 3, 3, level)
        assert bench.translate(va=va | 0x123) == OK
        assert bench.get("OUT_PA") == DATA | 0x123
        assert bench.refusal(va=1 << bits) == (TRANSLATION, 1, 0)

    @pytest.mark.parametrize(("t0sz", "same"), [(0, 16), (63, 39)])
    def test_size_out_of_range(self, bench: Bench, t0sz: int, same: int) -> None:
        """A T0SZ that is not supported counts as the nearest that is."""
        va = (1 << (64 - same)) - 0x1000
        bench.set(TCR=t0sz | 5 << 32)
        bench.map(bench.root1, va, DATA | AF | 3, 3, 0 if same == 16 else 2)
        assert bench.translate(va=va) == OK

    @pytest.mark.parametrize("level", [1, 2])
    def test_block(self, bench: Bench, level: int) -> None:
        """A block takes the rest of the address from the VA."""
        bench.page(level=level, output=0x8_8000_0000)
        assert bench.translate(va=VA | 0xABC) == OK
        assert bench.get("OUT_PA") == 0x8_8000_0000 | (VA | 0xABC) & ((1 << (39 - 9 * level)) - 1)

    @pytest.mark.parametrize(("bit", "base"), [(37, 0), (38, 0xFFFF << 48)])
    def test_tag(self, bench: Bench, bit: int, base: int) -> None:
        """With TBI the top byte is ignored; bit 55 chooses the range. TBID takes that back for instruction fetches."""
        bench.page()
        va = (base | VA) ^ 0xA5 << 56
        assert bench.refusal(va=va) == (TRANSLATION, 1, 0)
        bench.set(TCR=bench.get("TCR") | 1 << bit)
        assert bench.translate(va=va) == bench.translate(FETCH, va) == OK
        bench.set(TCR=bench.get("TCR") | 1 << (bit + 14))
        assert bench.translate(va=va) == OK
        assert bench.refusal(FETCH, va) == (TRANSLATION, 1, 0)

    def test_off(self, bench: Bench) -> None:
        """With SCTLR.M = 0 an address is its own translation, if the PE has that many bits."""
        bench.set(SCTLR=0)
        assert bench.permits(DATA) == {1: "rwx", 0: "rwx"}
        assert bench.get("OUT_PA") == DATA
        assert bench.translate(va=0x1C09_0000) == DEVICE
        assert bench.refusal(va=1 << 48) == (ADDRESS_SIZE, 1, 0)
        assert bench.refusal(va=0xFF << 56 | DATA) == (ADDRESS_SIZE, 1, 0)

    @pytest.mark.parametrize(
        ("sctlr", "hcr", "access", "attribute"),
        [(0, 0, READ, 0x00), (0, 0, FETCH, 0x44), (1 << 12, 0, FETCH, 0xAA)],
    )
    def test_off_attributes(self, bench: Bench, sctlr: int, hcr: int, access: int, attribute: int) -> None:
        """With stage 1 off data is Device-nGnRnE and instructions are Normal, cacheable by SCTLR.I."""
        bench.set(SCTLR=sctlr, HCR=hcr)
        assert bench.translate(access, DATA) == OK
        assert bench.get("OUT_ATTR") == attribute

    def test_tge(self, bench: Bench) -> None:
        """HCR_EL2.TGE turns stage 1 of EL1&0 off."""
        bench.set(HCR=TGE)
        assert bench.translate(va=DATA, el=0) == OK

    def test_el2(self, bench: Bench) -> None:
        """EL2 has one range, its own TCR layout, and no EL0."""
        bench.set(EL=2, TCR=16 | 5 << 16 | 1 << 20, SCTLR=1)
        bench.page(attributes=AF | UXN)
        assert bench.translate(va=0xA5 << 56 | VA) == OK
        assert bench.refusal(FETCH) == (PERMISSION + 3, 1, 0)
        assert bench.refusal(va=1 << 55 | VA) == (TRANSLATION, 1, 0)

    def test_attributes(self, bench: Bench) -> None:
        """The memory type is the MAIR byte that AttrIndx names; nG is reported."""
        bench.set(MAIR=0x8877_6655_4433_22FF)
        bench.page(attributes=AF | 7 << 2 | 1 << 11)
        assert bench.translate() == OK
        assert (bench.get("OUT_ATTR"), bench.get("OUT_NG")) == (0x88, 1)


class TestStage1Permissions:
    """Who may read, write and execute."""

    @pytest.mark.parametrize(
        ("attributes", "el1", "el0"),
        [
            (0, "rwx", "x"),
            (USER, "rw", "rwx"),
            (READ_ONLY, "rx", "x"),
            (USER | READ_ONLY, "rx", "rx"),
            (PXN, "rw", "x"),
            (UXN, "rwx", ""),
            (USER | READ_ONLY | PXN | UXN, "r", "r"),
        ],
    )
    def test_leaf(self, bench: Bench, attributes: int, el1: str, el0: str) -> None:
        """AP, PXN and UXN; what EL0 may write EL1 never executes."""
        bench.page(attributes=AF | attributes)
        assert bench.permits() == {1: el1, 0: el0}

    @pytest.mark.parametrize(
        ("bit", "el1", "el0"),
        [(59, "r", "rx"), (60, "rx", "r"), (61, "rx", "x"), (62, "rx", "rx")],
    )
    def test_hierarchical(self, bench: Bench, bit: int, el1: str, el0: str) -> None:
        """PXNTable, UXNTable and APTable restrict everything below; HPD turns them off."""
        bench.page(attributes=AF | USER | READ_ONLY, tables=1 << bit)
        assert bench.permits() == {1: el1, 0: el0}
        bench.set(TCR=bench.get("TCR") | 1 << 41)
        assert bench.permits() == {1: "rx", 0: "rx"}

    def test_hierarchical_read_only(self, bench: Bench) -> None:
        """APTable[1] takes write permission, and with it the ban on executing what EL0 may write."""
        bench.page(attributes=AF | USER, tables=1 << 62)
        assert bench.permits() == {1: "rx", 0: "rx"}

    @pytest.mark.parametrize(("attributes", "el1"), [(0, "rw"), (READ_ONLY, "rx")])
    def test_wxn(self, bench: Bench, attributes: int, el1: str) -> None:
        """SCTLR.WXN: nothing writable is executable."""
        bench.set(SCTLR=1 | 1 << 19)
        bench.page(attributes=AF | attributes)
        assert bench.permits()[1] == el1

    def test_pan(self, bench: Bench) -> None:
        """PSTATE.PAN: EL1 has no data access to what EL0 may access; instruction fetch is untouched."""
        bench.set(PAN=1)
        bench.page(attributes=AF | USER | READ_ONLY)
        assert bench.permits()[1] == "x"
        bench.page(attributes=AF)
        assert bench.permits()[1] == "rwx"


class TestHardwareUpdate:
    """Access flag and dirty state, written by the walker."""

    def test_access_flag(self, bench: Bench) -> None:
        """With TCR.HA the walk sets AF, as a store to the table."""
        bench.set(TCR=bench.get("TCR") | HA)
        leaf = bench.page(attributes=0)
        bench.memory.dirty[:] = 0
        assert bench.translate() == OK
        assert bench.store.read64(leaf) & AF
        assert np.flatnonzero(bench.memory.dirty).tolist() == [page_index(bench.m, leaf)]

    def test_failing_access_leaves_the_flag(self, bench: Bench) -> None:
        """A permission fault does not set AF."""
        bench.set(TCR=bench.get("TCR") | HA)
        leaf = bench.page(attributes=READ_ONLY)
        assert bench.refusal(WRITE) == (PERMISSION + 3, 1, 0)
        assert bench.store.read64(leaf) & AF == 0

    def test_dirty_state(self, bench: Bench) -> None:
        """With HA, HD and DBM a write clears AP[2]; a read does not."""
        bench.set(TCR=bench.get("TCR") | HA | HD)
        leaf = bench.page(attributes=AF | DBM | READ_ONLY)
        assert bench.translate(READ) == OK
        assert bench.store.read64(leaf) & READ_ONLY
        assert bench.translate(WRITE) == OK
        assert bench.store.read64(leaf) & READ_ONLY == 0

    @pytest.mark.parametrize(("control", "tables"), [(0, 0), (HA, 0), (HD, 0), (HA | HD, 1 << 62)])
    def test_not_enabled(self, bench: Bench, control: int, tables: int) -> None:
        """Without HA, HD, or under a read-only APTable, DBM gives no right to write."""
        bench.set(TCR=bench.get("TCR") | control)
        leaf = bench.page(attributes=AF | DBM | READ_ONLY, tables=tables)
        assert bench.refusal(WRITE) == (PERMISSION + 3, 1, 0)
        assert bench.store.read64(leaf) & READ_ONLY

    def test_el2(self, bench: Bench) -> None:
        """EL2 has HA and HD at bits 21 and 22 of its TCR."""
        bench.set(EL=2, TCR=16 | 5 << 16 | 3 << 21)
        leaf = bench.page(attributes=DBM | READ_ONLY)
        assert bench.translate(WRITE) == OK
        assert bench.store.read64(leaf) & (AF | READ_ONLY) == AF

    def test_stage2_must_permit(self, bench: Bench) -> None:
        """An update of a table that stage 2 makes read-only is a stage 2 permission fault on the walk."""
        bench.set(TCR=bench.get("TCR") | HA)
        leaf = bench.page(attributes=0)
        bench.stage2()
        bench.ipa(DATA, DATA)
        bench.ipa(0xA000_0000, 0xA000_0000, AF | 1 << 6 | S2_WB, level=2)
        assert bench.refusal() == (PERMISSION + 2, 2, 1)
        assert bench.get("FAULT_IPA") == leaf
        assert bench.store.read64(leaf) & AF == 0


class TestStage2:
    """Intermediate physical addresses: faults, permissions, the NS bit, walks through stage 2."""

    @pytest.mark.parametrize("level", [1, 2, 3])
    @pytest.mark.parametrize(
        ("kind", "entry"),
        [
            (TRANSLATION, 0),
            (ADDRESS_SIZE, 1 << 44 | AF | S2_RW),
            (ACCESS_FLAG, DATA >> 30 << 30 | S2_RW),
            (PERMISSION, DATA >> 30 << 30 | AF),
        ],
    )
    def test_faults(self, bench: Bench, level: int, kind: int, entry: int) -> None:
        """Each kind at each level, with the page of the faulting IPA."""
        bench.page(output=DATA)
        bench.stage2()
        bench.set(VTCR=24 | 1 << 6 | 4 << 16)  # 44 bits of output
        bench.map(bench.root2, DATA, entry | (0 if entry == 0 else 3 if level == 3 else 1), level, 1)
        if level > 1:
            assert bench.refusal(va=VA | 0x88) == (kind + level, 2, 0)
            assert bench.get("FAULT_IPA") == DATA
        else:  # the block at level 1 is also the one of stage 1's tables
            assert bench.refusal() == (kind + level, 2, 1)

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_external_abort(self, bench: Bench, level: int) -> None:
        """A stage 2 table outside DRAM is an external abort of stage 2."""
        bench.set(SCTLR=0)
        bench.stage2()
        if level == 1:
            bench.set(VTTBR=NOWHERE)
        else:
            bench.map(bench.root2, DATA, NOWHERE | 3, level - 1, 1)
        assert bench.refusal(va=DATA) == (EXTERNAL_ABORT_WALK + level, 2, 0)

    def test_out_of_range(self, bench: Bench) -> None:
        """An IPA of more bits than VTCR.T0SZ leaves is a translation fault of stage 2 at level 0."""
        bench.page(output=1 << 40)
        bench.stage2()
        assert bench.refusal() == (TRANSLATION, 2, 0)
        assert bench.get("FAULT_IPA") == 1 << 40

    @pytest.mark.parametrize(
        ("bits", "level"), [(32, 1), (32, 2), (33, 1), (34, 2), (40, 0), (40, 1), (42, 1), (48, 0)]
    )
    def test_shapes(self, bench: Bench, bits: int, level: int) -> None:
        """The start levels and concatenated tables that Realms use."""
        bench.set(SCTLR=0)
        bench.stage2()
        root, ipa = 0xB000_0000, (1 << bits) - 0x1000
        bench.set(VTCR=64 - bits | (2 - level) << 6 | 5 << 16, VTTBR=root)
        bench.map(root, ipa, DATA | AF | S2_RW | 3, 3, level)
        assert bench.translate(va=ipa) == OK
        assert (bench.get("OUT_PA"), bench.get("OUT_IPA")) == (DATA, ipa)

    @pytest.mark.parametrize(("bits", "sl0"), [(30, 1), (39, 2), (35, 0), (44, 1), (32, 3)])
    def test_inconsistent_start(self, bench: Bench, bits: int, sl0: int) -> None:
        """A start level that does not fit the size is a translation fault of stage 2 at level 0."""
        bench.set(SCTLR=0)
        bench.stage2()
        bench.set(VTCR=64 - bits | sl0 << 6 | 5 << 16)
        assert bench.refusal(va=0) == (TRANSLATION, 2, 0)

    @pytest.mark.parametrize("s2ap", range(4))
    def test_s2ap(self, bench: Bench, s2ap: int) -> None:
        """S2AP: none, read-only, write-only, both; write-only refuses reads."""
        bench.set(SCTLR=0)
        bench.stage2()
        bench.ipa(DATA, DATA, AF | s2ap << 6)
        assert bench.permits(DATA)[1] == ("", "r", "w", "rw")[s2ap] + "x"

    @pytest.mark.parametrize(
        ("xn", "el1", "el0"), [(0, "rwx", "rwx"), (1, "rw", "rwx"), (2, "rw", "rw"), (3, "rwx", "rw")]
    )
    def test_xn(self, bench: Bench, xn: int, el1: str, el0: str) -> None:
        """XN[1:0] at bits 54:53 (FEAT_XNX)."""
        bench.set(SCTLR=0)
        bench.stage2()
        bench.ipa(DATA, DATA, AF | S2_RW | xn << 53)
        assert bench.permits(DATA) == {1: el1, 0: el0}

    def test_both_must_permit(self, bench: Bench) -> None:
        """The permissions of a page are those of both stages."""
        bench.page(attributes=AF | READ_ONLY | PXN)
        bench.stage2()
        bench.ipa(DATA, DATA)
        assert bench.translate() == OK
        assert bench.get("OUT_PROT") == 1

    def test_unprotected(self, bench: Bench) -> None:
        """NS = 1 in a Realm: data in the Non-secure PAS, no fetch. In the Non-secure state NS is ignored."""
        bench.set(SCTLR=0)
        bench.stage2()
        bench.ipa(DATA, DATA, AF | S2_RW | S2_NS)
        assert bench.translate(WRITE, DATA) == OK
        assert bench.get("OUT_PAS") == Pas.NON_SECURE
        assert bench.refusal(FETCH, DATA) == (PERMISSION + 3, 2, 0)
        bench.ipa(DATA, DATA)
        assert bench.translate(FETCH, DATA) == OK
        assert bench.get("OUT_PAS") == Pas.REALM
        bench.set(SECURITY=SecurityState.NON_SECURE)
        assert bench.translate(FETCH, DATA) == OK
        assert bench.get("OUT_PAS") == Pas.NON_SECURE

    def test_tables_in_unprotected_memory(self, bench: Bench) -> None:
        """A Realm's own tables cannot lie in Non-secure memory."""
        bench.page()
        bench.stage2()
        bench.ipa(0xA000_0000, 0xA000_0000, AF | S2_RW | S2_WB | S2_NS, level=2)
        assert bench.refusal() == (PERMISSION + 2, 2, 1)

    @pytest.mark.parametrize(("hcr", "memattr"), [(VM | PTW | FWB, 0b0001), (VM | PTW, 0b0001), (VM | PTW, 0b0011)])
    def test_walk_through_device_memory(self, bench: Bench, hcr: int, memattr: int) -> None:
        """HCR_EL2.PTW: a stage 1 walk through Device memory is a permission fault of stage 2."""
        bench.page()
        bench.stage2(hcr=hcr)
        bench.ipa(DATA, DATA)
        bench.ipa(0xA000_0000, 0xA000_0000, AF | S2_RW | memattr << 2, level=2)
        assert bench.refusal() == (PERMISSION + 2, 2, 1)
        bench.set(HCR=hcr & ~PTW)
        assert bench.translate() == OK

    @pytest.mark.parametrize("level", range(4))
    def test_walk(self, bench: Bench, level: int) -> None:
        """A stage 2 fault on a stage 1 walk: S1PTW, the level of stage 2, and the address of the stage 1 entry."""
        bench.page()
        bench.stage2()
        ipa = 0x40_0000 + 0x1000 * level
        if level == 0:
            bench.set(TTBR0=ipa)
        else:
            bench.map(bench.root1, VA, ipa | 3, level - 1)
        assert bench.refusal() == (TRANSLATION + 1, 2, 1)
        assert bench.get("FAULT_IPA") == ipa + 8 * (VA >> (39 - 9 * level) & 511)

    def test_off(self, bench: Bench) -> None:
        """Without HCR_EL2.VM, at EL2 and in the Secure state there is no stage 2; DC implies it."""
        bench.set(SCTLR=0)
        bench.stage2()
        assert bench.translate(va=DATA) == REFUSED
        bench.set(HCR=0)
        assert bench.translate(va=DATA) == OK
        bench.set(HCR=DC)
        assert bench.refusal(va=DATA) == (TRANSLATION + 2, 2, 0)
        assert bench.translate(va=DATA, el=2) == OK
        bench.set(SECURITY=SecurityState.SECURE, EL=1)
        assert bench.translate(va=DATA) == OK


class TestAttributes:
    """Memory types of both stages combined."""

    @pytest.mark.parametrize(
        ("stage1", "memattr", "fwb", "result"),
        [
            (0xFF, 0b110, 1, 0xFF),
            (0x00, 0b110, 1, 0xFF),
            (0x44, 0b110, 1, 0xFF),
            (0xFF, 0b101, 1, 0x44),
            (0x04, 0b101, 1, 0x04),
            (0xBB, 0b111, 1, 0xBB),
            (0x08, 0b111, 1, 0x08),
            (0xFF, 0b001, 1, 0x04),
            (0x00, 0b011, 1, 0x00),
            (0xFF, 0b1111, 0, 0xFF),
            (0xFF, 0b0101, 0, 0x44),
            (0x44, 0b1111, 0, 0x44),
            (0xFF, 0b1010, 0, 0xBB),
            (0x4F, 0b1111, 0, 0x4F),
            (0xFF, 0b0001, 0, 0x04),
            (0x0C, 0b0010, 0, 0x08),
            (0x04, 0b1111, 0, 0x04),
        ],
    )
    def test_combine(self, stage1: int, memattr: int, fwb: int, result: int) -> None:
        """With FWB stage 2 forces or defers; without it the weaker type wins."""
        assert combine_attributes(stage1, memattr, fwb) == result

    def test_translated(self, bench: Bench) -> None:
        """A Realm page under FWB is Write-Back whatever stage 1 says."""
        bench.page(attributes=AF | 1 << 2)
        bench.stage2()
        bench.ipa(DATA, DATA)
        assert bench.translate() == OK
        assert bench.get("OUT_ATTR") == 0xFF


class TestPas:
    """The physical address space that an access uses."""

    @pytest.mark.parametrize(
        ("state", "el", "ns", "pas"),
        [
            (SecurityState.NON_SECURE, 1, NS, Pas.NON_SECURE),
            (SecurityState.NON_SECURE, 2, 0, Pas.NON_SECURE),
            (SecurityState.SECURE, 1, 0, Pas.SECURE),
            (SecurityState.SECURE, 1, NS, Pas.NON_SECURE),
            (SecurityState.REALM, 1, 0, Pas.REALM),
            (SecurityState.REALM, 1, NS, Pas.REALM),
            (SecurityState.REALM, 2, 0, Pas.REALM),
            (SecurityState.REALM, 2, NS, Pas.NON_SECURE),
        ],
    )
    def test_ns_bit(self, bench: Bench, state: SecurityState, el: int, ns: int, pas: Pas) -> None:
        """The NS bit of stage 1 counts in Secure EL1&0 and Realm EL2 only."""
        bench.set(SECURITY=state, EL=el, TCR=16 | 5 << 16 if el == 2 else bench.get("TCR"))
        bench.page(attributes=AF | ns)
        assert bench.translate() == OK
        assert bench.get("OUT_PAS") == pas

    def test_nstable(self, bench: Bench) -> None:
        """NSTable in the Secure state sends the rest of the walk, and the access, to the Non-secure PAS; nG is set."""
        bench.set(SECURITY=SecurityState.SECURE)
        bench.page(tables=NSTABLE)
        bench.gpt(Gpi.SECURE)
        assert bench.refusal() == (GPF_WALK + 1, 1, 0)
        assert bench.get("FAULT_PAS") == Pas.NON_SECURE
        bench.memory.gpccr = 0
        assert bench.translate() == OK
        assert (bench.get("OUT_PAS"), bench.get("OUT_NG")) == (Pas.NON_SECURE, 1)

    @pytest.mark.parametrize("state", [SecurityState.SECURE, SecurityState.NON_SECURE, SecurityState.REALM])
    def test_off(self, bench: Bench, state: SecurityState) -> None:
        """With the MMU off an access is in the PAS of its security state."""
        bench.set(SECURITY=state, SCTLR=0)
        assert bench.translate(va=DATA) == OK
        assert bench.get("OUT_PAS") == Pas(state)


class TestGranuleProtection:
    """The granule protection check: its table walk, and where translations meet it."""

    @pytest.mark.parametrize("gpi", list(Gpi))
    @pytest.mark.parametrize("pas", list(Pas))
    def test_every_pair(self, bench: Bench, gpi: Gpi, pas: Pas) -> None:
        """A granule admits the PAS of its GPI, ANY admits all, NO_ACCESS none; refusals carry level 1."""
        bench.gpt()
        bench.assign(DATA, gpi)
        passes = gpi == Gpi.ANY or gpi == 8 | pas
        assert granule_protection_check(bench.m, DATA, pas) == (0 if passes else GPC_GPF | 1)

    @pytest.mark.parametrize("gpi", sorted(set(range(16)) - set(Gpi)))
    def test_reserved(self, bench: Bench, gpi: int) -> None:
        """A reserved GPI is a walk fault; one elsewhere in the descriptor is of no concern."""
        bench.gpt()
        bench.assign(DATA + 0x1000, gpi)
        assert granule_protection_check(bench.m, DATA, Pas.NON_SECURE) == 0
        assert granule_protection_check(bench.m, DATA + 0x1000, Pas.NON_SECURE) == GPC_WALK_FAULT | 1

    @pytest.mark.parametrize(
        ("entry", "result"),
        [
            (Gpi.REALM << 4 | 1, 0),
            (Gpi.ANY << 4 | 1, 0),
            (Gpi.ROOT << 4 | 1, GPC_GPF),
            (0b0100 << 4 | 1, GPC_WALK_FAULT),
            (1 << 8 | Gpi.REALM << 4 | 1, GPC_WALK_FAULT),
            (0, GPC_WALK_FAULT),
            (L1GPT | 1 << 4 | 3, GPC_WALK_FAULT),
            (1 << 63 | L1GPT | 3, GPC_WALK_FAULT),
            (L1GPT + 0x1000 | 3, GPC_WALK_FAULT),
            (1 << 40 | 3, GPC_ADDRESS_SIZE),
            (NOWHERE | 3, GPC_EXTERNAL_ABORT | 1),
        ],
    )
    def test_level0(self, bench: Bench, entry: int, result: int) -> None:
        """Level 0: blocks, tables, and everything that is neither."""
        bench.gpt()
        bench.store.write64(L0GPT + 8 * 2, entry)
        assert granule_protection_check(bench.m, DATA, Pas.REALM) == result

    @pytest.mark.parametrize(
        ("entry", "result"),
        [
            (1 << 8 | Gpi.REALM << 4 | 1, 0),
            (2 << 8 | Gpi.NON_SECURE << 4 | 1, GPC_GPF | 1),
            (0 << 8 | Gpi.REALM << 4 | 1, GPC_WALK_FAULT | 1),
            (1 << 63 | 1 << 8 | Gpi.REALM << 4 | 1, GPC_WALK_FAULT | 1),
        ],
    )
    def test_contiguous(self, bench: Bench, entry: int, result: int) -> None:
        """Level 1 contiguous descriptors name one GPI for all their granules."""
        bench.gpt()
        bench.store.write64(L1GPT + 8 * ((DATA & 0x3FFF_FFFF) >> 16), entry)
        assert granule_protection_check(bench.m, DATA, Pas.REALM) == result

    def test_outside(self, bench: Bench) -> None:
        """Beyond PPS only the Non-secure PAS passes; a base there is an address size fault, outside DRAM an abort."""
        bench.gpt()
        assert granule_protection_check(bench.m, 1 << 36, Pas.NON_SECURE) == 0
        assert granule_protection_check(bench.m, 1 << 36, Pas.REALM) == GPC_GPF
        bench.memory.gptbr = 1 << 24
        assert granule_protection_check(bench.m, DATA, Pas.REALM) == GPC_ADDRESS_SIZE
        bench.memory.gptbr = NOWHERE >> 12
        assert granule_protection_check(bench.m, DATA, Pas.REALM) == GPC_EXTERNAL_ABORT

    def test_off(self, bench: Bench) -> None:
        """GPCCR_EL3.GPC = 0 lets everything pass."""
        bench.gpt(Gpi.NO_ACCESS)
        bench.memory.gpccr = 0
        assert granule_protection_check(bench.m, DATA, Pas.REALM) == 0

    @pytest.mark.parametrize("access", [READ, WRITE, FETCH])
    @pytest.mark.parametrize("gpi", [Gpi.SECURE, Gpi.NON_SECURE, Gpi.ROOT, Gpi.REALM])
    @pytest.mark.parametrize("state", [SecurityState.SECURE, SecurityState.NON_SECURE, SecurityState.REALM])
    def test_access(self, bench: Bench, state: SecurityState, gpi: Gpi, access: int) -> None:
        """Data and instruction accesses to a granule of another PAS are refused with FSC 0x28."""
        bench.gpt(8 | state)
        bench.assign(DATA, gpi)
        bench.page()
        bench.set(SECURITY=state)
        if gpi == 8 | state:
            assert bench.translate(access) == OK
            return
        assert bench.refusal(access, VA | 8) == (GPF, 1, 0)
        assert (bench.get("FAULT_GPF"), bench.get("FAULT_PAS"), bench.get("FAULT_GPT_LEVEL")) == (1, state, 1)
        assert bench.get("FAULT_PA") == DATA | 8

    @pytest.mark.parametrize("level", range(4))
    def test_table(self, bench: Bench, level: int) -> None:
        """A stage 1 table in a granule of another PAS is refused with FSC 0x24 + level."""
        bench.gpt()
        bench.page()
        table = bench.root1
        for at in range(level):
            table = bench.store.read64(table + 8 * (VA >> (39 - 9 * at) & 511)) & 0xFFFF_FFFF_F000
        bench.assign(table, Gpi.REALM)
        assert bench.refusal() == (GPF_WALK + level, 1, 0)
        assert bench.get("FAULT_GPF") == 1
        assert bench.get("FAULT_PA") & ~0xFFF == table

    @pytest.mark.parametrize("on_walk", [0, 1])
    def test_stage2_table(self, bench: Bench, on_walk: int) -> None:
        """A stage 2 table in another PAS belongs to stage 2, on a stage 1 walk too."""
        bench.set(SCTLR=on_walk)
        bench.stage2()
        bench.gpt(Gpi.REALM)
        bench.assign(bench.root2, Gpi.NON_SECURE)
        assert bench.refusal(va=DATA) == (GPF_WALK + 1, 2, on_walk)

    def test_unprotected(self, bench: Bench) -> None:
        """What a Realm reaches by NS = 1 must be Non-secure."""
        bench.set(SCTLR=0)
        bench.stage2()
        bench.gpt(Gpi.REALM)
        bench.ipa(DATA, DATA, AF | S2_RW | S2_NS)
        assert bench.refusal(va=DATA) == (GPF, 1, 0)
        bench.assign(DATA, Gpi.NON_SECURE)
        assert bench.translate(va=DATA) == OK

    def test_broken_gpt(self, bench: Bench) -> None:
        """A fault of the GPT itself is marked as another kind: it goes to EL3."""
        bench.gpt()
        bench.store.write64(L0GPT + 8 * 2, 0)
        bench.set(SCTLR=0)
        assert bench.refusal(va=DATA) == (GPF, 1, 0)
        assert (bench.get("FAULT_GPF"), bench.get("FAULT_GPT_LEVEL")) == (GPC_WALK_FAULT >> 8, 0)

    def test_devices(self, bench: Bench) -> None:
        """Device addresses pass the check as memory does."""
        bench.gpt()
        bench.set(SCTLR=0)
        assert bench.translate(va=0x1C09_0000) == DEVICE
        bench.store.write64(L0GPT, Gpi.ROOT << 4 | 1)
        assert bench.refusal(va=0x1C09_0000) == (GPF, 1, 0)


class TestFill:
    """What the TLB is given, and the maps that a fill keeps."""

    @pytest.mark.parametrize(
        ("attributes", "access", "given"),
        [(0, READ, 1), (0, WRITE, 3), (0, FETCH, 5), (READ_ONLY, WRITE, 0), (PXN, FETCH, 0), (PXN, READ, 1)],
    )
    def test_write_xor_execute(self, bench: Bench, attributes: int, access: int, given: int) -> None:
        """Read gives read, write gives read and write, fetch gives read and execute: never write and execute."""
        bench.page(attributes=AF | attributes)
        assert fill(bench.p, VA, access) == given
        if given:
            assert bench.get("OUT_PA") == DATA
            page = page_index(bench.m, DATA)
            assert bench.tlb_pages[page] == 7  # the era: one flush of the whole TLB makes it stale
            assert bench.memory.dirty[page] == (access == WRITE)
            assert bench.memory.executed[page] == (access == FETCH)

    def test_without_read(self, bench: Bench) -> None:
        """What may not be read is not readable after a write or fetch fill."""
        bench.set(SCTLR=0)
        bench.stage2()
        bench.ipa(DATA, DATA, AF | 2 << 6)
        assert [fill(bench.p, DATA, access) for access in (READ, WRITE, FETCH)] == [0, 2, 4]

    def test_device(self, bench: Bench) -> None:
        """A device page is refused, with its address."""
        bench.set(SCTLR=0)
        assert fill(bench.p, 0x1C09_0018, WRITE) == 0
        assert (bench.get("FAULT_KIND"), bench.get("OUT_PA")) == (DEVICE, 0x1C09_0018)

    def test_pre_image(self, bench: Bench) -> None:
        """Under a snapshot the first write of a page saves it as it was."""
        page, shadow = page_index(bench.m, DATA), np.zeros(4096, np.uint8)
        bench.memory.dirty[:] = 0
        bench.store.write64(DATA, 7)
        bench.memory.dirty[:] = 0
        bench.memory.block[w.M_SHADOW] = int(shadow.ctypes.data) - page * 4096
        bench.set(SCTLR=0)
        assert fill(bench.p, DATA, WRITE) == 3
        bench.store.write64(DATA, 8)
        mark_written(bench.m, page)
        assert shadow[0] == 7

    def test_code_written(self, bench: Bench) -> None:
        """Writing a page that was executed asks for translations to be dropped."""
        bench.set(SCTLR=0)
        fill(bench.p, DATA, WRITE)
        assert bench.memory.block[w.M_CODE_WRITTEN] == 0
        fill(bench.p, DATA, FETCH)
        fill(bench.p, DATA, WRITE)
        assert bench.memory.block[w.M_CODE_WRITTEN] == 1


class TestBanks:
    """Physical addresses and the page maps."""

    def test_second_bank(self, bench: Bench) -> None:
        """The pages of the second bank follow those of the first."""
        assert page_index(bench.m, 0x8_8000_0000) == 0x80000
        assert host_address(bench.m, 0x8_8000_0000) == bench.memory.host + 0x8000_0000

    @pytest.mark.parametrize("pa", [0, 0x7FFF_FFFF, 0x1_0000_0000, 0x8_7FFF_FFFF, 0x9_0000_0000])
    def test_no_dram(self, bench: Bench, pa: int) -> None:
        """Elsewhere there is no DRAM."""
        assert (host_address(bench.m, pa), page_index(bench.m, pa)) == (0, -1)
