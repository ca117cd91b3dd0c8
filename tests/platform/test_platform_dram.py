"""DRAM: a board's memory costs the host only what is touched."""

import mmap
import os
import sys

import pytest

from cca_platform.memory.dram import reserve
from cca_platform.memory.words import address_of


@pytest.mark.skipif(sys.platform != "linux", reason="how much memory a process may have is another question elsewhere")
class TestReserve:
    """Address space is no memory."""

    def test_larger_than_the_host(self) -> None:
        """A mapping of four times the host's memory can be had, written and read."""
        size = 4 * os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE
        with reserve(size) as memory:
            memory[size - 1] = 1
            assert (memory[0], memory[size - 1]) == (0, 1)

    def test_not_accounted(self) -> None:
        """The kernel counts no mapping against the host's memory (``ac``): so a fork cannot fail for two that touch."""
        with reserve(64 << 20) as memory:
            flags = _flags(address_of(memory))
        assert "nr" in flags
        assert "ac" not in flags


def _flags(address: int) -> list[str]:
    """The VmFlags of the mapping that holds ``address``."""
    inside = False
    with open("/proc/self/smaps", encoding="ascii") as lines:
        for line in lines:
            first = line.split()[0]
            if not first.endswith(":"):
                low, high = (int(word, 16) for word in first.split("-"))
                inside = low <= address < high
            elif inside and first == "VmFlags:":
                return line.split()[1:]
    raise AssertionError(f"{address:#x} is not mapped")
