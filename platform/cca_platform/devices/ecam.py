"""A PCIe host bridge without devices: its configuration space, and its windows of memory and I/O."""

from cca_platform.devices.base import Device

__all__ = ["EmptyEcam"]


class EmptyEcam(Device):
    """Nothing answers: reads return all ones, writes are ignored."""

    def read(self, offset: int, size: int) -> int:
        """All ones: no completion."""
        return (1 << 8 * size) - 1
