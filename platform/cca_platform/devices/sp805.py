"""SP805 watchdog (DDI 0270): the first time-out interrupts, the second, with the interrupt up, resets the system."""

from typing import Any, Final

from cca_platform.devices.primecell import identification
from cca_platform.devices.timebase import Timebase
from cca_platform.devices.wiring import Wiring
from cca_platform.machine.board import Device

__all__ = ["Sp805"]

_LOAD, _VALUE, _CONTROL, _INTCLR, _RIS, _MIS = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
_LOCK, _ITCR, _ITOP = 0xC00, 0xF00, 0xF04
_INTEN, _RESEN = 1, 2
_ITOP_RES, _ITOP_INT = 1, 2
_KEY: Final = 0x1ACC_E551
_ONES: Final = 0xFFFF_FFFF
_ID: Final = identification(0x805, 1)


class Sp805:
    """One watchdog; it counts down from WDOGLOAD at ``clock_hz`` (an option of its board row), over and over again."""

    def __init__(self, device: Device, wiring: Wiring) -> None:
        self.name = device.name
        self._wiring = wiring
        self._time = Timebase(wiring, device.options.get("clock_hz", 32_768))
        self._power_on()

    def _power_on(self) -> None:
        self._load = _ONES
        self._control = 0
        self._raw = 0
        self._locked = 0
        self._test, self._test_outputs = 0, 0
        self._stopped_at = _ONES  # the value while the counter stands still
        self._zero = 0  # the edge at which it reads 0 next

    # -- time --------------------------------------------------------------------------------------------------------
    def _restart(self) -> None:
        self._stopped_at = self._load
        self._zero = self._time.now() + self._load

    def _settle(self) -> None:
        """Account for the time-outs up to now."""
        late = self._time.now() - self._zero
        if not self._control & _INTEN or late < 0:
            return
        times = late // (self._load + 1) + 1
        self._zero += times * (self._load + 1)
        if self._control & _RESEN and self._raw + times > 1:
            self._wiring.reset("SP805 watchdog")
        self._raw = 1

    def _value(self) -> int:
        if not self._control & _INTEN:
            return self._stopped_at
        return (self._zero - self._time.now()) % (self._load + 1)

    @property
    def deadline(self) -> int | None:
        """Clock value of the next time-out that changes something."""
        if not self._control & _INTEN or (self._raw and not self._control & _RESEN):
            return None
        return self._time.ticks(self._zero)

    def advance(self, now: int) -> None:
        """A time-out."""
        self._settle()
        self._drive()

    def _drive(self) -> None:
        if self._test:
            self._wiring.line(bool(self._test_outputs & _ITOP_INT))
            if self._test_outputs & _ITOP_RES:
                self._wiring.reset("SP805 watchdog")
        else:
            self._wiring.line(bool(self._raw & self._control))

    # -- registers ---------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """A register; unknown offsets read as zero."""
        self._settle()
        registers = {
            _LOAD: self._load,
            _VALUE: self._value(),
            _CONTROL: self._control,
            _RIS: self._raw,
            _MIS: self._raw & self._control & _INTEN,
            _LOCK: self._locked,
            _ITCR: self._test,
        }
        return registers.get(offset, _ID.get(offset, 0))

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; while the lock is closed only WDOGLOCK takes writes."""
        self._settle()
        if offset == _LOCK:
            self._locked = int(value != _KEY)
        elif not self._locked:
            self._write(offset, value)
            self._drive()

    def _write(self, offset: int, value: int) -> None:
        if offset == _LOAD:
            self._load = value & _ONES
            self._restart()
        elif offset == _CONTROL:
            was_counting, value = self._control & _INTEN, value & (_INTEN | _RESEN)
            self._stopped_at = self._value()
            self._control = value
            if value & _INTEN and not was_counting:
                self._restart()
        elif offset == _INTCLR:
            self._raw = 0
            self._restart()
        elif offset == _ITCR:
            self._test = value & 1
        elif offset == _ITOP:
            self._test_outputs = value & (_ITOP_RES | _ITOP_INT)

    # -- state -------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Registers as after power-on: the counter stands still, the lock is open."""
        self._power_on()
        self._drive()

    def save(self) -> Any:
        """State for a snapshot."""
        return (
            self._load, self._control, self._raw, self._locked, self._test, self._test_outputs, self._stopped_at,
            self._zero,
        )  # fmt: skip

    def restore(self, data: Any) -> None:
        """Put back what ``save`` gave."""
        (
            self._load, self._control, self._raw, self._locked, self._test, self._test_outputs, self._stopped_at,
            self._zero,
        ) = data  # fmt: skip
