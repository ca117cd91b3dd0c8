"""Stage 2: faults and their levels, shapes of tables, permissions, walks of stage 1.

The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

import pytest
from mmu_bench import (
    AF,
    DATA,
    DC,
    FETCH,
    FWB,
    NOWHERE,
    PTW,
    PXN,
    READ_ONLY,
    S2_NS,
    S2_RW,
    S2_WB,
    VA,
    VM,
    WRITE,
    Bench,
)

from cca_arch.types import Pas, SecurityState
from cca_platform.mmu.translate import OK, REFUSED
from cca_platform.mmu.walk import ACCESS_FLAG, ADDRESS_SIZE, EXTERNAL_ABORT_WALK, PERMISSION, TRANSLATION


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
