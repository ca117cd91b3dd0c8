"""The further keys of a device's row, by kind: what they must be, and what they are unless given.

A model of a user that has no ``keys`` takes any; it looks at them itself.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from msgspec import Meta, Struct

from cca_arch.timer_frames import COUNTER_FRAMES
from cca_platform.board import DeviceRow
from cca_platform.errors import MachineError
from cca_platform.schema import Address, Frequency, Intid, SchemaError, fit, within

if TYPE_CHECKING:
    from cca_platform.devices.wiring import Wiring

__all__ = [
    "FwCfgKeys", "GenericWatchdogKeys", "Keys", "Pl011Keys", "Pl061Keys", "SmmuKeys", "SmmuRootKeys",
    "Sp804Keys", "Sp805Keys", "Sp810Keys", "TimerFrameKeys", "VirtioKeys", "another",
    "options",
]  # fmt: skip

_PINS: Final = 8
_Pin = Annotated[int, Meta(ge=0, le=_PINS - 1)]


class Keys(Struct, frozen=True, forbid_unknown_fields=True):
    """No keys at all; the base of all others."""


_Keys = TypeVar("_Keys", bound=Struct)


def options(row: DeviceRow, kind: type[_Keys]) -> _Keys:
    """The keys of a row; raises MachineError, with the name of the device and the key that is wrong."""
    name = f"device {row.name} of kind {row.kind!r}"
    try:
        return fit(dict(row.options), kind, name)
    except SchemaError as error:
        raise MachineError(within(name, error)) from None


def another(row: DeviceRow, wiring: "Wiring", key: str, name: str, kind: str) -> Any:
    """The device that a key names; raises MachineError unless it comes earlier, and is of this kind."""
    found = wiring.device(name)
    if wiring.memory.board.device(name).kind != kind:
        what = f"{key}: must name a device of kind {kind!r}, not {name!r}"
        raise MachineError(f"device {row.name} of kind {row.kind!r}: {what}")
    return found


class Pl011Keys(Keys, frozen=True):
    """A UART."""

    clock_hz: Annotated[Frequency, Meta(description="UARTCLK, on which the receive time-out depends")] = 24_000_000


class Sp804Keys(Keys, frozen=True):
    """A dual timer."""

    clock_hz: Annotated[Frequency, Meta(description="its clock")] = 1_000_000
    controller: Annotated[str | None, Meta(description="or the system controller (`sp810`) that has its clocks")] = None
    first: Annotated[Literal[0, 1, 2], Meta(description="the first of its two clocks there")] = 0


class Sp805Keys(Keys, frozen=True):
    """A watchdog."""

    clock_hz: Annotated[Frequency, Meta(description="its clock")] = 32_768


class Sp810Keys(Keys, frozen=True):
    """A system controller."""

    reference_hz: Annotated[Frequency, Meta(description="the reference clock")] = 32_768
    timer_hz: Annotated[Frequency, Meta(description="the timer clock")] = 1_000_000
    clock_hz: Annotated[Frequency, Meta(description="the clock that both are made of")] = 35_000_000


class GenericWatchdogKeys(Keys, frozen=True):
    """A generic watchdog."""

    control: Annotated[Address, Meta(description="where in the device the control frame is")] = 0
    refresh: Annotated[Address, Meta(description="where in the device the refresh frame is")] = 0x1_0000


class TimerFrameKeys(Keys, frozen=True):
    """A frame of timers."""

    control: Annotated[str, Meta(description="the device of its control frame")]
    frame: Annotated[int, Meta(description="its number", ge=0, le=COUNTER_FRAMES - 1)]
    virtual_irq: Annotated[Intid, Meta(description="the interrupt of its virtual timer; 0: it has none")] = 0
    el0: Annotated[Address | None, Meta(description="where in the device its second view (CNTEL0BaseN) is")] = None


class SmmuKeys(Keys, frozen=True):
    """An SMMU."""

    gerror_irq: Annotated[Intid, Meta(description="the interrupt of global errors; 0: none")] = 0
    cmd_sync_irq: Annotated[Intid, Meta(description="the interrupt of CMD_SYNC; 0: none")] = 0


class SmmuRootKeys(Keys, frozen=True):
    """The Root Control Page of an SMMU."""

    smmu: Annotated[str, Meta(description="the SMMU, whose row comes earlier")]


class Pl061Keys(Keys, frozen=True):
    """A GPIO."""

    power_off: Annotated[_Pin | None, Meta(description="the pin whose rise turns the system off")] = None
    reset: Annotated[_Pin | None, Meta(description="the pin whose rise resets the system")] = None
    power_button: Annotated[_Pin | None, Meta(description="the pin of a power button, for the device tree")] = None


class FwCfgKeys(Keys, frozen=True):
    """fw_cfg."""

    files: Annotated[dict[str, str], Meta(description="its files, from name to text")] = {}


class VirtioKeys(Keys, frozen=True):
    """Virtio transports, one after another."""

    stride: Annotated[int, Meta(description="bytes from one transport to the next", ge=0x100, le=64 << 10)] = 0x200
