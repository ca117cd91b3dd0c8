"""The 16550A, by the registers that drivers look at."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cca_platform.board import Board, DeviceRow
from cca_platform.devices.uart16550 import Uart16550
from cca_platform.machine.machine import Machine

BASE = 0x1D00_0000
IRQ = 40
DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(8)
FCR = IIR
DLAB = 0x80
RDI, THRI, RLSI, MSI = 1, 2, 4, 8
NONE, TIMEOUT, STATUS, RECEIVED, EMPTY, MODEM = 0x1, 0xC, 0x6, 0x4, 0x2, 0x0
FIFOS = 0xC0


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A board with a 16550A."""
    board = Board.load("fvp")
    row = DeviceRow("serial", "uart16550", BASE, 0x1000, IRQ)
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
        """With LCR.DLAB set, registers 0 and 1 are the divisor, which is apart: IER, THR and RBR are as before."""
        out: list[bytes] = []
        uart.on_output = out.append
        uart.receive(b"a")
        write(IER, MSI)
        write(LCR, DLAB)
        write(DATA, 1)
        write(IER, 0x12)
        assert (read(DATA), read(IER)) == (1, 0x12)
        write(LCR, 3)
        assert (out, read(LCR), read(IER), read(DATA)) == ([], 3, MSI, ord("a"))
        write(LCR, DLAB)
        assert (read(DATA), read(IER)) == (1, 0x12)

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
        """IIR shows whether FCR, at its place, has turned the FIFOs on."""
        assert read(IIR) == NONE
        write(FCR, 0x07)
        assert read(IIR) == FIFOS | NONE
        write(FCR, 0xC0)
        assert read(IIR) == NONE

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


@pytest.fixture
def levels(machine: Machine) -> list[bool]:
    """What the interrupt line does."""
    seen: list[bool] = []

    def signal(intid: int, level: bool) -> None:
        assert intid == IRQ
        if level != (seen[-1] if seen else False):
            seen.append(level)

    machine.bus.signal = signal
    return seen


class TestInterrupts:
    """IER, IIR and the line, which is high while IIR has something to say."""

    def test_transmitter(self, levels: list[bool], read: Any, write: Any) -> None:
        """THRI comes when it is enabled and after each byte; reading IIR ends it, as long as it is that."""
        write(IER, THRI)
        assert levels == [True]
        assert read(IIR) == EMPTY
        assert levels == [True, False]
        assert read(IIR) == NONE
        write(DATA, 0x41)
        assert levels == [True, False, True]
        write(IER, THRI)
        assert read(IIR) == EMPTY
        write(IER, THRI)
        assert read(IIR) == NONE
        write(IER, 0)
        write(IER, THRI)
        assert read(IIR) == EMPTY
        assert levels == [True, False, True, False, True, False]

    def test_receiver(self, levels: list[bool], uart: Uart16550, read: Any, write: Any) -> None:
        """RDI stays until everything has been read."""
        uart.receive(b"ab")
        assert not levels
        write(IER, RDI)
        assert (read(IIR), read(DATA)) == (RECEIVED, 0x61)
        assert read(IIR) == RECEIVED
        assert levels == [True]
        assert read(DATA) == 0x62
        assert levels == [True, False]
        assert read(IIR) == NONE
        uart.receive(b"c")
        assert levels == [True, False, True]

    @pytest.mark.parametrize(("bits", "trigger"), [(0x00, 1), (0x40, 4), (0x80, 8), (0xC0, 14)])
    def test_trigger(self, uart: Uart16550, read: Any, write: Any, bits: int, trigger: int) -> None:
        """With FIFOs, fewer bytes than FCR's trigger are a time-out."""
        write(FCR, bits | 1)
        write(IER, RDI)
        uart.receive(bytes(trigger))
        assert read(IIR) == FIFOS | RECEIVED
        read(DATA)
        assert read(IIR) == FIFOS | (TIMEOUT if trigger > 1 else NONE)

    def test_priorities(self, levels: list[bool], uart: Uart16550, read: Any, write: Any) -> None:
        """Line status, received data, empty transmitter, modem status, in this order; each ends in its own way."""
        write(MCR, 0x10)
        write(DATA, 0x31)
        write(DATA, 0x32)
        write(MCR, 0x1B)
        write(IER, RDI | THRI | RLSI | MSI)
        assert (read(IIR), read(IIR)) == (STATUS, STATUS)
        assert read(LSR) == 0x63
        assert (read(IIR), read(IIR)) == (RECEIVED, RECEIVED)
        assert read(DATA) == 0x31
        assert read(IIR) == EMPTY
        assert (read(IIR), read(IIR)) == (MODEM, MODEM)
        assert read(MSR) == 0xBB
        assert (read(IIR), read(LSR)) == (NONE, 0x60)
        assert levels == [True, False]

    def test_saved(self, machine: Machine, uart: Uart16550, read: Any, write: Any) -> None:
        """A snapshot has which interrupts are pending, the divisor and the FIFOs."""
        write(LCR, DLAB)
        write(IER, 9)
        write(LCR, 3)
        write(FCR, 0x81)
        write(MCR, 0x10)
        for byte in b"0123456789abcdefg":
            write(DATA, byte)
        write(MCR, 0x0B)
        write(IER, 0xF)
        uart.receive(b"line")
        snapshot = machine.snapshot()

        def drained() -> list[int]:
            found = [read(IIR), read(LSR), *(read(DATA) for _ in range(21)), read(IIR), read(IIR), read(MSR), read(IIR)]
            write(LCR, DLAB)
            return [*found, read(IER)]

        first = drained()
        assert bytes(first[2:23]) == b"0123456789abcdefline\0"
        assert first[23:] == [FIFOS | EMPTY, FIFOS | MODEM, 0xB0 | 0xB, FIFOS | NONE, 9]
        machine.restore(snapshot)
        assert drained() == first


