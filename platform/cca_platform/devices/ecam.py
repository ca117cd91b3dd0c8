"""The configuration space of a PCIe host bridge that nothing is plugged into."""

from typing import Any

from cca_platform.devices.wiring import Wiring
from cca_platform.machine.board import Device

__all__ = ["EmptyEcam"]


class EmptyEcam:
    """Every function is absent: reads give all ones, writes are ignored."""

    deadline = None

    def __init__(self, device: Device, wiring: Wiring) -> None:
        self.name = device.name

    def read(self, offset: int, size: int) -> int:
        """All ones: no completion."""
        return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Ignored."""

    def advance(self, now: int) -> None:
        """Nothing happens by itself."""

    def reset(self) -> None:
        """There is no state."""

    def save(self) -> Any:
        """There is no state."""

    def restore(self, data: Any) -> None:
        """There is no state."""
