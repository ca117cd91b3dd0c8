"""A host that runs out of memory ends the VM that wants more, says so, and has all back; so it has after each VM."""

import struct
from pathlib import Path
from typing import Any

import pytest

from cca_host.kvm import System
from cca_host.kvmtool import RunOptions, run_realm
from cca_host.kvmtool.layout import RAM_BASE

TOUCH = (0xF900_0021, 0x9140_0421)  # str x1, [x1]; add x1, x1, #1, lsl #12


def books(system: System) -> tuple[Any, ...]:
    """What the host has given to VMs, and what it has lost by them."""
    pages = system.pages
    counts = (system.delegated, system.dirty, pages.used, pages.left)
    return *counts, pages.lost[:], {*system.vmids}, {*system.machine.parts}


@pytest.fixture
def greedy(tmp_path: Path) -> Path:
    """A payload that touches one page after the other, for ever."""
    path = tmp_path / "greedy.bin"
    path.write_bytes(struct.pack("<4I", 0xD2A0_0001 | (RAM_BASE + 0x10_0000) >> 11, *TOUCH, 0x17FF_FFFE))
    return path


@pytest.fixture
def modest(tmp_path: Path) -> Path:
    """A payload that touches 100 pages, and turns itself off."""
    path = tmp_path / "modest.bin"
    start = (0xD2A0_0001 | (RAM_BASE + 0x10_0000) >> 11, 0xD280_0002 | 100 << 5, *TOUCH)
    path.write_bytes(struct.pack("<9I", *start, 0xF100_0442, 0x54FF_FFA1, 0xD280_0100, 0xF2B0_8000, 0xD400_0003))
    return path


class TestOut:
    """No page is left for a VM that touches memory."""

    @pytest.mark.parametrize("left", [90, 2_000])
    @pytest.mark.parametrize("realm", [True, False])
    def test_end(self, system: System, greedy: Path, modest: Path, left: int, realm: bool) -> None:
        """The run fails with what is missing and how to mend it; all is given back, and the next VM runs."""
        pages = system.pages
        taken = [pages.take() for _ in range(pages.left - left)]
        result = run_realm(system, RunOptions(payload=greedy, memory=64 << 20, realm=realm))
        assert (result.status, result.reason) == (3, "failed")
        assert "vCPU 0: the host has no 1 pages left of 966656: use less `memory` or a board" in result.message
        assert (pages.left, result.granules_left, result.granules_dirty) == (left, 0, 0)
        for page in taken:
            pages.give(page)
        assert run_realm(system, RunOptions(payload=modest, memory=4 << 20, realm=realm)).status == 0


class TestCycles:
    """Create, run, destroy."""

    @pytest.mark.parametrize("realm", [True, False])
    def test_nothing_leaks(self, system: System, modest: Path, realm: bool, request: Any) -> None:
        """However often: pages, granules and VMIDs are as before, the books are empty, no granule comes back dirty."""
        options = RunOptions(payload=modest, memory=4 << 20, vcpus=2, realm=realm)
        first, before = run_realm(system, options), books(system)
        for _ in range(request.config.getoption("machines")):
            result = run_realm(system, options)
            assert (result.status, result.granules_left, result.granules_dirty) == (0, 0, 0)
            assert (result.granules_peak, result.exits) == (first.granules_peak, first.exits)
            assert books(system) == before
