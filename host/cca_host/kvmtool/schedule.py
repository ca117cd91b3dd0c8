"""The vCPU scheduler: round-robin over those that can run, with a time slice each."""

from collections.abc import Sequence
from typing import Any, Final

from cca_host.kvm import Cpu
from cca_platform.clock import uneven
from cca_platform.state import State

__all__ = ["Schedule", "ScheduleState"]

_SLICE_ALONE: Final = 20_000_000  # ticks of a time slice if no other vCPU waits: short enough for Ctrl-C
_SLICE: Final = 50_000  # ticks of a time slice if vCPUs take turns: the most that a spinning vCPU wastes
_WORK: Final = 1_000  # instructions of a slice that is more than a look at what a vCPU spins for
_NEVER: Final = 1 << 63
_ROUNDS: Final = 20_000  # rounds of nothing but WFE, with no timer set, until the Realm counts as idle


class ScheduleState(State, frozen=True, tag="host.schedule/2"):
    """Saved state of a :class:`Schedule`: vCPUs by index."""

    turn: int
    running: int | None
    waiting: dict[int, int | None]
    spinning: tuple[int, ...]
    rounds: int
    work: int


class Schedule:
    """The turns of ``vcpus``. ``running`` is the vCPU whose slice has begun, ``turn`` the first candidate for the next.

    ``waiting`` maps vCPUs that wait for an interrupt, by index, to the clock value that wakes them, if any: when their
    next timer fires. A timer that fired earlier wakes a vCPU only if its interrupt is signalled.

    ``spinning`` are the vCPUs that gave up their last slice by WFE after little ``work`` (instructions of this slice).
    While all spin or wait, time passes by a slice for each of the ``rounds``.
    """

    def __init__(self, vcpus: Sequence[Cpu[Any]]) -> None:
        self.vcpus = vcpus
        self.turn = 0
        self.running: Cpu[Any] | None = None
        self.waiting: dict[int, int | None] = {}
        self.spinning: set[int] = set()
        self.rounds = 0
        self.work = 0
        self._asleep: dict[int, int] = {}  # the era in which a waiting vCPU was found asleep, by its index
        self._calm: set[int] = set()  # those of them that are so in the era of the VM,
        self._era = 0
        self._until = _NEVER  # and up to this clock value

    def slice_ticks(self, now: int) -> int:
        """The ticks of the slice that begins at clock value ``now``; if vCPUs take turns, no two need be alike."""
        return _SLICE_ALONE if len(self.vcpus) == 1 else uneven(_SLICE, now)

    def begin(self, now: int) -> Cpu[Any] | None:
        """Begin the slice of the first vCPU from ``turn`` on that can run at clock value ``now``."""
        count, calm = len(self.vcpus), self._calm
        if calm and (now >= self._until or self.vcpus[0].eras[0] != self._era):
            calm.clear()
            self._until = _NEVER
        for step in range(count):
            index = (self.turn + step) % count
            if index in calm:
                continue
            vcpu = self.vcpus[index]
            if not vcpu.on:
                continue
            if vcpu.index in self.waiting:
                deadline = self.waiting[vcpu.index]
                if (deadline is None or deadline > now) and not self._woken(vcpu, deadline):
                    continue
                del self.waiting[vcpu.index]
                self._asleep.pop(vcpu.index, None)
            self.turn, self.running, self.work = vcpu.index + 1, vcpu, 0
            return vcpu
        return None

    def _woken(self, vcpu: Cpu[Any], deadline: int | None) -> bool:
        """Whether an interrupt wakes a vCPU; asked again only once something has changed.

        A VM may have hundreds that sleep while one runs, which has short slices.
        """
        index = vcpu.index
        if self._asleep.get(index) != vcpu.eras[1]:
            if vcpu.wakes():
                return True
            self._asleep[index] = vcpu.eras[1]  # its timers' lines may just have changed it
        era = vcpu.eras[0]
        if era != self._era:
            self._calm.clear()
            self._era, self._until = era, _NEVER
        self._calm.add(index)
        if deadline is not None:
            self._until = min(self._until, deadline)
        return False

    def end(self) -> None:
        """End the slice of the running vCPU."""
        if self.running is not None:
            self.spinning.discard(self.running.index)
        self.running = None

    def spin(self, vcpu: Cpu[Any]) -> bool:
        """Record that ``vcpu`` has given up its slice by WFE; returns True if no vCPU has done or can do anything else.

        That is asked once a round.
        """
        if self.work > _WORK:
            self.rounds = 0
            return False
        self.spinning.add(vcpu.index)
        if any(one.on and one.index not in self.spinning and one.index not in self.waiting for one in self.vcpus):
            return False
        self.spinning.clear()
        self.rounds += 1
        return True

    @property
    def hopeless(self) -> bool:
        """True if all vCPUs have spun or waited for so long that nothing else will come, and no timer is set."""
        return self.rounds > _ROUNDS and all(vcpu.deadline() is None for vcpu in self.vcpus if vcpu.on)

    def wait(self, vcpu: Cpu[Any], deadline: int | None) -> None:
        """Record that ``vcpu`` waits for an interrupt."""
        self.waiting[vcpu.index] = deadline
        self._asleep.pop(vcpu.index, None)  # its priority mask may be another
        self._calm.discard(vcpu.index)

    def deadline(self) -> int | None:
        """The clock value that wakes the first vCPU, or None."""
        due = [deadline for index, deadline in self.waiting.items() if self.vcpus[index].on and deadline is not None]
        return min(due, default=None)

    def save(self) -> ScheduleState:
        """State for a snapshot."""
        running = None if self.running is None else self.running.index
        return ScheduleState(
            turn=self.turn, running=running, waiting=dict(self.waiting), spinning=tuple(sorted(self.spinning)),
            rounds=self.rounds, work=self.work,
        )  # fmt: skip

    def restore(self, state: ScheduleState) -> None:
        """Restore what :meth:`save` returned."""
        self.turn, self.waiting = state.turn, dict(state.waiting)
        self._asleep.clear()
        self._calm.clear()
        self.spinning, self.rounds, self.work = set(state.spinning), state.rounds, state.work
        self.running = None if state.running is None else self.vcpus[state.running]
