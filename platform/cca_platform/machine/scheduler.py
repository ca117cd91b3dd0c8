"""The scheduler, the only place that decides what runs next: a PE, an event of the queue, or idle time.

PEs take turns of nearly equal numbers of instructions, one at a time, so that equal inputs give equal runs. An
interrupt for another PE ends a turn early. While all others are off or sleep, a PE needs no turns: it goes on until one
of them wakes. When every PE waits, time passes until the first event: of the queue, which has those of the devices, or
of a PE's timers. Virtual time skips there; the host's is waited for.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cca_arch.types import Instructions, Ticks
from cca_platform.clock import Clock, uneven
from cca_platform.errors import InstructionLimit
from cca_platform.halt import Halt
from cca_platform.machine.events import EventQueue
from cca_platform.state import State

__all__ = ["Scheduler", "SchedulerState"]

_TURN: Final = 50_000  # instructions of a turn, or a little less
_NEVER: Final = Ticks(1 << 62)
_ANY: Final = Ticks(-1)  # of a turn that has not begun
_SHARED: Final = Ticks(0)
_PART: Final = 8  # of what is left to a limit, between two looks at the exceptions, which count, too
_ENDLESS: Final = "takes exceptions without end"


class Runner(Protocol):
    """The scheduler's view of a PE."""

    index: int
    on: bool
    waiting: bool
    stuck: bool

    @property
    def wfe(self) -> object | None:
        """What it watches in WFE, which stores and SEV of other PEs can end at any time."""

    def run(self, *, until: Ticks | None, limit: Instructions | None) -> None:
        """Run code until the counter reads ``until``, all PEs have retired ``limit``, or there is none to run."""

    def end_turn(self) -> None:
        """Make ``run`` return at the next block."""

    def asleep(self) -> bool:
        """True if it waits and no interrupt wakes it."""

    def lost(self) -> bool:
        """True if it takes exceptions endlessly and no interrupt can change that."""

    def deadline(self) -> Ticks | None:
        """When one of its timers next changes what it signals."""

    def clear_exclusive(self) -> None:
        """Another PE will have run before its code goes on."""


class Power(Protocol):
    """The scheduler's view of the machine: ``stopped`` is why nothing runs any more, or None."""

    stopped: str | None

    def stop(self, reason: str, halt: Halt = Halt.FAILED) -> None:
        """Stop the machine."""


class SchedulerState(State, frozen=True, tag="scheduler/2"):
    """The PE whose turn it is, the remaining instructions of the turn, and ``wakes``.

    That is when another PE may wake, if this one is alone until then; 0 if it is not, -1 if the turn has not begun.
    """

    turn: int
    rest: int
    wakes: int


