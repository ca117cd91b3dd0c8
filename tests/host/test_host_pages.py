"""The page allocator: no page twice, none forgotten, the same addresses each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_host.kvm.pages import PageAllocator
from cca_platform.errors import MachineError

SPANS = [(0x1000, 0x5000), (0x10_0000, 0x1_0000)]


class TestPageAllocator:
    """Pages are out, free or lost, and never two of these."""

    def test_exhaustion(self):
        """Every page of every span can be had, and then no more."""
        pages = PageAllocator(SPANS)
        got = {pages.take() for _ in range(5 + 16)}
        assert len(got) == 21
        with pytest.raises(MachineError, match="no 1 pages left of 21: use less `memory`"):
            pages.take()
        assert pages.used == 21

    def test_runs_are_aligned(self):
        """A run of pages is aligned to its size, and the pages skipped are not lost."""
        pages = PageAllocator(SPANS)
        assert pages.take_run(4) % 0x4000 == 0
        left = [*range(0x1000, 0x6000, 0x1000), *range(0x10_4000, 0x11_0000, 0x1000)]
        assert sorted(pages.take() for _ in range(17)) == left

    def test_left(self):
        """What is left is what can still be had: pages behind, ahead and given back, without those lost."""
        pages = PageAllocator(SPANS)
        assert pages.left == 21
        pages.take_run(8)
        assert pages.left == 13
        taken = [pages.take() for _ in range(13)]
        assert pages.left == 0
        pages.lose(taken[0])
        pages.give(taken[1])
        assert pages.left == 1

    def test_lost_pages_stay_away(self):
        """A lost page is never given out again."""
        pages = PageAllocator([(0x1000, 0x2000)])
        first, second = pages.take(), pages.take()
        pages.lose(first)
        pages.give(second)
        assert pages.take() == second
        assert (pages.used, pages.lost) == (1, [first])

    @given(st.lists(st.integers(0, 3), max_size=60))
    def test_same_again(self, requests):
        """After everything came back, the same requests get the same addresses."""
        pages = PageAllocator([(0, 1 << 20)])

        def run():
            out, seen = [], []
            for kind in requests:
                if kind == 3 and out:
                    pages.give(out.pop(0))
                elif kind == 2:
                    base = pages.take_run(2)
                    out += [base, base + 0x1000]
                else:
                    out.append(pages.take())
                seen.append(list(out))
                assert len(set(out)) == len(out) == pages.used
            for page in out:
                pages.give(page)
            return seen

        assert run() == run()
        assert pages.used == 0

    def test_snapshot(self):
        """A restored allocator goes on as the first one did."""
        pages = PageAllocator(SPANS)
        pages.take_run(2)
        state = pages.save()
        expected = [pages.take() for _ in range(5)]
        pages.restore(state)
        assert [pages.take() for _ in range(5)] == expected
