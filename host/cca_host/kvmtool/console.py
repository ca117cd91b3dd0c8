"""The Realm's console: Realmlab's host calls, and a UART."""

import struct
from codecs import IncrementalDecoder, getincrementaldecoder
from collections import defaultdict
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from cca_arch.rsi.v1_0 import Rsi
from cca_arch.types import SecurityState
from cca_host.kvm.uapi import HostCall
from cca_host.kvmtool.door import VcpuThread
from cca_host.kvmtool.keyboard import Keyboard, Typing
from cca_host.kvmtool.virtio.console import VirtioConsole
from cca_platform.devices.uart16550 import Uart16550
from cca_platform.pe.refused import Refused, refuse
from cca_platform.sent import Sent
from cca_platform.state import State
from cca_platform.trace.events import ConsoleWrite

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["CONSOLE_BYTES", "HOST_CALL_IMM", "Console", "ConsoleState", "HostFunction"]

HOST_CALL_IMM: Final = 0x524C
"""RSI_HOST_CALL immediate of Realmlab's own calls: "RL"."""
CONSOLE_BYTES: Final = 232
"""The maximum number of bytes in one console write: gprs[2..30]."""
_UNKNOWN: Final = (1 << 64) - 1
_REALM: Final = int(SecurityState.REALM)
_HOST_CALL: Final = int(Rsi.HOST_CALL)
_TEXT = struct.Struct("<29Q")


def _decoder() -> IncrementalDecoder:
    """A decoder of what one device sends: a character is complete with its last byte."""
    return getincrementaldecoder("utf-8")("replace")


class HostFunction(IntEnum):
    """gprs[0] of a Realmlab host call. The result is in gprs[0]: all ones for an unknown function."""

    CONSOLE_WRITE = 1
    """Write gprs[1] bytes from gprs[2..30], little-endian."""
    EXIT = 2
    """gprs[1] is the exit status of the run."""
    GET_TICKS = 3
    """The result is the system counter."""
    GIVE_UP = 4
    """As EXIT, from the handler of an exception that the Realm does not expect: the run's report looks at it."""


class ConsoleState(State, frozen=True, tag="host.console/4"):
    """Saved state of a :class:`Console`. ``output`` came after ``dropped`` bytes that are not kept.

    ``partial`` are the bytes of characters that are not complete, by device.
    """

    output: bytes
    dropped: int
    status: int | None
    gave_up: bool
    partial: dict[str, bytes]


def _refuse(machine: "Machine", vcpu: VcpuThread, call: HostCall) -> None:
    """Note a host call that the host does not know."""
    given = f"not {call.imm:#x} with {call.gprs[0]:#x}"
    why = f"the host knows immediate {HOST_CALL_IMM:#x} with gprs[0] 1 to {max(HostFunction)}, {given}"
    pe = machine.pes[vcpu.index % len(machine.pes)]
    refuse(pe, Refused(_REALM, 0, _HOST_CALL, "RSI_HOST_CALL", "all ones in gprs[0]", why))


class Console:
    """The Realm's output, whose end is in ``sent``, and its exit status once it has returned one.

    ``on_output`` gets the bytes as they are sent; ``given`` is the initial input, for the UART or, if there is one, the
    ``terminal``, to which ``keyboard`` types more.
    """

    def __init__(
        self,
        machine: "Machine",
        uart: Uart16550,
        on_output: Callable[[bytes], object] | None = None,
        given: bytes = b"",
        terminal: VirtioConsole | None = None,
        keyboard: Keyboard | None = None,
    ) -> None:
        self.machine = machine
        self.on_output = on_output
        self.sent = Sent()
        self.status: int | None = None
        self.gave_up = False
        self._decoders: defaultdict[str, IncrementalDecoder] = defaultdict(_decoder)
        self.uart = uart
        self._listen(uart)
        self._typed = terminal or uart
        self.typing = Typing(self._typed, keyboard)
        if terminal is not None:
            self._listen(terminal)
            terminal.received(given)
        else:
            uart.arrive(given)
        if keyboard is not None:
            self._typed.on_look = self.typing.looked

    def _listen(self, device: Uart16550 | VirtioConsole) -> None:
        device.on_output = lambda data: self._emit(device.name, data)

    def host_call(self, vcpu: VcpuThread, call: HostCall) -> bool:
        """Handle a host call; returns True for EXIT and GIVE_UP."""
        function, size = call.gprs[0], call.gprs[1]
        result = 0
        if call.imm != HOST_CALL_IMM:
            result = _UNKNOWN
        elif function == HostFunction.CONSOLE_WRITE and size <= CONSOLE_BYTES:
            self._emit("host-call", _TEXT.pack(*call.gprs[2:31])[:size])
        elif function in (HostFunction.EXIT, HostFunction.GIVE_UP):
            self.status, self.gave_up = size & 0xFF, function == HostFunction.GIVE_UP
        elif function == HostFunction.GET_TICKS:
            result = self.machine.clock.now
        else:
            result = _UNKNOWN
        if result == _UNKNOWN:
            _refuse(self.machine, vcpu, call)
        vcpu.host_call_status(result)
        return self.status is not None

    def _emit(self, device: str, data: bytes) -> None:
        self.sent.add(data)
        text, trace = self._decoders[device].decode(data), self.machine.trace
        if trace.on:
            trace.emit(ConsoleWrite(device=device, text=text, size=len(data)))
        self.typing.said(data)
        if self.on_output is not None:
            trace.flush()  # what is shown comes after its event
            self.on_output(data)

    def finish(self) -> None:
        """The run is over: the trace shows what was left of a character."""
        trace = self.machine.trace
        for device, decoder in self._decoders.items():
            text = decoder.decode(b"", final=True)
            if text and trace.on:
                trace.emit(ConsoleWrite(device=device, text=text, size=0))

    def receive(self, data: bytes) -> None:
        """Send input to the console that has it, the only path for it."""
        self._typed.receive(data)

    def save(self) -> ConsoleState:
        """State for a snapshot."""
        partial = {device: data for device, one in self._decoders.items() if (data := one.getstate()[0])}
        output, dropped = bytes(self.sent), self.sent.dropped
        return ConsoleState(output=output, dropped=dropped, status=self.status, gave_up=self.gave_up, partial=partial)

    def restore(self, state: ConsoleState) -> None:
        """Restore what :meth:`save` returned."""
        self.sent.restore(state.output, state.dropped)
        self.status, self.gave_up = state.status, state.gave_up
        self._decoders.clear()
        for device, started in state.partial.items():
            self._decoders[device].setstate((started, 0))
