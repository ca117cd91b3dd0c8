"""A guest's memory as its devices see it: what the guest has shared with the host, and nothing else.

The addresses are those that the guest gives to a device. A Realm's have the shared bit; without it they name protected
memory, which belongs to the Realm alone. The granule protection check would refuse such an access in any case: a device
must not even try, because the fault would be the host's.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from cca_arch.types import GRANULE_SIZE
from cca_platform.memory.ports import Port

__all__ = ["Guest", "GuestMemory", "OutsideMemory", "Piece"]

_OFFSET: Final = GRANULE_SIZE - 1

Piece = tuple[int, int]
"""Address and size of a part of a buffer."""


class OutsideMemory(Exception):
    """The guest gave a device an address at which there is no memory for it: protected, a device's, or nothing."""

    def __init__(self, address: int) -> None:
        self.address = address
        super().__init__(f"the address must lie in memory that the guest shares, not be {address:#x}")


class Guest(Protocol):
    """A VM as its devices have it."""

    def irq_line(self, intid: int, level: bool) -> None:
        """Set the input of an SPI."""

    def message(self, address: int, value: int) -> None:
        """A device writes a message, which may be an interrupt."""

    def shared_page(self, address: int) -> int | None:
        """The PA of the page at ``address``, page-aligned as the guest gives it to a device; None: not for devices."""

    def give_back(self, base: int, top: int) -> None:
        """Return the memory of pages, by IPA, to the host; what a Realm has not given up stays."""


class GuestMemory:
    """The port of a VM's devices into its memory.

    A range may go over any number of pages. A range that leaves what is shared raises OutsideMemory, and a write then
    has written nothing.
    """

    def __init__(self, port: Port, guest: Guest | None = None) -> None:
        self.guest = guest
        """Devices exist before the VM that they belong to."""
        self._port = port

    def _page(self, address: int) -> int:
        pa = None if self.guest is None else self.guest.shared_page(address)
        if pa is None:
            raise OutsideMemory(address)
        return pa

    def _parts(self, address: int, size: int) -> list[tuple[int, int]]:
        """PA and length of a range, page by page."""
        parts = []
        while size > 0:
            offset = address & _OFFSET
            length = min(GRANULE_SIZE - offset, size)
            parts.append((self._page(address - offset) + offset, length))
            address, size = address + length, size - length
        return parts

    def read(self, address: int, size: int) -> bytes:
        """Read ``size`` bytes."""
        offset = address & _OFFSET
        if 0 < size <= GRANULE_SIZE - offset:
            return self._port.read(self._page(address - offset) + offset, size)
        read = self._port.read
        return b"".join([read(pa, length) for pa, length in self._parts(address, size)])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data``."""
        offset, size = address & _OFFSET, len(data)
        if 0 < size <= GRANULE_SIZE - offset:
            self._port.write(self._page(address - offset) + offset, data)
            return
        source, at = memoryview(data), 0
        for pa, length in self._parts(address, size):
            self._port.write(pa, source[at : at + length])
            at += length

    def give_back(self, base: int, top: int) -> None:
        """The guest gives up pages, by IPA without the shared bit."""
        if self.guest is not None:
            self.guest.give_back(base, top)

    def gather(self, pieces: Iterable[Piece]) -> bytes:
        """Read pieces, one after another."""
        return b"".join([self.read(address, size) for address, size in pieces])

    def scatter(self, pieces: Iterable[Piece], data: bytes | bytearray | memoryview) -> int:
        """Write ``data`` over pieces, one after another, as far as both go; returns how many bytes that were."""
        source, at, size = memoryview(data), 0, len(data)
        for address, length in pieces:
            if at >= size:
                break
            part = source[at : at + length]
            self.write(address, part)
            at += len(part)
        return at