class Scheduler:
    """The turns of the PEs of one machine; ``idle(due)`` lets idle time pass (``Inputs.idle``)."""

    def __init__(
        self,
        power: Power,
        clock: Clock,
        events: EventQueue,
        pes: Sequence[Runner],
        idle: Callable[[Ticks | None], None],
    ) -> None:
        self._power = power
        self._clock = clock
        self._events = events
        self._pes = pes
        self._pass = idle
        self._turn = 0
        self._rest = _TURN
        self._wakes = _ANY
        self._since = 0  # from where the instructions of this turn are counted, at the earliest
        self._running = False  # whether the PE that has its turn uses it

    # -- turns -------------------------------------------------------------------------------------------------------
    def run(self, max_insns: int | None = None) -> str:
        """Run the PEs that have code to run in turn until the machine stops; returns the reason.

        InstructionLimit after ``max_insns`` instructions in all; a synchronous exception counts as one, and so does a
        wait of every PE. The next run goes on with the PE whose turn it was.
        """
        power, clock = self._power, self._clock
        limit = None if max_insns is None else clock.retired + max_insns
        stopped = power.stopped  # looked at anew after all that can stop the machine
        while stopped is None:
            pe, start, taken = self._pes[self._turn], clock.retired, clock.exceptions
            if pe.on and self._rest > 0:
                if self._wakes == _ANY:
                    self._wakes = self._alone(pe)
                self._running = True
                try:
                    pe.run(until=self._wakes or None, limit=self._end(start, limit))
                finally:
                    self._running = False
                if not self._wakes:
                    self._rest -= clock.retired - max(start, self._since)
                elif clock.now >= self._wakes:
                    self._rest = 0
                if limit is not None:
                    limit -= clock.exceptions - taken
                stopped = power.stopped
                if stopped is None and pe.lost() and self._events.next is None:
                    power.stop(f"PE {pe.index} {_ENDLESS}", Halt.IDLE)
            over = not pe.on or pe.waiting or self._rest <= 0
            stopped = power.stopped
            if stopped is None and over and self._pass_turn() and limit is not None:
                limit -= 1
            stopped = power.stopped
            if stopped is None and limit is not None and clock.retired >= limit:
                raise InstructionLimit(f"the limit of {max_insns} instructions is reached")
        return stopped

    def _alone(self, pe: Runner) -> Ticks:
        """Until when no other PE has anything to do unless this one wakes it; 0 if one has, or if this one waits.

        A turn finds that out when it begins, so that it is the same however often the run pauses in it. Time that
        follows the host's needs turns: it is looked at between them.
        """
        if pe.waiting or self._clock.mode != "virtual":
            return _SHARED
        wakes = _NEVER
        for other in self._pes:
            if other is pe or not other.on:
                continue
            if other.wfe is not None or not other.asleep() or other.lost():
                return _SHARED
            wakes = min(wakes, other.deadline() or _NEVER)
        return wakes

    def _end(self, start: int, limit: int | None) -> Instructions | None:
        """Where the PE whose turn it is must stop, but for its time."""
        if self._wakes:
            return None if limit is None else Instructions(min(start + max((limit - start) // _PART, _TURN), limit))
        end = start + self._rest
        return Instructions(end if limit is None else min(end, limit))

    def _pass_turn(self) -> bool:
        """Pass the turn to the next PE; returns True if every PE waited, so that idle time passed."""
        pes = self._pes
        last = pes[self._turn]
        if last.on and not last.waiting and any(pe.on for pe in pes if pe is not last):
            last.clear_exclusive()
        turn = (self._turn + 1) % len(pes)
        while turn and not pes[turn].on:
            turn = (turn + 1) % len(pes)
        self._turn, self._rest, self._wakes = turn, uneven(_TURN, self._clock.retired), _ANY
        if turn:
            return False
        running = [pe for pe in pes if pe.on]
        if not running:
            self._power.stop("every PE is off", Halt.IDLE)
        if not running or not all(pe.asleep() for pe in running):
            return False
        if not self._idle(running):
            if self._clock.mode == "virtual":
                self._power.stop("every PE waits for an interrupt that cannot come", Halt.IDLE)
            else:  # input may still come
                self._pass(None)
        return True

    def make_way(self, index: int) -> None:
        """End another PE's turn at the next block, because a PE has an interrupt.

        Between two runs, only a turn ends that has no other end.
        """
        if index != self._turn and (self._running or self._wakes > 0):
            self._rest = 0
            if self._running:
                self._pes[self._turn].end_turn()

    def join(self, index: int) -> None:
        """A PE has come on: if one goes on because it is alone, the rest of its turn is counted from here."""
        if index != self._turn and self._wakes > 0:
            self._wakes, self._since = _SHARED, self._clock.retired
            if self._running:
                self._pes[self._turn].end_turn()

    def reset(self) -> None:
        """Give the turn to the first PE."""
        self._turn, self._rest, self._wakes = 0, _TURN, _ANY

    # -- idle time ---------------------------------------------------------------------------------------------------
    def wait(self, pe: Runner) -> None:
        """Let idle time pass for a waiting PE that a Python host runs alone."""
        if pe.asleep() and not self._idle([pe]):
            what = _ENDLESS if pe.stuck else "waits for an interrupt that cannot come"
            self._power.stop(f"PE {pe.index} {what}")

    def _idle(self, pes: Sequence[Runner]) -> bool:
        """Let idle time pass until the next event for these PEs; returns True if there is one."""
        due = [ticks for ticks in (self._events.next, *(pe.deadline() for pe in pes)) if ticks is not None]
        if due:
            self._pass(min(due))
        return bool(due)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> SchedulerState:
        """State for a snapshot."""
        return SchedulerState(turn=self._turn, rest=self._rest, wakes=self._wakes)

    def restore(self, state: SchedulerState) -> None:
        """Restore what ``save`` returned."""
        self._turn, self._rest, self._wakes = state.turn, state.rest, Ticks(state.wakes)
        self._since = 0
