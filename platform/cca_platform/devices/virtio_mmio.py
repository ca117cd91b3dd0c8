"""Virtio transports over MMIO without a device behind them (VIRTIO 1.2, 4.2): drivers find DeviceID 0 and go on."""

from typing import Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Register, RegisterTable
from cca_platform.devices.keys import VirtioKeys, options
from cca_platform.devices.wiring import Wiring
from cca_platform.devices.words import WordDevice

__all__ = ["EmptyVirtio"]

_MAGIC: Final = int.from_bytes(b"virt", "little")
_VERSION: Final = 2


class EmptyVirtio(WordDevice):
    """Transports one after another, ``stride`` bytes each, all of them empty."""

    keys = VirtioKeys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._stride = options(row, VirtioKeys).stride

    def read(self, offset: int, size: int) -> int:
        """Read a register of a transport."""
        return super().read(offset % self._stride, size)

    registers = RegisterTable(
        Register("MagicValue", 0x0, reset=_MAGIC),
        Register("Version", 0x4, reset=_VERSION),
        Register("DeviceID", 0x8),
    )
