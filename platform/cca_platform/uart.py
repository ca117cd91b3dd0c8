"""PL011 UART (DDI 0183): transmit, receive and the registers that drivers look at."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from cca_platform.board import Device
from cca_platform.devices.wiring import Wiring

__all__ = ["Pl011"]

_DR, _RSR, _FR, _ILPR, _IBRD, _FBRD, _LCR_H, _CR = 0x00, 0x04, 0x18, 0x20, 0x24, 0x28, 0x2C, 0x30
_IFLS, _IMSC, _RIS, _MIS, _ICR, _DMACR = 0x34, 0x38, 0x3C, 0x40, 0x44, 0x48
_STORED: Final = {
    _ILPR: 0xFF, _IBRD: 0xFFFF, _FBRD: 0x3F, _LCR_H: 0xFF, _CR: 0xFF87, _IFLS: 0x3F, _IMSC: 0x7FF, _DMACR: 0x7,
}  # fmt: skip
_RESET: Final = {_CR: 0x300, _IFLS: 0x12}
_ID: Final = {0xFE0 + 4 * n: byte for n, byte in enumerate((0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1))}
_FR_TXFE, _FR_RXFE = 1 << 7, 1 << 4
_INT_RX, _INT_TX = 1 << 4, 1 << 5


class Pl011:
    """One UART. ``on_output(bytes)`` gets what software transmits; ``receive`` queues input."""

    deadline = None

    def __init__(self, device: Device, wiring: Wiring) -> None:
        self.name = device.name
        self.on_output: Callable[[bytes], object] | None = None
        self._wiring = wiring
        self.output = bytearray()
        self._input: deque[int] = deque()
        self._registers = dict.fromkeys(_STORED, 0) | _RESET
        self._sent = 0

    def receive(self, data: bytes) -> None:
        """Bytes that arrive on the line."""
        self._input.extend(data)
        self._wiring.changed()

    def read(self, offset: int, size: int) -> int:
        """A register; unknown offsets read as zero."""
        if offset == _DR:
            return self._input.popleft() if self._input else 0
        if offset == _FR:
            return _FR_TXFE | (0 if self._input else _FR_RXFE)
        if offset in (_RIS, _MIS):
            raw = self._sent | (_INT_RX if self._input else 0)
            return raw & self._registers[_IMSC] if offset == _MIS else raw
        return self._registers.get(offset, _ID.get(offset, 0))

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; unknown offsets are ignored."""
        if offset == _DR:
            byte = bytes((value & 0xFF,))
            self.output += byte
            self._sent = _INT_TX
            if self.on_output is not None:
                self.on_output(byte)
        elif offset == _ICR:
            self._sent &= ~value
        elif offset in _STORED:
            self._registers[offset] = value & _STORED[offset]

    def advance(self, now: int) -> None:
        """Nothing happens by itself."""

    def reset(self) -> None:
        """Registers as after power-on; what is on the line stays there."""
        self._registers = dict.fromkeys(_STORED, 0) | _RESET
        self._sent = 0

    def save(self) -> dict[str, Any]:
        """State for a snapshot."""
        return {
            "output": bytes(self.output),
            "input": list(self._input),
            "registers": dict(self._registers),
            "sent": self._sent,
        }

    def restore(self, data: dict[str, Any]) -> None:
        """Put back what ``save`` gave."""
        self.output = bytearray(data["output"])
        self._input = deque(data["input"])
        self._registers = dict(data["registers"])
        self._sent = data["sent"]
