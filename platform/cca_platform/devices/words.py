"""Devices whose registers are words, some of them in pairs of 64 bits, and views that depend on the Security state."""

from collections.abc import Callable
from typing import Any, Final

from cca_arch.types import Pas
from cca_platform.devices.base import WORD, Device, Register
from cca_platform.devices.wiring import Registers

__all__ = ["SecuredDevice", "WordDevice", "pair"]

_WORD_BYTES: Final = 4
_SECURE: Final = (Pas.SECURE, Pas.ROOT)


def _words(offset: int, size: int) -> range:
    """The words of an access; none unless it is an aligned one of 32 or 64 bits."""
    return range(offset, offset + size, _WORD_BYTES) if size in (4, 8) and not offset % size else range(0)


def pair(
    name: str,
    offset: int,
    read: Callable[[Any], int],
    write: Callable[[Any, int], None] | None = None,
    writable: int = 0,
) -> list[Register]:
    """The two words of a register of 64 bits; ``write(device, value)`` gets all of them, the other half as it reads.

    With ``writable``, ``device.values[offset]`` is state: all 64 bits, for ``read`` and ``write`` to use.
    """

    def half(shift: int) -> Callable[[Any], int]:
        return lambda device: read(device) >> shift & WORD

    def put(shift: int) -> Callable[[Any, int], None] | None:
        if write is None:
            return None
        change = write
        return lambda device, value: change(device, read(device) & ~(WORD << shift) | (value & WORD) << shift)

    return [
        Register(name, offset, writable=writable, read=half(0), write=put(0)),
        Register(f"{name}, high", offset + _WORD_BYTES, read=half(32), write=put(32)),
    ]


class WordDevice(Device):
    """A device that takes aligned accesses of 32 or 64 bits; every other one reads as zero and is ignored."""

    def read(self, offset: int, size: int) -> int:
        """Read a word or two."""
        self.settle()
        value = 0
        for at in _words(offset, size):
            value |= self.registers.read(self, at) << 8 * (at - offset)
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a word or two."""
        self.settle()
        for at in _words(offset, size):
            self.registers.write(self, at, value >> 8 * (at - offset) & WORD)
        self.drive()


class SecuredDevice(WordDevice):
    """A word device that tells Secure accesses (of the Secure and Root PAS) from Non-secure ones.

    :meth:`load` and :meth:`store` access one word; the device itself is what Secure software sees.
    """

    def view(self, pas: Pas) -> Registers:
        """The registers as accesses in this PAS see them."""
        return self if pas in _SECURE else _NonSecureView(self)

    def load(self, at: int, secure: bool) -> int:
        """Read the word at offset ``at``. Default: the register there."""
        return self.registers.read(self, at)

    def store(self, at: int, value: int, secure: bool) -> None:
        """Write the word at offset ``at``. Default: the register there."""
        self.registers.write(self, at, value)

    def read(self, offset: int, size: int, secure: bool = True) -> int:
        """Read a word or two."""
        self.settle()
        value = 0
        for at in _words(offset, size):
            value |= self.load(at, secure) << 8 * (at - offset)
        return value

    def write(self, offset: int, size: int, value: int, secure: bool = True) -> None:
        """Write a word or two."""
        self.settle()
        for at in _words(offset, size):
            self.store(at, value >> 8 * (at - offset) & WORD, secure)
        self.drive()


class _NonSecureView:
    """What Non-secure accesses see of a device."""

    def __init__(self, device: SecuredDevice) -> None:
        self.name = device.name
        self._device = device

    def read(self, offset: int, size: int) -> int:
        """Read a word or two."""
        return self._device.read(offset, size, secure=False)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a word or two."""
        self._device.write(offset, size, value, secure=False)
