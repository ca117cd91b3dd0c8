"""The one exception of the firmware: a boot that must not go on."""

from cca_platform.errors import MachineError

__all__ = ["BootError"]


class BootError(MachineError):
    """The boot refuses to go on: an image is missing or not the certified one, or the board cannot hold it."""
