"""The device tree of a board, read back by an independent parser."""

from dataclasses import replace
from typing import Any

import fdt
import pytest

from cca_arch.devicetree import checked, flatten
from cca_arch.psci import mpidr_affinity
from cca_firmware.package.devicetree import board_tree
from cca_platform.board import Board, names


def tree(board: Board | str) -> Any:
    return fdt.parse_dtb(checked(flatten(board_tree(Board.load(board) if isinstance(board, str) else board))))


def numbers(cells: list[int]) -> list[int]:
    """Pairs of cells as 64-bit numbers."""
    return [high << 32 | low for high, low in zip(cells[::2], cells[1::2], strict=True)]


def value(found: Any, path: str, name: str) -> Any:
    return found.get_node(path).get_property(name).data


@pytest.mark.parametrize("name", names())
class TestBoards:
    """Every bundled board."""

    def test_cpus(self, name: str) -> None:
        """A CPU for each PE, by its affinity, started by PSCI."""
        found, board = tree(name), Board.load(name)
        cpus = found.get_node("/cpus").nodes
        assert [node.get_property("reg").data for node in cpus] == [[mpidr_affinity(mpidr)] for mpidr in board.pes]
        assert {node.get_property("enable-method").data[0] for node in cpus} == {"psci"}
        assert value(found, "/psci", "method") == ["smc"]

    def test_memory(self, name: str) -> None:
        """The DRAM of Non-secure software; what the firmware has is left out of it, and reserved besides."""
        found, board = tree(name), Board.load(name)
        banks = [
            numbers(node.get_property("reg").data) for node in found.root.nodes if node.name.startswith("memory@")
        ]
        assert banks == [[bank.base, bank.size] for bank in board.ns_banks()]
        reserved = found.get_node("/reserved-memory")
        assert [numbers(node.get_property("reg").data) for node in reserved.nodes] == [
            [region.base, region.size] for region in board.regions
        ]
        assert all(node.exist_property("no-map") for node in reserved.nodes)

    def test_interrupts(self, name: str) -> None:
        """The interrupt controller, the timers of a PE and its PMU, as PPIs: INTID - 16."""
        found, gic = tree(name), Board.load(name).gic
        node = f"/interrupt-controller@{gic.distributor:x}"
        assert numbers(value(found, node, "reg")) == [gic.distributor, 0x1_0000, gic.redistributors, 8 * 0x2_0000]
        assert value(found, "/", "interrupt-parent") == value(found, node, "phandle")
        assert value(found, "/timer", "interrupts") == [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]
        assert value(found, "/pmu", "interrupts") == [1, 7, 4]

    def test_devices(self, name: str) -> None:
        """Each UART, clock and watchdog that Non-secure software has, where the board has it, and no other."""
        found, board = tree(name), Board.load(name)
        kinds = {kind: f"arm,{kind}" for kind in ("pl011", "pl031", "pl061", "sp804", "sp805")}
        for kind, compatible in kinds.items():
            rows = [row for row in board.devices if row.kind == kind]
            mine = [row for row in rows if len(row.pases) == 4]
            nodes = [node for node in found.root.nodes if _compatible(node) == compatible]
            assert [numbers(node.get_property("reg").data)[0] for node in nodes] == [row.base for row in mine]
            assert [node.get_property("interrupts").data for node in nodes] == [[0, row.irq - 32, 4] for row in mine]

    def test_cells(self, name: str) -> None:
        """Each address and size has the cells that the node above says, each interrupt those of the controller."""
        found = tree(name)
        gic = value(found, f"/interrupt-controller@{Board.load(name).gic.distributor:x}", "#interrupt-cells")[0]

        def look(node: Any) -> None:
            for child in node.nodes:
                if child.exist_property("interrupts"):
                    assert len(child.get_property("interrupts").data) % gic == 0
                if child.exist_property("reg"):
                    reg = child.get_property("reg").data
                    address, size = (node.get_property(f"#{what}-cells").data[0] for what in ("address", "size"))
                    assert len(reg) % (address + size) == 0
                    first = int("".join(f"{cell:08x}" for cell in reg[:address]), 16)
                    assert child.name.partition("@")[2] in ("", f"{first:x}")
                look(child)

        look(found.root)
        assert gic == 3

    def test_references(self, name: str) -> None:
        """Every clock that a device names is there, once for each rate; the console is a UART of the tree."""
        found = tree(name)
        clocks = [node for node in found.root.nodes if _compatible(node) == "fixed-clock"]
        handles = [node.get_property("phandle").data[0] for node in clocks]
        assert len({node.get_property("clock-frequency").data[0] for node in clocks}) == len(clocks)
        having = (node.get_property("clocks").data for node in found.root.nodes if node.exist_property("clocks"))
        used = {handle for handles in having for handle in handles}
        assert used == set(handles)
        assert found.exist_node(value(found, "/chosen", "stdout-path")[0])
        assert found.exist_node(value(found, "/aliases", "serial0")[0])


