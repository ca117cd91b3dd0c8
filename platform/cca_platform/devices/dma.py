"""Realmlab's own DMA engine, for payloads and tests: copies or fills memory through the SMMU with its StreamID."""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cca_arch.types import GRANULE_SIZE
from cca_platform.board import DeviceRow
from cca_platform.devices.base import WORD, Register, RegisterTable
from cca_platform.devices.keys import Keys, another, options
from cca_platform.devices.smmu import DmaAborted, DmaPort
from cca_platform.devices.smmu.layout import STREAM_BITS
from cca_platform.devices.wiring import Wiring
from cca_platform.devices.words import WordDevice

__all__ = ["LENGTH_LIMIT", "DmaCommand", "DmaEngine", "DmaOffset", "DmaStatus"]

LENGTH_LIMIT: Final = 0x10_0000
"""The maximum size of a transfer in bytes."""
_ID: Final = int.from_bytes(b"RLDM", "little")


class DmaOffset(IntEnum):
    """Registers: 32 bits, except the addresses, which have 64 bits and may be written in halves.

    ID and STREAM identify it. Writing a DmaCommand to COMMAND transfers LENGTH bytes, which completes with the store:
    STATUS has the outcome, FAULT the address of an abort. Ones written to CLEAR clear STATUS. The interrupt is asserted
    while a bit of STATUS is set and IRQ_ENABLE is 1.
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
    """The commands: copy SOURCE to TARGET, or fill TARGET with the byte VALUE."""

    COPY = 1
    FILL = 2


class DmaStatus(IntEnum):
    """Bits of STATUS; REJECTED means an invalid command or length."""

    DONE = 1 << 0
    ABORTED = 1 << 1
    REJECTED = 1 << 2


def _ignored(engine: "DmaEngine", value: int) -> None:
    """A register that only the engine writes."""


class DmaKeys(Keys, frozen=True):
    """The DMA engine."""

    smmu: Annotated[str, Meta(description="its SMMU, whose row comes earlier")]
    stream: Annotated[int, Meta(description="its StreamID", ge=0, le=(1 << STREAM_BITS) - 1)]


class DmaEngine(WordDevice):
    """The engine. The options ``smmu`` and ``stream`` of its row are its SMMU and its StreamID."""

    keys = DmaKeys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        keys = options(row, DmaKeys)
        self.port = DmaPort(another(row, wiring, "smmu", keys.smmu, "smmuv3"), keys.stream)

    def drive(self) -> None:
        """Assert the interrupt while STATUS is not zero and the interrupt is enabled."""
        self.wiring.line(bool(self.values[DmaOffset.STATUS] and self.values[DmaOffset.IRQ_ENABLE]))

    def _command(self, value: int) -> None:
        self.values[DmaOffset.STATUS] |= self._start(value)

    def _clear(self, value: int) -> None:
        self.values[DmaOffset.STATUS] &= ~value

    def _start(self, command: int) -> DmaStatus:
        registers = self.values
        length, source, target = registers[DmaOffset.LENGTH], self._long(DmaOffset.SOURCE), self._long(DmaOffset.TARGET)
        if command not in (DmaCommand.COPY, DmaCommand.FILL) or length > LENGTH_LIMIT:
            return DmaStatus.REJECTED
        fill = bytes((registers[DmaOffset.VALUE],)) * min(length, GRANULE_SIZE)
        try:
            for at in range(0, length, GRANULE_SIZE):
                size = min(GRANULE_SIZE, length - at)
                data = self.port.read(source + at, size) if command == DmaCommand.COPY else fill[:size]
                self.port.write(target + at, data)
        except DmaAborted as abort:
            registers[DmaOffset.FAULT] = abort.iova & 0xFFFF_FFFF
            registers[DmaOffset.FAULT + 4] = abort.iova >> 32
            return DmaStatus.ABORTED
        return DmaStatus.DONE

    def _long(self, offset: int) -> int:
        return self.values[offset] | self.values[offset + 4] << 32

    registers = RegisterTable(
        Register("ID", DmaOffset.ID, reset=_ID),
        Register("STREAM", DmaOffset.STREAM, read=lambda engine: engine.port.stream),
        Register("SOURCE", DmaOffset.SOURCE, writable=WORD),
        Register("SOURCE, high", DmaOffset.SOURCE + 4, writable=WORD),
        Register("TARGET", DmaOffset.TARGET, writable=WORD),
        Register("TARGET, high", DmaOffset.TARGET + 4, writable=WORD),
        Register("LENGTH", DmaOffset.LENGTH, writable=WORD),
        Register("VALUE", DmaOffset.VALUE, writable=0xFF),
        Register("COMMAND", DmaOffset.COMMAND, write=_command),
        Register("IRQ_ENABLE", DmaOffset.IRQ_ENABLE, writable=1),
        Register("STATUS", DmaOffset.STATUS, writable=WORD, write=_ignored),
        Register("CLEAR", DmaOffset.CLEAR, write=_clear),
        Register("FAULT", DmaOffset.FAULT, writable=WORD, write=_ignored),
        Register("FAULT, high", DmaOffset.FAULT + 4, writable=WORD, write=_ignored),
    )
