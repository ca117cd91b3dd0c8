"""QEMU's firmware configuration device, as U-Boot, EDK2 and Linux look at it."""

from dataclasses import replace
from typing import Any

import pytest

from cca_arch.types import Gpi, Pas, SecurityState
from cca_platform.board import Board
from cca_platform.errors import MachineError
from cca_platform.machine.machine import Machine

BASE, DATA, SELECTOR, DMA = 0x0902_0000, 0x0, 0x8, 0x10
ERROR, READ, SKIP, SELECT, WRITE = 1, 2, 4, 8, 16
DESCRIPTOR, BUFFER = 0x5000_0000, 0x5000_1000
FILES = {"opt/name": "some text", "etc/a": "x" * 5000}


def big(value: int, size: int) -> int:
    """What a little-endian PE stores for a big-endian register."""
    return int.from_bytes(value.to_bytes(size, "big"), "little")


class Device:
    """The device of a board with two files."""

    def __init__(self) -> None:
        board = Board.load("virt")
        rows = [replace(row, options={"files": FILES}) if row.kind == "fw-cfg" else row for row in board.devices]
        self.machine = Machine(replace(board, devices=tuple(rows)))
        self.bus = self.machine.bus
        self.memory = self.machine.memory.port(SecurityState.NON_SECURE)

    def select(self, key: int) -> None:
        self.bus.write(BASE + SELECTOR, 2, big(key, 2))

    def item(self, key: int, size: int) -> bytes:
        """An item, byte by byte."""
        self.select(key)
        return bytes(self.bus.read(BASE + DATA, 1) for _ in range(size))

    def transfer(self, control: int, length: int, address: int = BUFFER, at: int = DESCRIPTOR) -> int:
        """A DMA transfer; returns the control word afterwards."""
        self.memory.write(at, control.to_bytes(4, "big") + length.to_bytes(4, "big") + address.to_bytes(8, "big"))
        self.bus.write(BASE + DMA, 8, big(at, 8))
        return int.from_bytes(self.memory.read(at, 4), "big")

    def files(self) -> dict[str, tuple[int, int]]:
        """Key and size of each file, by the directory."""
        count = int.from_bytes(self.item(0x19, 4), "big")
        data = self.item(0x19, 4 + 64 * count)[4:]
        entries = [data[64 * n : 64 * n + 64] for n in range(count)]
        return {
            entry[8:].rstrip(b"\0").decode(): (int.from_bytes(entry[4:6], "big"), int.from_bytes(entry[:4], "big"))
            for entry in entries
        }


@pytest.fixture
def device() -> Any:
    """The device."""
    made = Device()
    yield made
    made.machine.close()


class TestItems:
    """The traditional interface."""

    def test_signature(self, device: Device) -> None:
        """Item 0 is the signature, item 1 says that there is DMA; the signature is selected after a reset."""
        assert bytes(device.bus.read(BASE, 1) for _ in range(4)) == b"QEMU"
        assert device.item(1, 4) == b"\3\0\0\0"

    @pytest.mark.parametrize("size", [1, 2, 4, 8])
    def test_order(self, device: Device, size: int) -> None:
        """Accesses of each size take the item's bytes in the order of memory; after its end come zeros."""
        key, _ = device.files()["opt/name"]
        device.select(key)
        data = b"".join(device.bus.read(BASE, size).to_bytes(size, "little") for _ in range(16 // size))
        assert data == b"some text".ljust(16, b"\0")

    def test_board(self, device: Device) -> None:
        """It tells the size of DRAM and the number of PEs, and that it has no kernel to load."""
        assert int.from_bytes(device.item(3, 8), "little") == 0xC000_0000
        assert [device.item(key, 2) for key in (0x05, 0x0F)] == [b"\x08\0"] * 2
        assert [device.item(key, 4) for key in (0x08, 0x0B, 0x14)] == [bytes(4)] * 3

    def test_directory(self, device: Device) -> None:
        """Files are sorted by name, with keys from 0x20 on."""
        assert device.files() == {"bootorder": (0x20, 0), "etc/a": (0x21, 5000), "opt/name": (0x22, 9)}

    @pytest.mark.parametrize("key", [0x21F0, 0x4019, 0xFFFF])
    def test_unknown(self, device: Device, key: int) -> None:
        """An item that is not there is zeros."""
        assert device.item(key, 4) == bytes(4)

    def test_read_only(self, device: Device) -> None:
        """Writes of the data register and odd accesses do nothing."""
        device.select(0)
        device.bus.write(BASE + DATA, 8, 0)
        device.bus.write(BASE + SELECTOR, 4, 0x1900_0000)
        assert [device.bus.read(BASE + at, 2) for at in (SELECTOR, 0x18, DATA)] == [0, 0, 0x4551]

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"n" * 56: ""}, "files of fw-cfg must have names of up to 55 bytes"),
            ({"a": 3}, "device fw-cfg of kind 'fw-cfg': files.a: must be text, not 3"),
            (["a"], "device fw-cfg of kind 'fw-cfg': files: must be a table from names to text, not a list"),
            ({"\u00e9" * 28: ""}, "files of fw-cfg must have names of up to 55 bytes"),
        ],
    )
    def test_files(self, files: Any, message: str) -> None:
        """Files are texts, and their names fit the directory."""
        board = Board.load("virt")
        rows = [replace(row, options={"files": files}) if row.kind == "fw-cfg" else row for row in board.devices]
        with pytest.raises(MachineError, match=message):
            Machine(replace(board, devices=tuple(rows)))


