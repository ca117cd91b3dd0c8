"""Realmlab's own DMA engine, for payloads and tests: it copies or fills memory through the SMMU as its stream."""

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from cca_platform.smmu import DmaAborted, DmaPort

if TYPE_CHECKING:
    from cca_platform.devices.wiring import Wiring
    from cca_platform.machine.board import Device

__all__ = ["LENGTH_LIMIT", "DmaCommand", "DmaEngine", "DmaOffset", "DmaStatus"]

LENGTH_LIMIT: Final = 0x10_0000
"""The most bytes of one transfer."""
_ID: Final = int.from_bytes(b"RLDM", "little")
_PAGE: Final = 4096


class DmaOffset(IntEnum):
    """Registers: 32 bits, but for the addresses, which are 64 and may be written in halves.

    ID and STREAM say who it is. Writing a DmaCommand to COMMAND starts a transfer of LENGTH bytes, which is over when
    the store is: STATUS has the outcome, FAULT the address of an abort. Ones written to CLEAR clear STATUS. The
    interrupt is high while a bit of STATUS is set and IRQ_ENABLE is 1.
    """

    ID = 0x00
    STREAM = 0x04
    SOURCE = 0x08
    TARGET = 0x10
    LENGTH = 0x18
    VALUE = 0x1C
    COMMAND = 0x20
    IRQ_ENABLE = 0x24
    STATUS = 0x28
    CLEAR = 0x2C
    FAULT = 0x30


class DmaCommand(IntEnum):
    """What COMMAND starts: copy SOURCE to TARGET, or fill TARGET with the byte VALUE."""

    COPY = 1
    FILL = 2


class DmaStatus(IntEnum):
    """Bits of STATUS; REJECTED is for a command or a length that does not exist."""

    DONE = 1 << 0
    ABORTED = 1 << 1
    REJECTED = 1 << 2


_WRITABLE: Final = {
    DmaOffset.SOURCE: 0xFFFF_FFFF,
    DmaOffset.SOURCE + 4: 0xFFFF_FFFF,
    DmaOffset.TARGET: 0xFFFF_FFFF,
    DmaOffset.TARGET + 4: 0xFFFF_FFFF,
    DmaOffset.LENGTH: 0xFFFF_FFFF,
    DmaOffset.VALUE: 0xFF,
    DmaOffset.IRQ_ENABLE: 1,
}
_READ_ONLY: Final = (DmaOffset.STATUS, DmaOffset.FAULT, DmaOffset.FAULT + 4)


class DmaEngine:
    """The engine. The options ``smmu`` and ``stream`` of its row: the SMMU it is behind, its StreamID there."""

    deadline: int | None = None

    def __init__(self, device: "Device", wiring: "Wiring") -> None:
        self.name = device.name
        self.port = DmaPort(wiring.device(device.options["smmu"]), device.options["stream"])
        self._line = wiring.line
        self._registers = {int(offset): 0 for offset in (*_WRITABLE, *_READ_ONLY)}

    def read(self, offset: int, size: int) -> int:
        """An aligned register of 32 or 64 bits; every other access reads as zero."""
        if size not in (4, 8) or offset % size:
            return 0
        return self._word(offset) | (self._word(offset + 4) << 32 if size == 8 else 0)

    def _word(self, offset: int) -> int:
        constant = {DmaOffset.ID: _ID, DmaOffset.STREAM: self.port.stream}
        return constant.get(DmaOffset(offset), 0) if offset in constant else self._registers.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write an aligned register of 32 or 64 bits; every other access is ignored."""
        if size not in (4, 8) or offset % size:
            return
        for at in range(offset, offset + size, 4):
            self._write_word(at, value >> 8 * (at - offset) & 0xFFFF_FFFF)
        self._line(bool(self._registers[DmaOffset.STATUS] and self._registers[DmaOffset.IRQ_ENABLE]))

    def _write_word(self, offset: int, value: int) -> None:
        if offset in _WRITABLE:
            self._registers[offset] = value & _WRITABLE[offset]
        elif offset == DmaOffset.COMMAND:
            self._registers[DmaOffset.STATUS] |= self._start(value)
        elif offset == DmaOffset.CLEAR:
            self._registers[DmaOffset.STATUS] &= ~value

    def _start(self, command: int) -> DmaStatus:
        registers = self._registers
        length, source, target = registers[DmaOffset.LENGTH], self._long(DmaOffset.SOURCE), self._long(DmaOffset.TARGET)
        if command not in (DmaCommand.COPY, DmaCommand.FILL) or length > LENGTH_LIMIT:
            return DmaStatus.REJECTED
        fill = bytes((registers[DmaOffset.VALUE],)) * min(length, _PAGE)
        try:
            for at in range(0, length, _PAGE):
                size = min(_PAGE, length - at)
                data = self.port.read(source + at, size) if command == DmaCommand.COPY else fill[:size]
                self.port.write(target + at, data)
        except DmaAborted as abort:
            registers[DmaOffset.FAULT] = abort.iova & 0xFFFF_FFFF
            registers[DmaOffset.FAULT + 4] = abort.iova >> 32
            return DmaStatus.ABORTED
        return DmaStatus.DONE

    def _long(self, offset: int) -> int:
        return self._registers[offset] | self._registers[offset + 4] << 32

    def advance(self, now: int) -> None:
        """It does nothing by itself."""

    def save(self) -> Any:
        """State for a snapshot."""
        return tuple(self._registers.items())

    def restore(self, data: Any) -> None:
        """Put back what ``save`` gave."""
        self._registers = dict(data)

    def reset(self) -> None:
        """Nothing is programmed; the interrupt is low."""
        self._registers = dict.fromkeys(self._registers, 0)
        self._line(False)
