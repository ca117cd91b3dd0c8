"""SP804 dual timer (DDI 0271): two counters of 16 or 32 bits that count down, with one interrupt for both."""

from collections.abc import Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import WORD, Device, Register, RegisterTable
from cca_platform.devices.keys import Sp804Keys, another, options
from cca_platform.devices.primecell import identification
from cca_platform.devices.timebase import Timebase
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Sp804"]

_LOAD, _VALUE, _CONTROL, _INTCLR, _RIS, _MIS, _BGLOAD = range(0x00, 0x1C, 4)
_SECOND: Final = 0x20  # the registers of the second timer
_ITCR, _ITOP = 0xF00, 0xF04
_ONE_SHOT, _32_BITS, _INTENABLE, _PERIODIC, _ENABLE = 1 << 0, 1 << 1, 1 << 5, 1 << 6, 1 << 7
_PRESCALE: Final = 2  # the position of TimerPre
_DIVIDERS: Final = (1, 16, 256, 256)  # by TimerPre; 3 is reserved
_CONTROL_BITS: Final = 0xEF


class Sp804State(State, frozen=True, tag="sp804/1"):
    """By timer: the interrupt, and its count at an edge of its clock, of which 16 or 32 bits count."""

    registers: Mapping[int, int]
    raw: tuple[int, int]
    count: tuple[int, int]
    edge: tuple[int, int]


def _timer(timer: int) -> list[Register]:
    """The registers of a timer."""
    base, name = _SECOND * timer, f"Timer{timer + 1}"

    def background(device: "Sp804", value: int) -> None:
        device.values[_LOAD + base] = value & WORD

    def load(device: "Sp804", value: int) -> None:
        device.load(timer, value)

    def control(device: "Sp804", value: int) -> None:
        device.control(timer, value)

    def clear(device: "Sp804", value: int) -> None:
        device.clear(timer)

    return [
        Register(f"{name}Load", _LOAD + base, writable=WORD, write=load),
        Register(f"{name}Value", _VALUE + base, read=lambda device: device.count(timer)),
        Register(f"{name}Control", _CONTROL + base, reset=_INTENABLE, writable=_CONTROL_BITS, write=control),
        Register(f"{name}IntClr", _INTCLR + base, write=clear),
        Register(f"{name}RIS", _RIS + base, read=lambda device: device.raw(timer)),
        Register(f"{name}MIS", _MIS + base, read=lambda device: device.masked(timer)),
        Register(f"{name}BGLoad", _BGLOAD + base, read=lambda device: device.values[_LOAD + base], write=background),
    ]


class Sp804(Device):
    """One dual timer.

    Its clock has ``clock_hz`` (an option of its row), or is that of timers ``first`` and ``first`` + 1 of the system
    controller that ``controller`` names.
    """

    keys = Sp804Keys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        keys = options(row, Sp804Keys)
        self._hz = keys.clock_hz
        name = keys.controller
        self._controller = None if name is None else another(row, wiring, "controller", name, "sp810")
        self._first = keys.first
        self._times: dict[tuple[int, int], Timebase] = {}
        if self._controller is not None:
            self._controller.attach(self)
        self._stop()

    def power_on(self) -> None:
        """Stop both timers."""
        super().power_on()
        self._stop()

    def _stop(self) -> None:
        self._raw = [0, 0]
        self._count = [WORD, WORD]
        self._edge = [0, 0]

    # -- time --------------------------------------------------------------------------------------------------------
    def _time(self, timer: int) -> Timebase:
        """The clock that a timer counts."""
        hz = self._hz if self._controller is None else self._controller.rate(self._first + timer)
        divider = _DIVIDERS[self._control(timer) >> _PRESCALE & 3]
        found = self._times.get((hz, divider))
        if found is None:
            found = self._times[hz, divider] = Timebase(self.wiring, hz, divider)
        return found

    def _control(self, timer: int) -> int:
        return self.values[_CONTROL + _SECOND * timer]

    def _most(self, timer: int) -> int:
        """The highest count."""
        return WORD if self._control(timer) & _32_BITS else 0xFFFF

    def _top(self, timer: int) -> int | None:
        """What follows zero; None if the timer then stands."""
        control, most = self._control(timer), self._most(timer)
        if control & _ONE_SHOT:
            return None
        return self.values[_LOAD + _SECOND * timer] & most if control & _PERIODIC else most

    def _to_zero(self, timer: int) -> int | None:
        """The edges until the count next becomes zero."""
        count, top = self._count[timer] & self._most(timer), self._top(timer)
        return count or (None if top is None else top + 1)

    def settle(self) -> None:
        """Count the edges so far."""
        for timer in (0, 1):
            if not self._control(timer) & _ENABLE:
                continue
            edge = self._time(timer).now()
            steps, self._edge[timer] = edge - self._edge[timer], edge
            zero = self._to_zero(timer)
            if not steps or zero is None:
                continue
            if steps < zero:
                self._count[timer] = zero - steps
                continue
            self._raw[timer], top = 1, self._top(timer)
            self._count[timer] = 0 if top is None else -(steps - zero) % (top + 1)

    def reclock(self) -> None:
        """The clock has another frequency from now on; before the change, the timer has been settled."""
        for timer in (0, 1):
            self._edge[timer] = self._time(timer).now()
        self.wiring.changed()

    @property
    def deadline(self) -> int | None:
        """The clock value of the next interrupt."""
        due = []
        for timer in (0, 1):
            zero = self._to_zero(timer)
            if self._control(timer) & (_ENABLE | _INTENABLE) == _ENABLE | _INTENABLE and not self._raw[timer] and zero:
                due.append(self._time(timer).ticks(self._edge[timer] + zero))
        return min(due, default=None)

    def drive(self) -> None:
        """Drive the combined interrupt, or that of TimerITOP in test mode."""
        if self.values[_ITCR]:
            self.wiring.line(bool(self.values[_ITOP]))
        else:
            self.wiring.line(any(self.masked(timer) for timer in (0, 1)))

    # -- registers ---------------------------------------------------------------------------------------------------
    def count(self, timer: int) -> int:
        """TimerNValue."""
        return self._count[timer]

    def raw(self, timer: int) -> int:
        """TimerNRIS."""
        return self._raw[timer]

    def masked(self, timer: int) -> int:
        """TimerNMIS."""
        return self._raw[timer] & self._control(timer) // _INTENABLE

    def load(self, timer: int, value: int) -> None:
        """TimerNLoad: count on from ``value``; zero interrupts at once."""
        self.values[_LOAD + _SECOND * timer] = value & WORD
        self._count[timer] = value & WORD
        if not value & self._most(timer) and self._control(timer) & _ENABLE:
            self._raw[timer] = 1

    def clear(self, timer: int) -> None:
        """TimerNIntClr."""
        self._raw[timer] = 0

    def control(self, timer: int, value: int) -> None:
        """TimerNControl."""
        self.values[_CONTROL + _SECOND * timer] = value & _CONTROL_BITS
        self._edge[timer] = self._time(timer).now()

    registers = RegisterTable(
        *_timer(0),
        *_timer(1),
        Register("TimerITCR", _ITCR, writable=1),
        Register("TimerITOP", _ITOP, writable=3, read=lambda device: 0),  # write-only
        *identification(0x804, 1),
    )

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> Sp804State:
        """State for a snapshot."""
        raw, count, edge = self._raw, self._count, self._edge
        return Sp804State(dict(self.values), (raw[0], raw[1]), (count[0], count[1]), (edge[0], edge[1]))

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self._raw, self._count, self._edge = list(state.raw), list(state.count), list(state.edge)

