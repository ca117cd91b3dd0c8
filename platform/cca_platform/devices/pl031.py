"""PL031 real-time clock (DDI 0224): seconds since 1970, and an alarm."""

import time
from collections.abc import Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import WORD, Device, Register, RegisterTable
from cca_platform.devices.primecell import identification
from cca_platform.devices.timebase import Timebase
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["EPOCH", "Pl031"]

EPOCH: Final = 1_767_225_600
"""The time at which a machine with virtual time starts: 2026-01-01 00:00:00 UTC."""

_MR, _LR, _IMSC = 0x04, 0x08, 0x10


class Pl031State(State, frozen=True, tag="pl031/1"):
    """``start`` is the time at counter value 0, ``seen`` the second up to which alarms are accounted for."""

    registers: Mapping[int, int]
    start: int
    seen: int
    raw: int


class Pl031(Device):
    """One clock. It runs from the start, as left by firmware: RTCCR reads 1. A system reset does not reset it.

    In virtual time it starts at ``EPOCH``, so that runs are repeatable; with the host's clock it shows the host's time.
    """

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._time = Timebase(wiring, 1)
        self._start = EPOCH if wiring.clock.mode == "virtual" else wiring.ask(lambda: int(time.time()))
        self.power_on()

    def start_at(self, seconds: int) -> None:
        """Let it be this time now."""
        self._start = seconds - self._time.now()

    def power_on(self) -> None:
        """Disable the alarm; the time continues."""
        super().power_on()
        self._raw = 0
        self._seen = self._time.now()

    # -- time --------------------------------------------------------------------------------------------------------
    def _until_match(self) -> int:
        """The seconds from ``_seen`` to the next match, at least 1."""
        return (self.values[_MR] - self._start - self._seen - 1 & WORD) + 1

    def settle(self) -> None:
        """Account for the matches so far."""
        now = self._time.now()
        if now - self._seen >= self._until_match():
            self._raw = 1
        self._seen = now

    @property
    def deadline(self) -> int | None:
        """The clock value of the next alarm that interrupts."""
        if not self.values[_IMSC] or self._raw:
            return None
        return self._time.ticks(self._seen + self._until_match())

    def drive(self) -> None:
        """Drive the alarm unless it is masked."""
        self.wiring.line(bool(self._masked()))

    # -- registers ---------------------------------------------------------------------------------------------------
    def _now(self) -> int:
        return self._start + self._seen & WORD

    def _masked(self) -> int:
        return self._raw & self.values[_IMSC]

    def _match(self, value: int) -> None:
        self.values[_MR] = value & WORD
        self._match_now()

    def _load(self, value: int) -> None:
        self.values[_LR] = value & WORD
        self._start = self.values[_LR] - self._seen
        self._match_now()

    def _match_now(self) -> None:
        """Check for a match at once after a write of the match register or the time."""
        if self._now() == self.values[_MR]:
            self._raw = 1

    def _clear(self, value: int) -> None:
        self._raw &= ~value

    registers = RegisterTable(
        Register("RTCDR", 0x00, read=_now),
        Register("RTCMR", _MR, writable=WORD, write=_match),
        Register("RTCLR", _LR, writable=WORD, write=_load),
        Register("RTCCR", 0x0C, reset=1),
        Register("RTCIMSC", _IMSC, writable=1),
        Register("RTCRIS", 0x14, read=lambda clock: clock._raw),
        Register("RTCMIS", 0x18, read=_masked),
        Register("RTCICR", 0x1C, write=_clear),
        *identification(0x031, 1),
    )

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> Pl031State:
        """State for a snapshot."""
        return Pl031State(registers=dict(self.values), start=self._start, seen=self._seen, raw=self._raw)

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self._start, self._seen, self._raw = state.start, state.seen, state.raw
