"""The SMMU as EL3 leaves it: devices reach Non-secure memory and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from cca_firmware.abi import RmmEl3Status
from cca_platform.smmu import DmaAborted, DmaPort
from cca_platform.smmu.granules import RootOffset
from cca_platform.types import Pas


def root(machine: Any, offset: RootOffset) -> int:
    """A register of the Root Control Page."""
    return int(machine.bus.read(machine.board.device("smmu-root").base + offset, 8, Pas.ROOT))


def device(machine: Any) -> DmaPort:
    """The port of some device."""
    return DmaPort(machine.bus.devices["smmu"], 7)


@pytest.mark.parametrize("board", ["fvp", "virt"])
class TestBoot:
    """BL2 programs the Root Control Page as soon as there are granule protection tables."""

    def test_registers(self, boot_machine: Callable[..., Any], board: str) -> None:
        """The tables are those of the PEs; checks and accesses are enabled."""
        machine = boot_machine(board).machine
        assert root(machine, RootOffset.GPT_BASE) == machine.memory.gptbr << 12
        assert root(machine, RootOffset.GPT_BASE_CFG) == machine.memory.gpccr & ~(1 << 16)
        assert root(machine, RootOffset.CR0) & 3 == 3

    def test_regions(self, boot_machine: Callable[..., Any], board: str) -> None:
        """The first and the last granule of what is not Non-secure are out of reach; other DRAM is not."""
        machine = boot_machine(board).machine
        port = device(machine)
        for region in machine.board.regions:
            for pa in (region.base, region.top - 0x1000):
                with pytest.raises(DmaAborted):
                    port.read(pa, 8)
                with pytest.raises(DmaAborted):
                    port.write(pa, b"data")
        for bank in machine.board.ns_banks():
            port.write(bank.base, b"data")
            assert port.read(bank.base, 4) == b"data"


class TestTransitions:
    """A granule that changes its physical address space."""

    def test_delegation(self, booted: Any) -> None:
        """EL3's TLBI by PA reaches the SMMU: what a device could reach, it cannot after the delegation."""
        port, pa = device(booted.machine), 0x9000_0000
        port.write(pa, b"data")
        assert booted.firmware.tables.delegate(pa) == RmmEl3Status.OK
        with pytest.raises(DmaAborted):
            port.read(pa, 4)
        assert root(booted.machine, RootOffset.GPF_FAR) & 0xFFFF_FFFF_F000 == pa
        assert booted.firmware.tables.undelegate(pa) == RmmEl3Status.OK
        port.read(pa, 4)
