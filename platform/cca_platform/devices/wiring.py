"""What answers on the bus, and what the board gives a device model: time, an interrupt line, reset, memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cca_platform.machine.clock import Clock
from cca_platform.memory.memory import Memory
from cca_platform.trace.trace import Trace

__all__ = ["Registers", "Wiring"]


class Registers(Protocol):
    """Something that answers on the bus, by byte offset from the start of its frame."""

    name: str

    def read(self, offset: int, size: int) -> int:
        """Read ``size`` bytes of the registers."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes of the registers."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """The board around one device.

    ``line(level)`` drives its interrupt, ``signal(intid, level)`` any shared one. ``device(name)`` is another device,
    whose row comes earlier in the board. ``changed()`` has to be called when its state changes other than in ``read``,
    ``write`` and ``advance``: the machine then asks for its deadline and its state again. ``reset(reason)`` asks for a
    system reset, ``power_off(reason)`` ends the run.
    """

    clock: Clock
    memory: Memory
    trace: Trace
    line: Callable[[bool], None]
    signal: Callable[[int, bool], None]
    changed: Callable[[], None]
    device: Callable[[str], Any]
    reset: Callable[[str], None]
    power_off: Callable[[str], None]

    def now(self) -> int:
        """The system counter."""
        return self.clock.now