class TestFifos:
    """FCR, and what waits on the line."""

    def test_clear(self, uart: Uart16550, read: Any, write: Any) -> None:
        """Clearing drops what is in the FIFO, not what waits on the line; so does turning the FIFOs on or off."""
        uart.receive(bytes(range(1, 40)))
        assert read(LSR) & 1
        write(FCR, 1)
        assert read(DATA) == 2
        write(FCR, 3)
        assert read(DATA) == 18
        write(FCR, 1)
        assert read(DATA) == 19
        write(FCR, 0)
        assert (read(DATA), read(DATA)) == (35, 36)

    def test_unread(self, uart: Uart16550, read: Any, write: Any) -> None:
        """What nobody has looked for is still on the line when a driver clears the FIFOs."""
        uart.receive(b"abc")
        write(FCR, 7)
        assert [read(DATA) for _ in range(4)] == [*b"abc", 0]


class TestModem:
    """MCR and MSR."""

    def test_lines(self, read: Any, write: Any) -> None:
        """The other end is there: DCD, DSR, CTS. MCR keeps its five bits."""
        assert read(MSR) == 0xB0
        write(MCR, 0xFF)
        assert read(MCR) == 0x1F

    def test_loop(self, uart: Uart16550, read: Any, write: Any) -> None:
        """In a loop, the outputs are the inputs, and what is sent is received; nothing passes the line."""
        out: list[bytes] = []
        uart.on_output = out.append
        uart.receive(b"x")
        write(MCR, 0x10 | 0xA)
        assert read(MSR) & 0xF0 == 0x90
        write(DATA, 0x55)
        assert read(DATA) == 0x55
        assert not read(LSR) & 1
        write(MCR, 0)
        assert (out, read(DATA)) == ([], 0x78)

    def test_changes(self, read: Any, write: Any) -> None:
        """MSR[3:0] are changes since it was read; that of RI counts when it ends."""
        write(MCR, 0x1F)
        assert read(MSR) == 0xF0
        write(MCR, 0x1B)
        assert (read(MSR), read(MSR)) == (0xB4, 0xB0)
        write(MCR, 0x11)
        assert read(MSR) == 0x20 | 0x9
