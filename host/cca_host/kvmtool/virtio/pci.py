"""The PCI transport (Virtio 1.2, 4.1): a function with virtio's capabilities, interrupts by INTx or MSI-X."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

from cca_arch.pci import CONFIG_SIZE, Capability
from cca_arch.virtio import DeviceId
from cca_arch.virtio.pci import DEVICE_BASE, NO_VECTOR, VENDOR, CfgType, VirtioPciCap, VirtioPciCommonCfg
from cca_host.kvmtool.pci import Function, FunctionState
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.transport import Carrier, Front, FrontState
from cca_platform.board import DeviceRow
from cca_platform.state import State

__all__ = ["VirtioPci", "VirtioPciState"]

_BAR: Final = 0
_BAR_SIZE: Final = 0x4000
_PART: Final = 0x1000  # bytes of each of its parts


class _Part(IntEnum):
    """The parts of the BAR, in their order."""

    COMMON = 0
    ISR = 1
    DEVICE = 2
    NOTIFY = 3


_MULTIPLIER: Final = 4
_PARTS: Final = {
    CfgType.COMMON: (_Part.COMMON, VirtioPciCommonCfg.size),
    CfgType.ISR: (_Part.ISR, 1),
    CfgType.DEVICE: (_Part.DEVICE, _PART),
    CfgType.NOTIFY: (_Part.NOTIFY, _PART),
}
_CAP: Final = VirtioPciCap
_FIELDS: Final = {member.offset: (member.name, member.size) for member in VirtioPciCommonCfg.members.values()}
_ADDRESSES: Final = {"queue_desc": "desc", "queue_driver": "driver", "queue_device": "device"}
_WORD: Final = 0xFFFF_FFFF
_KINDS: Final = {
    DeviceId.NETWORK: 0x02_00_00,
    DeviceId.BLOCK: 0x01_80_00,
    DeviceId.CONSOLE: 0x07_80_00,
    DeviceId.FILE_SYSTEM: 0x01_80_00,
}
_OTHER: Final = 0xFF_00_00
"""Class codes: a device without a class of its own."""


class VirtioPciState(State, frozen=True, tag="virtio.pci/1"):
    """Saved state of a :class:`VirtioPci`: ``vectors`` by queue, then that of the configuration."""

    function: FunctionState
    front: FrontState
    vectors: tuple[int, ...]


class _PciFront(Front):
    """Interrupts by messages, where the driver uses them; ``vectors`` by queue, then that of the configuration."""

    def __init__(self, device: VirtioDevice, function: Function) -> None:
        super().__init__(device, function.intx)
        self._function = function
        self.vectors = [NO_VECTOR] * (len(device.queues) + 1)

    def interrupt(self, queue: int | None) -> None:
        """Send a message, or raise INTx."""
        if not self._function.messages:
            super().interrupt(queue)
            return
        vector = self.vectors[-1 if queue is None else queue]
        if vector != NO_VECTOR:
            self._function.message(vector)

    def reset(self) -> None:
        """The transport's part of a reset."""
        super().reset()
        self.vectors = [NO_VECTOR] * len(self.vectors)

    def vector(self, index: int, value: int) -> None:
        """Set a vector; one that the function does not have leaves none."""
        self.vectors[index] = value if value < len(self.vectors) else NO_VECTOR


