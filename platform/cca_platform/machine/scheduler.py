"""The scheduler, the only place that decides what runs next: a PE, an event of the queue, or idle time.

PEs take turns of equal numbers of instructions, one at a time, so that equal inputs give equal runs. An interrupt for
another PE ends a turn early. When every PE waits, time skips to the first event: of the queue, which has those of the
devices, or of a PE's timers.
"""

import time
from collections.abc import Sequence
from typing import Final, Protocol

from cca_arch.types import Instructions, Ticks
from cca_platform.clock import Clock
from cca_platform.errors import InstructionLimit
from cca_platform.halt import Halt
from cca_platform.machine.events import EventQueue
from cca_platform.state import State

__all__ = ["Scheduler", "SchedulerState"]

_TURN: Final = 50_000  # instructions of a turn
_ENDLESS: Final = "takes exceptions without end"
_NAP: Final = 0.001  # seconds between two checks of the host's clock while idle


class Runner(Protocol):
    """The scheduler's view of a PE."""

    index: int
    on: bool
    waiting: bool
    stuck: bool

    def run(self, *, limit: Instructions) -> None:
        """Run code until all PEs have retired ``limit`` instructions, or there is none to run."""

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


class SchedulerState(State, frozen=True, tag="scheduler/1"):
    """The PE whose turn it is, and the remaining instructions of the turn."""

    turn: int
    rest: int


class Scheduler:
    """The turns of the PEs of one machine."""

    def __init__(self, power: Power, clock: Clock, events: EventQueue, pes: Sequence[Runner]) -> None:
        self._power = power
        self._clock = clock
        self._events = events
        self._pes = pes
        self._turn = 0
        self._rest = _TURN
        self._running = False  # whether the PE that has its turn uses it

    # -- turns -------------------------------------------------------------------------------------------------------
    def run(self, max_insns: int | None = None) -> str:
        """Run the PEs that have code to run in turn until the machine stops; returns the reason.

        InstructionLimit after ``max_insns`` instructions in all; a synchronous exception counts as one, and so does a
        wait of every PE. The next run goes on with the PE whose turn it was.
        """
        power, clock = self._power, self._clock
        limit = None if max_insns is None else clock.retired + max_insns
        while power.stopped is None:
            pe, start, taken = self._pes[self._turn], clock.retired, clock.exceptions
            if pe.on:
                end = start + self._rest
                self._running = True
                try:
                    pe.run(limit=Instructions(end if limit is None else min(end, limit)))
                finally:
                    self._running = False
                self._rest -= clock.retired - start
                if limit is not None:
                    limit -= clock.exceptions - taken
                if power.stopped is None and pe.lost() and self._events.next is None:
                    power.stop(f"PE {pe.index} {_ENDLESS}", Halt.IDLE)
            over = not pe.on or pe.waiting or self._rest <= 0
            if power.stopped is None and over and self._pass_turn() and limit is not None:
                limit -= 1
            if power.stopped is None and limit is not None and clock.retired >= limit:
                raise InstructionLimit(f"the limit of {max_insns} instructions is reached")
        return power.stopped

    def _pass_turn(self) -> bool:
        """Pass the turn to the next PE; returns True if every PE waited, so that idle time was skipped."""
        pes = self._pes
        last = pes[self._turn]
        if last.on and not last.waiting and any(pe.on for pe in pes if pe is not last):
            last.clear_exclusive()
        self._turn, self._rest = (self._turn + 1) % len(pes), _TURN
        if self._turn:
            return False
        running = [pe for pe in pes if pe.on]
        if not running:
            self._power.stop("every PE is off", Halt.IDLE)
        if not running or not all(pe.asleep() for pe in running):
            return False
        if not self._idle(running):
            if self._clock.mode == "virtual":
                self._power.stop("every PE waits for an interrupt that cannot come", Halt.IDLE)
            else:
                time.sleep(_NAP)
        return True

    def make_way(self, index: int) -> None:
        """End another PE's turn at the next block, because a PE has an interrupt."""
        if index != self._turn and self._running:
            self._rest = 0
            self._pes[self._turn].end_turn()

    def reset(self) -> None:
        """Give the turn to the first PE."""
        self._turn, self._rest = 0, _TURN

    # -- idle time ---------------------------------------------------------------------------------------------------
    def wait(self, pe: Runner) -> None:
        """Skip idle time for a waiting PE that a Python host runs alone."""
        if pe.asleep() and not self._idle([pe]):
            what = _ENDLESS if pe.stuck else "waits for an interrupt that cannot come"
            self._power.stop(f"PE {pe.index} {what}")

    def _idle(self, pes: Sequence[Runner]) -> bool:
        """Skip idle time to the next event for these PEs; returns True if there is one."""
        due = [ticks for ticks in (self._events.next, *(pe.deadline() for pe in pes)) if ticks is not None]
        if due:
            self._clock.skip_to(min(due))
        return bool(due)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> SchedulerState:
        """State for a snapshot."""
        return SchedulerState(turn=self._turn, rest=self._rest)

    def restore(self, state: SchedulerState) -> None:
        """Restore what ``save`` returned."""
        self._turn, self._rest = state.turn, state.rest
