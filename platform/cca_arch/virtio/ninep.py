"""Virtio 9P transport: a mount tag in the configuration space, and one queue of 9P messages."""

from enum import IntEnum

__all__ = ["NinepFeature"]


class NinepFeature(IntEnum):
    """Bit numbers of its features."""

    MOUNT_TAG = 0

    @property
    def mask(self) -> int:
        """The feature as a bit of a set."""
        return 1 << self
