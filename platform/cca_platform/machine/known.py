"""What is known of plain registers of devices, in a form that native code reads (:mod:`cca_platform.engine.devices`).

An access to a plain register has no effect: a read returns the same until its device changes, a write is ignored. The
first one is done by the device, and noted here; the bus tells when a device has changed.
"""

from array import array
from typing import Final

from cca_arch.types import Pas
from cca_platform.engine.devices import WRITES, key, place
from cca_platform.memory.words import Words, address_of, words
from cca_platform.native.block import DEVICES

__all__ = ["Known"]

_PAGE: Final = 0xFFF
_WORD: Final = 4  # bytes: the granularity of registers
_UNKNOWN: Final = -1


class Known:
    """What is known, for all PEs. ``rows`` are those of M_DEVICES."""

    def __init__(self) -> None:
        self.rows = words(2 * DEVICES)
        self._pages: dict[int, Words] = {}
        self._noted: dict[str, set[tuple[int, int]]] = {}  # by device: page, and word there

    def note(self, device: str, pa: int, size: int, pas: Pas, value: int | None) -> None:
        """An access of ``size`` bytes has read ``value`` or, if that is None, was a write that is ignored."""
        if size > _WORD or pa % _WORD:
            return
        page = int(key(pa & ~_PAGE, pas))
        known = self._pages.get(page)
        if known is None:
            known = self._pages[page] = array("q", [_UNKNOWN]) * (2 * WRITES)
        at = int(place(pa))
        self.rows[at], self.rows[at + 1] = page, address_of(known)
        number = (pa & _PAGE) // _WORD + (WRITES if value is None else 0)
        known[number] = size << 32 | (value or 0)
        self._noted.setdefault(device, set()).add((page, number))

    def forget(self, device: str) -> None:
        """The device has changed."""
        for page, number in self._noted.pop(device, ()):
            self._pages[page][number] = _UNKNOWN

    def forget_all(self) -> None:
        """Every device may have changed."""
        for device in list(self._noted):
            self.forget(device)
