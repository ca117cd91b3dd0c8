"""The granule protection check: entries, levels, and where translations meet it.

The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

import pytest
from mmu_bench import AF, DATA, FETCH, L0GPT, L1GPT, NOWHERE, READ, S2_NS, S2_RW, VA, WRITE, Bench

from cca_arch.types import Gpi, Pas, SecurityState
from cca_platform.mmu.gpc import GPC_ADDRESS_SIZE, GPC_EXTERNAL_ABORT, GPC_GPF, GPC_WALK_FAULT, granule_protection_check
from cca_platform.mmu.translate import DEVICE, OK
from cca_platform.mmu.walk import GPF, GPF_WALK


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
