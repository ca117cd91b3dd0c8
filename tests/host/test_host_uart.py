"""The 16550A that a Realm's console can be."""

from cca_host.kvmtool.console import Uart


class TestUart:
    """The registers that a 16550 driver reads and writes."""

    def test_transmit(self):
        """Bytes written to THR come out, the transmitter is always empty."""
        out = []
        uart = Uart(out.append)
        assert uart.read(5) & 0x60 == 0x60
        for byte in b"hi":
            uart.write(0, byte)
        assert b"".join(out) == b"hi"

    def test_divisor_latch(self):
        """With LCR.DLAB set, registers 0 and 1 are the divisor: nothing is sent."""
        out = []
        uart = Uart(out.append)
        uart.write(3, 0x80)
        uart.write(0, 1)
        uart.write(3, 3)
        assert (out, uart.read(3)) == ([], 3)

    def test_receive(self):
        """LSR.DR is set as long as there is something to read."""
        uart = Uart(lambda data: None, b"ab")
        assert uart.read(5) & 1
        assert (uart.read(0), uart.read(0)) == (0x61, 0x62)
        assert not uart.read(5) & 1

    def test_scratch(self):
        """The scratch register keeps its value, which is how drivers find the device."""
        uart = Uart(lambda data: None)
        uart.write(7, 0x5A)
        assert uart.read(7) == 0x5A
