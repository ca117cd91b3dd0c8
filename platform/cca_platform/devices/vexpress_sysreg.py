"""The system registers of the Versatile Express platform, as on the Base FVP (DUI 0447, DUI 0837)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cca_platform.board import DeviceRow
from cca_platform.devices.base import WORD, Device, Register, RegisterTable
from cca_platform.devices.timebase import Timebase
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["VexpressSysreg"]

_100HZ, _24MHZ = 0x24, 0x5C
_FLAGS, _NVFLAGS = 0x30, 0x38
_CFGCTRL, _CFGSTAT = 0xA4, 0xA8

_BASE_FVP_REVC: Final = 0x2020_1100
"""SYS_ID: revision C, HBI 0x020 (Base FVP), build 1 (the GIC at 0x2F00_0000), architecture 1 (a model)."""

_START, _WRITE = 1 << 31, 1 << 30
_SHUTDOWN, _REBOOT = 8, 9
_COMPLETE, _ERROR = 1, 2


class VexpressSysregState(State, frozen=True, tag="vexpress-sysreg/1"):
    """``began`` is the edge of its clock from which each counter counts."""

    registers: Mapping[int, int]
    began: Mapping[int, int]


def _set(offset: int) -> Callable[["VexpressSysreg", int], None]:
    """Set the bits of a flags register that are ones."""

    def write(device: "VexpressSysreg", value: int) -> None:
        device.values[offset] |= value & WORD

    return write


def _clear(offset: int) -> Callable[["VexpressSysreg", int], None]:
    """Clear the bits of a flags register that are ones."""

    def write(device: "VexpressSysreg", value: int) -> None:
        device.values[offset] &= ~value

    return write


def _count(offset: int) -> Callable[["VexpressSysreg"], int]:
    return lambda device: device.count(offset)


class VexpressSysreg(Device):
    """Flags, counters, and the configuration controller, whose functions are shutdown and reboot.

    SYS_NVFLAGS keeps its value over a system reset. Registers without a use in a model read as zero.
    """

    def __init__(self, row: DeviceRow, wiring: Wiring) -> None:
        super().__init__(row, wiring)
        self._counters = {_100HZ: Timebase(wiring, 100), _24MHZ: Timebase(wiring, 24_000_000)}
        self.power_on()

    def power_on(self) -> None:
        """Reset all registers except SYS_NVFLAGS; the counters restart."""
        kept = self.values[_NVFLAGS]
        super().power_on()
        self.values[_NVFLAGS] = kept
        self._began = {offset: counter.now() for offset, counter in self._counters.items()}

    def count(self, offset: int) -> int:
        """The value of the counter at this offset."""
        return self._counters[offset].now() - self._began[offset] & WORD

    def _control(self, value: int) -> None:
        """SYS_CFGCTRL: execute a function of the configuration controller, which completes with the store."""
        self.values[_CFGCTRL] = value & WORD & ~_START
        if not value & _START:
            return
        function, write = value >> 20 & 0x3F, bool(value & _WRITE)
        self.values[_CFGSTAT] = _COMPLETE
        if write and function == _SHUTDOWN:
            self.wiring.power_off("system off: system registers")
        elif write and function == _REBOOT:
            self.wiring.reset("system registers")
        else:
            self.values[_CFGSTAT] |= _ERROR

    registers = RegisterTable(
        Register("SYS_ID", 0x00, reset=_BASE_FVP_REVC),
        Register("SYS_SW", 0x04, writable=0xFF),
        Register("SYS_LED", 0x08, writable=0xFF),
        Register("SYS_100HZ", _100HZ, read=_count(_100HZ)),
        Register("SYS_FLAGS", _FLAGS, writable=WORD, write=_set(_FLAGS)),
        Register("SYS_FLAGSCLR", 0x34, write=_clear(_FLAGS)),
        Register("SYS_NVFLAGS", _NVFLAGS, writable=WORD, write=_set(_NVFLAGS)),
        Register("SYS_NVFLAGSCLR", 0x3C, write=_clear(_NVFLAGS)),
        Register("SYS_CFGSW", 0x58, writable=0xFF),
        Register("SYS_24MHZ", _24MHZ, read=_count(_24MHZ)),
        Register("SYS_MISC", 0x60, writable=WORD),
        Register("SYS_CFGDATA", 0xA0, writable=WORD),
        Register("SYS_CFGCTRL", _CFGCTRL, writable=WORD, write=_control),
        Register("SYS_CFGSTAT", _CFGSTAT, writable=_COMPLETE | _ERROR),
    )

    def save(self) -> VexpressSysregState:
        """State for a snapshot."""
        return VexpressSysregState(registers=dict(self.values), began=dict(self._began))

    def restore(self, state: Any) -> None:
        """Restore what ``save`` returned."""
        super().restore(state)
        self._began = dict(state.began)
