"""A 16550A UART with byte-wide registers: two FIFOs, a divisor latch, modem lines, and its interrupts.

Transmission takes no time, so it is always ready to send, and THR is empty again as soon as it has been written. What
arrives waits on the line until software is interrupted by it or looks for it, and until there is room: no byte is lost.
The receive time-out is over at once. The interrupt does not depend on MCR.OUT2, which is an output like OUT1.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device, Register, RegisterTable
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Uart16550"]

_LAST: Final = 7
_WIDEST: Final = 4  # bytes of an access on the bus of such a UART
_BYTE: Final = 0xFF
_FIFO: Final = 16
_TRIGGERS: Final = (1, 4, 8, 14)  # bytes in the receive FIFO, by FCR[7:6]

_IER, _LCR, _MCR = 1, 3, 4
_IER_RDI, _IER_THRI, _IER_RLSI, _IER_MSI = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_IIR_NONE, _IIR_RLS, _IIR_RDI, _IIR_TIMEOUT, _IIR_THRE, _IIR_MSI = 0x01, 0x06, 0x04, 0x0C, 0x02, 0x00
_IIR_FIFOS: Final = 0xC0
_FCR_ENABLE, _FCR_CLEAR_RECEIVER = 1 << 0, 1 << 1
_LCR_DLAB: Final = 1 << 7  # registers 0 and 1 are the divisor
_MCR_DTR, _MCR_RTS, _MCR_OUT1, _MCR_OUT2, _MCR_LOOP = (1 << bit for bit in range(5))
_LSR_DR, _LSR_OE, _LSR_EMPTY = 1 << 0, 1 << 1, 0x60
_CTS, _DSR, _RI, _DCD = (1 << bit for bit in range(4))  # MSR >> 4
_CONNECTED: Final = _DCD | _DSR | _CTS  # what the other end of the line says
_LOOPED: Final = ((_MCR_RTS, _CTS), (_MCR_DTR, _DSR), (_MCR_OUT1, _RI), (_MCR_OUT2, _DCD))


class Uart16550State(State, frozen=True, tag="uart16550/2"):
    """The registers, the two bytes of the divisor, what is in the receive FIFO and what waits on the line.

    ``empty`` is that THR has become empty and IIR has not said so; ``changed`` are MSR[3:0].
    """

    registers: Mapping[int, int]
    divisor: bytes
    fifo_control: int
    fifo: bytes
    line: bytes
    empty: bool
    overrun: bool
    changed: int


class Uart16550(Device):
    """One UART. ``on_output(bytes)`` gets what software transmits; ``receive`` queues input.

    ``on_look()`` is called when software looks for input and there is none, and when it asks for interrupts of input.
    ``on_status(value)`` gets what LSR reads from now on, None as long as reading it has an effect.
    """

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self.on_output: Callable[[bytes], object] | None = None
        self.on_look: Callable[[], object] | None = None
        self.on_status: Callable[[int | None], object] | None = None
        self._told: int | None = None
        self._line = bytearray()
        self.power_on()

    def power_on(self) -> None:
        """Reset the registers and empty the FIFOs; keep what waits on the line."""
        super().power_on()
        self._divisor = bytearray(2)
        self._control = 0  # FCR
        self._fifo = bytearray()
        self._empty = True
        self._overrun = False
        self._changed = 0

    # -- accesses ----------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Read a register; the eight registers repeat throughout the frame. Wider accesses than a word read 0."""
        if size > _WIDEST:
            return 0
        value = super().read(offset & _LAST, size)
        self.drive()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; wider accesses than a word are ignored."""
        if size <= _WIDEST:
            super().write(offset & _LAST, size, value)

    def receive(self, data: bytes) -> None:
        """Send bytes to the UART from outside the machine."""
        self.wiring.receive(data)

    def deliver(self, data: bytes) -> None:
        """The same, from any thread."""
        self.wiring.deliver(data)

    def arrive(self, data: bytes) -> None:
        """Take bytes that arrive on the line."""
        self._line += data
        self.drive()
        self.wiring.changed()

    @property
    def listens(self) -> bool:
        """Whether software asks to be interrupted by what arrives."""
        return bool(self.values[_IER] & _IER_RDI)

    @property
    def drained(self) -> bool:
        """Whether software has read everything that has arrived."""
        return not (self._fifo or self._line)

    def _look(self) -> None:
        """Software looks for input."""
        self._fill()
        if self.on_look is not None and not self._fifo:
            self.on_look()

    # -- the receive FIFO --------------------------------------------------------------------------------------------
    @property
    def _depth(self) -> int:
        return _FIFO if self._control & _FCR_ENABLE else 1

    def _fill(self) -> None:
        """Move bytes from the line to the FIFO while there is room; in a loop, the line is not connected."""
        room = self._depth - len(self._fifo)
        if room > 0 and self._line and not self._loops:
            self._fifo += self._line[:room]
            del self._line[:room]  # takes the same time however much waits

    def _receive(self) -> int:
        if self._is_divisor:
            return self._divisor[0]
        self._look()
        if not self._fifo:
            return 0
        value = self._fifo[0]
        del self._fifo[:1]
        return value

    # -- the transmitter ---------------------------------------------------------------------------------------------
    def _transmit(self, value: int) -> None:
        if self._is_divisor:
            self._divisor[0] = value & _BYTE
            return
        self._empty = True
        if not self._loops:
            if self.on_output is not None:
                self.on_output(bytes((value & _BYTE,)))
        elif len(self._fifo) < self._depth:
            self._fifo.append(value & _BYTE)
        else:
            self._overrun = True

    # -- interrupts --------------------------------------------------------------------------------------------------
    def _pending(self) -> int:
        """What IIR[3:0] identifies: the pending interrupt with the highest priority."""
        enabled = self.values[_IER]
        if enabled & _IER_RLSI and self._overrun:
            return _IIR_RLS
        if enabled & _IER_RDI:
            self._fill()
            if self._fifo:
                enough = self._depth == 1 or len(self._fifo) >= _TRIGGERS[self._control >> 6]
                return _IIR_RDI if enough else _IIR_TIMEOUT
        if enabled & _IER_THRI and self._empty:
            return _IIR_THRE
        if enabled & _IER_MSI and self._changed:
            return _IIR_MSI
        return _IIR_NONE

    def drive(self) -> None:
        """Drive the interrupt: high while one is pending."""
        self.wiring.line(self._pending() != _IIR_NONE)
        if self.on_status is not None and self._told != self.status:
            self._told = self.status
            self.on_status(self._told)

    @property
    def status(self) -> int | None:
        """What LSR reads; None if reading it has an effect: it ends an overrun."""
        if self._overrun:
            return None
        return _LSR_EMPTY | _LSR_DR * bool(self._fifo or (self._line and not self._loops))

    def _identify(self) -> int:
        pending = self._pending()
        if pending == _IIR_THRE:
            self._empty = False
        return pending | (_IIR_FIFOS if self._control & _FCR_ENABLE else 0)

    def _enable(self, value: int) -> None:
        if self._is_divisor:
            self._divisor[1] = value & _BYTE
            return
        if value & ~self.values[_IER] & _IER_THRI:
            self._empty = True
        listened = self.listens
        self.values[_IER] = value & 0xF
        if self.on_look is not None and self.listens and not listened:
            self.on_look()

    # -- registers ---------------------------------------------------------------------------------------------------
    @property
    def _is_divisor(self) -> bool:
        return bool(self.values[_LCR] & _LCR_DLAB)

    @property
    def _loops(self) -> bool:
        return bool(self.values[_MCR] & _MCR_LOOP)

    def _control_fifos(self, value: int) -> None:
        """FCR: a change of the mode empties the FIFOs, too."""
        if (value ^ self._control) & _FCR_ENABLE or value & _FCR_CLEAR_RECEIVER:
            self._fifo.clear()
        self._control = value & _BYTE if value & _FCR_ENABLE else 0

    def _control_modem(self, value: int) -> None:
        before = self._modem_lines()
        self.values[_MCR] = value & 0x1F
        now = self._modem_lines()
        fell = before & ~now & _RI  # its change counts only when it ends
        self._changed |= (before ^ now) & ~_RI | fell

    def _modem_lines(self) -> int:
        control = self.values[_MCR]
        if not control & _MCR_LOOP:
            return _CONNECTED
        return sum(line for output, line in _LOOPED if control & output)

    def _modem_status(self) -> int:
        value = self._modem_lines() << 4 | self._changed
        self._changed = 0
        return value

    def _line_status(self) -> int:
        self._look()
        value = _LSR_EMPTY | _LSR_DR * bool(self._fifo) | _LSR_OE * self._overrun
        self._overrun = False
        return value

    registers = RegisterTable(
        Register("RBR/THR", 0, read=_receive, write=_transmit),
        Register(
            "IER", _IER, writable=0xF, write=_enable,
            read=lambda uart: uart._divisor[1] if uart._is_divisor else uart.values[_IER],
        ),
        Register("IIR/FCR", 2, read=_identify, write=_control_fifos),
        Register("LCR", _LCR, writable=_BYTE),
        Register("MCR", _MCR, writable=0x1F, write=_control_modem),
        Register("LSR", 5, read=_line_status),
        Register("MSR", 6, read=_modem_status),
        Register("SCR", 7, writable=_BYTE),
    )  # fmt: skip

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> Uart16550State:
        """State for a snapshot."""
        return Uart16550State(
            registers=dict(self.values),
            divisor=bytes(self._divisor),
            fifo_control=self._control,
            fifo=bytes(self._fifo),
            line=bytes(self._line),
            empty=self._empty,
            overrun=self._overrun,
            changed=self._changed,
        )

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self._divisor, self._control = bytearray(state.divisor), state.fifo_control
        self._fifo, self._line = bytearray(state.fifo), bytearray(state.line)
        self._empty, self._overrun, self._changed = state.empty, state.overrun, state.changed
        self._told = self.status  # and who was told has it in his own state
