"""The 16550A, by the registers that drivers look at."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cca_platform.board import Board, DeviceRow
from cca_platform.devices.uart16550 import Uart16550
from cca_platform.machine.machine import Machine

BASE = 0x1D00_0000
DATA, IER, IIR, LCR, LSR, SCR = 0, 1, 2, 3, 5, 7
DLAB = 0x80


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A board with a 16550A."""
    board = Board.load("fvp")
    row = DeviceRow("serial", "uart16550", BASE, 0x1000)
    made = Machine(replace(board, devices=(*board.devices, row)))
    yield made
    made.close()


@pytest.fixture
def uart(machine: Machine) -> Uart16550:
    found = machine.bus.devices["serial"]
    assert isinstance(found, Uart16550)
    return found


@pytest.fixture
def read(machine: Machine) -> Callable[[int], int]:
    return lambda offset: machine.bus.read(BASE + offset, 1)


@pytest.fixture
def write(machine: Machine) -> Callable[[int, int], None]:
    return lambda offset, value: machine.bus.write(BASE + offset, 1, value)


class TestUart16550:
    """The registers that a 16550 driver reads and writes."""

    def test_transmit(self, uart: Uart16550, read: Any, write: Any) -> None:
        """Bytes written to THR come out, the transmitter is always empty."""
        out: list[bytes] = []
        uart.on_output = out.append
        assert read(LSR) & 0x60 == 0x60
        for byte in b"hi":
            write(DATA, byte)
        assert b"".join(out) == b"hi"

    def test_divisor_latch(self, uart: Uart16550, read: Any, write: Any) -> None:
        """With LCR.DLAB set, registers 0 and 1 are the divisor: nothing is sent, nothing received."""
        out: list[bytes] = []
        uart.on_output = out.append
        uart.receive(b"a")
        write(LCR, DLAB)
        write(DATA, 1)
        assert read(DATA) == 0
        write(LCR, 3)
        assert (out, read(LCR), read(DATA)) == ([], 3, ord("a"))

    def test_receive(self, uart: Uart16550, read: Any) -> None:
        """LSR.DR is set as long as there is something to read."""
        uart.receive(b"ab")
        assert read(LSR) & 1
        assert (read(DATA), read(DATA)) == (0x61, 0x62)
        assert not read(LSR) & 1

    def test_scratch(self, read: Any, write: Any) -> None:
        """The scratch register keeps its value, which is how drivers find the device."""
        write(SCR, 0x5A)
        assert read(SCR) == 0x5A

    def test_identification(self, read: Any, write: Any) -> None:
        """IIR shows FIFOs and no interrupt, whatever is written to FCR at its place."""
        write(IIR, 0x07)
        assert read(IIR) == 0xC1

    def test_frame(self, read: Any, write: Any) -> None:
        """The eight registers repeat throughout the frame."""
        write(0x100 + SCR, 0x77)
        assert read(SCR) == read(0xFF8 + SCR) == 0x77

    def test_wide(self, machine: Machine, uart: Uart16550, write: Any) -> None:
        """A word's low byte counts; an access of eight bytes reads zero, sends nothing and takes no input."""
        out: list[bytes] = []
        uart.on_output = out.append
        for size in (8, 4, 2, 1):
            machine.bus.write(BASE + DATA, size, 0x41 + size)
        assert b"".join(out) == b"ECB"
        uart.receive(b"x")
        assert [machine.bus.read(BASE + DATA, size) for size in (8, 4)] == [0, 0x78]

    def test_snapshot(self, machine: Machine, uart: Uart16550, read: Any, write: Any) -> None:
        """Registers and input that nobody has read come back."""
        uart.receive(b"xy")
        write(IER, 5)
        snapshot = machine.snapshot()
        write(IER, 0)
        assert (read(DATA), read(DATA)) == (0x78, 0x79)
        machine.restore(snapshot)
        assert (read(IER), read(DATA)) == (5, 0x78)

    def test_reset(self, machine: Machine, uart: Uart16550, read: Any, write: Any) -> None:
        """A reset clears the registers; what waits on the line stays."""
        uart.receive(b"z")
        write(SCR, 1)
        machine.reset("test")
        assert (read(SCR), read(DATA)) == (0, ord("z"))
