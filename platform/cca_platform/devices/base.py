"""The base of device models: what most of them do alike is written once, here.

A model declares its registers as a table and says what is special about it::

    class Counter(Device):
        registers = RegisterTable(
            Register("COUNT", 0x0, read=lambda counter: counter.wiring.now()),
            Register("LIMIT", 0x4, writable=0xFFFF),
        )

Everything else has a default: reset and saved state of the registers, no interrupt, nothing that happens by itself.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from msgspec import Struct

from cca_platform.board import DeviceRow
from cca_platform.devices.wiring import Wiring
from cca_platform.state import AnyState, State

__all__ = ["WORD", "Device", "DeviceState", "Register", "RegisterTable"]

WORD: Final = 0xFFFF_FFFF
"""All bits of a register."""


class Register(Struct, frozen=True):
    """A register of up to 32 bits.

    Where ``writable`` has bits, it keeps what is written to those, and is state; elsewhere it always reads ``reset``.
    ``read(device)`` gives another value, ``write(device, value)`` is done instead of keeping it.
    """

    name: str
    offset: int
    reset: int = 0
    writable: int = 0
    read: Callable[[Any], int] | None = None
    write: Callable[[Any, int], None] | None = None


class RegisterTable:
    """The registers of a model by offset. Others read as zero, and writes to them are ignored."""

    def __init__(self, *rows: Register) -> None:
        self._rows = {row.offset: row for row in rows}
        if len(self._rows) < len(rows):
            raise ValueError(f"registers must have an offset of their own each: {', '.join(row.name for row in rows)}")
        self._reset = {row.offset: row.reset for row in rows if row.writable}

    def reset(self) -> dict[int, int]:
        """The registers that keep a value, as they are after power-on."""
        return dict(self._reset)

    def read(self, device: "Device", offset: int) -> int:
        """What the register at ``offset`` reads."""
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
    """A device of a board, or of a virtual machine. ``row`` is its row of the board, ``wiring`` what it is tied to.

    ``values`` are the registers that keep a value. A subclass with more state than that extends :meth:`power_on`,
    :meth:`save` and :meth:`restore`; ``save`` may give the same object until something changes: the bus asks only then.
    """

    registers: ClassVar[RegisterTable] = RegisterTable()

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        self.name = row.name
        self.wiring = wiring
        self.values = self.registers.reset()

    # -- accesses ----------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Read ``size`` bytes at ``offset`` in the frame; here: the register that begins there."""
        self.settle()
        return self.registers.read(self, offset)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes at ``offset`` in the frame; here: the register that begins there."""
        self.settle()
        self.registers.write(self, offset, value)
        self.drive()

    def settle(self) -> None:
        """Account for what time has done up to now, before registers are looked at; here: nothing."""

    def drive(self) -> None:
        """Set the interrupt line to what the registers say; here: there is no interrupt."""

    # -- time --------------------------------------------------------------------------------------------------------
    @property
    def deadline(self) -> int | None:
        """Clock value of what it does next of its own accord; here: nothing, ever."""
        return None

    def advance(self, now: int) -> None:
        """The clock has reached the deadline: do what is due."""
        self.settle()
        self.drive()

    # -- state -------------------------------------------------------------------------------------------------------
    def power_on(self) -> None:
        """Everything that a reset sets back."""
        self.values = self.registers.reset()

    def reset(self) -> None:
        """A system reset."""
        self.power_on()
        self.drive()

    def save(self) -> AnyState:
        """State for a snapshot, as plain data that nobody changes afterwards."""
        return DeviceState(registers=dict(self.values))

    def restore(self, state: Any) -> None:
        """Put back what ``save`` gave; interrupt lines stay as they are, the interrupt controller restores them."""
        self.values = dict(state.registers)
