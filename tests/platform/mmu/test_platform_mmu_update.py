"""Hardware update of descriptors: access flag and dirty state.

The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

import numpy as np
import pytest
from mmu_bench import AF, DATA, DBM, HA, HD, READ, READ_ONLY, S2_WB, WRITE, Bench

from cca_platform.memory.words import zero
from cca_platform.mmu.dram import page_index
from cca_platform.mmu.translate import OK
from cca_platform.mmu.walk import PERMISSION


class TestHardwareUpdate:
    """Access flag and dirty state, written by the walker."""

    def test_access_flag(self, bench: Bench) -> None:
        """With TCR.HA the walk sets AF, as a store to the table."""
        bench.set(TCR=bench.get("TCR") | HA)
        leaf = bench.page(attributes=0)
        zero(bench.memory.dirty)
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
