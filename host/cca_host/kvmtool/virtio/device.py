"""What all virtio devices have, whatever carries them: features, status, queues, configuration, requests.

A device declares its type and the sizes of its queues, and answers the chains that the driver makes available::

    class Echo(VirtioDevice):
        device_id = DeviceId.CONSOLE
        sizes = (64,)

        def serve(self, index: int, chain: Chain) -> int | None:
            return self.memory.scatter(chain.writable, self.memory.gather(chain.readable))

A driver that breaks a rule of its rings, or gives an address that is not for devices, finds DEVICE_NEEDS_RESET in the
status; everything that was used before is still there.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from msgspec import Struct

from cca_arch.virtio import DeviceId, DeviceStatus, Feature
from cca_host.kvmtool.guestmemory import GuestMemory, OutsideMemory
from cca_host.kvmtool.virtio.queue import Chain, Queue, QueueState, RingError
from cca_platform.devices.wiring import Wiring
from cca_platform.state import AnyState, State
from cca_platform.trace.events import VirtioFault, VirtioRequest
from cca_platform.trace.forms import UNSET, UnsetType

__all__ = ["Transport", "VirtioDevice", "VirtioState"]

_DRIVER_OK, _FEATURES_OK = DeviceStatus.driver_ok.mask, DeviceStatus.features_ok.mask
_NEEDS_RESET: Final = DeviceStatus.needs_reset.mask
_LIVE: Final = _DRIVER_OK | _FEATURES_OK
_BY_DRIVER: Final = int(DeviceStatus.make(acknowledge=1, driver=1, driver_ok=1, features_ok=1, failed=1))
_REQUIRED: Final = Feature.VERSION_1.mask | Feature.ACCESS_PLATFORM.mask
_COMMON: Final = _REQUIRED | Feature.RING_INDIRECT_DESC.mask | Feature.RING_EVENT_IDX.mask
_TICKET: Final = 8  # bytes before the result of a thread
_FROM_OUTSIDE, _FROM_THREAD = b"\0", b"\1"


class Transport(Protocol):
    """What carries a device: registers in front of it, and its way to interrupt."""

    def interrupt(self, queue: int | None) -> None:
        """Tell the driver that buffers of ``queue`` were used, or (None) that the configuration has changed."""


class _Pending(State, frozen=True, tag="virtio.pending/1"):
    """A chain of a queue that waits for the result of a thread, under the number of a ticket."""

    ticket: int
    queue: int
    head: int
    readable: tuple[tuple[int, int], ...]
    writable: tuple[tuple[int, int], ...]


class VirtioState(State, frozen=True, tag="virtio.device/1"):
    """Saved state of a :class:`VirtioDevice`; ``more`` is what its type adds."""

    status: int
    features: int
    generation: int
    tickets: int
    queues: tuple[QueueState, ...]
    pending: tuple[_Pending, ...]
    more: AnyState | None


class _Nowhere(Struct, frozen=True):
    """The transport of a device that has none yet."""

    def interrupt(self, queue: int | None) -> None:
        """Nobody hears it."""


class VirtioDevice:
    """A device with its queues. ``features`` are what device and driver have agreed on, ``status`` its status field."""

    device_id: ClassVar[DeviceId]
    sizes: ClassVar[tuple[int, ...]]
    """The largest size of each of its queues."""
    offers: ClassVar[int] = 0
    """The features of its type that it offers, as a set of bits."""

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory) -> None:
        self.name = name
        self.wiring = wiring
        self.memory = memory
        self.transport: Transport = _Nowhere()
        self.queues = [Queue(memory, size) for size in self.sizes]
        self.status = self.features = self.generation = 0
        self.required: int = _REQUIRED
        """Features without which the device does not work."""
        self._tickets = 0
        self._pending: dict[int, tuple[int, Chain]] = {}

    # -- for the types of devices -----------------------------------------------------------------------------------
    @property
    def offered(self) -> int:
        """All features that it offers."""
        return _COMMON | self.offers

    @property
    def config(self) -> bytes:
        """The configuration space. Default: none."""
        return b""

    def write_config(self, offset: int, data: bytes) -> None:
        """The driver writes to the configuration space. Default: it is read-only."""

    def serve(self, index: int, chain: Chain) -> int | None:
        """Answer a chain of queue ``index``; returns the bytes written to it, None if it is returned :meth:`later`."""
        raise NotImplementedError

    def notified(self, index: int) -> None:
        """The driver has made buffers of a queue available. Default: serve all of them."""
        queue = self.queues[index]
        queue.quiet()
        left = queue.size
        while (chain := queue.pop()) is not None:
            if not left:  # its own answers have made chains available
                raise RingError(f"a queue must not have more than {queue.size} chains at once, its size")
            left -= 1
            written = self.serve(index, chain)
            if written is not None:
                queue.push(chain, written)
        self.signal(index)

    def received(self, data: bytes) -> None:
        """Take what :meth:`receive` has let in. Default: it has no use for it."""

    def finished(self, index: int, chain: Chain, result: bytes) -> int:
        """A thread has done what :meth:`later` gave it; returns the bytes written to the chain. Default: none."""
        return 0

    def started(self) -> None:
        """The driver has set DRIVER_OK. Default: nothing."""

    def stopped(self) -> None:
        """The driver has reset the device. Default: nothing."""

    @property
    def deadline(self) -> int | None:
        """The clock value of its next action, or None. Default: None."""
        return None

    def due(self, now: int) -> None:
        """The clock has reached the deadline. Default: nothing."""

    def close(self) -> None:
        """The run is over: give back what it has of the host. Default: nothing."""

    def save_more(self) -> AnyState | None:
        """What the type adds to the saved state. Default: nothing."""
        return None

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned. Default: nothing."""

    # -- services for them ------------------------------------------------------------------------------------------
    @property
    def live(self) -> bool:
        """Whether the driver drives it, and has broken nothing."""
        return self.status & (_LIVE | _NEEDS_RESET) == _LIVE

    def has(self, feature: int) -> bool:
        """Whether device and driver have agreed on the feature with this bit number."""
        return bool(self.features >> feature & 1)

    def signal(self, index: int) -> None:
        """Interrupt for what a queue has returned, if the driver wants that."""
        if self.queues[index].must_signal():
            self.transport.interrupt(index)

    def changed(self) -> None:
        """The configuration space has changed."""
        self.generation = self.generation + 1 & 0xFF
        if self.live:
            self.transport.interrupt(None)

    def receive(self, data: bytes) -> None:
        """Let in what comes from outside the machine, at any time: :meth:`received` gets it."""
        self.wiring.receive(_FROM_OUTSIDE + data)

    def deliver(self, data: bytes) -> None:
        """As :meth:`receive`, for threads: what they let in waits until the machine looks."""
        self.wiring.deliver(_FROM_OUTSIDE + data)

    def later(self, index: int, chain: Chain, work: Callable[[], bytes], ticks: int) -> None:
        """Let a thread do ``work``, which takes ``ticks`` of virtual time; :meth:`finished` gets its result."""
        self._tickets += 1
        ticket = self._tickets
        self._pending[ticket] = index, chain
        head = _FROM_THREAD + ticket.to_bytes(_TICKET, "little")
        self.wiring.submit(lambda: head + work(), ticks)

    def note(
        self, index: int, kind: str, length: int, status: str = "ok", sector: int | UnsetType = UNSET
    ) -> None:  # fmt: skip
        """Trace a request of ``length`` bytes."""
        trace = self.wiring.trace
        if trace.on:
            trace.emit(
                VirtioRequest(device=self.name, queue=index, kind=kind, sector=sector, length=length, status=status)
            )

    # -- the driver's side, through the transport -------------------------------------------------------------------
    def set_status(self, value: int) -> None:
        """The driver writes the status field; 0 resets the device."""
        if not value:
            self.reset()
            return
        before, value = self.status, value & _BY_DRIVER
        if value & ~before & _FEATURES_OK and not self._agrees():
            value &= ~_FEATURES_OK
        self.status = value | before & _NEEDS_RESET
        if value & ~before & _DRIVER_OK and self.live:
            self._guarded(None, self.started)

    def _agrees(self) -> bool:
        """Whether the device works with the features that the driver has accepted."""
        return not self.features & ~self.offered and self.features & self.required == self.required

    def set_features(self, value: int) -> None:
        """The driver accepts features, before it sets FEATURES_OK."""
        if not self.status & _FEATURES_OK:
            self.features = value

    def enable(self, index: int) -> None:
        """The driver has set up a queue."""
        queue = self.queues[index]
        if not queue.ready:
            self._guarded(
                index, lambda: queue.enable(self.has(Feature.RING_EVENT_IDX), self.has(Feature.RING_INDIRECT_DESC))
            )

    def notify(self, index: int) -> None:
        """The driver notifies a queue. One that does not exist, or a device that is not set up, does nothing."""
        if index < len(self.queues) and self.live and self.queues[index].ready:
            self._guarded(index, lambda: self.notified(index))

    def arrive(self, data: bytes) -> None:
        """Take an input that the machine has noticed, or the result of a thread."""
        if data.startswith(_FROM_THREAD):
            self._finish(int.from_bytes(data[1 : 1 + _TICKET], "little"), data[1 + _TICKET :])
        else:
            self._guarded(None, lambda: self.received(data[1:]))

    def advance(self, now: int) -> None:
        """Do what is due: the clock has reached the deadline."""
        self._guarded(None, lambda: self.due(now))

    def _finish(self, ticket: int, result: bytes) -> None:
        found = self._pending.pop(ticket, None)
        if found is None or not self.live:  # the driver has reset the device since
            return
        index, chain = found

        def finish() -> None:
            self.queues[index].push(chain, self.finished(index, chain, result))
            self.signal(index)

        self._guarded(index, finish)

    def _guarded(self, index: int | None, work: Callable[[], object]) -> None:
        """Do something; what the driver has done wrong costs it the device."""
        try:
            work()
        except (RingError, OutsideMemory) as wrong:
            self.status |= _NEEDS_RESET
            trace = self.wiring.trace
            if trace.on:
                queue = UNSET if index is None else index
                trace.emit(VirtioFault(device=self.name, queue=queue, reason=str(wrong)))
            if self.status & _DRIVER_OK:
                self.transport.interrupt(None)

    def reset(self) -> None:
        """Forget what the driver has set up."""
        self.status = self.features = 0
        for queue in self.queues:
            queue.reset()
        self._pending.clear()
        self.stopped()

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save(self) -> VirtioState:
        """State for a snapshot."""
        return VirtioState(
            status=self.status,
            features=self.features,
            generation=self.generation,
            tickets=self._tickets,
            queues=tuple(queue.save() for queue in self.queues),
            pending=tuple(
                _Pending(ticket, index, chain.head, tuple(chain.readable), tuple(chain.writable))
                for ticket, (index, chain) in self._pending.items()
            ),
            more=self.save_more(),
        )

    def restore(self, state: VirtioState) -> None:
        """Restore what :meth:`save` returned."""
        self.status, self.features, self.generation = state.status, state.features, state.generation
        self._tickets = state.tickets
        for queue, saved in zip(self.queues, state.queues, strict=True):
            queue.restore(saved)
        self._pending = {
            one.ticket: (one.queue, Chain(one.head, list(one.readable), list(one.writable))) for one in state.pending
        }
        if state.more is not None:
            self.restore_more(state.more)
