"""PL011 UART (DDI 0183): two FIFOs, their interrupts, and the registers that drivers use.

Transmission takes no time, so the transmit FIFO is always empty. It does not wait for UARTCR either: a payload may
rely on the firmware to enable the UART.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device, Register, RegisterTable
from cca_platform.devices.keys import Pl011Keys, options
from cca_platform.devices.primecell import identification
from cca_platform.devices.wiring import Wiring
from cca_platform.sent import Sent
from cca_platform.state import State

__all__ = ["Pl011"]

_IBRD, _FBRD, _LCR_H, _CR, _IFLS, _IMSC = 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38
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


class Pl011State(State, frozen=True, tag="pl011/2"):
    """``output`` came after ``dropped`` bytes that are not kept; ``line`` waits for room in the receive FIFO.

    ``touched`` is when the FIFO last changed, unless it is empty.
    """

    registers: Mapping[int, int]
    output: bytes
    dropped: int
    line: bytes
    fifo: bytes
    raw: int
    overrun: int
    touched: int | None


class Pl011(Device):
    """One UART. ``on_output(bytes)`` gets what software transmits, ``sent`` keeps the end; ``receive`` queues input.

    Input that does not fit into the receive FIFO waits on the line, so that nothing is lost.
    """

    keys = Pl011Keys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self.on_output: Callable[[bytes], object] | None = None
        self.sent = Sent()
        self._clock_hz = options(row, Pl011Keys).clock_hz
        self._line: deque[int] = deque()
        self.power_on()

    def power_on(self) -> None:
        """Empty the FIFOs; keep what has been transmitted and what waits on the line."""
        super().power_on()
        self._fifo: deque[int] = deque()
        self._raw = 0
        self._overrun = 0
        self._touched: int | None = None  # when the receive FIFO last changed, unless it is empty: the time-out's start

    @property
    def output(self) -> bytes:
        """What software has transmitted, at most the last :data:`cca_platform.sent.KEPT` bytes."""
        return bytes(self.sent)

    def receive(self, data: bytes) -> None:
        """Send bytes to the UART from outside the machine."""
        self.wiring.receive(data)

    def arrive(self, data: bytes) -> None:
        """Take bytes that arrive on the line."""
        self._line.extend(data)
        self._fill()
        self.drive()
        self.wiring.changed()

    # -- the receive FIFO --------------------------------------------------------------------------------------------
    @property
    def _depth(self) -> int:
        return _FIFO if self.values[_LCR_H] & _LCR_H_FEN else 1

    @property
    def _trigger(self) -> int:
        """The number of bytes in the receive FIFO that raises the interrupt."""
        if self._depth == 1:
            return 1
        return _TRIGGERS[min(self.values[_IFLS] >> 3, len(_TRIGGERS) - 1)]

    def _fill(self) -> None:
        """Move bytes from the line to the FIFO while there is room."""
        while self._line and len(self._fifo) < self._depth:
            self._push(self._line.popleft())

    def _push(self, byte: int) -> None:
        self._fifo.append(byte)
        self._touched = self.wiring.now()
        if len(self._fifo) >= self._trigger:
            self._raw |= _INT_RX

    def _pop(self) -> int:
        if not self._fifo:
            return 0
        value = self._fifo.popleft() | (_DR_OE if self._overrun else 0)
        self._touched = self.wiring.now() if self._fifo else None
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
        divisor = max(self.values[_IBRD] << 6 | self.values[_FBRD], 1 << 6)  # in 1/64: a bit is 16 divisors
        return self._touched + 32 * 16 * divisor * self.wiring.clock.counter_hz // (64 * self._clock_hz)

    def advance(self, now: int) -> None:
        """The receive time-out."""
        self._raw |= _INT_RT
        self._touched = None
        self.drive()

    def _transmit(self, value: int) -> None:
        byte = value & 0xFF
        self._raw |= _INT_TX
        if not self.values[_CR] & _CR_LBE:
            data = bytes((byte,))
            self.sent.add(data)
            if self.on_output is not None:
                self.on_output(data)
        elif len(self._fifo) < self._depth:
            self._push(byte)
        else:
            self._overrun = _RSR_OE
            self._raw |= _INT_OE

    def drive(self) -> None:
        """Drive the OR of the unmasked interrupts."""
        self.wiring.line(bool(self._raw & self.values[_IMSC]))

    # -- registers ---------------------------------------------------------------------------------------------------
    def _receive(self) -> int:
        value = self._pop()
        self.drive()
        return value

    def _line_control(self, value: int) -> None:
        self.values[_LCR_H] = value & 0xFF
        self._fill()  # enabling the FIFOs makes room for what waits on the line

    def _flags(self) -> int:
        full = _FR_RXFF if len(self._fifo) >= self._depth else 0
        return _FR_TXFE | full | (0 if self._fifo else _FR_RXFE)

    def _clear_errors(self, value: int) -> None:
        self._overrun = 0

    def _clear(self, value: int) -> None:
        self._raw &= ~value

    registers = RegisterTable(
        Register("UARTDR", 0x00, read=_receive, write=_transmit),
        Register("UARTRSR", 0x04, read=lambda uart: uart._overrun, write=_clear_errors, plain=True),
        Register("UARTFR", 0x18, read=_flags, plain=True),
        Register("UARTILPR", 0x20, writable=0xFF, plain=True),
        Register("UARTIBRD", _IBRD, writable=0xFFFF, plain=True),
        Register("UARTFBRD", _FBRD, writable=0x3F, plain=True),
        Register("UARTLCR_H", _LCR_H, writable=0xFF, write=_line_control, plain=True),
        Register("UARTCR", _CR, reset=0x300, writable=0xFF87, plain=True),
        Register("UARTIFLS", _IFLS, reset=0x12, writable=0x3F, plain=True),
        Register("UARTIMSC", _IMSC, writable=0x7FF, plain=True),
        Register("UARTRIS", 0x3C, read=lambda uart: uart._raw & _INTERRUPTS, plain=True),
        Register("UARTMIS", 0x40, read=lambda uart: uart._raw & uart.values[_IMSC], plain=True),
        Register("UARTICR", 0x44, write=_clear, plain=True),
        Register("UARTDMACR", 0x48, writable=0x7, plain=True),
        *identification(0x011, 3),
    )

    # -- state -------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Reset the registers; the receive FIFO takes what waits on the line."""
        self.power_on()
        self._fill()
        self.drive()

    def save(self) -> Pl011State:
        """State for a snapshot."""
        return Pl011State(
            registers=dict(self.values),
            output=self.output,
            dropped=self.sent.dropped,
            line=bytes(self._line),
            fifo=bytes(self._fifo),
            raw=self._raw,
            overrun=self._overrun,
            touched=self._touched,
        )

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self.sent.restore(state.output, state.dropped)
        self._line, self._fifo = deque(state.line), deque(state.fifo)
        self._raw, self._overrun, self._touched = state.raw, state.overrun, state.touched
