"""The turns of vCPU threads: round-robin over those that can run, of one VM or of several, with a time slice each.

A thread runs, is ready, is blocked (it waits for an interrupt) or off. That is what :class:`Schedule` keeps of the
threads of one VM. :class:`Turns` says whose turn it is among the threads of all VMs that run together.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

from cca_host.kvmtool.door import VcpuThread
from cca_platform.clock import uneven
from cca_platform.state import State

__all__ = ["Schedule", "ScheduleState", "ThreadState", "Turns"]

_SLICE_ALONE: Final = 2_000_000  # ticks of a time slice if no other vCPU can run: short enough for Ctrl-C
_SLICE: Final = 50_000  # ticks of a time slice if vCPUs take turns: the most that a spinning vCPU wastes
_WORK: Final = 1_000  # instructions of a slice that is more than a look at what a vCPU spins for
_NEVER: Final = 1 << 63
_ROUNDS: Final = 20_000  # rounds of nothing but WFE, with no timer set, until the Realm counts as idle


class ThreadState(StrEnum):
    """What a vCPU's thread does."""

    RUNNING = "running"
    READY = "ready"
    BLOCKED = "blocked"
    OFF = "off"


class ScheduleState(State, frozen=True, tag="host.schedule/3"):
    """Saved state of a :class:`Schedule`: vCPUs by index."""

    turn: int
    running: int | None
    until: int
    waiting: dict[int, int | None]
    spinning: tuple[int, ...]
    rounds: int
    work: int


class Schedule:
    """The threads of one VM. ``running`` is the vCPU whose slice has begun, ``turn`` the first candidate for the next.

    Its slice ends at clock value ``until``: an exit that the VMM handles at once does not end it.

    ``waiting`` maps vCPUs that wait for an interrupt, by index, to the clock value that wakes them, if any: when their
    next timer fires. A timer that fired earlier wakes a vCPU only if its interrupt is signalled.

    ``spinning`` are the vCPUs that gave up their last slice by WFE after little ``work`` (instructions of this slice).
    While all spin or wait, time passes by a slice for each of the ``rounds``.
    """

    def __init__(self, vcpus: Sequence[VcpuThread]) -> None:
        self.vcpus = vcpus
        self.turn = 0
        self.running: VcpuThread | None = None
        self.until = 0
        self.waiting: dict[int, int | None] = {}
        self.spinning: set[int] = set()
        self.rounds = 0
        self.work = 0
        self._asleep: dict[int, int] = {}  # the era in which a waiting vCPU was found asleep, by its index
        self._calm: set[int] = set()  # those of them that are so in the era of the VM,
        self._era = 0
        self._until = _NEVER  # and up to this clock value
        self._states = [self.state(index) for index in range(len(vcpus))]  # as the trace knows them

    def state(self, index: int) -> ThreadState:
        """What the thread of a vCPU does."""
        vcpu = self.vcpus[index]
        if vcpu is self.running:
            return ThreadState.RUNNING
        if not vcpu.on:
            return ThreadState.OFF
        return ThreadState.BLOCKED if index in self.waiting else ThreadState.READY

    def changes(self, over: bool = False) -> Iterator[tuple[VcpuThread, ThreadState]]:
        """The threads that have another state than at the last call; ``over``: the VM has ended, so all are off."""
        for index, before in enumerate(self._states):
            state = ThreadState.OFF if over else self.state(index)
            if state is not before:
                self._states[index] = state
                yield self.vcpus[index], state

    # -- who can run ----------------------------------------------------------------------------------------------
    def wake(self, now: int) -> None:
        """Make those ready that something has woken by clock value ``now``."""
        if not self.waiting:
            return
        calm, vcpus = self._calm, self.vcpus
        if calm and (now >= self._until or vcpus[0].eras[0] != self._era):
            calm.clear()
            self._until = _NEVER
        if len(calm) == len(self.waiting):
            return
        for index in [one for one in self.waiting if one not in calm and vcpus[one].on]:
            deadline = self.waiting[index]
            if (deadline is not None and deadline <= now) or self._woken(vcpus[index], deadline):
                self.ready(index)

    def ready(self, index: int) -> None:
        """A vCPU waits no more."""
        del self.waiting[index]
        self._asleep.pop(index, None)
        self._calm.discard(index)
        self.vcpus[index].blocked = False

    def can_run(self, index: int) -> bool:
        """True if the thread is ready."""
        return self.vcpus[index].on and index not in self.waiting

    def _woken(self, vcpu: VcpuThread, deadline: int | None) -> bool:
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

    # -- slices -------------------------------------------------------------------------------------------------
    def start(self, index: int) -> VcpuThread:
        """Begin the slice of a vCPU."""
        vcpu = self.vcpus[index]
        self.turn, self.running, self.work = index + 1, vcpu, 0
        return vcpu

    def end(self) -> None:
        """End the slice of the running vCPU."""
        if self.running is not None:
            self.spinning.discard(self.running.index)
        self.running = None

    def spin(self, vcpu: VcpuThread) -> bool:
        """Record that ``vcpu`` has given up its slice by WFE; returns True if no vCPU has done or can do anything else.

        That is asked once a round.
        """
        if self.work > _WORK:
            self.rounds = 0
            return False
        self.spinning.add(vcpu.index)
        if self.busy:
            return False
        self.spinning.clear()
        self.rounds += 1
        return True

    @property
    def busy(self) -> bool:
        """True if a vCPU can do something else than spin."""
        return any(one.on and one.index not in self.spinning and one.index not in self.waiting for one in self.vcpus)

    @property
    def hopeless(self) -> bool:
        """True if all vCPUs have spun or waited for so long that nothing else will come, and no timer is set."""
        return self.rounds > _ROUNDS and all(vcpu.deadline() is None for vcpu in self.vcpus if vcpu.on)

    def wait(self, vcpu: VcpuThread, deadline: int | None) -> None:
        """Record that ``vcpu`` waits for an interrupt."""
        self.waiting[vcpu.index] = deadline
        self._asleep.pop(vcpu.index, None)  # its priority mask may be another
        self._calm.discard(vcpu.index)
        vcpu.blocked = True

    def deadline(self) -> int | None:
        """The clock value that wakes the first vCPU, or None."""
        due = [deadline for index, deadline in self.waiting.items() if self.vcpus[index].on and deadline is not None]
        return min(due, default=None)

    # -- snapshots ----------------------------------------------------------------------------------------------
    def save(self) -> ScheduleState:
        """State for a snapshot."""
        running = None if self.running is None else self.running.index
        return ScheduleState(
            turn=self.turn, running=running, until=self.until, waiting=dict(self.waiting),
            spinning=tuple(sorted(self.spinning)), rounds=self.rounds, work=self.work,
        )  # fmt: skip

    def restore(self, state: ScheduleState) -> None:
        """Restore what :meth:`save` returned."""
        self.turn, self.until, self.waiting = state.turn, state.until, dict(state.waiting)
        self._asleep.clear()
        self._calm.clear()
        self.spinning, self.rounds, self.work = set(state.spinning), state.rounds, state.work
        self.running = None if state.running is None else self.vcpus[state.running]
        for vcpu in self.vcpus:
            vcpu.blocked = vcpu.index in self.waiting
        self._states = [self.state(index) for index in range(len(self.vcpus))]


