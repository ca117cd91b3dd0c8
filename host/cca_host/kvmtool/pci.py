"""A PCI Express host bridge with one bus: functions with configuration space, BARs, INTx and MSI-X."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from cca_arch.devicetree import Node, cells
from cca_arch.pci import (
    BARS,
    CONFIG_SIZE,
    INTX_PINS,
    MSIX_ENTRY_SIZE,
    Capability,
    Command,
    Config,
    EcamOffset,
    MsixControl,
    MsixEntry,
    Status,
    UnitAddress,
)
from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["ECAM_SIZE", "Ecam", "Function", "FunctionState", "Window", "bridge_node"]

ECAM_SIZE: Final = 1 << EcamOffset.bus.low
"""One bus: bus 0."""
_MEMORY_32: Final = 2  # UnitAddress.space
_ONES: Final = 0xFFFF_FFFF
_MASKED: Final = 1  # of the control word of an MSI-X entry
_MSIX_BAR: Final = 1
_PBA: Final = 0x800
_MSIX_BAR_SIZE: Final = 0x1000
_COMMAND: Final = int(Command.make(memory=1, bus_master=1, intx_disable=1))
_MSIX_WRITABLE: Final = int(MsixControl.make(mask=1, enable=1))


class FunctionState(State, frozen=True, tag="pci.function/1"):
    """Saved state of a :class:`Function`: its configuration space, MSI-X table and pending vectors, its INTx."""

    config: bytes
    vectors: bytes
    pending: int
    asserted: bool


class _Bar(Struct):
    """A memory BAR of 32 bits; ``base`` is where software has put it."""

    size: int
    base: int = 0


class Function(Device):
    """Function 0 of a device: a header of type 0 with BARs of 32 bits, INTA, and ``vectors`` messages of MSI-X.

    ``send(address, data)`` writes a message. A subclass adds capabilities and BARs, and answers accesses to its BARs.
    """

    def __init__(
        self,
        row: DeviceRow,
        wiring: Wiring,
        *,
        vendor: int,
        device: int,
        kind: int,
        vectors: int,
        send: Callable[[int, int], object],
    ) -> None:
        super().__init__(row, wiring)
        self._send = send
        self._space = bytearray(CONFIG_SIZE)
        self._writable = bytearray(CONFIG_SIZE)
        self._last_capability: int = Config.CAPABILITIES
        self._next: int = Config.FIRST_FREE
        self.bars: dict[int, _Bar] = {}
        self._asserted = False
        self._vectors = bytearray(MSIX_ENTRY_SIZE * vectors)
        self._pending = 0
        for at in range(MsixEntry.CONTROL, len(self._vectors), MSIX_ENTRY_SIZE):
            self._vectors[at] = _MASKED
        self._put(Config.VENDOR_ID, 2, vendor)
        self._put(Config.DEVICE_ID, 2, device)
        self._put(Config.COMMAND, 2, 0, _COMMAND)
        self._put(Config.STATUS, 2, Status.make(capabilities=1))
        self._put(Config.REVISION, 1, 1)
        self._put(Config.CLASS, 3, kind)
        self._put(Config.SUBSYSTEM_VENDOR_ID, 2, vendor)
        self._put(Config.SUBSYSTEM_ID, 2, device)
        self._put(Config.INTERRUPT_LINE, 1, 0, 0xFF)
        self._put(Config.INTERRUPT_PIN, 1, 1)
        self.add_bar(_MSIX_BAR, _MSIX_BAR_SIZE)
        rest = (vectors - 1).to_bytes(2, "little") + bytes([_MSIX_BAR, 0, 0, 0, _MSIX_BAR, _PBA >> 8, 0, 0])
        self._msix = self.add_capability(Capability.MSIX, rest)
        self._put(self._msix + 2, 2, vectors - 1, _MSIX_WRITABLE)

    # -- for subclasses ---------------------------------------------------------------------------------------------
    def add_bar(self, number: int, size: int) -> None:
        """Give it a memory BAR of ``size`` bytes, a power of two."""
        self.bars[number] = _Bar(size)

    def add_capability(self, identifier: int, rest: bytes, writable: bytes = b"") -> int:
        """Append a capability; ``rest`` follows the pointer to the next one. Returns its offset."""
        at = self._next
        self._put(self._last_capability, 1, at)
        self._last_capability = at + 1
        data = bytes([identifier, 0]) + rest
        self._space[at : at + len(data)] = data
        self._writable[at + 2 : at + 2 + len(writable)] = writable
        self._next = at + len(data) + 3 & -4
        return at

    def read_bar(self, number: int, offset: int, size: int) -> int:
        """Read in a BAR. Default: the MSI-X table and its pending bits, else 0."""
        if number != _MSIX_BAR:
            return 0
        if offset >= _PBA:
            return self._pending >> 8 * (offset - _PBA) & (1 << 8 * size) - 1
        return int.from_bytes(self._vectors[offset : offset + size], "little")

    def write_bar(self, number: int, offset: int, size: int, value: int) -> None:
        """Write in a BAR. Default: the MSI-X table."""
        if number == _MSIX_BAR and offset + size <= len(self._vectors):
            self._vectors[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
            self._deliver()

    def config_field(self, offset: int, size: int) -> int:
        """A field of the configuration space."""
        return int.from_bytes(self._space[offset : offset + size], "little")

    def _put(self, offset: int, size: int, value: int, writable: int = 0) -> None:
        self._space[offset : offset + size] = value.to_bytes(size, "little")
        self._writable[offset : offset + size] = writable.to_bytes(size, "little")

    # -- configuration space ----------------------------------------------------------------------------------------
    @property
    def command(self) -> Command:
        """The command register."""
        return Command(self.config_field(Config.COMMAND, 2))

    def read_config(self, offset: int, size: int) -> int:
        """Read configuration space; what conventional PCI does not have reads 0: no extended capabilities."""
        number = (offset - Config.BAR0) // 4
        if 0 <= number < BARS:
            bar = self.bars.get(number)
            word = 0 if bar is None else bar.base
            return word >> 8 * (offset & 3) & (1 << 8 * size) - 1
        if offset == Config.STATUS or (offset == Config.COMMAND and size > 2):
            status = int(Status.make(capabilities=1, interrupt=self._asserted))
            self._space[Config.STATUS] = status
        return self.config_field(offset, size)

    def write_config(self, offset: int, size: int, value: int) -> None:
        """Write configuration space."""
        number = (offset - Config.BAR0) // 4
        if 0 <= number < BARS:
            bar = self.bars.get(number)
            if bar is not None and size == 4 and not offset & 3:
                bar.base = value & -bar.size & _ONES
            return
        for at in range(offset, min(offset + size, CONFIG_SIZE)):
            mask, byte = self._writable[at], value >> 8 * (at - offset) & 0xFF
            self._space[at] = self._space[at] & ~mask | byte & mask
        self._drive_line()
        self._deliver()

    # -- interrupts -------------------------------------------------------------------------------------------------
    @property
    def messages(self) -> bool:
        """Whether MSI-X is on, so that INTx is not used."""
        return bool(MsixControl(self.config_field(self._msix + 2, 2)).enable)

    def intx(self, level: bool) -> None:
        """Set its INTx."""
        self._asserted = level
        self._drive_line()

    def _drive_line(self) -> None:
        self.wiring.line(self._asserted and not self.command.intx_disable and not self.messages)

    def message(self, vector: int) -> None:
        """Send the message of a vector, now or when it is not masked any more."""
        if vector * MSIX_ENTRY_SIZE < len(self._vectors):
            self._pending |= 1 << vector
            self._deliver()

    def _deliver(self) -> None:
        """Send the pending messages that are not masked."""
        control = MsixControl(self.config_field(self._msix + 2, 2))
        if not self._pending or not control.enable or control.mask:
            return
        for vector in range(len(self._vectors) // MSIX_ENTRY_SIZE):
            at = vector * MSIX_ENTRY_SIZE
            if self._pending >> vector & 1 and not self._vectors[at + MsixEntry.CONTROL] & _MASKED:
                self._pending &= ~(1 << vector)
                entry = self._vectors[at : at + MsixEntry.CONTROL]
                self._send(
                    int.from_bytes(entry[: MsixEntry.DATA], "little"), int.from_bytes(entry[MsixEntry.DATA :], "little")
                )

    # -- snapshots --------------------------------------------------------------------------------------------------
    def save(self) -> Any:
        """State for a snapshot."""
        space = bytearray(self._space)
        for number, bar in self.bars.items():
            at = Config.BAR0 + 4 * number
            space[at : at + 4] = bar.base.to_bytes(4, "little")
        return FunctionState(bytes(space), bytes(self._vectors), self._pending, self._asserted)

    def restore(self, state: Any) -> None:
        """Restore what :meth:`save` returned."""
        self._space[:] = state.config
        for number, bar in self.bars.items():
            bar.base = self.config_field(Config.BAR0 + 4 * number, 4)
            self._put(Config.BAR0 + 4 * number, 4, 0)
        self._vectors[:] = state.vectors
        self._pending, self._asserted = state.pending, state.asserted


class Ecam(Device):
    """The configuration space of bus 0: device n is the nth of ``functions``; nobody else answers."""

    def __init__(self, name: str, base: int, wiring: Wiring, functions: Sequence[Function]) -> None:
        super().__init__(DeviceRow(name, "ecam", base, ECAM_SIZE), wiring)
        self._functions = functions

    def _find(self, offset: int) -> Function | None:
        at = EcamOffset(offset)
        device: int = at.device
        return None if at.bus or at.function or device >= len(self._functions) else self._functions[device]

    def read(self, offset: int, size: int) -> int:
        """Read configuration space: all ones where no function is."""
        function = self._find(offset)
        if function is None:
            return (1 << 8 * size) - 1
        return function.read_config(EcamOffset(offset).register, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write configuration space."""
        function = self._find(offset)
        if function is not None:
            function.write_config(EcamOffset(offset).register, size, value)
            function.wiring.changed()


