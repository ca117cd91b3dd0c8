"""Stage 1: faults and their levels, addresses, permissions.

The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

import pytest
from mmu_bench import AF, DATA, FETCH, NOWHERE, PXN, READ, READ_ONLY, TGE, USER, UXN, VA, WRITE, Bench

from cca_platform.mmu.translate import DEVICE, OK, fill
from cca_platform.mmu.walk import ACCESS_FLAG, ADDRESS_SIZE, EXTERNAL_ABORT_WALK, PERMISSION, TRANSLATION
from cca_platform.native import block as w


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

    @pytest.mark.parametrize(("bit", "va"), [(55, VA), (56, 0xFFFF << 48 | VA)])
    @pytest.mark.parametrize("access", [READ, WRITE, FETCH])
    def test_kept_from_el0(self, bench: Bench, bit: int, va: int, access: int) -> None:
        """E0PD0 and E0PD1 keep EL0, and it alone, out of their range: translation fault, level 0, mapped or not."""
        bench.page(attributes=AF | USER | (READ_ONLY if access == FETCH else 0))
        bench.set(TCR=bench.get("TCR") | 1 << bit)
        other = 0xFFFF << 48 ^ va
        assert bench.translate(access, va=va) == OK
        assert bench.translate(access, va=other, el=0) == OK
        assert bench.refusal(access, va=va, el=0) == (TRANSLATION, 1, 0)
        assert bench.refusal(access, va=va ^ 1 << 40, el=0) == (TRANSLATION, 1, 0)

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
