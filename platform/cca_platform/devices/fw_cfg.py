"""QEMU's firmware configuration device, by its published interface: items by key, files by name, and DMA reads."""

from collections.abc import Mapping
from typing import Any, Final

from cca_arch.types import PA, SecurityState
from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device
from cca_platform.devices.keys import FwCfgKeys, options
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import BusError, GranuleProtectionFault, MachineError
from cca_platform.state import State

__all__ = ["FwCfg"]

_SELECTOR, _DMA = 0x08, 0x10
_DATA: Final = range(0x00, 0x08)
_DMA_SIGNATURE: Final = b"QEMU CFG"
_ERROR, _READ, _SKIP, _SELECT, _WRITE = 1, 2, 4, 8, 16
_FEATURES: Final = 3  # the traditional interface, and DMA
_DIRECTORY, _FIRST_FILE = 0x19, 0x20
_ZEROES: Final = {0x02: 16, 0x08: 4, 0x0B: 4, 0x0E: 2, 0x14: 4}
"""Items that say nothing, and their sizes: UUID; sizes of kernel, initrd and command line; boot menu."""
_NAME: Final = 56
_CHUNK: Final = 0x1000
_DESCRIPTOR: Final = 16  # bytes


class FwCfgState(State, frozen=True, tag="fw-cfg/1"):
    """The selected item, the next byte of it, and the high half of a DMA address that was written by halves."""

    key: int
    position: int
    high: int


class FwCfg(Device):
    """One device. ``files`` in its row are its files: a table from name to text.

    Items are constant: writes are ignored, by DMA an error. DMA accesses Non-secure memory, past the SMMU; what granule
    protection refuses is an error.
    """

    keys = FwCfgKeys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._top: Final = 1 << wiring.memory.board.pa_bits
        self._items = _items(wiring, _files(row))
        self.power_on()

    def power_on(self) -> None:
        """The signature is selected."""
        self._select(0)
        self._high = 0

    def _select(self, key: int) -> None:
        self._key, self._position = key, 0

    def _take(self, size: int) -> bytes:
        """The next bytes of the item; what it does not have is zero."""
        data = self._items.get(self._key, b"")[self._position : self._position + size]
        self._position += size
        return data.ljust(size, b"\0")

    # -- registers ---------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Read the next bytes of the item in the order of memory, or the signature of the DMA interface."""
        if offset in _DATA:
            return int.from_bytes(self._take(size), "little")
        if _DMA <= offset < _DMA + len(_DMA_SIGNATURE):
            return int.from_bytes(_DMA_SIGNATURE[offset - _DMA :][:size], "little")
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Select an item, or start a transfer: big-endian numbers, the address whole or its high half first."""
        number = int.from_bytes(value.to_bytes(size, "little"), "big")
        if (offset, size) == (_SELECTOR, 2):
            self._select(number)
        elif (offset, size) == (_DMA, 8):
            self._transfer(number)
        elif (offset, size) == (_DMA, 4):
            self._high = number
        elif (offset, size) == (_DMA + 4, 4):
            address, self._high = self._high << 32 | number, 0
            self._transfer(address)

    # -- DMA ---------------------------------------------------------------------------------------------------------
    def _transfer(self, at: int) -> None:
        """Do the transfer that the structure at ``at`` describes: control, length and address, big-endian."""
        if at + _DESCRIPTOR > self._top:
            return
        port = self.wiring.memory.port(SecurityState.NON_SECURE)
        try:
            data = port.read(PA(at), _DESCRIPTOR)
        except (BusError, GranuleProtectionFault):
            return
        control, length = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        try:
            status = self._do(control, length, int.from_bytes(data[8:], "big"))
        except (BusError, GranuleProtectionFault):
            status = _ERROR
        try:
            port.write(PA(at), status.to_bytes(4, "big"))
        except (BusError, GranuleProtectionFault):
            return

    def _do(self, control: int, length: int, address: int) -> int:
        """Select, then read, refuse to write, or skip; returns the status."""
        if control & _SELECT:
            self._select(control >> 16)
        if control & _READ and address + length > self._top:
            return _ERROR
        if control & _READ:
            port = self.wiring.memory.port(SecurityState.NON_SECURE)
            for done in range(0, length, _CHUNK):
                port.write(PA(address + done), self._take(min(_CHUNK, length - done)))
        elif control & _WRITE:
            return _ERROR
        elif control & _SKIP:
            self._position += length
        return 0

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> FwCfgState:
        """State for a snapshot."""
        return FwCfgState(key=self._key, position=self._position, high=self._high)

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        self._key, self._position, self._high = state.key, state.position, state.high


def _files(row: DeviceRow) -> dict[str, bytes]:
    """The files by name; MachineError if the row has something else."""
    given = options(row, FwCfgKeys).files
    if any(len(name.encode()) >= _NAME for name in given):
        raise MachineError(f"files of {row.name} must have names of up to {_NAME - 1} bytes, not longer ones")
    return {"bootorder": b""} | {name: text.encode() for name, text in given.items()}


def _items(wiring: Wiring, files: Mapping[str, bytes]) -> dict[int, bytes]:
    """The items by key: what the board is, and its files with their directory."""
    board = wiring.memory.board
    pes = len(board.pes).to_bytes(2, "little")
    found = {key: bytes(size) for key, size in _ZEROES.items()} | {
        0x00: b"QEMU",
        0x01: _FEATURES.to_bytes(4, "little"),
        0x03: sum(bank.size for bank in board.banks).to_bytes(8, "little"),
        0x04: (1).to_bytes(2, "little"),  # no display
        0x05: pes,
        0x0F: pes,
    }
    directory = len(files).to_bytes(4, "big")
    for key, name in enumerate(sorted(files), _FIRST_FILE):
        text = name.encode()
        found[key] = files[name]
        directory += len(files[name]).to_bytes(4, "big") + key.to_bytes(2, "big") + bytes(2) + text.ljust(_NAME, b"\0")
    return found | {_DIRECTORY: directory}
