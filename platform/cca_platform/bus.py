"""The device side of the physical address space."""

from typing import TYPE_CHECKING, Any, Protocol

from cca_platform.board import Board
from cca_platform.types import Access, BusError
from cca_platform.uart import Pl011

if TYPE_CHECKING:
    from cca_platform.trace import Trace

__all__ = ["Bus", "Peripheral"]


class Peripheral(Protocol):
    """A device model: registers by byte offset, state as plain data."""

    name: str

    def read(self, offset: int, size: int) -> int:
        """Read ``size`` bytes of the registers."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes of the registers."""

    def save(self) -> Any:
        """State for a snapshot."""

    def restore(self, data: Any) -> None:
        """Put back what ``save`` gave."""


_MODELS = {"pl011": Pl011}


class Bus:
    """Finds the device that answers a physical address; BusError where none does."""

    def __init__(self, board: Board, trace: "Trace") -> None:
        self._trace = trace
        self.devices: dict[str, Peripheral] = {}
        self._frames: list[tuple[int, int, Peripheral]] = []
        for device in board.devices:
            model = _MODELS[device.kind](device.name)
            self.devices[device.name] = model
            self._frames.append((device.base, device.base + device.size, model))

    def _find(self, pa: int, access: Access) -> tuple[int, Peripheral]:
        for base, top, model in self._frames:
            if base <= pa < top:
                return pa - base, model
        raise BusError(pa, access)

    def read(self, pa: int, size: int) -> int:
        """``size`` bytes of a device register, little-endian."""
        offset, model = self._find(pa, Access.READ)
        value = model.read(offset, size) & (1 << 8 * size) - 1
        if self._trace.on:
            self._trace.emit("mmio.read", device=model.name, address=pa, size=size, value=value)
        return value

    def write(self, pa: int, size: int, value: int) -> None:
        """Write ``size`` bytes to a device register."""
        offset, model = self._find(pa, Access.WRITE)
        if self._trace.on:
            self._trace.emit("mmio.write", device=model.name, address=pa, size=size, value=value)
        model.write(offset, size, value)

    def save(self) -> dict[str, Any]:
        """State of every device."""
        return {name: device.save() for name, device in self.devices.items()}

    def restore(self, data: dict[str, Any]) -> None:
        """Put back what ``save`` gave."""
        for name, state in data.items():
            self.devices[name].restore(state)
