"""The system registers of the Versatile Express platform, as the Base FVP has them (DUI 0447, DUI 0837)."""

from typing import Any, Final

from cca_platform.devices.timebase import Timebase
from cca_platform.devices.wiring import Wiring
from cca_platform.machine.board import Device

__all__ = ["VexpressSysreg"]

_SYS_ID, _SYS_SW, _SYS_LED, _SYS_100HZ = 0x00, 0x04, 0x08, 0x24
_FLAGS, _FLAGSCLR, _NVFLAGS, _NVFLAGSCLR = 0x30, 0x34, 0x38, 0x3C
_CFGSW, _SYS_24MHZ, _SYS_MISC, _CFGDATA, _CFGCTRL, _CFGSTAT = 0x58, 0x5C, 0x60, 0xA0, 0xA4, 0xA8

_BASE_FVP_REVC: Final = 0x2020_1100
"""SYS_ID: revision C, HBI 0x020 (Base FVP), build 1 (the GIC at 0x2F00_0000), architecture 1 (a model)."""

_STORED: Final = {_SYS_SW: 0xFF, _SYS_LED: 0xFF, _CFGSW: 0xFF, _SYS_MISC: 0xFFFF_FFFF, _CFGDATA: 0xFFFF_FFFF}
_SET: Final = {_FLAGS: _FLAGS, _NVFLAGS: _NVFLAGS}
_CLEAR: Final = {_FLAGSCLR: _FLAGS, _NVFLAGSCLR: _NVFLAGS}
_START, _WRITE = 1 << 31, 1 << 30
_SHUTDOWN, _REBOOT = 8, 9
_COMPLETE, _ERROR = 1, 2
_ONES: Final = 0xFFFF_FFFF


class VexpressSysreg:
    """Flags, counters, and the configuration controller, whose functions are shutdown and reboot.

    SYS_NVFLAGS keeps its value over a system reset. Registers that software has no use for in a model read as zero.
    """

    def __init__(self, device: Device, wiring: Wiring) -> None:
        self.name = device.name
        self._wiring = wiring
        self._counters = {_SYS_100HZ: Timebase(wiring, 100), _SYS_24MHZ: Timebase(wiring, 24_000_000)}
        self._registers = {_NVFLAGS: 0}
        self._power_on()

    deadline = None

    def _power_on(self) -> None:
        kept = self._registers[_NVFLAGS]
        self._registers = {_SYS_ID: _BASE_FVP_REVC, **dict.fromkeys(_STORED, 0), _FLAGS: 0, _NVFLAGS: kept}
        self._registers |= {_CFGCTRL: 0, _CFGSTAT: 0}
        self._began = {offset: counter.now() for offset, counter in self._counters.items()}

    def advance(self, now: int) -> None:
        """Nothing happens by itself."""

    def read(self, offset: int, size: int) -> int:
        """A register; unknown offsets read as zero."""
        if offset in self._counters:
            return self._counters[offset].now() - self._began[offset] & _ONES
        return self._registers.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; unknown offsets are ignored."""
        registers = self._registers
        if offset in _STORED:
            registers[offset] = value & _STORED[offset]
        elif offset in _SET:
            registers[_SET[offset]] |= value & _ONES
        elif offset in _CLEAR:
            registers[_CLEAR[offset]] &= ~value
        elif offset == _CFGSTAT:
            registers[_CFGSTAT] = value & (_COMPLETE | _ERROR)
        elif offset == _CFGCTRL:
            registers[_CFGCTRL] = value & _ONES & ~_START
            if value & _START:
                self._configure(value >> 20 & 0x3F, bool(value & _WRITE))

    def _configure(self, function: int, write: bool) -> None:
        self._registers[_CFGSTAT] = _COMPLETE
        if write and function == _SHUTDOWN:
            self._wiring.power_off("system off: system registers")
        elif write and function == _REBOOT:
            self._wiring.reset("system registers")
        else:
            self._registers[_CFGSTAT] |= _ERROR

    def reset(self) -> None:
        """Registers as after power-on, but for SYS_NVFLAGS; the counters begin again."""
        self._power_on()

    def save(self) -> Any:
        """State for a snapshot."""
        return dict(self._registers), dict(self._began)

    def restore(self, data: Any) -> None:
        """Put back what ``save`` gave."""
        self._registers, self._began = dict(data[0]), dict(data[1])
