"""The PL011, by the registers that drivers look at (DDI 0183)."""

from typing import Any

import pytest

from cca_platform.devices.pl011 import Pl011

DR, RSR, FR, IBRD, FBRD, LCR_H, CR, IFLS = 0x00, 0x04, 0x18, 0x24, 0x28, 0x2C, 0x30, 0x34
IMSC, RIS, MIS, ICR = 0x38, 0x3C, 0x40, 0x44
FEN, LBE = 1 << 4, 1 << 7
RX, TX, RT, OE = 1 << 4, 1 << 5, 1 << 6, 1 << 10
TXFE, RXFF, RXFE = 1 << 7, 1 << 6, 1 << 4


@pytest.fixture
def uart(rig: Any) -> Pl011:
    """A UART of the default board."""
    found = rig.bus.devices["uart0"]
    assert isinstance(found, Pl011)
    return found


@pytest.fixture
def registers(rig: Any, uart: Pl011) -> Any:
    """Its registers, FIFOs on, at 115,200 baud, as a driver leaves them."""
    found = rig.device("uart0")
    for offset, value in ((IBRD, 13), (FBRD, 1), (LCR_H, 0x60 | FEN), (CR, 0x301)):
        found.write(offset, value)
    return found


class TestPl011:
    """The registers that drivers read back (DDI 0183)."""

    def test_output_and_flags(self, uart: Pl011) -> None:
        """UARTDR transmits; UARTFR shows transmit empty always and receive empty until something arrives,
        which is a full holding register while the FIFOs are off.
        """
        seen: list[bytes] = []
        uart.on_output = seen.append
        for byte in b"ok":
            uart.write(0, 4, byte)
        assert (b"".join(seen), bytes(uart.output)) == (b"ok", b"ok")
        assert uart.read(0x18, 4) == 0x90
        uart.receive(b"x")
        assert uart.read(0x18, 4) == 0xC0
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


class TestFifo:
    """Receiving."""

    def test_depth(self, uart: Pl011, registers: Any) -> None:
        """Sixteen bytes fill the FIFO; what comes after waits on the line, and nothing is lost."""
        data = bytes(range(40))
        uart.receive(data[:15])
        assert registers.read(FR) == TXFE
        uart.receive(data[15:])
        assert registers.read(FR) == TXFE | RXFF
        assert bytes(registers.read(DR) for _ in range(40)) == data
        assert registers.read(FR) == TXFE | RXFE

    def test_holding_register(self, uart: Pl011, registers: Any) -> None:
        """With FEN clear the FIFO is one byte deep, and each byte interrupts."""
        registers.write(LCR_H, 0x60)
        uart.receive(b"ab")
        assert (registers.read(FR), registers.read(RIS)) == (TXFE | RXFF, RX)
        assert registers.read(DR) == ord("a")
        assert registers.read(RIS) == RX
        assert registers.read(DR) == ord("b")
        assert registers.read(RIS) == 0

    def test_enabled_later(self, uart: Pl011, registers: Any) -> None:
        """Turning the FIFOs on makes room for what waits on the line."""
        registers.write(LCR_H, 0x60)
        uart.receive(bytes(8))
        registers.write(ICR, RX)
        registers.write(LCR_H, 0x60 | FEN)
        assert (registers.read(FR), registers.read(RIS) & RX) == (TXFE, RX)

    @pytest.mark.parametrize(("select", "level"), list(enumerate((2, 4, 8, 12, 14))))
    def test_trigger(self, uart: Pl011, registers: Any, select: int, level: int) -> None:
        """The receive interrupt rises at the level that UARTIFLS selects, and falls below it or by UARTICR."""
        registers.write(IFLS, select << 3)
        uart.receive(bytes(level - 1))
        assert not registers.read(RIS) & RX
        uart.receive(b"x")
        assert registers.read(RIS) & RX
        registers.read(DR)
        assert not registers.read(RIS) & RX
        uart.receive(b"x")
        registers.write(ICR, RX)
        assert not registers.read(RIS) & RX

    def test_line(self, uart: Pl011, registers: Any) -> None:
        """The interrupt line is the masked interrupts, at every moment."""
        uart.receive(bytes(8))
        assert (registers.irq, registers.read(MIS)) == (False, 0)
        registers.write(IMSC, RX)
        assert (registers.irq, registers.read(MIS)) == (True, RX)
        registers.read(DR)
        assert not registers.irq
        uart.receive(b"x")
        assert registers.irq
        registers.write(ICR, 0x7FF)
        assert not registers.irq

    def test_overrun(self, uart: Pl011, registers: Any) -> None:
        """In loop back nobody waits: a byte too many is lost, and UARTRSR, UARTDR and the raw interrupt say so."""
        registers.write(CR, 0x301 | LBE)
        for byte in range(17):
            registers.write(DR, byte)
        assert registers.read(RIS) & OE
        assert registers.read(RSR) == 1 << 3
        assert registers.read(DR) == 1 << 11
        registers.write(RSR, 0)
        assert registers.read(RSR) == 0
        assert [registers.read(DR) for _ in range(16)] == [*range(1, 16), 0]
        assert uart.output == b""


class TestTimeout:
    """The receive time-out: 32 bits without a new byte."""

    _TICKS = 32 * 868  # 100 MHz / 115,200 baud

    def test_raised(self, rig: Any, uart: Pl011, registers: Any) -> None:
        """It comes after the time of 32 bits at the programmed rate, when the FIFO is below its level."""
        registers.write(IMSC, RT)
        uart.receive(b"ab")
        rig.go(self._TICKS - 32)
        assert not registers.irq
        rig.go(64)
        assert (registers.read(MIS), registers.irq) == (RT, True)

    def test_postponed(self, rig: Any, uart: Pl011, registers: Any) -> None:
        """Each byte that comes begins the time anew."""
        for _ in range(3):
            uart.receive(b"a")
            rig.go(self._TICKS - 32)
        assert not registers.read(RIS) & RT
        rig.go(64)
        assert registers.read(RIS) & RT

    def test_cleared(self, rig: Any, uart: Pl011, registers: Any) -> None:
        """Emptying the FIFO clears it, and an empty FIFO never raises it."""
        uart.receive(b"ab")
        rig.go(2 * self._TICKS)
        registers.read(DR)
        assert registers.read(RIS) & RT
        registers.read(DR)
        assert not registers.read(RIS) & RT
        rig.go(2 * self._TICKS)
        assert (registers.read(RIS) & RT, rig.machine.events.next) == (0, None)

    def test_by_register(self, rig: Any, uart: Pl011, registers: Any) -> None:
        """UARTICR clears it; it comes back with the next byte only."""
        uart.receive(b"ab")
        rig.go(2 * self._TICKS)
        registers.write(ICR, RT)
        rig.go(2 * self._TICKS)
        assert not registers.read(RIS) & RT
        uart.receive(b"c")
        rig.go(2 * self._TICKS)
        assert registers.read(RIS) & RT


class TestTransmit:
    """Transmitting takes no time."""

    def test_interrupt(self, registers: Any) -> None:
        """The transmit interrupt rises with the first byte, as the FIFO falls to its level, not before."""
        registers.write(IMSC, TX)
        assert not registers.irq
        registers.write(DR, 65)
        assert registers.irq
        registers.write(ICR, TX)
        assert not registers.irq

    def test_secure_uart(self, rigs: Any) -> None:
        """The second UART of virt is for the Secure PAS."""
        rig = rigs(board="virt")
        rig.device("secure-uart").write(DR, 65)
        assert rig.bus.devices["secure-uart"].output == b"A"