class Window(Device):
    """The window of memory in which software places BARs."""

    def __init__(self, name: str, base: int, size: int, wiring: Wiring, functions: Sequence[Function]) -> None:
        super().__init__(DeviceRow(name, "pci-memory", base, size), wiring)
        self._base = base
        self._functions = functions

    def _find(self, offset: int, size: int) -> tuple[Function, int, int] | None:
        """The function, the number of the BAR and the offset in it of an access."""
        address = self._base + offset
        for function in self._functions:
            if function.command.memory:
                for number, bar in function.bars.items():
                    if bar.base <= address and address + size <= bar.base + bar.size:
                        return function, number, address - bar.base
        return None

    def read(self, offset: int, size: int) -> int:
        """Read in a BAR: all ones where none is."""
        found = self._find(offset, size)
        if found is None:
            return (1 << 8 * size) - 1
        function, number, at = found
        return function.read_bar(number, at, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write in a BAR."""
        found = self._find(offset, size)
        if found is not None:
            function, number, at = found
            function.write_bar(number, at, size, value)
            function.wiring.changed()


def bridge_node(memory: int, memory_size: int, interrupts: Sequence[list[int]], controller: int) -> Node:
    """The node of a host bridge. ``interrupts`` are the specifiers of INTA by device, for the interrupt controller.

    That one also takes messages.
    """
    table = [
        cell
        for device, specifier in enumerate(interrupts)
        for cell in (UnitAddress.make(device=device), 0, 0, 1, controller, *specifier)
    ]
    return Node(
        "pcie",
        {
            "compatible": "pci-host-ecam-generic",
            "device_type": "pci",
            "#address-cells": 3,
            "#size-cells": 2,
            "bus-range": [0, 0],
            "ranges": [UnitAddress.make(space=_MEMORY_32), *cells(memory), *cells(memory), *cells(memory_size)],
            "#interrupt-cells": 1,
            "interrupt-map": table,
            "interrupt-map-mask": [UnitAddress.device.mask, 0, 0, INTX_PINS - 1 | INTX_PINS],
            "msi-parent": controller,
            "dma-coherent": None,
        },
    )
