"""NOR flash with the Common Flash Interface (JEDEC JESD68) and Intel's command set (CFI publication 100, set 1).

Two chips of 16 bits form a bus of 32 bits and get every command together, as software for these boards drives them.
Contents are data only: code runs from DRAM.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device
from cca_platform.devices.store import Store
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["CfiFlash"]

_BLOCK: Final = 0x4_0000  # bytes of both chips
_BUFFER: Final = 32  # bytes of the write buffer of a chip
_BOTH: Final = 0x0001_0001
_READY, _ERASE_FAILED, _PROGRAM_FAILED, _LOCKED = 0x80, 0x20, 0x10, 0x02
_MANUFACTURER, _DEVICE = 0x89, 0x18  # Intel, StrataFlash J3
_ERASED: Final = 0xFF


class _Command(IntEnum):
    PROGRAM = 0x40
    PROGRAM_TOO = 0x10
    ERASE = 0x20
    CLEAR = 0x50
    LOCKING = 0x60
    STATUS = 0x70
    IDENTIFY = 0x90
    QUERY = 0x98
    CONFIRM = 0xD0
    LOCK = 0x01
    BUFFER = 0xE8
    ARRAY = 0xFF


class CfiFlashState(State, frozen=True, tag="cfi-flash/1"):
    """What reads show, the command that waits for more, the status, the locked blocks, buffer and contents."""

    shows: int
    waits: int
    status: int
    locked: tuple[int, ...]
    left: int
    buffer: tuple[tuple[int, bytes], ...]
    pages: Mapping[int, bytes]


class CfiFlash(Device):
    """One bank of two chips, erased when the machine is created. It keeps its contents over a system reset.

    Erasing and programming complete with the store. Programming clears bits; only erasing a block sets them.
    """

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._store = Store(_ERASED)
        self._query = _query(row.size)
        self.power_on()

    def power_on(self) -> None:
        """Reads show the contents; nothing is locked."""
        self._shows, self._waits = int(_Command.ARRAY), 0
        self._status = _READY
        self._locked: frozenset[int] = frozenset()
        self._left = 0
        self._buffer: tuple[tuple[int, bytes], ...] = ()

    # -- reads -------------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Read contents, status, identification or query table."""
        if self._shows == _Command.ARRAY:
            return int.from_bytes(self._store.read(offset, size), "little")
        words = (self._word(at >> 2) * _BOTH for at in range(offset & ~3, offset + size, 4))
        data = b"".join(word.to_bytes(4, "little") for word in words)
        return int.from_bytes(data[offset & 3 :][:size], "little")

    def _word(self, index: int) -> int:
        """What a chip shows at a word."""
        if self._shows == _Command.QUERY:
            return self._query.get(index, 0)
        if self._shows == _Command.IDENTIFY:
            in_block = index % (_BLOCK // 4)
            lock = int(index // (_BLOCK // 4) in self._locked)
            return {0: _MANUFACTURER, 1: _DEVICE, 2: lock}.get(in_block, 0)
        return self._status

    # -- writes ------------------------------------------------------------------------------------------------------
    def write(self, offset: int, size: int, value: int) -> None:
        """Take a command, or what one waits for; commands are in the low byte of a lane."""
        waits, command, block = self._waits, value & 0xFF, offset // _BLOCK
        data = value.to_bytes(size, "little")
        self._waits = 0
        if waits in (_Command.PROGRAM, _Command.PROGRAM_TOO):
            self._program(((offset, data),))
        elif waits == _Command.ERASE:
            self._erase(block, command)
        elif waits == _Command.LOCKING:
            self._lock(block, command)
        elif waits == _Command.BUFFER:
            self._fill(offset, data)
        else:
            self._start(command)

    def _start(self, command: int) -> None:
        if command in (_Command.ARRAY, _Command.IDENTIFY, _Command.QUERY):
            self._shows = command
            return
        if command == _Command.CLEAR:
            self._status = _READY
        elif command in (_Command.PROGRAM, _Command.PROGRAM_TOO, _Command.ERASE, _Command.LOCKING, _Command.BUFFER):
            self._waits, self._shows = command, int(_Command.STATUS)
            self._left, self._buffer = 0, ()
        elif command == _Command.STATUS:
            self._shows = command

    def _program(self, parts: tuple[tuple[int, bytes], ...]) -> None:
        for offset, data in parts:
            if offset // _BLOCK in self._locked:
                self._status |= _PROGRAM_FAILED | _LOCKED
                continue
            old = self._store.read(offset, len(data))
            self._store.write(offset, bytes(one & other for one, other in zip(old, data, strict=True)))

    def _erase(self, block: int, command: int) -> None:
        if command != _Command.CONFIRM:
            self._status |= _ERASE_FAILED | _PROGRAM_FAILED  # a wrong sequence of commands
        elif block in self._locked:
            self._status |= _ERASE_FAILED | _LOCKED
        else:
            self._store.write(block * _BLOCK, bytes((_ERASED,)) * _BLOCK)

    def _lock(self, block: int, command: int) -> None:
        if command == _Command.LOCK:
            self._locked |= {block}
        elif command == _Command.CONFIRM:
            self._locked -= {block}
        else:
            self._status |= _ERASE_FAILED | _PROGRAM_FAILED

    def _fill(self, offset: int, data: bytes) -> None:
        """Take the number of words of a buffered program, the words, and the confirmation."""
        if not self._left:
            words = data[0] + 1
            if words * 2 > _BUFFER:
                self._status |= _ERASE_FAILED | _PROGRAM_FAILED
                return
            self._left = words + 1
        elif self._left > 1:
            self._left -= 1
            self._buffer = (*self._buffer, (offset, data))
        else:
            if data[0] == _Command.CONFIRM:
                self._program(self._buffer)
            else:
                self._status |= _ERASE_FAILED | _PROGRAM_FAILED
            self._left, self._buffer = 0, ()
            return
        self._waits = int(_Command.BUFFER)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> CfiFlashState:
        """State for a snapshot."""
        return CfiFlashState(
            shows=self._shows, waits=self._waits, status=self._status, locked=tuple(sorted(self._locked)),
            left=self._left, buffer=self._buffer, pages=self._store.save(),
        )  # fmt: skip

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        self._shows, self._waits, self._status = state.shows, state.waits, state.status
        self._locked, self._left = frozenset(state.locked), state.left
        self._buffer = tuple((offset, data) for offset, data in state.buffer)
        self._store.restore(state.pages)


def _query(size: int) -> dict[int, int]:
    """The query table of a chip of ``size`` / 2 bytes, by word."""
    chip, blocks = size // 2, size // _BLOCK
    table = {0x10: b"QRY", 0x13: (1).to_bytes(2, "little"), 0x15: (0x31).to_bytes(2, "little")}
    table |= {
        0x1B: bytes((0x45, 0x55, 0, 0)),  # supply voltage, none for programming
        0x1F: bytes((7, 7, 10, 0, 4, 4, 4, 0)),  # typical and greatest times, as powers of two
        0x27: bytes((chip.bit_length() - 1,)),
        0x28: (2).to_bytes(2, "little"),  # 8 or 16 bits
        0x2A: (_BUFFER.bit_length() - 1).to_bytes(2, "little"),
        0x2C: bytes((1,)),  # one region of equal blocks
        0x2D: (blocks - 1).to_bytes(2, "little"),
        0x2F: (_BLOCK // 2 // 256).to_bytes(2, "little"),
        0x31: b"PRI10",
    }
    return {at + number: byte for at, data in table.items() for number, byte in enumerate(data)}
