"""The identification registers that all PrimeCell peripherals have."""

from cca_platform.devices.base import Register

__all__ = ["identification"]

_CELL = (0x0D, 0xF0, 0x05, 0xB1)


def identification(part: int, revision: int) -> list[Register]:
    """The registers PeriphID0 to PeriphID3 and PCellID0 to PCellID3; designer 0x41 is Arm."""
    peripheral = (part & 0xFF, part >> 8 | 0x10, revision << 4 | 0x4, 0x00)
    return [
        *(Register(f"PeriphID{at}", 0xFE0 + 4 * at, reset=byte, plain=True) for at, byte in enumerate(peripheral)),
        *(Register(f"PCellID{at}", 0xFF0 + 4 * at, reset=byte, plain=True) for at, byte in enumerate(_CELL)),
    ]
