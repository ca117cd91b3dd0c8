"""PL011 UART (DDI 0183): two FIFOs, their interrupts, and the registers that drivers look at.

Transmitting takes no time, so the transmit FIFO is always empty. It does not wait for UARTCR either: a payload may
rely on firmware to have enabled the UART.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from cca_platform.devices.primecell import identification
from cca_platform.devices.wiring import Wiring
from cca_platform.machine.board import Device

__all__ = ["Pl011"]

_DR, _RSR, _FR, _ILPR, _IBRD, _FBRD, _LCR_H, _CR = 0x00, 0x04, 0x18, 0x20, 0x24, 0x28, 0x2C, 0x30
_IFLS, _IMSC, _RIS, _MIS, _ICR, _DMACR = 0x34, 0x38, 0x3C, 0x40, 0x44, 0x48
_STORED: Final = {
    _ILPR: 0xFF, _IBRD: 0xFFFF, _FBRD: 0x3F, _LCR_H: 0xFF, _CR: 0xFF87, _IFLS: 0x3F, _IMSC: 0x7FF, _DMACR: 0x7,
}  # fmt: skip
_RESET: Final = dict.fromkeys(_STORED, 0) | {_CR: 0x300, _IFLS: 0x12}
_ID: Final = identification(0x011, 3)
_FR_TXFE, _FR_RXFF, _FR_RXFE = 1 << 7, 1 << 6, 1 << 4
_INT_RX, _INT_TX, _INT_RT, _INT_OE = 1 << 4, 1 << 5, 1 << 6, 1 << 10
_INTERRUPTS: Final = 0x7FF
_LCR_H_FEN: Final = 1 << 4
_CR_LBE: Final = 1 << 7
_DR_OE: Final = 1 << 11
_RSR_OE: Final = 1 << 3
_FIFO: Final = 16
_TRIGGERS: Final = (2, 4, 8, 12, 14)  # bytes in the receive FIFO, by UARTIFLS.RXIFLSEL
_CLOCK_HZ: Final = 24_000_000


class Pl011:
    """One UART. ``on_output(bytes)`` gets what software transmits, ``output`` keeps it; ``receive`` queues input.

    What finds no room in the receive FIFO waits on the line, so nothing is lost.
    """

    def __init__(self, device: Device, wiring: Wiring) -> None:
        self.name = device.name
        self.on_output: Callable[[bytes], object] | None = None
        self.output = bytearray()
        self._wiring = wiring
        self._clock_hz: int = device.options.get("clock_hz", _CLOCK_HZ)
        self._line: deque[int] = deque()
        self._power_on()

    def _power_on(self) -> None:
        self._fifo: deque[int] = deque()
        self._registers = dict(_RESET)
        self._raw = 0
        self._overrun = 0
        self._touched: int | None = None  # when the receive FIFO last changed, unless it is empty: the time-out's start

    def receive(self, data: bytes) -> None:
        """Bytes that arrive on the line."""
        self._line.extend(data)
        self._fill()
        self._drive()
        self._wiring.changed()

    # -- the receive FIFO --------------------------------------------------------------------------------------------
    @property
    def _depth(self) -> int:
        return _FIFO if self._registers[_LCR_H] & _LCR_H_FEN else 1

    @property
    def _trigger(self) -> int:
        """How many bytes in the receive FIFO interrupt."""
        if self._depth == 1:
            return 1
        return _TRIGGERS[min(self._registers[_IFLS] >> 3, len(_TRIGGERS) - 1)]

    def _fill(self) -> None:
        """Take bytes off the line as long as there is room."""
        while self._line and len(self._fifo) < self._depth:
            self._push(self._line.popleft())

    def _push(self, byte: int) -> None:
        self._fifo.append(byte)
        self._touched = self._wiring.now()
        if len(self._fifo) >= self._trigger:
            self._raw |= _INT_RX

    def _pop(self) -> int:
        if not self._fifo:
            return 0
        value = self._fifo.popleft() | (_DR_OE if self._overrun else 0)
        self._touched = self._wiring.now() if self._fifo else None
        if not self._fifo:
            self._raw &= ~_INT_RT
        if len(self._fifo) < self._trigger:
            self._raw &= ~_INT_RX
        self._fill()
        return value

    @property
    def deadline(self) -> int | None:
        """When the bytes in the receive FIFO have waited for the time of 32 bits (UARTRTINTR)."""
        if self._touched is None or self._raw & _INT_RT:
            return None
        divisor = max(self._registers[_IBRD] << 6 | self._registers[_FBRD], 1 << 6)  # in 1/64: a bit is 16 divisors
        return self._touched + 32 * 16 * divisor * self._wiring.clock.counter_hz // (64 * self._clock_hz)

    def advance(self, now: int) -> None:
        """The receive time-out."""
        self._raw |= _INT_RT
        self._touched = None
        self._drive()

    def _transmit(self, byte: int) -> None:
        self._raw |= _INT_TX
        if not self._registers[_CR] & _CR_LBE:
            self.output.append(byte)
            if self.on_output is not None:
                self.on_output(bytes((byte,)))
        elif len(self._fifo) < self._depth:
            self._push(byte)
        else:
            self._overrun = _RSR_OE
            self._raw |= _INT_OE

    def _drive(self) -> None:
        self._wiring.line(bool(self._raw & self._registers[_IMSC]))

    # -- registers ---------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """A register; unknown offsets read as zero."""
        if offset == _DR:
            value = self._pop()
            self._drive()
            return value
        if offset == _FR:
            full = _FR_RXFF if len(self._fifo) >= self._depth else 0
            return _FR_TXFE | full | (0 if self._fifo else _FR_RXFE)
        if offset in (_RIS, _MIS):
            return self._raw & (self._registers[_IMSC] if offset == _MIS else _INTERRUPTS)
        if offset == _RSR:
            return self._overrun
        return self._registers.get(offset, _ID.get(offset, 0))

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; unknown offsets are ignored."""
        if offset == _DR:
            self._transmit(value & 0xFF)
        elif offset == _RSR:
            self._overrun = 0
        elif offset == _ICR:
            self._raw &= ~value
        elif offset in _STORED:
            self._registers[offset] = value & _STORED[offset]
            self._fill()
        self._drive()

    # -- state -------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Registers as after power-on; what has been transmitted, and what waits on the line, stays."""
        self._power_on()
        self._fill()
        self._drive()

    def save(self) -> Any:
        """State for a snapshot."""
        return (
            bytes(self.output), tuple(self._line), tuple(self._fifo), dict(self._registers), self._raw, self._overrun,
            self._touched,
        )  # fmt: skip

    def restore(self, data: Any) -> None:
        """Put back what ``save`` gave."""
        output, line, fifo, registers, self._raw, self._overrun, self._touched = data
        self.output = bytearray(output)
        self._line, self._fifo = deque(line), deque(fifo)
        self._registers = dict(registers)
