"""PL061 GPIO (DDI 0190): eight pins, each an input or an output, that interrupt by level or edge."""

from collections.abc import Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device, Register, RegisterTable
from cca_platform.devices.keys import Pl061Keys, options
from cca_platform.devices.primecell import identification
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Pl061"]

_DATA: Final = range(0x000, 0x400)
_DIR, _IS, _IBE, _IEV, _IE, _RIS, _MIS, _IC, _AFSEL = range(0x400, 0x424, 4)
_ALL: Final = 0xFF
_PINS: Final = range(8)


class Pl061State(State, frozen=True, tag="pl061/1"):
    """The levels that the outputs drive, those at the inputs, and the edges that were seen."""

    registers: Mapping[int, int]
    driven: int
    inputs: int
    edges: int


class Pl061(Device):
    """One GPIO. Inputs are low until ``set_pin`` raises them.

    ``power_off`` and ``reset`` in its row are the pins whose rise, as outputs, turns the system off or resets it;
    ``power_button`` is the input that a button is wired to.
    """

    keys = Pl061Keys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        keys = options(row, Pl061Keys)
        self._off_pin, self._reset_pin = keys.power_off, keys.reset
        self._inputs = 0
        self.power_on()

    def power_on(self) -> None:
        """All pins are inputs; what is outside keeps its levels."""
        super().power_on()
        self._driven = 0
        self._edges = 0

    # -- from outside ------------------------------------------------------------------------------------------------
    def set_pin(self, pin: int, level: bool) -> None:
        """Set the level at an input, as a button does; ValueError for a pin that is not there."""
        if pin not in _PINS:
            raise ValueError(f"pin of {self.name} must be from 0 to 7, not {pin}")
        self.wiring.receive(bytes((pin, level)))

    def arrive(self, data: bytes) -> None:
        """Take a new level: the number of the pin, and 0 or 1."""
        pin, level = data
        before = self._levels()
        self._inputs = self._inputs & ~(1 << pin) | level << pin
        self._notice(before)
        self.drive()
        self.wiring.changed()

    # -- registers ---------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Read a register; bits 9 to 2 of the address select the pins of GPIODATA."""
        if offset in _DATA:
            return self._levels() & offset >> 2
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; bits 9 to 2 of the address select the pins of GPIODATA."""
        before, mask = self._levels(), offset >> 2
        if offset in _DATA:
            self._driven = self._driven & ~mask | value & mask & _ALL
        else:
            super().write(offset, size, value)
        self._notice(before)
        self.drive()

    def _levels(self) -> int:
        """The level of each pin."""
        outputs = self.values[_DIR]
        return self._driven & outputs | self._inputs & ~outputs

    def _notice(self, before: int) -> None:
        """Note the edges since ``before``, and do what the outputs are wired to."""
        now, outputs = self._levels(), self.values[_DIR]
        changed, rising = before ^ now, now
        wanted = self.values[_IBE] | ~(self.values[_IEV] ^ rising)
        self._edges |= changed & wanted & ~self.values[_IS] & ~outputs & _ALL
        risen = changed & now & outputs
        if self._off_pin is not None and risen >> self._off_pin & 1:
            self.wiring.power_off(f"system off: {self.name}")
        if self._reset_pin is not None and risen >> self._reset_pin & 1:
            self.wiring.reset(self.name)

    def _raw(self) -> int:
        levels = ~(self._levels() ^ self.values[_IEV]) & self.values[_IS]
        return (levels | self._edges & ~self.values[_IS]) & _ALL

    def _masked(self) -> int:
        return self._raw() & self.values[_IE]

    def _clear(self, value: int) -> None:
        self._edges &= ~value

    def drive(self) -> None:
        """Drive the combined interrupt."""
        self.wiring.line(bool(self._masked()))

    registers = RegisterTable(
        Register("GPIODIR", _DIR, writable=_ALL),
        Register("GPIOIS", _IS, writable=_ALL),
        Register("GPIOIBE", _IBE, writable=_ALL),
        Register("GPIOIEV", _IEV, writable=_ALL),
        Register("GPIOIE", _IE, writable=_ALL),
        Register("GPIORIS", _RIS, read=_raw),
        Register("GPIOMIS", _MIS, read=_masked),
        Register("GPIOIC", _IC, write=_clear),
        Register("GPIOAFSEL", _AFSEL, writable=_ALL),
        *identification(0x061, 0),
    )

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> Pl061State:
        """State for a snapshot."""
        return Pl061State(dict(self.values), driven=self._driven, inputs=self._inputs, edges=self._edges)

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self._driven, self._inputs, self._edges = state.driven, state.inputs, state.edges
