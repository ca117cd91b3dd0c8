"""Boards: what a board file says, and what it may not say."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cca_arch.types import Pas
from cca_platform.board import Bank, Board, names, nonvolatile_bank
from cca_platform.machine.machine import Machine

_BOARD = """
[[dram]]
base = 0x8000_0000
size = 0x10_0000
[gic]
distributor = 0x1_0000
redistributors = 0x2_0000
spis = 64
[pe]
mpidrs = [0]
counter_hz = 1
pa_bits = 48
pps_bits = 36
[boot]
ns_entry = 0x8000_0000
[[region]]
name = "root"
base = 0x800F_0000
size = 0x1_0000
pas = "root"
[[device]]
name = "uart"
kind = "pl011"
base = 0x5_0000
size = 0x1000
irq = 40
pas = "secure"
colour = "blue"
"""


_PE = tomllib.loads(_BOARD)["pe"]


def _parse(change: dict[str, Any]) -> Board:
    return Board.parse(tomllib.loads(_BOARD) | change, "test")


class TestBoards:
    """The boards that come with Realmlab."""

    @pytest.mark.parametrize("name", names())
    def test_machine(self, name: str) -> None:
        """Every device has a model or is a window, and the machine of the board can be made."""
        machine = Machine(Board.load(name))
        modelled = {device.name for device in machine.board.devices if device.kind != "window"}
        assert set(machine.bus.devices) == modelled
        machine.close()

    def test_interrupts(self) -> None:
        """Devices have the interrupts that software for these boards expects."""
        fvp, virt = Board.load("fvp"), Board.load("virt")
        assert {name: fvp.device(name).irq for name in ("uart0", "uart3", "watchdog", "rtc", "generic-watchdog")} == {
            "uart0": 37, "uart3": 40, "watchdog": 32, "rtc": 36, "generic-watchdog": 59,
        }  # fmt: skip
        assert (virt.device("uart0").irq, virt.device("rtc").irq) == (33, 34)
        assert (fvp.gic.distributor, fvp.gic.redistributors) == (0x2F00_0000, 0x2F10_0000)
        assert (virt.gic.distributor, virt.gic.redistributors) == (0x0800_0000, 0x080A_0000)


class TestLike:
    """A board that is like another."""

    def test_tables(self, tmp_path: Path) -> None:
        """It replaces the keys that it names, and leaves the others of a table."""
        fvp = Board.load("fvp")
        path = tmp_path / "mine.toml"
        path.write_text('like = "fvp"\nunmapped = "raz"\n[pe]\ninstructions_per_tick = 10\n')
        board = Board.load(path)
        assert (board.instructions_per_tick, board.unmapped) == (10, "raz")
        assert (board.pes, board.counter_hz, board.devices) == (fvp.pes, fvp.counter_hz, fvp.devices)

    def test_rows(self, tmp_path: Path) -> None:
        """It adds rows."""
        path = tmp_path / "mine.toml"
        path.write_text('like = "fvp"\n[[device]]\nname = "mine"\nkind = "window"\nbase = 0x11000000\nsize = 0x1000\n')
        board = Board.load(path)
        assert [device.name for device in board.devices] == [*(one.name for one in Board.load("fvp").devices), "mine"]


class TestParse:
    """A board out of TOML."""

    def test_device(self) -> None:
        """Further keys of a device's row are its options; without ``pas`` it answers in every PAS."""
        device = _parse({}).devices[0]
        assert (device.pases, device.options) == ((Pas.SECURE,), {"colour": "blue"})
        row = {"name": "d", "kind": "pl011", "base": 0x5_0000, "size": 0x1000}
        assert _parse({"device": [row]}).devices[0].pases == tuple(Pas)

    def test_rmm_console(self) -> None:
        """A board names the UART of the RMM by its device, or leaves it open."""
        assert (Board.load("fvp").rmm_console, Board.load("virt").rmm_console) == ("uart3", "")

    def test_instructions_per_tick(self) -> None:
        """A tick of the system counter is one instruction, unless the board says how many it is."""
        assert _parse({}).instructions_per_tick == 1
        assert _parse({"pe": _PE | {"instructions_per_tick": 20}}).instructions_per_tick == 20

    def test_nonvolatile(self) -> None:
        """Nonvolatile memory is granules of Non-secure DRAM."""
        board = _parse({"nonvolatile": [{"base": 0x8000_1000, "size": 0x2000}]})
        assert board.nonvolatile == (Bank(0x8000_1000, 0x2000),)
        assert nonvolatile_bank(board, 0x800E_F000, 0x1000).top == 0x800F_0000

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"unmapped": "panic"}, "^unmapped: must be one of abort, raz, not 'panic'"),
            ({"nonvolatile": [{"base": 0x8000_0800, "size": 0x1000}]}, "must be whole 4 KiB granules"),
            ({"nonvolatile": [{"base": 0x8000_0000, "size": 0}]}, "must be whole 4 KiB granules, not 0x0 bytes"),
            ({"nonvolatile": [{"base": 0x8000_0000, "size": -0x1000}]}, "^nonvolatile.0..size: must be a whole number"),
            ({"nonvolatile": [{"base": 0x800E_F000, "size": 0x2000}]}, "must lie in Non-secure DRAM"),
            ({"nonvolatile": [{"base": 0, "size": 0x1000}]}, "must lie in Non-secure DRAM"),
            ({"pe": _PE | {"mpidrs": []}}, "^pe.mpidrs: must be a list of 1 to 256 items, .*, not an empty list"),
            ({"pe": _PE | {"mpidrs": [0x8000_0001, 0x8100_0001]}}, "an affinity of its own, not .*0x81000001"),
            ({"boot": {"ns_entry": 0, "rmm_console": "uart9"}}, "^boot.rmm_console must be .* a device, not 'uart9'"),
            ({"pe": _PE | {"instructions_per_tick": 0}}, "per_tick: must be a whole number from 1 to 1000000, not 0"),
            ({"pe": _PE | {"instructions_per_tick": 2.5}}, "^pe.instructions_per_tick: must be .*, not 2.5"),
            ({"pe": _PE | {"counter_hz": 0}}, "^pe.counter_hz: must be a whole number from 1 to 0xffffffff, not 0"),
            ({"gic": {"distributor": 0, "redistributors": 0x2_0000, "spis": 33}}, "must be a multiple of 32"),
            ({"gic": {"distributor": 0, "redistributors": 0x8000, "spis": 32}}, "must not overlap"),
        ],
    )
    def test_refused(self, change: dict[str, Any], message: str) -> None:
        """A board that cannot be is refused."""
        with pytest.raises(ValueError, match=message):
            _parse(change)

    @pytest.mark.parametrize("value", [[1], {"a": 1}, True, 1.5, "x", 7], ids=repr)
    def test_types(self, value: Any) -> None:
        """A key that has a value of another type is refused by its name, in whatever table it is."""
        data = tomllib.loads(_BOARD)
        tables = [(data, key) for key in data]
        for table in data.values():
            tables += [(part, key) for part in (table if isinstance(table, list) else [table]) for key in part]
        for table, key in tables:
            before = table[key]
            if (isinstance(before, type(value)) and not isinstance(value, bool)) or key in ("pas", "colour"):
                continue
            table[key] = value
            if (key, value) != ("mpidrs", [1]):
                with pytest.raises(ValueError, match=rf"^([a-z]+(\[0\])?\.)?{key}: must be"):
                    Board.parse(data, "test")
            table[key] = before

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"base": 0x8000_0000}, "must not overlap at 0x80000000"),
            ({"base": 0x2_0000}, "must not overlap at 0x20000"),
            ({"base": 0x5_0800}, "must be whole 4 KiB pages"),
            ({"irq": 31}, "irq of device uart must be an SPI of the GIC, not 31"),
            ({"irq": 96}, "must be an SPI"),
            ({"unmapped": "x"}, "^device.0..unmapped: must be one of abort, raz, not 'x'"),
        ],
    )
    def test_device_refused(self, change: dict[str, Any], message: str) -> None:
        """A device that cannot be there is refused."""
        row = {"name": "uart", "kind": "pl011", "base": 0x5_0000, "size": 0x1000} | change
        with pytest.raises(ValueError, match=message):
            _parse({"device": [row]})

    def test_same_address(self) -> None:
        """Devices of different PASes may share an address, those of one may not."""
        row = {"name": "a", "kind": "pl011", "base": 0x5_0000, "size": 0x1000, "pas": "secure"}
        assert len(_parse({"device": [row, row | {"name": "b", "pas": "realm"}]}).devices) == 2
        with pytest.raises(ValueError, match="a and b must not overlap at 0x50000"):
            _parse({"device": [row, row | {"name": "b", "pas": ["secure", "realm"]}]})
