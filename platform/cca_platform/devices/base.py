"""The base class of device models, with the behaviour that most of them share.

A model declares its registers as a table, and its special behaviour::

    class Counter(Device):
        registers = RegisterTable(
            Register("COUNT", 0x0, read=lambda counter: counter.wiring.now()),
            Register("LIMIT", 0x4, writable=0xFFFF),
        )

Everything else has a default: reset and saved state of the registers, no interrupt, no timed behaviour.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from msgspec import Struct

from cca_arch.types import Pas
from cca_platform.board import DeviceRow
from cca_platform.devices.keys import Keys
from cca_platform.devices.wiring import Registers, Wiring
from cca_platform.state import AnyState, State

__all__ = ["WORD", "Device", "DeviceState", "Register", "RegisterTable"]

WORD: Final = 0xFFFF_FFFF
"""All bits of a register."""


class Register(Struct, frozen=True):
    """A register of up to 32 bits.

    Bits in ``writable`` keep what is written and are state; all others always read ``reset``. ``read(device)`` returns
    another value; ``write(device, value)`` replaces the keeping of a write.

    ``plain``: a read has no effect, and returns the same until the device changes: by another access, an input from
    outside, or in ``advance``. If it keeps nothing and has no ``write``, a write has no effect, either. Such accesses
    take a fraction of the time of others, for they need no Python.
    """

    name: str
    offset: int
    reset: int = 0
    writable: int = 0
    read: Callable[[Any], int] | None = None
    write: Callable[[Any, int], None] | None = None
    plain: bool = False


class RegisterTable:
    """The registers of a model by offset. All others are RAZ/WI."""

    def __init__(self, *rows: Register) -> None:
        self._rows = {row.offset: row for row in rows}
        if len(self._rows) < len(rows):
            raise ValueError(f"registers must have an offset of their own each: {', '.join(row.name for row in rows)}")
        self._reset = {row.offset: row.reset for row in rows if row.writable}

    def is_plain(self, offset: int, is_write: bool) -> bool:
        """Whether an access to the register at ``offset`` has no effect (see :class:`Register`)."""
        row = self._rows.get(offset)
        if row is None or not row.plain:
            return False
        return not (is_write and (row.writable or row.write is not None))

    def reset(self) -> dict[int, int]:
        """The power-on values of the registers that keep a value."""
        return dict(self._reset)

    def read(self, device: "Device", offset: int) -> int:
        """Read the register at ``offset``."""
        row = self._rows.get(offset)
        if row is None:
            return 0
        return device.values.get(offset, row.reset) if row.read is None else row.read(device)

    def write(self, device: "Device", offset: int, value: int) -> None:
        """Write the register at ``offset``."""
        row = self._rows.get(offset)
        if row is None:
            return
        if row.write is not None:
            row.write(device, value)
        elif row.writable:
            device.values[offset] = value & row.writable


class DeviceState(State, frozen=True, tag="device/1"):
    """The registers of a device that keep a value."""

    registers: Mapping[int, int]


class Device:
    """A device of a board or of a virtual machine. ``row`` is its row of the board, ``wiring`` its surroundings.

    ``values`` are the registers that keep a value. A subclass with more state extends :meth:`power_on`, :meth:`save`
    and :meth:`restore`; ``save`` may return the same object until something changes, because the bus only asks then.
    """

    registers: ClassVar[RegisterTable] = RegisterTable()
    keys: ClassVar[type[Keys] | None] = None
    """The further keys of its row; None: any, which it looks at itself."""

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        self.name = row.name
        self.wiring = wiring
        self.values = self.registers.reset()

    # -- accesses ----------------------------------------------------------------------------------------------------
    def view(self, pas: Pas) -> Registers:
        """The registers, under the device's name, as accesses in this PAS see them. Default: the same in each."""
        return self

    def read(self, offset: int, size: int) -> int:
        """Read ``size`` bytes at ``offset`` in the frame. Default: the register at that offset."""
        self.settle()
        return self.registers.read(self, offset)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes at ``offset`` in the frame. Default: the register at that offset."""
        self.settle()
        self.registers.write(self, offset, value)
        self.drive()

    def is_plain(self, offset: int, is_write: bool) -> bool:
        """Whether an access at ``offset`` has no effect. Default: to a register that is declared so."""
        return self.registers.is_plain(offset, is_write)

    def settle(self) -> None:
        """Account for the time that has passed, before a register access. Default: nothing."""

    def drive(self) -> None:
        """Set the interrupt line from the registers. Default: no interrupt."""

    # -- time --------------------------------------------------------------------------------------------------------
    @property
    def deadline(self) -> int | None:
        """The clock value of its next action, or None. Default: None."""
        return None

    def advance(self, now: int) -> None:
        """Do what is due: the clock has reached the deadline."""
        self.settle()
        self.drive()

    # -- state -------------------------------------------------------------------------------------------------------
    def power_on(self) -> None:
        """Set everything that a reset affects to its power-on state."""
        self.values = self.registers.reset()

    def reset(self) -> None:
        """Handle a system reset."""
        self.power_on()
        self.drive()

    def save(self) -> AnyState:
        """State for a snapshot, as immutable plain data."""
        return DeviceState(registers=dict(self.values))

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned. Interrupt lines do not change: the interrupt controller restores them."""
        self.values = dict(state.registers)
