"""Whose turn it is among the vCPUs of a VM."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from cca_host.kvmtool.schedule import Schedule, Turns

pytestmark = pytest.mark.pure("a compiled schedule takes true vCPUs alone")


@pytest.fixture
def vcpus() -> list[Any]:
    """Three vCPUs that are on and that no interrupt wakes."""
    return [SimpleNamespace(index=index, on=True, interrupted=False, eras=(0, 0), asked=0) for index in range(3)]


@pytest.fixture
def schedule(vcpus: list[Any]) -> Schedule:
    def wakes(vcpu: Any) -> bool:
        vcpu.asked += 1
        return bool(vcpu.interrupted)

    for vcpu in vcpus:
        vcpu.wakes = partial(wakes, vcpu)
    return Schedule(vcpus)


def begin(schedule: Schedule, now: int = 0) -> Any:
    """The vCPU whose slice begins, or None."""
    found = Turns((schedule,)).begin(now)
    return None if found is None else found[1]


def turns(schedule: Schedule, count: int, now: int = 0) -> list[int | None]:
    """The vCPUs of the next slices."""
    found = []
    for _ in range(count):
        vcpu = begin(schedule, now)
        found.append(None if vcpu is None else vcpu.index)
        schedule.end()
    return found


class TestSchedule:
    def test_round_robin(self, schedule: Schedule) -> None:
        """Each has its turn after the one before."""
        assert turns(schedule, 5) == [0, 1, 2, 0, 1]

    def test_off(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """A vCPU that is off has none."""
        vcpus[1].on = False
        assert turns(schedule, 3) == [0, 2, 0]

    def test_waiting(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """One that waits has none before its deadline or an interrupt, and then waits no more."""
        schedule.wait(vcpus[1], 100)
        schedule.wait(vcpus[2], None)
        assert turns(schedule, 2, now=99) == [0, 0]
        assert schedule.deadline() == 100
        assert turns(schedule, 2, now=100) == [1, 0]
        vcpus[2].interrupted, vcpus[0].eras, vcpus[2].eras = True, (1, 0), (1, 1)
        assert turns(schedule, 3, now=100) == [1, 2, 0]
        assert schedule.waiting == {}

    def test_asleep(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """Nobody asks again who sleeps until the interrupts of that vCPU have changed, or its time has come."""
        schedule.wait(vcpus[1], 100)
        schedule.wait(vcpus[2], None)
        assert turns(schedule, 9) == [0] * 9
        assert [vcpu.asked for vcpu in vcpus] == [0, 1, 1]
        for change in range(1, 4):  # of the interrupts of the last one
            for vcpu in vcpus:
                vcpu.eras = (change, change if vcpu.index == 2 else 0)
            assert turns(schedule, 3) == [0] * 3
        assert [vcpu.asked for vcpu in vcpus] == [0, 1, 4]
        assert turns(schedule, 2, now=100) == [1, 0]
        schedule.wait(vcpus[1], None)
        assert turns(schedule, 2, now=100) == [0, 0]
        assert [vcpu.asked for vcpu in vcpus] == [0, 2, 4]

    def test_nobody(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """When nobody can run there is no turn; a deadline of one that is off does not count."""
        for vcpu in vcpus:
            schedule.wait(vcpu, 50)
            vcpu.on = False
        assert turns(schedule, 1, now=60) == [None]
        assert schedule.deadline() is None

    def test_slices(self, vcpus: list[Any], schedule: Schedule) -> None:
        """A slice is short only if another vCPU can run, else it ends with the first deadline of one that waits."""
        turns = Turns((schedule,))
        short = turns.slice_ticks(0)
        begin(schedule)
        for vcpu, deadline in ((vcpus[1], None), (vcpus[2], 70_000)):
            assert turns.slice_ticks(0) == short
            schedule.wait(vcpu, deadline)
        assert (turns.slice_ticks(0), turns.slice_ticks(20_000)) == (70_000, 50_000)
        vcpus[2].on = False
        assert turns.slice_ticks(0) > 30 * short

    @pytest.mark.parametrize("length", [2, 7, 25, 50, 64, 100, 250])
    def test_no_two_alike(self, schedule: Schedule, length: int) -> None:
        """A loop of any such length meets the ends of slices everywhere, also where one slice follows the other."""
        now, ends = 0, set()
        for _ in range(20 * length):
            ticks = Turns((schedule,)).slice_ticks(now)
            assert 49_000 < ticks <= 50_000
            ends.add(ticks % length)
            now += ticks
        assert ends == set(range(length))

    def test_saved(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """The turn, the slice that has begun and who waits are saved state."""
        begin(schedule)
        begin(schedule)
        schedule.wait(vcpus[2], 7)
        other = Schedule(vcpus)
        other.restore(schedule.save())
        assert (other.running, other.waiting) == (vcpus[1], {2: 7})
        assert turns(other, 2) == [0, 1]


class TestSpinning:
    """vCPUs that give up their slices by WFE."""

    def test_all(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """A round in which all that are on spin or wait is over with the last of them."""
        schedule.wait(vcpus[2], None)
        found = []
        for _ in range(4):
            vcpu = begin(schedule)
            assert vcpu is not None
            schedule.end()
            found.append(schedule.spin(vcpu))
        assert (found, schedule.rounds) == ([False, True, False, True], 2)

    def test_work(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """A vCPU that has done some work, or had its whole slice, does not spin."""
        vcpus[2].on = False
        begin(schedule)
        schedule.end()
        assert not schedule.spin(vcpus[0])
        begin(schedule)
        schedule.work = 5_000
        schedule.end()
        assert not schedule.spin(vcpus[1])
        begin(schedule)
        schedule.end()  # of the first, by its timer
        begin(schedule)
        schedule.end()
        assert not schedule.spin(vcpus[1])

    def test_hopeless(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """After many rounds nothing will come, unless a timer is set."""
        timer: list[int | None] = [None]
        for vcpu in vcpus:
            vcpu.on = vcpu.index == 0
            vcpu.deadline = lambda: timer[0]
        for _ in range(20_001):
            assert not schedule.hopeless
            schedule.spin(vcpus[0])
        assert schedule.hopeless
        timer[0] = 7
        assert not schedule.hopeless

    def test_saved(self, schedule: Schedule, vcpus: list[Any]) -> None:
        """All of that is saved."""
        begin(schedule)
        schedule.spin(vcpus[0])
        schedule.rounds, schedule.work = 5, 9
        other = Schedule(vcpus)
        other.restore(schedule.save())
        assert (other.spinning, other.rounds, other.work, other.running) == ({0}, 5, 9, vcpus[0])