class VirtioPci(Carrier, Function):
    """The function of one device, under its name."""

    front: _PciFront

    def __init__(self, device: VirtioDevice, send: Callable[[int, int], object]) -> None:
        super().__init__(
            DeviceRow(device.name, "virtio-pci", 0, 0),
            device.wiring,
            vendor=VENDOR,
            device=DEVICE_BASE + device.device_id,
            kind=_KINDS.get(device.device_id, _OTHER),
            vectors=len(device.queues) + 1,
            send=send,
        )
        self.front = _PciFront(device, self)
        self.add_bar(_BAR, _BAR_SIZE)
        for kind, (part, length) in _PARTS.items():
            self._add(kind, offset=part * _PART, length=length, more=_MULTIPLIER * (kind is CfgType.NOTIFY))
        window = _CAP.pack(bar=0xFF, offset=_WORD, length=_WORD)
        self._window = self._add(CfgType.PCI, writable=window[2:])

    def _add(self, kind: CfgType, writable: bytes = b"", **fields: int) -> int:
        length = _CAP.size if kind in (CfgType.NOTIFY, CfgType.PCI) else _CAP.offset("more")
        data = _CAP.pack(cfg_type=kind, bar=_BAR, cap_len=length, **fields)
        return self.add_capability(Capability.VENDOR, data[2:length], writable)

    # -- configuration space: the window into the BAR (4.1.4.9) ------------------------------------------------------
    def _in_window(self, offset: int) -> tuple[int, int] | None:
        """Offset in the BAR and size of an access to pci_cfg_data, if it has these."""
        if offset != self._window + _CAP.offset("more"):
            return None
        row = _CAP.unpack(bytes(self.config_field(self._window + at, 1) for at in range(_CAP.size)))
        fits = row.bar == _BAR and row.length in (1, 2, 4) and row.offset + row.length <= _BAR_SIZE
        return (row.offset, row.length) if fits and not row.offset % row.length else None

    def read_config(self, offset: int, size: int) -> int:
        """Read configuration space."""
        found = self._in_window(offset)
        return super().read_config(offset, size) if found is None else self.read_bar(_BAR, *found)

    def write_config(self, offset: int, size: int, value: int) -> None:
        """Write configuration space."""
        found = self._in_window(offset)
        if found is not None:
            self.write_bar(_BAR, *found, value)
        elif offset < CONFIG_SIZE:
            super().write_config(offset, size, value)

    # -- the BAR ----------------------------------------------------------------------------------------------------
    def read_bar(self, number: int, offset: int, size: int) -> int:
        """Read in a BAR."""
        if number != _BAR:
            return super().read_bar(number, offset, size)
        front, (part, at) = self.front, divmod(offset, _PART)
        match part:
            case _Part.COMMON:
                return self._read_common(at, size)
            case _Part.ISR if not at:
                reasons = front.reasons
                front.acknowledge(reasons)
                return reasons
            case _Part.DEVICE:
                return front.read_config(at, size)
        return 0

    def write_bar(self, number: int, offset: int, size: int, value: int) -> None:
        """Write in a BAR."""
        if number != _BAR:
            super().write_bar(number, offset, size, value)
            return
        part, at = divmod(offset, _PART)
        match part:
            case _Part.COMMON:
                self._write_common(at, size, value & (1 << 8 * size) - 1)
            case _Part.DEVICE:
                self.front.write_config(at, size, value)
            case _Part.NOTIFY:
                self.front.device.notify(at // _MULTIPLIER)

    def _read_common(self, offset: int, size: int) -> int:
        """Read a field of the common configuration, or half of one of 64 bits."""
        name, width = _FIELDS.get(offset, ("", 0))
        if not name and offset - 4 in _FIELDS:
            name, width = _FIELDS[offset - 4]
            return self._field(name) >> 32 if (width, size) == (8, 4) else 0
        if size == width:
            return self._field(name)
        return self._field(name) & _WORD if (width, size) == (8, 4) else 0

    def _field(self, name: str) -> int:
        front, queue = self.front, self.front.queue
        match name:
            case "device_feature_select":
                return front.device_features_sel
            case "device_feature":
                return front.device_features
            case "driver_feature_select":
                return front.driver_features_sel
            case "driver_feature":
                return front.driver_features
            case "config_msix_vector":
                return front.vectors[-1]
            case "num_queues":
                return len(front.device.queues)
            case "device_status":
                return front.status
            case "config_generation":
                return front.device.generation
            case "queue_select":
                return front.queue_sel
        if queue is None:
            return 0
        match name:
            case "queue_size":
                return queue.size
            case "queue_msix_vector":
                return front.vectors[front.queue_sel]
            case "queue_enable":
                return int(queue.ready)
            case "queue_notify_off":
                return front.queue_sel
        return int(getattr(queue, _ADDRESSES[name])) if name in _ADDRESSES else 0

    def _write_common(self, offset: int, size: int, value: int) -> None:
        """Write a field of the common configuration, or half of one of 64 bits."""
        name, width = _FIELDS.get(offset, ("", 0))
        if not name and offset - 4 in _FIELDS:
            name, width = _FIELDS[offset - 4]
            if (width, size) == (8, 4):
                self.front.set_part(_ADDRESSES[name], value, high=True)
        elif (width, size) == (8, 4):
            self.front.set_part(_ADDRESSES[name], value, high=False)
        elif (width, size) == (8, 8):
            self.front.set_part(_ADDRESSES[name], value & _WORD, high=False)
            self.front.set_part(_ADDRESSES[name], value >> 32, high=True)
        elif size == width:
            self._set(name, value)

    def _set(self, name: str, value: int) -> None:
        front = self.front
        match name:
            case "device_feature_select":
                front.device_features_sel = value
            case "driver_feature_select":
                front.driver_features_sel = value
            case "driver_feature":
                front.driver_features = value
            case "config_msix_vector":
                front.vector(-1, value)
            case "device_status":
                front.status = value
            case "queue_select":
                front.queue_sel = value
            case "queue_size":
                front.set_size(value)
            case "queue_msix_vector" if front.queue is not None:
                front.vector(front.queue_sel, value)
            case "queue_enable" if value == 1:
                front.enable()

    # -- state ------------------------------------------------------------------------------------------------------
    def save(self) -> VirtioPciState:
        """State for a snapshot."""
        return VirtioPciState(super().save(), self.front.save(), tuple(self.front.vectors))

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned."""
        super().restore(state.function)
        self.front.restore(state.front)
        self.front.vectors = list(state.vectors)