class TestDma:
    """The DMA interface."""

    def test_signature(self, device: Device) -> None:
        """The address register reads QEMU CFG."""
        data = device.bus.read(BASE + DMA, 8).to_bytes(8, "little")
        halves = [device.bus.read(BASE + DMA + at, 4).to_bytes(4, "little") for at in (0, 4)]
        assert data == b"".join(halves) == b"QEMU CFG"

    def test_read(self, device: Device) -> None:
        """A transfer selects and reads over pages; the next one goes on from there."""
        key, size = device.files()["etc/a"]
        device.memory.write(BUFFER, b"\xff" * 0x3000)
        assert device.transfer(key << 16 | SELECT | READ, size - 1) == 0
        assert device.memory.read(BUFFER, size) == b"x" * (size - 1) + b"\xff"
        assert device.transfer(READ, 3) == 0
        assert device.memory.read(BUFFER, 4) == b"x\0\0x"

    def test_skip(self, device: Device) -> None:
        """Skipping moves on without a transfer."""
        key, _ = device.files()["opt/name"]
        assert device.transfer(key << 16 | SELECT | SKIP, 5) == 0
        assert device.transfer(READ, 4) == 0
        assert device.memory.read(BUFFER, 4) == b"text"

    def test_halves(self, device: Device) -> None:
        """The address may be written by halves, the low one of which starts the transfer."""
        device.memory.write(DESCRIPTOR, (SELECT | READ).to_bytes(4, "big") + (4).to_bytes(4, "big"))
        device.memory.write(DESCRIPTOR + 8, BUFFER.to_bytes(8, "big"))
        device.bus.write(BASE + DMA, 4, 0)
        device.bus.write(BASE + DMA + 4, 4, big(DESCRIPTOR, 4))
        assert device.memory.read(BUFFER, 4) == b"QEMU"

    def test_write(self, device: Device) -> None:
        """Items are constant: writing one is an error."""
        assert device.transfer(0x22 << 16 | SELECT | WRITE, 4) == ERROR
        assert device.item(0x22, 4) == b"some"

    @pytest.mark.parametrize("address", [0x1_4000_0000, 0xFFFF_FFFF_FFFF_F000, (1 << 48) - 8, 0xFFFF_FFFF_FFFF_FFFF])
    def test_no_memory(self, device: Device, address: int) -> None:
        """A buffer or descriptor where no memory is ends in an error or in nothing, and never in more."""
        assert device.transfer(SELECT | READ, 64, address) == ERROR
        device.bus.write(BASE + DMA, 8, big(address, 8))

    def test_granule_protection(self, benches: Any) -> None:
        """It cannot write what is not Non-secure memory."""
        bench = benches(board=Board.load("virt"))
        memory = bench.machine.memory
        memory.backdoor.write(DESCRIPTOR, (SELECT | READ).to_bytes(4, "big") + (4).to_bytes(4, "big"))
        memory.backdoor.write(DESCRIPTOR + 8, (0x8010_0000).to_bytes(8, "big"))
        bench.protect({0x8010_0000: Gpi.REALM})
        bench.machine.bus.write(BASE + DMA, 8, big(DESCRIPTOR, 8), Pas.REALM)
        assert (memory.backdoor.read(0x8010_0000, 4), memory.backdoor.read(DESCRIPTOR, 4)) == (bytes(4), b"\0\0\0\1")

    def test_snapshot(self, device: Device) -> None:
        """The selection is in a snapshot."""
        device.item(0, 2)
        before = device.machine.snapshot()
        device.item(1, 3)
        device.machine.restore(before)
        assert device.bus.read(BASE, 2) == int.from_bytes(b"MU", "little")
