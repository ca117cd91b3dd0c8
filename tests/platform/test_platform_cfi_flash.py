"""NOR flash, as the CFI drivers of U-Boot, EDK2 and Linux use it: Intel's command set on two chips of 16 bits."""

from typing import Any

import pytest

BASE, BLOCK, SIZE = 0x0C00_0000, 0x4_0000, 0x0400_0000
READY, FAILED = 0x80_0080, 0x20_0020


@pytest.fixture
def flash(rig: Any) -> Any:
    """The second bank of the default board."""
    return rig.device("flash1")


def both(command: int) -> int:
    """A command for both chips."""
    return command | command << 16


def program(flash: Any, offset: int, value: int) -> None:
    """Program a word and go back to the contents."""
    flash.write(offset, both(0x40))
    flash.write(offset, value)
    assert flash.read(offset) == READY
    flash.write(0, both(0xFF))


class TestIdentification:
    """The query table and the identification codes."""

    def test_query(self, flash: Any) -> None:
        """The table names Intel's set and describes the bank: its size, blocks, and buffer."""
        flash.write(0x55 * 4, both(0x98))
        table = [flash.read(4 * at) for at in range(0x40)]
        assert all(word == both(word & 0xFFFF) for word in table)
        chip = [word & 0xFF for word in table]
        assert bytes(chip[0x10:0x13]) == b"QRY"
        assert chip[0x13] == 1
        assert 2 << chip[0x27] == SIZE
        assert (chip[0x2C], chip[0x2D] + (chip[0x2E] << 8) + 1) == (1, SIZE // BLOCK)
        assert 2 * 256 * (chip[0x2F] + (chip[0x30] << 8)) == BLOCK
        assert bytes(chip[chip[0x15] : chip[0x15] + 3]) == b"PRI"
        flash.write(0, both(0xFF))
        assert flash.read(0) == 0xFFFF_FFFF

    def test_lanes(self, flash: Any) -> None:
        """Each access sees the lanes of the bus that it takes."""
        flash.write(0x55 * 4, both(0x98))
        assert [flash.read(0x40 + at, 1) for at in range(4)] == [ord("Q"), 0, ord("Q"), 0]
        assert flash.read(0x40, 8) == both(ord("Q")) | both(ord("R")) << 32

    def test_codes(self, flash: Any) -> None:
        """Identification codes are at the first words of each block."""
        flash.write(BLOCK, both(0x90))
        assert [flash.read(BLOCK + 4 * at) for at in range(3)] == [both(0x89), both(0x18), 0]


class TestContents:
    """Programming and erasing."""

    def test_program(self, flash: Any) -> None:
        """Programming clears bits and sets none; the bank starts erased."""
        program(flash, 0x1000, 0x1234_FFFF)
        program(flash, 0x1000, 0xFF0F_5678)
        assert (flash.read(0x1000), flash.read(0x1004)) == (0x1204_5678, 0xFFFF_FFFF)

    def test_erase(self, flash: Any) -> None:
        """Erasing sets the bits of one block."""
        for offset in (BLOCK - 4, BLOCK, 2 * BLOCK - 4, 2 * BLOCK):
            program(flash, offset, 0)
        flash.write(BLOCK, both(0x20))
        flash.write(BLOCK, both(0xD0))
        assert flash.read(BLOCK) == READY
        flash.write(0, both(0xFF))
        found = [flash.read(offset) for offset in (BLOCK - 4, BLOCK, 2 * BLOCK - 4, 2 * BLOCK)]
        assert found == [0, 0xFFFF_FFFF, 0xFFFF_FFFF, 0]

    def test_buffer(self, flash: Any) -> None:
        """A buffered program takes a count, words and a confirmation; without that, nothing is programmed."""
        for confirmation, expected in ((0xFF, 0xFFFF_FFFF), (0xD0, 0x0B00_0000)):
            flash.write(0, both(0xE8))
            assert flash.read(0) == READY
            flash.write(0, both(3))
            for number in range(4):
                flash.write(0x40 + 4 * number, 0x0B00_0000 + number)
            flash.write(0, both(confirmation))
            flash.write(0, both(0x50))
            flash.write(0, both(0xFF))
            assert flash.read(0x40) == expected
        assert flash.read(0x4C) == 0x0B00_0003

    def test_wrong_sequence(self, flash: Any) -> None:
        """An erase that is not confirmed is an error until the status is cleared."""
        flash.write(0, both(0x20))
        flash.write(0, both(0xFF))
        flash.write(0, both(0x70))
        assert flash.read(0) == READY | FAILED | 0x10_0010
        flash.write(0, both(0x50))
        flash.write(0, both(0x70))
        assert flash.read(0) == READY

    def test_lock(self, flash: Any) -> None:
        """A locked block takes neither programs nor erasure, until it is unlocked."""
        program(flash, BLOCK, 0x1234_5678)
        flash.write(BLOCK, both(0x60))
        flash.write(BLOCK, both(0x01))
        flash.write(0, both(0x90))
        assert [flash.read(at + 8) for at in (0, BLOCK)] == [0, both(1)]
        flash.write(BLOCK, both(0x20))
        flash.write(BLOCK, both(0xD0))
        assert flash.read(0) == READY | FAILED | 0x02_0002
        flash.write(BLOCK, both(0x40))
        flash.write(BLOCK, 0)
        assert flash.read(0) & both(0x10)
        flash.write(BLOCK, both(0x60))
        flash.write(BLOCK, both(0xD0))
        flash.write(0, both(0x50))
        flash.write(0, both(0xFF))
        assert flash.read(BLOCK) == 0x1234_5678
        program(flash, BLOCK, 0)
        assert flash.read(BLOCK) == 0


class TestState:
    """Snapshots and resets."""

    def test_snapshot(self, rig: Any, flash: Any) -> None:
        """A snapshot in the middle of a buffered program has its words and the contents."""
        program(flash, 0, 0x1111_1111)
        flash.write(0, both(0xE8))
        flash.write(0, both(1))
        flash.write(0x40, 0x2222_2222)
        before = rig.machine.snapshot()
        flash.write(0x44, 0)
        flash.write(0, both(0xD0))
        rig.machine.restore(before)
        flash.write(0x44, 0x3333_3333)
        flash.write(0, both(0xD0))
        flash.write(0, both(0xFF))
        assert [flash.read(at) for at in (0, 0x40, 0x44)] == [0x1111_1111, 0x2222_2222, 0x3333_3333]

    def test_reset(self, rig: Any, flash: Any) -> None:
        """A reset ends commands and keeps contents."""
        program(flash, 0, 0x1111_1111)
        flash.write(0, both(0x70))
        rig.bus.reset()
        assert flash.read(0) == 0x1111_1111


class TestRam:
    """The banks of RAM, which are data memory."""

    def test_bytes(self, rig: Any) -> None:
        """RAM keeps every byte, over pages, and starts with zeros."""
        ram = rig.device("sram")
        ram.write(0xFFC, 0x1122_3344)
        ram.write(0x1000, 0x55, 1)
        assert (ram.read(0xFF8, 8), ram.read(0x1000, 8)) == (0x1122_3344_0000_0000, 0x55)

    def test_state(self, rig: Any) -> None:
        """Contents are in a snapshot; a reset loses them."""
        ram = rig.device("sram")
        ram.write(0x20, 7, 8)
        before = rig.machine.snapshot()
        ram.write(0x20, 8, 8)
        ram.write(0x9000, 8, 8)
        rig.machine.restore(before)
        assert (ram.read(0x20, 8), ram.read(0x9000, 8)) == (7, 0)
        rig.bus.reset()
        assert ram.read(0x20, 8) == 0


class TestVirtio:
    """Transports without devices."""

    @pytest.mark.parametrize(("board", "device", "count"), [("virt", "virtio-mmio", 32), ("fvp", "virtio-block", 1)])
    def test_empty(self, rigs: Any, board: str, device: str, count: int) -> None:
        """Each is there, of version 2, with no device behind it."""
        transports = rigs(board=board).device(device)
        for number in range(count):
            assert [transports.read(0x200 * number + at) for at in (0, 4, 8)] == [0x7472_6976, 2, 0]
