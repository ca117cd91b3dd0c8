"""SP805 watchdog (DDI 0270): the first time-out interrupts; the second, if still pending, resets the system."""

from collections.abc import Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import WORD, Device, Register, RegisterTable
from cca_platform.devices.keys import Sp805Keys, options
from cca_platform.devices.primecell import identification
from cca_platform.devices.timebase import Timebase
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Sp805"]

_LOAD, _CONTROL, _LOCK, _ITCR, _ITOP = 0x00, 0x08, 0xC00, 0xF00, 0xF04
_INTEN, _RESEN = 1, 2
_ITOP_RES, _ITOP_INT = 1, 2
_KEY: Final = 0x1ACC_E551


class Sp805State(State, frozen=True, tag="sp805/1"):
    """``stopped_at`` is the count while the counter is stopped; ``zero`` is the edge at which it next reads 0."""

    registers: Mapping[int, int]
    raw: int
    stopped_at: int
    zero: int


class Sp805(Device):
    """One watchdog; counts down from WDOGLOAD repeatedly, at ``clock_hz`` (an option of its board row)."""

    keys = Sp805Keys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._time = Timebase(wiring, options(row, Sp805Keys).clock_hz)
        self.power_on()

    def power_on(self) -> None:
        """Stop the counter and open the lock."""
        super().power_on()
        self._raw = 0
        self._stopped_at = WORD
        self._zero = 0

    # -- time --------------------------------------------------------------------------------------------------------
    def _restart(self) -> None:
        self._stopped_at = self.values[_LOAD]
        self._zero = self._time.now() + self.values[_LOAD]

    def settle(self) -> None:
        """Account for the time-outs so far."""
        late, period = self._time.now() - self._zero, self.values[_LOAD] + 1
        if not self.values[_CONTROL] & _INTEN or late < 0:
            return
        times = late // period + 1
        self._zero += times * period
        if self.values[_CONTROL] & _RESEN and self._raw + times > 1:
            self.wiring.reset("SP805 watchdog")
        self._raw = 1

    @property
    def deadline(self) -> int | None:
        """The clock value of the next time-out that has an effect."""
        control = self.values[_CONTROL]
        if not control & _INTEN or (self._raw and not control & _RESEN):
            return None
        return self._time.ticks(self._zero)

    def drive(self) -> None:
        """Drive the interrupt, or WDOGITOP in test mode."""
        if self.values[_ITCR]:
            self.wiring.line(bool(self.values[_ITOP] & _ITOP_INT))
            if self.values[_ITOP] & _ITOP_RES:
                self.wiring.reset("SP805 watchdog")
        else:
            self.wiring.line(bool(self._masked()))

    # -- registers ---------------------------------------------------------------------------------------------------
    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; while the lock is closed, only WDOGLOCK accepts writes."""
        if offset == _LOCK:
            self.settle()
            self.values[_LOCK] = int(value != _KEY)
        elif self.values[_LOCK]:
            self.settle()
        else:
            super().write(offset, size, value)

    def _value(self) -> int:
        if not self.values[_CONTROL] & _INTEN:
            return self._stopped_at
        return (self._zero - self._time.now()) % (self.values[_LOAD] + 1)

    def _masked(self) -> int:
        return self._raw & self.values[_CONTROL] & _INTEN

    def _load(self, value: int) -> None:
        self.values[_LOAD] = value & WORD
        self._restart()

    def _control(self, value: int) -> None:
        was_counting = self.values[_CONTROL] & _INTEN
        self._stopped_at = self._value()
        self.values[_CONTROL] = value & (_INTEN | _RESEN)
        if value & _INTEN and not was_counting:
            self._restart()

    def _clear(self, value: int) -> None:
        self._raw = 0
        self._restart()

    registers = RegisterTable(
        Register("WDOGLOAD", _LOAD, reset=WORD, writable=WORD, write=_load),
        Register("WDOGVALUE", 0x04, read=_value),
        Register("WDOGCONTROL", _CONTROL, writable=_INTEN | _RESEN, write=_control),
        Register("WDOGINTCLR", 0x0C, write=_clear),
        Register("WDOGRIS", 0x10, read=lambda watchdog: watchdog._raw),
        Register("WDOGMIS", 0x14, read=_masked),
        Register("WDOGLOCK", _LOCK, writable=1),
        Register("WDOGITCR", _ITCR, writable=1),
        Register("WDOGITOP", _ITOP, writable=_ITOP_RES | _ITOP_INT, read=lambda watchdog: 0),  # write-only
        *identification(0x805, 1),
    )

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> Sp805State:
        """State for a snapshot."""
        return Sp805State(
            registers=dict(self.values), raw=self._raw, stopped_at=self._stopped_at, zero=self._zero
        )  # fmt: skip

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self._raw, self._stopped_at, self._zero = state.raw, state.stopped_at, state.zero
