"""SP810 system controller (DDI 0254): the clocks of the FVP's dual timers; nothing else in it has a use in a model."""

from typing import Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device, Register, RegisterTable
from cca_platform.devices.keys import Sp810Keys, options
from cca_platform.devices.primecell import identification
from cca_platform.devices.sp804 import Sp804
from cca_platform.devices.wiring import Wiring

__all__ = ["Sp810"]

_SCCTRL: Final = 0x000
_MODE: Final = 7
_DOZE: Final = 1 << 3 | 1  # ModeStatus and ModeCtrl after a reset
_TIMERS: Final = 0xFF << 15
_FIRST: Final = 15  # TimerEn0Sel, then TimerEn0Ov; two bits a timer


class Sp810(Device):
    """One system controller.

    Each timer has a clock: the reference clock, the timer clock if TimerEnNSel is set, and with TimerEnNOv the clock
    that both are made of (``reference_hz``, ``timer_hz`` and ``clock_hz`` of the row).
    """

    keys = Sp810Keys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        keys = options(row, Sp810Keys)
        self._rates: Final = (keys.reference_hz, keys.timer_hz, keys.clock_hz)
        self._timers: list[Sp804] = []

    def attach(self, timer: Sp804) -> None:
        """Tell ``timer`` when its clocks change."""
        self._timers.append(timer)

    def rate(self, number: int) -> int:
        """The frequency of the clock of a timer in Hz."""
        select = self.values[_SCCTRL] >> _FIRST + 2 * number
        reference, timer, raw = self._rates
        return int(raw if select & 2 else timer if select & 1 else reference)

    def _control(self, value: int) -> None:
        for timer in self._timers:
            timer.settle()
        self.values[_SCCTRL] = value & (_MODE | _TIMERS) | _DOZE & ~_MODE
        for timer in self._timers:
            timer.reclock()

    registers = RegisterTable(
        Register("SCCTRL", _SCCTRL, reset=_DOZE, writable=_MODE | _TIMERS, write=_control),
        *identification(0x810, 0),
    )
