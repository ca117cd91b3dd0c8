"""The bench of the MMU's tests."""

from collections.abc import Iterator

import pytest
from mmu_bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A Non-secure EL1 with 48-bit addresses and nothing mapped."""
    bench = Bench()
    yield bench
    bench.memory.close()
