"""The interfaces between bus, board and device models: accesses, time, interrupt lines, reset, memory."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from cca_platform.clock import Clock
from cca_platform.memory.memory import Memory
from cca_platform.power import Power
from cca_platform.trace.trace import Trace

__all__ = ["Receiver", "Registers", "Wiring"]


def _nothing() -> None:
    """Time is virtual."""


def _answered(answer: Callable[[], bytes]) -> bytes:
    """Nobody keeps a journal."""
    return answer()


def _no_thread(work: Callable[[], bytes], ticks: int) -> None:
    """No thread works for such a device."""
    raise AssertionError("a device with work for threads must be wired to them")


def _nobody(_: object) -> None:
    """Nobody outside."""


def _never() -> bool:
    """Nothing is replayed."""
    return False


class Registers(Protocol):
    """Something that responds on the bus, by byte offset from the start of its frame."""

    name: str

    def read(self, offset: int, size: int) -> int:
        """Read ``size`` bytes of the registers."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Write ``size`` bytes of the registers."""


@runtime_checkable
class Receiver(Protocol):
    """A model that gets input from outside the machine."""

    def arrive(self, data: bytes) -> None:
        """Take input that the machine has noticed."""


class Wiring(Struct, frozen=True):
    """The board around one device.

    ``line(level)`` drives its interrupt, ``signal(intid, level)`` any shared one. ``device(name)`` is another device,
    whose row comes earlier in the board. ``power`` tells which PEs are on. Call ``changed()`` if its state changes
    other than in ``read``, ``write`` and ``advance``: the machine then reads its deadline and state again.
    ``reset(reason)`` requests a system reset; ``power_off(reason)`` ends the run. ``receive(data)`` is the door for
    what comes from outside the machine, which then calls the model's ``arrive``; ``ask(answer)`` lets in what the world
    says now, ``fetch`` lets in bytes (see :mod:`cca_platform.machine.inputs`). ``submit(work, ticks)`` lets a thread do
    ``work``, whose result arrives as what ``receive`` lets in, so many ticks later. ``follow()`` lets the counter catch
    up with the host's clock, for a device that shows it.

    A device with somebody outside, such as sockets, has further doors: ``deliver(data)`` is ``receive`` for threads,
    ``attend(expects)`` makes idle time wait while ``expects()``, and while a journal is ``replaying()``, nobody outside
    must be asked for anything.
    """

    clock: Clock
    memory: Memory
    power: Power
    trace: Trace
    line: Callable[[bool], None]
    signal: Callable[[int, bool], None]
    changed: Callable[[], None]
    device: Callable[[str], Any]
    reset: Callable[[str], None]
    power_off: Callable[[str], None]
    receive: Callable[[bytes], None]
    ask: Callable[[Callable[[], int]], int]
    follow: Callable[[], None] = _nothing
    fetch: Callable[[Callable[[], bytes]], bytes] = _answered
    submit: Callable[[Callable[[], bytes], int], None] = _no_thread
    deliver: Callable[[bytes], None] = _nobody
    attend: Callable[[Callable[[], bool] | None], None] = _nobody
    replaying: Callable[[], bool] = _never

    def now(self) -> int:
        """The system counter."""
        return self.clock.now
