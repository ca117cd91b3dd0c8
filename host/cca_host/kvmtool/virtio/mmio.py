"""The MMIO transport (Virtio 1.2, 4.2): a frame of registers for each device, and a level interrupt."""

from collections.abc import Callable
from typing import Any, Final

from cca_arch.devicetree import Node
from cca_arch.virtio.mmio import FRAME_SIZE, MAGIC, VERSION, MmioRegister
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.transport import Carrier, Front, FrontState
from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device

__all__ = ["FRAME_SIZE", "VENDOR", "VirtioMmio", "mmio_node"]

VENDOR: Final = int.from_bytes(b"RLAB", "little")
_R = MmioRegister
_WORD_SIZE: Final = 4
_ADDRESSES: Final = {
    _R.QUEUE_DESC_LOW: ("desc", False),
    _R.QUEUE_DESC_HIGH: ("desc", True),
    _R.QUEUE_DRIVER_LOW: ("driver", False),
    _R.QUEUE_DRIVER_HIGH: ("driver", True),
    _R.QUEUE_DEVICE_LOW: ("device", False),
    _R.QUEUE_DEVICE_HIGH: ("device", True),
}
_NO_SHARED_MEMORY: Final = 0xFFFF_FFFF
_READS: Final[dict[int, Callable[[Front], int]]] = {
    _R.MAGIC_VALUE: lambda front: MAGIC,
    _R.VERSION: lambda front: VERSION,
    _R.DEVICE_ID: lambda front: front.device.device_id,
    _R.VENDOR_ID: lambda front: VENDOR,
    _R.DEVICE_FEATURES: lambda front: front.device_features,
    _R.QUEUE_NUM_MAX: lambda front: front.of_queue("limit"),
    _R.QUEUE_READY: lambda front: front.of_queue("ready"),
    _R.INTERRUPT_STATUS: lambda front: front.reasons,
    _R.STATUS: lambda front: front.status,
    _R.SHM_LEN_LOW: lambda front: _NO_SHARED_MEMORY,
    _R.SHM_LEN_HIGH: lambda front: _NO_SHARED_MEMORY,
    _R.SHM_BASE_LOW: lambda front: _NO_SHARED_MEMORY,
    _R.SHM_BASE_HIGH: lambda front: _NO_SHARED_MEMORY,
    _R.CONFIG_GENERATION: lambda front: front.device.generation,
}
"""What the registers read; those that are only written read 0."""


def _ready(front: Front, value: int) -> None:
    queue = front.queue
    if value & 1:
        front.enable()
    elif queue is not None:
        queue.ready = False


_WRITES: Final[dict[int, Callable[[Front, int], object]]] = {
    _R.DEVICE_FEATURES_SEL: lambda front, value: setattr(front, "device_features_sel", value),
    _R.DRIVER_FEATURES: lambda front, value: setattr(front, "driver_features", value),
    _R.DRIVER_FEATURES_SEL: lambda front, value: setattr(front, "driver_features_sel", value),
    _R.QUEUE_SEL: lambda front, value: setattr(front, "queue_sel", value),
    _R.QUEUE_NUM: Front.set_size,
    _R.QUEUE_READY: _ready,
    _R.QUEUE_NOTIFY: lambda front, value: front.device.notify(value),
    _R.INTERRUPT_ACK: Front.acknowledge,
    _R.STATUS: lambda front, value: setattr(front, "status", value),
}


class VirtioMmio(Carrier, Device):
    """The frame of one device, under its name."""

    def __init__(self, base: int, device: VirtioDevice) -> None:
        super().__init__(DeviceRow(device.name, "virtio-mmio", base, FRAME_SIZE), device.wiring)
        self.front = Front(device, device.wiring.line)

    def read(self, offset: int, size: int) -> int:
        """Read a register, by whole words, or the configuration space."""
        if offset >= _R.CONFIG:
            return self.front.read_config(offset - _R.CONFIG, size)
        found = _READS.get(offset) if size == _WORD_SIZE else None
        return 0 if found is None else found(self.front)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register, by whole words, or the configuration space."""
        if offset >= _R.CONFIG:
            self.front.write_config(offset - _R.CONFIG, size, value)
        elif size == _WORD_SIZE and offset in _ADDRESSES:
            field, high = _ADDRESSES[MmioRegister(offset)]
            self.front.set_part(field, value, high)
        elif size == _WORD_SIZE and offset in _WRITES:
            _WRITES[offset](self.front, value)

    def power_on(self) -> None:
        """Handle a reset."""
        self.front.status = 0

    def save(self) -> FrontState:
        """State for a snapshot."""
        return self.front.save()

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned."""
        self.front.restore(state)


def mmio_node() -> Node:
    """The device-tree node of a frame: the table adds where it is."""
    return Node("virtio", {"compatible": "virtio,mmio", "dma-coherent": None})
