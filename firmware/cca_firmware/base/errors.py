"""The firmware's only exception: a boot that must not continue."""

from cca_platform.errors import MachineError

__all__ = ["BootError"]


class BootError(MachineError):
    """The boot stops: an image is missing or not the certified one, or the board cannot hold it."""
