"""RAM outside the DRAM of a board: data only, because code runs from DRAM."""

from collections.abc import Mapping
from typing import Any

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device
from cca_platform.devices.store import Store
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Ram"]


class RamState(State, frozen=True, tag="ram/1"):
    """The 4 KiB pages that were written, by number."""

    pages: Mapping[int, bytes]


class Ram(Device):
    """One bank, zero after a reset. An instruction fetch from it is an external abort, as from any device."""

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._store = Store()

    def read(self, offset: int, size: int) -> int:
        """Read any bytes."""
        return int.from_bytes(self._store.read(offset, size), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write any bytes."""
        self._store.write(offset, value.to_bytes(size, "little"))

    def power_on(self) -> None:
        """Lose the contents."""
        self._store.restore({})

    def save(self) -> RamState:
        """State for a snapshot."""
        return RamState(pages=self._store.save())

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        self._store.restore(state.pages)
