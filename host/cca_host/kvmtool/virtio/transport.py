"""What the transports of virtio have in common: selected features and queues, the reasons of an interrupt."""

from collections.abc import Callable
from typing import Any, Final

from cca_arch.virtio import InterruptStatus
from cca_host.kvmtool.virtio.device import VirtioDevice, VirtioState
from cca_host.kvmtool.virtio.queue import Queue
from cca_platform.state import State

__all__ = ["Carrier", "Front", "FrontState"]

_WORD: Final = 0xFFFF_FFFF
_BEYOND: Final = 1 << 64  # a feature of words that no device has
_USED, _CONFIGURATION = int(InterruptStatus.used.mask), int(InterruptStatus.configuration.mask)


class FrontState(State, frozen=True, tag="virtio.front/1"):
    """Saved state of a :class:`Front` with its device."""

    device_features_sel: int
    driver_features_sel: int
    queue_sel: int
    reasons: int
    device: VirtioState


class Front:
    """The registers that a driver sees of ``device``, wherever the transport has them.

    ``drive(level)`` sets the interrupt line. ``reasons`` are those of the interrupt, as InterruptStatus.
    """

    def __init__(self, device: VirtioDevice, drive: Callable[[bool], object]) -> None:
        self.device = device
        device.transport = self
        self._drive = drive
        self.device_features_sel = self.driver_features_sel = self.queue_sel = self.reasons = 0

    # -- interrupts -------------------------------------------------------------------------------------------------
    def interrupt(self, queue: int | None) -> None:
        """Raise the line: buffers of ``queue`` were used, or (None) the configuration has changed."""
        self.reasons |= _CONFIGURATION if queue is None else _USED
        self._drive(True)

    def acknowledge(self, reasons: int) -> None:
        """The driver has seen these reasons."""
        self.reasons &= ~reasons
        self._drive(bool(self.reasons))

    # -- features and status ----------------------------------------------------------------------------------------
    @property
    def device_features(self) -> int:
        """The selected word of the features that the device offers."""
        return self.device.offered >> 32 * self.device_features_sel & _WORD if self.device_features_sel < 2 else 0

    @property
    def driver_features(self) -> int:
        """The selected word of the features that the driver has accepted."""
        return self.device.features >> 32 * self.driver_features_sel & _WORD if self.driver_features_sel < 2 else 0

    @driver_features.setter
    def driver_features(self, value: int) -> None:
        shift = 32 * self.driver_features_sel
        if self.driver_features_sel < 2:
            self.device.set_features(self.device.features & ~(_WORD << shift) | value << shift)
        elif value:  # no such feature: FEATURES_OK must fail
            self.device.set_features(self.device.features | _BEYOND)

    @property
    def status(self) -> int:
        """The device status."""
        return self.device.status

    @status.setter
    def status(self, value: int) -> None:
        self.device.set_status(value)
        if not value:
            self.reset()

    def reset(self) -> None:
        """The transport's part of a reset."""
        self.device_features_sel = self.driver_features_sel = self.queue_sel = 0
        self.acknowledge(self.reasons)

    # -- queues -----------------------------------------------------------------------------------------------------
    @property
    def queue(self) -> Queue | None:
        """The selected queue, or None if the device has no such."""
        queues = self.device.queues
        return queues[self.queue_sel] if self.queue_sel < len(queues) else None

    def of_queue(self, field: str) -> int:
        """A field of the selected queue; 0 if there is none."""
        queue = self.queue
        return 0 if queue is None else int(getattr(queue, field))

    def set_size(self, value: int) -> None:
        """The size of the selected queue, before it is enabled."""
        queue = self.queue
        if queue is not None and not queue.ready:
            queue.size = value

    def set_part(self, field: str, value: int, high: bool) -> None:
        """A half of an address of the selected queue, before it is enabled."""
        queue = self.queue
        if queue is not None and not queue.ready:
            before = getattr(queue, field)
            setattr(queue, field, before & _WORD | value << 32 if high else before & ~_WORD | value)

    def enable(self) -> None:
        """Enable the selected queue."""
        if self.queue is not None:
            self.device.enable(self.queue_sel)

    # -- configuration ----------------------------------------------------------------------------------------------
    def read_config(self, offset: int, size: int) -> int:
        """Read the device's configuration space: zeroes follow its end."""
        return int.from_bytes(self.device.config[offset : offset + size], "little")

    def write_config(self, offset: int, size: int, value: int) -> None:
        """Write the device's configuration space."""
        self.device.write_config(offset, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save(self) -> FrontState:
        """State for a snapshot."""
        return FrontState(
            device_features_sel=self.device_features_sel,
            driver_features_sel=self.driver_features_sel,
            queue_sel=self.queue_sel,
            reasons=self.reasons,
            device=self.device.save(),
        )

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned. The interrupt controller restores the line."""
        self.device_features_sel, self.driver_features_sel = state.device_features_sel, state.driver_features_sel
        self.queue_sel, self.reasons = state.queue_sel, state.reasons
        self.device.restore(state.device)


class Carrier:
    """What a transport, as a device of the table, passes on to the virtio device behind its ``front``."""

    front: Front

    def arrive(self, data: bytes) -> None:
        """Take an input for the device."""
        self.front.device.arrive(data)

    @property
    def deadline(self) -> int | None:
        """The clock value of the device's next action, or None."""
        return self.front.device.deadline

    def advance(self, now: int) -> None:
        """Let the device do what is due."""
        self.front.device.advance(now)
