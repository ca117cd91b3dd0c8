"""The generic watchdog (DEN0094, Arm Base System Architecture): WS0 interrupts, WS1 resets the system."""

from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import Device
from cca_platform.devices.keys import GenericWatchdogKeys, options
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["GenericWatchdog"]

_WRR, _WCS, _WOR, _WCV, _IIDR = 0x000, 0x000, 0x008, 0x010, 0xFCC
_WEN, _WS0, _WS1 = 1, 2, 4
_IDENTITY: Final = 0x0001_043B  # version 1 of the architecture (WOR of 48 bits), implementer Arm
_WIDTH: Final = {_WOR: 48, _WCV: 64}
_HALF: Final = 0xFFFF_FFFF


class GenericWatchdogState(State, frozen=True, tag="generic-watchdog/1"):
    """WCS, WOR and WCV."""

    status: int
    offset: int
    compare: int


class GenericWatchdog(Device):
    """One watchdog with two frames of 4 KiB each.

    The control frame is at offset ``control`` of the device, the refresh frame at ``refresh`` (options of its board
    row). It compares with the system counter.
    """

    keys = GenericWatchdogKeys

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        keys = options(row, GenericWatchdogKeys)
        self._control_frame, self._refresh_frame = keys.control, keys.refresh
        self.power_on()

    def power_on(self) -> None:
        """The watchdog is disabled."""
        self._status = 0
        self._wide = {_WOR: 0, _WCV: 0}

    # -- time --------------------------------------------------------------------------------------------------------
    def _refresh(self) -> None:
        """Refresh explicitly: by WRR, and by any write to WOR or WCS."""
        self._wide[_WCV] = self.wiring.now() + self._wide[_WOR] & (1 << 64) - 1
        self._status &= _WEN

    def settle(self) -> None:
        """Do the timeout refresh if it is due."""
        now = self.wiring.now()
        if not self._status & _WEN or self._status & _WS1 or now <= self._wide[_WCV]:
            return
        if self._status & _WS0:
            self._status |= _WS1
            self.wiring.reset("generic watchdog")
        else:
            self._status |= _WS0
            self._wide[_WCV] = now + self._wide[_WOR]

    @property
    def deadline(self) -> int | None:
        """The clock value of the next timeout refresh."""
        if not self._status & _WEN or self._status & _WS1:
            return None
        return self._wide[_WCV] + 1

    def drive(self) -> None:
        """WS0 interrupts."""
        self.wiring.line(bool(self._status & _WS0))

    # -- registers ---------------------------------------------------------------------------------------------------
    def read(self, offset: int, size: int) -> int:
        """Read a register, WOR and WCV by words or whole; unknown offsets read as zero."""
        self.settle()
        frame, register = self._place(offset)
        if register == _IIDR and frame is not None:
            return _IDENTITY
        if frame != self._control_frame:
            return 0
        if register == _WCS:
            return self._status
        return self._wide.get(register & ~4, 0) >> 8 * (register & 4)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; unknown offsets are ignored."""
        self.settle()
        frame, register = self._place(offset)
        if frame == self._refresh_frame:
            if register == _WRR:
                self._refresh()
        elif frame == self._control_frame:
            wide = register & ~4
            if wide in self._wide:
                self._wide[wide] = self._merge(self._wide[wide], register & 4, size, value) & (1 << _WIDTH[wide]) - 1
            if register == _WCS:
                self._status = self._status & ~_WEN | value & _WEN
            if register == _WCS or wide == _WOR:
                self._refresh()
        self.drive()

    def _place(self, offset: int) -> tuple[int | None, int]:
        """(Frame, offset in it) of an offset in the device."""
        for frame in (self._control_frame, self._refresh_frame):
            if frame <= offset < frame + 0x1000:
                return frame, offset - frame
        return None, 0

    @staticmethod
    def _merge(old: int, half: int, size: int, value: int) -> int:
        """``old`` with one word, or all of it, replaced."""
        if half:
            return old & _HALF | (value & _HALF) << 32
        return value if size == 8 else old & ~_HALF | value & _HALF

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> GenericWatchdogState:
        """State for a snapshot."""
        return GenericWatchdogState(status=self._status, offset=self._wide[_WOR], compare=self._wide[_WCV])

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        self._status, self._wide[_WOR], self._wide[_WCV] = state.status, state.offset, state.compare
