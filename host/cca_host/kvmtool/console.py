"""The Realm's console: Realmlab's host calls, and a 16550A UART behind emulated MMIO."""

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from cca_host.kvm import HostCall, Mmio, Vcpu
from cca_host.kvmtool.layout import UART_BASE, UART_SIZE
from cca_platform.machine.state import State
from cca_platform.trace.events import ConsoleWrite, MmioRead, MmioWrite

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["CONSOLE_BYTES", "HOST_CALL_IMM", "Console", "ConsoleState", "HostFunction", "Uart", "UartState"]

HOST_CALL_IMM: Final = 0x524C
"""RSI_HOST_CALL immediate of Realmlab's own calls: "RL"."""
CONSOLE_BYTES: Final = 232
"""Most bytes in one console write: gprs[2..30]."""
_UNKNOWN: Final = (1 << 64) - 1
_TEXT = struct.Struct("<29Q")


class HostFunction(IntEnum):
    """gprs[0] of a Realmlab host call; the result comes back in gprs[0], all ones for an unknown function."""

    CONSOLE_WRITE = 1
    """gprs[1] bytes out of gprs[2..30], little-endian."""
    EXIT = 2
    """gprs[1] is the exit status of the run."""
    GET_TICKS = 3
    """The result is the system counter."""


class UartState(State, frozen=True, tag="host.uart/1"):
    """Saved state of a :class:`Uart`: what it has yet to give, and its registers."""

    received: bytes
    registers: bytes


class ConsoleState(State, frozen=True, tag="host.console/1"):
    """Saved state of a :class:`Console`."""

    output: bytes
    status: int | None
    uart: UartState


class Uart:
    """A 16550A with byte-wide registers, always ready to send, receiving what it was given at the start."""

    def __init__(self, transmit: Callable[[bytes], None], receive: bytes = b"") -> None:
        self.transmit = transmit
        self.receive = bytearray(receive)
        self.registers = bytearray(8)

    def read(self, offset: int) -> int:
        """A register at ``offset`` 0..7."""
        if offset == 0 and not self._latch:
            return self.receive.pop(0) if self.receive else 0
        if offset == 2:  # IIR: FIFOs on, no interrupt pending
            return 0xC1
        if offset == 5:  # LSR: transmitter empty, data ready
            return 0x60 | bool(self.receive)
        if offset == 6:  # MSR: DCD, DSR, CTS
            return 0xB0
        return self.registers[offset]

    def write(self, offset: int, value: int) -> None:
        """Write the register at ``offset`` 0..7."""
        if offset == 0 and not self._latch:
            self.transmit(bytes([value & 0xFF]))
        elif offset not in (0, 2):
            self.registers[offset] = value & 0xFF

    def save(self) -> UartState:
        """State for a snapshot."""
        return UartState(received=bytes(self.receive), registers=bytes(self.registers))

    def restore(self, state: UartState) -> None:
        """Back to what :meth:`save` gave."""
        self.receive, self.registers = bytearray(state.received), bytearray(state.registers)

    @property
    def _latch(self) -> bool:
        """LCR.DLAB: registers 0 and 1 are the divisor."""
        return bool(self.registers[3] & 0x80)


class Console:
    """What a Realm prints, in ``output``, and its exit status once it has given one.

    ``on_output`` gets the bytes as they come; ``given`` is what the UART receives from the start.
    """

    def __init__(
        self, machine: "Machine", on_output: Callable[[bytes], object] | None = None, given: bytes = b""
    ) -> None:
        self.machine = machine
        self.on_output = on_output
        self.output = bytearray()
        self.status: int | None = None
        self.uart = Uart(lambda data: self._emit("uart", data))
        self.receive(given)

    def host_call(self, vcpu: Vcpu, call: HostCall) -> bool:
        """Answer a host call; True when it was EXIT."""
        function, size = call.gprs[0], call.gprs[1]
        result = 0
        if call.imm != HOST_CALL_IMM:
            result = _UNKNOWN
        elif function == HostFunction.CONSOLE_WRITE and size <= CONSOLE_BYTES:
            self._emit("host-call", _TEXT.pack(*call.gprs[2:31])[:size])
        elif function == HostFunction.EXIT:
            self.status = size & 0xFF
        elif function == HostFunction.GET_TICKS:
            result = self.machine.clock.now
        else:
            result = _UNKNOWN
        vcpu.host_call_status(result)
        return self.status is not None

    def mmio(self, vcpu: Vcpu, access: Mmio) -> None:
        """Answer an access: the UART, or an external abort where there is no device."""
        offset = access.ipa - UART_BASE
        if not 0 <= offset < UART_SIZE:
            vcpu.abort()
            return
        trace = self.machine.trace
        if access.write:
            if trace.on:
                trace.emit(MmioWrite(device="uart", address=access.ipa, size=access.size, value=access.value))
            self.uart.write(offset & 7, access.value)
            vcpu.mmio_result()
            return
        value = self.uart.read(offset & 7)
        if trace.on:
            trace.emit(MmioRead(device="uart", address=access.ipa, size=access.size, value=value))
        vcpu.mmio_result(value)

    def _emit(self, device: str, data: bytes) -> None:
        self.output += data
        trace = self.machine.trace
        if trace.on:
            trace.emit(ConsoleWrite(device=device, text=data.decode("utf-8", "replace"), size=len(data)))
        if self.on_output is not None:
            self.on_output(data)

    def receive(self, data: bytes) -> None:
        """Input for the UART: the one door for it."""
        self.uart.receive += data

    def save(self) -> ConsoleState:
        """State for a snapshot."""
        return ConsoleState(output=bytes(self.output), status=self.status, uart=self.uart.save())

    def restore(self, state: ConsoleState) -> None:
        """Back to what :meth:`save` gave."""
        self.output, self.status = bytearray(state.output), state.status
        self.uart.restore(state.uart)
