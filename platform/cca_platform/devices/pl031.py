"""PL031 real-time clock (DDI 0224): seconds since 1970, and an alarm."""

import time
from typing import Any, Final

from cca_platform.devices.primecell import identification
from cca_platform.devices.timebase import Timebase
from cca_platform.devices.wiring import Wiring
from cca_platform.machine.board import Device

__all__ = ["EPOCH", "Pl031"]

EPOCH: Final = 1_767_225_600
"""What the clock reads when a machine with virtual time is made: 2026-01-01 00:00:00 UTC."""

_DR, _MR, _LR, _CR, _IMSC, _RIS, _MIS, _ICR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C
_ONES: Final = 0xFFFF_FFFF
_ID: Final = identification(0x031, 1)


class Pl031:
    """One clock. It runs from the start, as firmware leaves it: RTCCR reads 1. A system reset does not set it back.

    In virtual time it starts at ``EPOCH``, so that runs repeat; with the clock of the host it shows the host's time.
    """

    def __init__(self, device: Device, wiring: Wiring) -> None:
        self.name = device.name
        self._wiring = wiring
        self._time = Timebase(wiring, 1)
        self._start = EPOCH if wiring.clock.mode == "virtual" else int(time.time())  # its value at counter value 0
        self._power_on()

    def _power_on(self) -> None:
        self._match = self._loaded = self._mask = self._raw = 0
        self._seen = self._time.now()  # the second up to which matches are accounted for

    # -- time --------------------------------------------------------------------------------------------------------
    def _until_match(self) -> int:
        """Seconds from ``_seen`` to the next match, at least 1."""
        return (self._match - self._start - self._seen - 1 & _ONES) + 1

    def _settle(self) -> None:
        """Account for the matches up to now."""
        now = self._time.now()
        if now - self._seen >= self._until_match():
            self._raw = 1
        self._seen = now

    @property
    def deadline(self) -> int | None:
        """Clock value of the next alarm that interrupts."""
        if not self._mask or self._raw:
            return None
        return self._time.ticks(self._seen + self._until_match())

    def advance(self, now: int) -> None:
        """An alarm."""
        self._settle()
        self._drive()

    def _drive(self) -> None:
        self._wiring.line(bool(self._raw & self._mask))

    def _match_now(self) -> None:
        """A match register or a time that was just written can match at once."""
        if self._start + self._seen & _ONES == self._match:
            self._raw = 1

    # -- registers ---------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """A register; unknown offsets read as zero."""
        self._settle()
        registers = {
            _DR: self._start + self._seen & _ONES,
            _MR: self._match,
            _LR: self._loaded,
            _CR: 1,
            _IMSC: self._mask,
            _RIS: self._raw,
            _MIS: self._raw & self._mask,
        }
        return registers.get(offset, _ID.get(offset, 0))

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; unknown offsets are ignored."""
        self._settle()
        if offset == _MR:
            self._match = value & _ONES
            self._match_now()
        elif offset == _LR:
            self._loaded = value & _ONES
            self._start = self._loaded - self._seen
            self._match_now()
        elif offset == _IMSC:
            self._mask = value & 1
        elif offset == _ICR:
            self._raw &= ~value
        self._drive()

    # -- state -------------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """The alarm is off; the time goes on."""
        self._power_on()
        self._drive()

    def save(self) -> Any:
        """State for a snapshot."""
        return self._start, self._match, self._loaded, self._mask, self._raw, self._seen

    def restore(self, data: Any) -> None:
        """Put back what ``save`` gave."""
        self._start, self._match, self._loaded, self._mask, self._raw, self._seen = data
