"""The time of a machine: retired instructions, and the system counter, which is derived from them or from wall time.

The two units have types of their own: :data:`~cca_arch.types.Instructions` and :data:`~cca_arch.types.Ticks`. The
virtual counter advances by a tick per ``instructions_per_tick`` instructions (board data); idle time is skipped in
ticks.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cca_arch.types import Instructions, Ticks
from cca_platform.native import block as w
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.memory.memory import Memory

__all__ = ["Clock", "ClockState", "uneven"]

_RETIRED: Final = w.M_RETIRED
_SKIPPED: Final = w.M_SKIPPED
_SHORTER: Final = 9  # bits: by fewer than 512
_MIX: Final = 0x9E37_79B9_7F4A_7C15  # 2**64 by the golden ratio: neighbours go far apart
_WALL: Final = 1 << 62  # instructions per tick where none makes the counter advance


def uneven(length: int, now: int) -> int:
    """A turn of about this ``length`` that begins at ``now``: no two need be alike.

    If they were, a loop would meet the end of each at the same instruction, for ever: as with a lock in its hands that
    whoever has the next turn waits for.
    """
    mixed = now * _MIX & (1 << 64) - 1
    mixed = (mixed ^ mixed >> 32) * _MIX & (1 << 64) - 1
    return length - min(mixed >> 64 - _SHORTER, length // 2)


class ClockState(State, frozen=True, tag="clock/1"):
    """Retired instructions, and the ticks by which the counter is ahead of them (behind, if negative)."""

    retired: int
    skipped: int


class Clock:
    """The counter that CNTPCT_EL0 shows, in ticks of ``counter_hz``.

    ``mode`` "virtual": time advances with the instructions that any PE retires, and by ``skip_to`` for idle time, so
    that equal inputs give equal runs. "host": it is wall time, an input that :mod:`cca_platform.machine.inputs` passes
    to ``skip_to``; instructions do not count.
    """

    def __init__(self, memory: "Memory", counter_hz: int, mode: str) -> None:
        if mode not in ("virtual", "host"):
            raise ValueError(f"clock must be virtual or host, not {mode!r}")
        self._words: Any = memoryview(memory.block)
        self._per_tick = self._rate = memory.board.instructions_per_tick
        if mode == "host":
            self._rate = _WALL
            memory.block[w.M_PER_TICK] = _WALL
        self.counter_hz = counter_hz
        self.mode = mode

    @property
    def now(self) -> Ticks:
        """Ticks since reset."""
        words = self._words
        ticks: Ticks = words[_SKIPPED] + words[_RETIRED] // self._rate
        return ticks

    def reader(self) -> Callable[[], int]:
        """A function that reads the counter, for whoever does so all the time: ``now`` takes three times as long."""
        words, rate = self._words, self._rate

        def read() -> int:
            ticks: int = words[_SKIPPED] + words[_RETIRED] // rate
            return ticks

        return read

    @property
    def retired(self) -> Instructions:
        """The instructions that all PEs have retired."""
        count: Instructions = self._words[_RETIRED]
        return count

    @property
    def exceptions(self) -> int:
        """Synchronous exceptions that all PEs have taken to real code, for differences: a snapshot has none of it.

        Each takes the host about as long as a thousand instructions; a limit of instructions counts it as one.
        """
        count: int = self._words[w.M_TAKEN]
        return count

    def retire(self, count: int) -> None:
        """Account for instructions that no engine has run."""
        self._words[_RETIRED] += count

    def skip_to(self, ticks: Ticks) -> None:
        """Skip idle time until the counter reads ``ticks``; never moves backwards."""
        idle = ticks - self.now
        if idle > 0:
            self._words[_SKIPPED] += idle
            self._words[w.M_BUDGET] = 0  # running code must check the time again

    def spend(self, ticks: int) -> None:
        """Let the time of work pass that no instructions stand for; wall time passes anyway."""
        words = self._words
        if self._rate == _WALL:
            return
        words[_SKIPPED] += ticks
        words[w.M_BUDGET] = 0

    def ticks(self, count: int) -> Ticks:
        """The smallest number of ticks that is certain to cover ``count`` instructions; in wall time, about as many."""
        return Ticks(-(-count // self._per_tick))

    def save(self) -> ClockState:
        """State for a snapshot, the same for either kind of clock."""
        retired = self._words[_RETIRED]
        return ClockState(retired=retired, skipped=self.now - retired // self._per_tick)

    def restore(self, state: ClockState) -> None:
        """Restore the counter from a snapshot."""
        words, retired = self._words, state.retired
        words[_RETIRED], words[_SKIPPED] = retired, state.skipped + retired // self._per_tick - retired // self._rate
