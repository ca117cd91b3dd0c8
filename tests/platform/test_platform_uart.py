"""The PL011, by the registers that drivers look at (DDI 0183)."""

from collections.abc import Iterator

import pytest

from cca_platform.board import Board
from cca_platform.machine import Machine
from cca_platform.uart import Pl011


@pytest.fixture
def uart() -> Iterator[Pl011]:
    """A UART of the default board."""
    machine = Machine(Board.load("fvp"))
    found = machine.bus.devices["uart0"]
    assert isinstance(found, Pl011)
    yield found
    machine.close()


class TestPl011:
    """The registers that drivers read back (DDI 0183)."""

    def test_output_and_flags(self, uart: Pl011) -> None:
        """UARTDR transmits; UARTFR shows transmit empty always and receive empty until something arrives."""
        seen: list[bytes] = []
        uart.on_output = seen.append
        for byte in b"ok":
            uart.write(0, 4, byte)
        assert (b"".join(seen), bytes(uart.output)) == (b"ok", b"ok")
        assert uart.read(0x18, 4) == 0x90
        uart.receive(b"x")
        assert uart.read(0x18, 4) == 0x80
        assert uart.read(0, 4) == ord("x")

    def test_registers(self, uart: Pl011) -> None:
        """Control registers keep their writable bits; interrupts are raw, masked and cleared."""
        for offset, ones in ((0x24, 0xFFFF), (0x28, 0x3F), (0x2C, 0xFF), (0x30, 0xFF87), (0x38, 0x7FF)):
            uart.write(offset, 4, 0xFFFF_FFFF)
            assert uart.read(offset, 4) == ones
        uart.write(0, 4, 65)
        assert uart.read(0x3C, 4) == uart.read(0x40, 4) == 1 << 5
        uart.write(0x44, 4, 1 << 5)
        assert uart.read(0x3C, 4) == 0

    def test_identity(self, uart: Pl011) -> None:
        """The PrimeCell identification registers name a PL011."""
        assert [uart.read(0xFE0 + 4 * n, 4) for n in range(8)] == [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1]