class Turns:
    """The turns of the threads of several VMs, in the order of ``schedules`` and of their vCPUs.

    ``last`` is the thread whose slice was the last: (which schedule, vCPU). With one VM, its ``turn`` decides.
    """

    def __init__(self, schedules: Sequence[Schedule], last: tuple[int, int] | None = None) -> None:
        self.schedules = schedules
        self._threads = [(schedule, index) for schedule in schedules for index in range(len(schedule.vcpus))]
        self._next = self._after(last)

    def _after(self, last: tuple[int, int] | None) -> int:
        """The position of the first candidate."""
        if last is None:
            return self.schedules[0].turn if self.schedules else 0
        number, index = last
        return sum(len(schedule.vcpus) for schedule in self.schedules[:number]) + index + 1

    def wake(self, now: int) -> None:
        """Make those ready that something has woken by clock value ``now``."""
        for schedule in self.schedules:
            schedule.wake(now)

    def begin(self, now: int) -> tuple[Schedule, VcpuThread] | None:
        """Begin the slice of the next thread that can run at clock value ``now``."""
        self.wake(now)
        threads = self._threads
        count = len(threads)
        for step in range(count):
            at = (self._next + step) % count
            schedule, index = threads[at]
            if schedule.can_run(index):
                self._next = at + 1
                return schedule, schedule.start(index)
        return None

    def drop(self, schedule: Schedule) -> None:
        """A VM has ended: its threads have no more turns."""
        self.schedules = [one for one in self.schedules if one is not schedule]
        passed = sum(owner is schedule for owner, _ in self._threads[: self._next])
        self._threads = [(owner, index) for owner, index in self._threads if owner is not schedule]
        self._next -= passed

    def slice_ticks(self, now: int) -> int:
        """The ticks of the slice that begins at clock value ``now``, with its vCPU running.

        It is short if another thread can run: no two such slices need be alike. Else it ends when the first that waits
        for its timer has to be looked at; who is woken by anything else ends it.
        """
        if any(schedule.can_run(at) and schedule.vcpus[at] is not schedule.running for schedule, at in self._threads):
            return uneven(_SLICE, now)
        due = self.deadline()
        return _SLICE_ALONE if due is None or due <= now else min(_SLICE_ALONE, due - now)

    def spin_ticks(self, now: int) -> int:
        """The ticks that pass when all threads have spun once: a slice of each."""
        return _SLICE_ALONE if len(self._threads) == 1 else uneven(_SLICE, now)

    def spin(self, schedule: Schedule, vcpu: VcpuThread) -> bool:
        """Record that a vCPU has given up its slice by WFE; True if no thread of any VM can do anything else."""
        return schedule.spin(vcpu) and not any(one.busy for one in self.schedules if one is not schedule)

    def deadline(self) -> int | None:
        """The clock value that wakes the first vCPU, or None."""
        due = [at for schedule in self.schedules if (at := schedule.deadline()) is not None]
        return min(due, default=None)
