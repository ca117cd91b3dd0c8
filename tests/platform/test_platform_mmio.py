"""An access to a device, emulated from its instruction."""

from typing import Any

UART = 0x1C09_0000
IL = 1 << 25


class TestDevices:
    """A device register is accessed by the instruction, whatever its form, and stepped over."""

    def test_uart(self, bench: Any) -> None:
        """Stores to UARTDR come out; UARTFR says that the transmit FIFO is empty."""
        bench.run("mov w2, #72; str w2, [x1]; mov w2, #105; strb w2, [x1]; ldr w3, [x1, #0x18]; smc #0", x1=UART)
        assert bytes(bench.machine.bus.devices["uart0"].output) == b"Hi"
        assert bench.el3.calls[-1][3] == 0x90

    def test_writeback(self, bench: Any) -> None:
        """A post-indexed access moves its base, a pair reads two registers."""
        x = bench.run("str wzr, [x1], #8; add x2, x3, #0xfe0; ldp w4, w5, [x2]; smc #0", x1=UART + 0x24, x3=UART)
        assert x[1] == UART + 0x2C
        assert x[4:6] == [0x11, 0x10]

    def test_external_abort(self, bench: Any) -> None:
        """Where nothing answers, and for a fetch from a device, the abort is external: 0x10."""
        bench.vectors()
        assert bench.run("ldr x2, [x1]", x1=0x7000_0000)[20:22] == [0x25 << 26 | IL | 0x10, 0x7000_0000]
        assert bench.run("br x1", x1=UART)[20] & 0xFC00_003F == 0x21 << 26 | 0x10
