"""The firmware's only exception: a boot that must not continue."""

from cca_platform.errors import MachineError

__all__ = ["BootError", "NotReady"]


class BootError(MachineError):
    """The boot stops: an image is missing or not the certified one, or the board cannot hold it."""


class NotReady(BootError):
    """The Secure payload does not become ready on PE ``pe``: ``what`` says so, ``state`` how it stands."""

    def __init__(self, pe: int, what: str, state: str, remedy: str) -> None:
        super().__init__(f"{what}: {state}; {remedy}")
        self.pe = pe
        self.what = what
        self.state = state
        self.remedy = remedy
