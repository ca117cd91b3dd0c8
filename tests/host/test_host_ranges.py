"""Sets of addresses as ranges."""

import random

import pytest

from cca_host.kvm.ranges import Ranges


class TestRanges:
    """Ranges neither touch nor overlap, whatever was added and removed in which order."""

    @pytest.mark.parametrize("seed", range(4))
    def test_against_a_set(self, seed: int) -> None:
        """They hold the addresses that a set of them holds, and are the fewest ranges that do."""
        chance, ranges, plain = random.Random(seed), Ranges(), set[int]()
        for _ in range(400):
            base, top = chance.randrange(64), chance.randrange(64)
            if chance.randrange(2):
                ranges.add(base, top)
                plain |= {*range(base, top)}
            else:
                ranges.remove(base, top)
                plain -= {*range(base, top)}
            assert [at for one in ranges for at in range(*one)] == sorted(plain)
            assert [at for at in range(-1, 66) if at in ranges] == sorted(plain)
            edges = [edge for one in ranges for edge in one]
            assert edges == sorted(set(edges))
            base, top = sorted((chance.randrange(64), chance.randrange(64)))
            assert [at for one in ranges.within(base, top) for at in range(*one)] == sorted(plain & {*range(base, top)})
        assert [*Ranges(ranges)] == [*ranges]
