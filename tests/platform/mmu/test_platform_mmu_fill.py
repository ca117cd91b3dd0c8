"""TLB fills and DRAM: permissions of an entry, what is written and executed, banks.

The file is also run with NUMBA_DISABLE_JIT=1 (test_platform_mmu_plain.py): the same source as plain Python.
"""

import numpy as np
import pytest
from mmu_bench import AF, DATA, DBM, FETCH, HA, HD, PXN, READ, READ_ONLY, VA, WRITE, Bench

from cca_platform.memory.words import zero
from cca_platform.mmu.dram import host_address, mark_written, page_index
from cca_platform.mmu.translate import DEVICE, fill
from cca_platform.native import block as w


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

    @pytest.mark.parametrize(("attributes", "given"), [(AF, 3), (AF | READ_ONLY, 1)])
    def test_written_before(self, bench: Bench, attributes: int, given: int) -> None:
        """A read of a page that is written already is given write, too, if that is permitted and it has no code."""
        bench.page(attributes=attributes)
        assert fill(bench.p, VA, READ) == 1
        bench.store.write64(DATA, 1)
        assert fill(bench.p, VA, READ) == given
        fill(bench.p, VA, FETCH)
        assert fill(bench.p, VA, READ) == 1

    @pytest.mark.parametrize("attributes", [AF | DBM, AF | DBM | READ_ONLY])
    def test_stores_are_noted(self, bench: Bench, attributes: int) -> None:
        """Where the first store may change the descriptor, a read is never given write."""
        bench.set(TCR=bench.get("TCR") | HA | HD)
        leaf = bench.page(attributes=attributes)
        bench.store.write64(DATA, 1)
        assert fill(bench.p, VA, READ) == 1
        assert bench.store.read64(leaf) & READ_ONLY == attributes & READ_ONLY
        assert fill(bench.p, VA, WRITE) == 3
        assert bench.store.read64(leaf) & READ_ONLY == 0

    def test_device(self, bench: Bench) -> None:
        """A device page is refused, with its address."""
        bench.set(SCTLR=0)
        assert fill(bench.p, 0x1C09_0018, WRITE) == 0
        assert (bench.get("FAULT_KIND"), bench.get("OUT_PA")) == (DEVICE, 0x1C09_0018)

    def test_pre_image(self, bench: Bench) -> None:
        """Under a snapshot the first write of a page saves it as it was."""
        page, shadow = page_index(bench.m, DATA), np.zeros(4096, np.uint8)
        zero(bench.memory.dirty)
        bench.store.write64(DATA, 7)
        zero(bench.memory.dirty)
        bench.memory.block[w.M_SHADOW] = int(shadow.ctypes.data) - page * 4096
        bench.set(SCTLR=0)
        assert fill(bench.p, DATA, WRITE) == 3
        bench.store.write64(DATA, 8)
        mark_written(bench.m, page)
        assert shadow[0] == 7

    def test_code_written(self, bench: Bench) -> None:
        """Writing a page that was executed asks for its translations to be dropped, once until they are."""
        bench.set(SCTLR=0)
        memory, block, page = bench.memory, bench.memory.block, page_index(bench.m, DATA)
        fill(bench.p, DATA, WRITE)
        assert (block[w.M_DROPS], memory.executed[page]) == (0, 0)
        fill(bench.p, DATA, FETCH)
        for _ in range(2):
            fill(bench.p, DATA, WRITE)
            bench.store.write64(DATA, 1)
            assert (block[w.M_DROPS], block[w.M_DROPPED]) == (1, DATA)
        memory.forget_rewritten(DATA)
        assert (memory.executed[page], block[w.M_CODE_WRITTEN]) == (0, 0)
        fill(bench.p, DATA, FETCH)
        bench.store.write64(DATA, 2)
        assert (block[w.M_DROPS], block[w.M_DROPPED + 1]) == (2, DATA)
        memory.forget_rewritten()
        assert memory.executed[page] == 0

    def test_mixed(self, bench: Bench) -> None:
        """A page that is fetched for the first time after it was written is among those that IC IALLU drops."""
        bench.set(SCTLR=0)
        block = bench.memory.block
        fill(bench.p, DATA, FETCH)
        assert block[w.M_MIXED_COUNT] == 0
        for number in range(1, w.MIXED + 3):
            bench.store.write64(DATA + 4096 * number, 1)
            for _ in range(2):
                fill(bench.p, DATA + 4096 * number, FETCH)
        assert block[w.M_MIXED : w.M_MIXED + w.MIXED].tolist() == [DATA + 4096 * n for n in range(1, w.MIXED + 1)]
        assert block[w.M_MIXED_COUNT] == w.MIXED + 1


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