class TestFvp:
    def test_memory_mapped_timer(self) -> None:
        """The generic timer has its control frame, and the frame that is not Secure."""
        found = tree("fvp")
        assert numbers(value(found, "/timer@2a810000", "reg")) == [0x2A81_0000, 0x1_0000]
        frames = found.get_node("/timer@2a810000").nodes
        assert [node.name for node in frames] == ["frame@2a830000"]
        assert frames[0].get_property("frame-number").data == [1]
        assert frames[0].get_property("interrupts").data == [0, 26, 4]

    def test_generic_watchdog(self) -> None:
        """Its refresh frame comes first."""
        assert numbers(value(tree("fvp"), "/watchdog@2a450000", "reg"))[::2] == [0x2A45_0000, 0x2A44_0000]


    def test_dual_timers(self) -> None:
        """They have the clock that the system controller selects after a reset, twice, and that of the bus."""
        found = tree("fvp")
        rates = {
            node.get_property("phandle").data[0]: node.get_property("clock-frequency").data[0]
            for node in found.root.nodes
            if _compatible(node) == "fixed-clock"
        }
        for base in (0x1C11_0000, 0x1C12_0000):
            handles = value(found, f"/timer@{base:x}", "clocks")
            assert [rates[handle] for handle in handles] == [32_768, 32_768, 24_000_000]


class TestVirt:
    def test_fw_cfg(self) -> None:
        """fw_cfg has the size of its registers."""
        assert numbers(value(tree("virt"), "/fw-cfg@9020000", "reg")) == [0x0902_0000, 0x18]

    @pytest.mark.parametrize(("name", "banks"), [("virt", [0x0400_0000]), ("fvp", [0x0800_0000, 0x0C00_0000])])
    def test_flash(self, name: str, banks: list[int]) -> None:
        """Each bank of flash that is not Secure, with a bus of four bytes."""
        found = tree(name)
        nodes = [node for node in found.root.nodes if _compatible(node) == "cfi-flash"]
        assert [numbers(node.get_property("reg").data) for node in nodes] == [[base, 0x0400_0000] for base in banks]
        assert [node.get_property("bank-width").data for node in nodes] == [[4]] * len(banks)

    def test_power_button(self) -> None:
        """The button is at a pin of the GPIO."""
        found = tree("virt")
        handle, pin, flags = value(found, "/gpio-keys/poweroff", "gpios")
        assert [handle] == value(found, "/gpio@9030000", "phandle")
        assert (pin, flags, value(found, "/gpio-keys/poweroff", "linux,code")) == (3, 0, [116])
        assert not found.exist_node("/gpio@90b0000")  # Secure


class TestOther:
    def test_aff3(self) -> None:
        """An affinity with Aff3 takes two cells."""
        found = tree(replace(Board.load("virt"), pes=(0x8000_0000, 0x12_8000_0001)))
        assert value(found, "/cpus", "#address-cells") == [2]
        assert [node.get_property("reg").data for node in found.get_node("/cpus").nodes] == [[0, 0], [0x12, 1]]


def _compatible(node: Any) -> str:
    return node.get_property("compatible").data[0] if node.exist_property("compatible") else ""
