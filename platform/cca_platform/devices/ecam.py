"""The configuration space of a PCIe host bridge without devices."""

from cca_platform.devices.base import Device

__all__ = ["EmptyEcam"]


class EmptyEcam(Device):
    """Every function is absent: reads return all ones, writes are ignored."""

    def read(self, offset: int, size: int) -> int:
        """All ones: no completion."""
        return (1 << 8 * size) - 1
