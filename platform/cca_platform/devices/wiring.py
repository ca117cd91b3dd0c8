"""What a device model is to the bus, and what the board gives it: time, an interrupt line, reset, memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cca_platform.machine.clock import Clock
    from cca_platform.memory.memory import Memory
    from cca_platform.trace.trace import Trace

__all__ = ["Peripheral", "Registers", "Wiring"]


class Registers(Protocol):
    """Something that answers on the bus, by byte offset from the start of its frame."""

    name: str

    def read(self, offset: int, size: int) -> int:
        """Read ``size`` bytes of the registers."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes of the registers."""


class Peripheral(Registers, Protocol):
    """A device of the board. ``deadline`` is the clock value of what it does next of its own accord, or None.

    ``save`` may give the same object until something changes; the bus asks only then.
    """

    @property
    def deadline(self) -> int | None:
        """Clock value of its next event."""

    def advance(self, now: int) -> None:
        """The clock has reached the deadline: do what is due."""

    def save(self) -> Any:
        """State for a snapshot, as plain data that nobody changes afterwards."""

    def restore(self, data: Any) -> None:
        """Put back what ``save`` gave; interrupt lines stay as they are, the interrupt controller restores them."""

    def reset(self) -> None:
        """A system reset."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """The board around one device.

    ``line(level)`` drives its interrupt, ``signal(intid, level)`` any shared one. ``device(name)`` is another device,
    whose row comes earlier in the board. ``changed()`` has to be called when its state changes other than in ``read``,
    ``write`` and ``advance``. ``reset(reason)`` asks for a system reset, ``power_off(reason)`` ends the run.
    """

    clock: "Clock"
    memory: "Memory"
    trace: "Trace"
    line: Callable[[bool], None]
    signal: Callable[[int, bool], None]
    changed: Callable[[], None]
    device: Callable[[str], Any]
    reset: Callable[[str], None]
    power_off: Callable[[str], None]

    def now(self) -> int:
        """The system counter."""
        return self.clock.now
