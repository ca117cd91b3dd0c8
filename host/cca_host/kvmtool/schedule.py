"""The vCPU scheduler: round-robin over those that can run, with a time slice each."""

from collections.abc import Sequence
from typing import Final

from cca_host.kvm import Vcpu
from cca_platform.state import State

__all__ = ["Schedule", "ScheduleState"]

_SLICE_ALONE: Final = 20_000_000  # ticks of a time slice if no other vCPU waits: short enough for Ctrl-C
_SLICE: Final = 50_000  # ticks of a time slice if vCPUs take turns: the most that a spinning vCPU wastes


class ScheduleState(State, frozen=True, tag="host.schedule/1"):
    """Saved state of a :class:`Schedule`: vCPUs by index."""

    turn: int
    running: int | None
    waiting: dict[int, int | None]


class Schedule:
    """The turns of ``vcpus``. ``running`` is the vCPU whose slice has begun, ``turn`` the first candidate for the next.

    ``waiting`` maps vCPUs that wait for an interrupt, by index, to the clock value that wakes them, if any: when their
    next timer fires. A timer that fired earlier wakes a vCPU only if its interrupt is signalled.
    """

    def __init__(self, vcpus: Sequence[Vcpu]) -> None:
        self.vcpus = vcpus
        self.turn = 0
        self.running: Vcpu | None = None
        self.waiting: dict[int, int | None] = {}

    @property
    def slice_ticks(self) -> int:
        """The ticks of one slice."""
        return _SLICE if len(self.vcpus) > 1 else _SLICE_ALONE

    def begin(self, now: int) -> Vcpu | None:
        """Begin the slice of the first vCPU from ``turn`` on that can run at clock value ``now``."""
        count = len(self.vcpus)
        for step in range(count):
            vcpu = self.vcpus[(self.turn + step) % count]
            if not vcpu.on:
                continue
            if vcpu.index in self.waiting:
                deadline = self.waiting[vcpu.index]
                if (deadline is None or deadline > now) and not vcpu.wakes():
                    continue
                del self.waiting[vcpu.index]
            self.turn, self.running = vcpu.index + 1, vcpu
            return vcpu
        return None

    def end(self) -> None:
        """End the slice of the running vCPU."""
        self.running = None

    def wait(self, vcpu: Vcpu, deadline: int | None) -> None:
        """Record that ``vcpu`` waits for an interrupt."""
        self.waiting[vcpu.index] = deadline

    def deadline(self) -> int | None:
        """The clock value that wakes the first vCPU, or None."""
        due = [deadline for index, deadline in self.waiting.items() if self.vcpus[index].on and deadline is not None]
        return min(due, default=None)

    def save(self) -> ScheduleState:
        """State for a snapshot."""
        running = None if self.running is None else self.running.index
        return ScheduleState(turn=self.turn, running=running, waiting=dict(self.waiting))

    def restore(self, state: ScheduleState) -> None:
        """Restore what :meth:`save` returned."""
        self.turn, self.waiting = state.turn, dict(state.waiting)
        self.running = None if state.running is None else self.vcpus[state.running]
