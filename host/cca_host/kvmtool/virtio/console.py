"""The console device (Virtio 1.2, 5.3) with one port: hvc0 of Linux. A notification sends any number of characters."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from cca_arch.virtio import DeviceId
from cca_arch.virtio.console import RECEIVE, TRANSMIT, ConsoleFeature, VirtioConsoleConfig
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.queue import RingError
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["VirtioConsole"]

_MOST: Final = 1 << 20
_PART: Final = 1 << 16
"""Bytes that are taken from a buffer at once."""


class VirtioConsoleState(State, frozen=True, tag="virtio.console/2"):
    """What was typed and not read yet, the size of the terminal, whether the driver listens, and until when to wait."""

    received: bytes
    size: tuple[int, int]
    listens: bool
    patience: int | None


class VirtioConsole(VirtioDevice):
    """One console. ``on_output(bytes)`` gets what the guest sends; :meth:`receive` is for what is typed.

    The driver listens once it has sent something, or a second after it has started. Linux's throws away what comes
    before it has made a terminal of the device. ``on_look()`` is called when it begins to listen.

    ``size`` is that of the terminal, columns and rows; (0, 0): not known.
    """

    device_id: ClassVar[DeviceId] = DeviceId.CONSOLE
    sizes: ClassVar[tuple[int, ...]] = (8, 32)
    """A driver keeps a page for each buffer of the first: a Realm has few that it shares."""
    offers: ClassVar[int] = 1 << ConsoleFeature.SIZE

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory) -> None:
        super().__init__(name, wiring, memory)
        self.on_output: Callable[[bytes], object] | None = None
        self.on_look: Callable[[], object] | None = None
        self.size = (0, 0)
        self._received = bytearray()
        self._listens = False
        self._patience: int | None = None  # the clock value at which the driver is taken to listen

    @property
    def config(self) -> bytes:
        """The size of the terminal."""
        columns, rows = self.size
        return VirtioConsoleConfig.pack(cols=columns, rows=rows)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size."""
        self.size = columns, rows
        self.changed()

    def notified(self, index: int) -> None:
        """Take all that the guest sends, or fill the buffers that it has made available."""
        if index == RECEIVE:
            self._fill()
        else:
            self._send()
            self._hear()

    def _send(self) -> None:
        queue, memory = self.queues[TRANSMIT], self.memory
        queue.quiet()
        while (chain := queue.pop()) is not None:
            if chain.to_read > _MOST:
                raise RingError(f"what is sent at once must have at most {_MOST} bytes, not {chain.to_read}")
            for address, size in chain.readable:
                for at in range(0, size, _PART):
                    self._emit(memory.read(address + at, min(_PART, size - at)))
            self.note(TRANSMIT, "transmit", chain.to_read)
            queue.push(chain, 0)
        self.signal(TRANSMIT)

    def _emit(self, data: bytes) -> None:
        if self.on_output is not None:
            self.on_output(data)

    def received(self, data: bytes) -> None:
        """Take what was typed."""
        self._received += data
        self._fill()

    def started(self) -> None:
        """The driver is there, and may not listen yet."""
        clock = self.wiring.clock
        self._listens, self._patience = False, clock.now + clock.counter_hz

    def stopped(self) -> None:
        """There is no driver any more."""
        self._listens, self._patience = False, None

    @property
    def deadline(self) -> int | None:
        """When the driver is taken to listen."""
        return self._patience

    def due(self, now: int) -> None:
        """The driver has had a second."""
        if self._patience is not None and now >= self._patience:
            self._hear()

    def _hear(self) -> None:
        """The driver listens."""
        if not self._listens:
            self._listens, self._patience = True, None
            self._fill()
            if self.on_look is not None:
                self.on_look()

    @property
    def listens(self) -> bool:
        """Whether there is a driver that listens."""
        return self.live and self._listens

    @property
    def drained(self) -> bool:
        """Whether the guest has everything that was typed."""
        return not self._received

    def _fill(self) -> None:
        """Give the guest what was typed, as far as it has buffers."""
        queue = self.queues[RECEIVE]
        while self._received and self.listens and (chain := queue.pop()) is not None:
            written = self.memory.scatter(chain.writable, bytes(self._received[: chain.to_write]))
            del self._received[:written]
            self.note(RECEIVE, "receive", written)
            queue.push(chain, written)
        self.signal(RECEIVE)

    def save_more(self) -> VirtioConsoleState:
        """State for a snapshot."""
        return VirtioConsoleState(bytes(self._received), self.size, self._listens, self._patience)

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned."""
        self._received, self.size = bytearray(state.received), state.size
        self._listens, self._patience = state.listens, state.patience
