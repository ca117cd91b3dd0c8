"""A 16550A UART with byte-wide registers, always ready to send, without interrupts."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device, Register, RegisterTable
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Uart16550"]

_LAST: Final = 7
_WIDEST: Final = 4  # bytes of an access on the bus of such a UART
_LCR: Final = 3
_LCR_DLAB: Final = 1 << 7  # registers 0 and 1 are the divisor
_BYTE: Final = 0xFF
_IIR: Final = 0xC1  # FIFOs on, no interrupt pending
_LSR_DR, _LSR_EMPTY = 1 << 0, 0x60
_MSR: Final = 0xB0  # DCD, DSR, CTS


class Uart16550State(State, frozen=True, tag="uart16550/1"):
    """The registers and the unread input."""

    registers: Mapping[int, int]
    received: bytes


class Uart16550(Device):
    """One UART. ``on_output(bytes)`` gets what software transmits; ``receive`` queues input."""

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self.on_output: Callable[[bytes], object] | None = None
        self._received = bytearray()

    def read(self, offset: int, size: int) -> int:
        """Read a register; the eight registers repeat throughout the frame. Wider accesses than a word read 0."""
        return super().read(offset & _LAST, size) if size <= _WIDEST else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; wider accesses than a word are ignored."""
        if size <= _WIDEST:
            super().write(offset & _LAST, size, value)

    def receive(self, data: bytes) -> None:
        """Send bytes to the UART from outside the machine."""
        self.wiring.receive(data)

    def arrive(self, data: bytes) -> None:
        """Take bytes that arrive on the line."""
        self._received += data
        self.wiring.changed()

    @property
    def _is_divisor(self) -> bool:
        return bool(self.values[_LCR] & _LCR_DLAB)

    def _pop(self) -> int:
        if not self._received or self._is_divisor:
            return 0
        value = self._received[0]
        del self._received[:1]  # takes the same time however much waits, which pop(0) does not
        return value

    def _transmit(self, value: int) -> None:
        if self.on_output is not None and not self._is_divisor:
            self.on_output(bytes((value & _BYTE,)))

    registers = RegisterTable(
        Register("RBR/THR", 0, read=_pop, write=_transmit),
        Register("IER", 1, writable=_BYTE),
        Register("IIR", 2, reset=_IIR),
        Register("LCR", _LCR, writable=_BYTE),
        Register("MCR", 4, writable=_BYTE),
        Register("LSR", 5, read=lambda uart: _LSR_EMPTY | _LSR_DR * bool(uart._received)),
        Register("MSR", 6, reset=_MSR),
        Register("SCR", 7, writable=_BYTE),
    )

    def save(self) -> Uart16550State:
        """State for a snapshot."""
        return Uart16550State(registers=dict(self.values), received=bytes(self._received))

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self._received = bytearray(state.received)
