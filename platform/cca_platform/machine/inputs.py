"""The only path for everything that is not deterministic.

What a machine does depends only on its state and its inputs: bytes from a user or a socket, the host's clock, random
numbers, files, results of threads. Every input passes here and is stamped with the virtual time at which the machine
noticed it. A recording machine keeps inputs in a journal; a replaying one takes them from there at the same places, and
every event of the run is the same. There are three ways in:

- ``push``: input for a source from outside, at any time. The machine notices it at the next ``poll``. ``deliver`` is
  the same for threads.
- ``ask``, ``fetch``: the machine needs something now, such as random bytes, part of a file, or what the host's clock
  reads (``follow``).
- ``submit``: a thread works for a device. Its result arrives at a time that is fixed when the work is submitted; the
  machine waits for the thread then, so the result's time does not depend on how fast the host is.

While somebody outside is attended (``attend``: a terminal, an open connection), virtual time that is idle passes no
faster than the host's, so that their answers come in good time.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from cca_arch.types import Instructions, Ticks
from cca_platform.clock import Clock
from cca_platform.errors import MachineError
from cca_platform.machine.events import EventQueue
from cca_platform.machine.wall import Wall
from cca_platform.state import State

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["Input", "Inputs", "InputsState", "Journal", "Way"]

_CLOCK: Final = "clock"


class Way(StrEnum):
    """How an input came in."""

    PUSHED = "pushed"
    ASKED = "asked"
    RESULT = "result"


class Input(State, frozen=True, tag="input/1"):
    """One input, noticed when all PEs had retired ``retired`` instructions and ``look`` things had happened since.

    An exception, an interrupt or a wait is such a thing. ``number`` counts inputs from the start of the machine,
    ``time`` is the system counter.
    """

    number: int
    retired: int
    look: int
    time: int
    way: Way
    source: str
    data: bytes | int


class Journal(State, frozen=True, tag="journal/1"):
    """The inputs of a run, in their order, up to where all PEs had retired ``retired`` instructions."""

    inputs: tuple[Input, ...]
    retired: int = 0


class PendingState(State, frozen=True, tag="pending/1"):
    """A result for ``source`` that arrives at ``due``, or bytes that wait for the next look (``due`` 0)."""

    source: str
    due: int
    data: bytes


class InputsState(State, frozen=True, tag="inputs/1"):
    """The position of the next input in the run, the last recorded input, and pending inputs."""

    retired: int
    look: int
    still: bool
    count: int
    last: int
    queued: tuple[PendingState, ...]
    results: tuple[PendingState, ...]


class _Work(NamedTuple):
    """What a thread does, or has done; None in a replay."""

    source: str
    due: Ticks
    result: "Future[bytes] | bytes | None"


class Inputs:
    """The inputs of one machine. ``active`` says that somebody has to look (``poll``) before code runs.

    ``still`` is set by who has run code to no event but a pause: however often a run pauses, nothing has happened since
    the last look. ``midway()`` tells that code stands in the middle of a block, where only a user's tools stop it.
    ``waits()`` comes before the host's time is waited for.
    ``record`` keeps a journal from the start; ``replay`` is the journal to take inputs from, after which the machine is
    open to the world again. ``wall`` is the host's time, which comes in where the ``clock`` is the host's.
    """

    def __init__(self, clock: Clock, events: EventQueue, record: bool = False, replay: Journal | None = None) -> None:
        self._clock = clock
        self._events = events
        self._record = record
        self._arrive: dict[str, Callable[[bytes], None]] = {}
        self._attendants: dict[str, Callable[[], bool]] = {}
        self._lock = Lock()  # of ``_queued`` and ``active``, which threads change
        self._retired, self._look = -1, 0
        self.still = True
        self.midway: Callable[[], bool] = lambda: False
        self.waits: Callable[[], object] = lambda: None
        self._count = 0
        self._log: dict[int, tuple[int, Input]] = {}  # by an entry of its own, with the one before it: a tree
        self._last = 0
        self._queued: deque[tuple[str, bytes]] = deque()
        self._works: list[_Work] = []
        self._threads: ThreadPoolExecutor | None = None
        self._runs = 0
        self.wall = Wall(clock.counter_hz)
        self._journal = Journal(())
        self._replay: deque[Input] = deque()
        self._end = 0  # of the run that is replayed, in instructions
        self.active = False
        self.replay(replay or self._journal)

    # -- journals ----------------------------------------------------------------------------------------------------
    def journal(self) -> Journal:
        """The journal up to the present; after a restore, the journal up to that snapshot."""
        found, entry = list[Input](), self._last
        while entry in self._log:
            entry, one = self._log[entry]
            found.append(one)
        return Journal(tuple(reversed(found)), self._clock.retired)

    def replay(self, journal: Journal) -> None:
        """Take inputs from ``journal`` from here on: those that come after what the machine has noticed."""
        self._journal = journal
        self._replay = deque(one for one in journal.inputs if one.number >= self._count)
        self._end = journal.retired
        self._awake()

    @property
    def replaying(self) -> bool:
        """True if inputs of a journal remain."""
        return bool(self._replay)

    def limit(self, limit: Instructions | None) -> Instructions | None:
        """The limit for code: the place of the next input or look at the host's clock, if that is before ``limit``."""
        retired = self._clock.retired
        if self._replay:
            one = self._replay[0]
            if one.way is not Way.PUSHED or one.retired <= retired:
                return limit
            end = one.retired
        elif self._clock.mode == "host":
            end = self._end if retired < self._end else retired + self.wall.slice
        else:
            return limit
        return Instructions(end if limit is None else min(end, limit))

    def bound(self, limit: Instructions) -> Instructions:
        """The limit for code that has just taken an input of a journal in the middle of its run."""
        if not self._replay:
            return Instructions(min(limit, self._end))
        one = self._replay[0]
        return Instructions(min(limit, one.retired)) if one.way is Way.PUSHED else limit

    def _awake(self) -> None:
        with self._lock:
            self.active = bool(self._replay or self._record or self._queued or self._clock.mode == "host")

    def _note(self, way: Way, source: str, data: bytes | int, ahead: bool = False) -> None:
        """An input is noticed; ``ahead`` of the next look, which might have let it in as well."""
        if self._record:
            clock = self._clock
            retired, look = self._place() if ahead else (clock.retired, self._look)
            one = Input(self._count, retired, look, clock.now, way, source, data)
            entry = len(self._log) + 1
            self._log[entry] = self._last, one
            self._last = entry
        self._count += 1

    def _next(self, way: Way, source: str) -> bytes | int:
        """Take the next input of the journal, which must be this one, at this time."""
        one, clock = self._replay[0], self._clock
        if (one.way, one.source, one.retired, one.time) != (way, source, clock.retired, clock.now):
            raise MachineError(
                f"the run must be that of the journal, where input {one.number} is {one.way} for {one.source} at"
                f" instruction {one.retired:,} and tick {one.time:,}, not {way} for {source} at instruction"
                f" {clock.retired:,} and tick {clock.now:,}"
            )
        self._replay.popleft()
        if not self._replay:  # the world comes in again
            self._journal = Journal(())
        return one.data

    # -- inputs that come when they like -----------------------------------------------------------------------------
    def attach(self, source: str, arrive: Callable[[bytes], None]) -> None:
        """Call ``arrive`` with the input for ``source``."""
        self._arrive[source] = arrive

    def push(self, source: str, data: bytes) -> None:
        """Something from outside for ``source``; MachineError while a journal is replayed, where inputs come from."""
        if source not in self._arrive:
            raise MachineError(f"a source of inputs must be one of {', '.join(self._arrive)}, not {source!r}")
        if self._replay:
            raise MachineError(f"the machine replays a journal: input for {source} must come from there")
        if self._runs or self.midway():
            self._queued.append((source, data))
            self._awake()
            self.wall.wake.set()
            return
        self._note(Way.PUSHED, source, data, ahead=True)
        self._arrive[source](data)

    def deliver(self, source: str, data: bytes) -> None:
        """As :meth:`push`, for a thread: the input waits for the next ``poll`` in any case.

        A replay drops it, for nobody outside has been asked for anything.
        """
        with self._lock:
            if self._replay or self._end or source not in self._arrive:
                return
            self._queued.append((source, data))
            self.active = True
        self.wall.wake.set()

    def attend(self, source: str, expects: Callable[[], bool] | None) -> None:
        """While ``expects()``, input may come for ``source``, for which idle time waits; None: it never will again."""
        if expects is None:
            self._attendants.pop(source, None)
        else:
            self._attendants[source] = expects

    @property
    def attended(self) -> bool:
        """Whether somebody outside may send something, or a journal has something that comes before more code runs."""
        if self._replay:
            return self._comes_now(self._replay[0])
        return bool(self._queued) or any(expects() for expects in self._attendants.values())

    def _comes_now(self, one: Input) -> bool:
        """Whether an input of a journal is sent before more code runs."""
        return one.way is Way.PUSHED and one.retired <= self._clock.retired

    @contextmanager
    def running(self) -> Iterator[None]:
        """A context in which code may be running, so that pushed input waits for the next ``poll``.

        The host's time counts from here on: until now, the machine stood still.
        """
        if not self._runs:
            self.wall.rebase(self._clock.now)
        self._runs += 1
        try:
            yield
        finally:
            self._runs -= 1

    def poll(self) -> None:
        """Let in pending inputs and follow the host's clock, before code runs."""
        self._retired, self._look = here = self._place()
        self.still = False
        while self._replay:
            one = self._replay[0]
            if one.way is not Way.PUSHED or (one.retired, one.look) > here:
                return
            self._deliver(one.source, self._next(Way.PUSHED, one.source))
        self.wall.wake.clear()
        while self._queued:
            self._deliver(*self._queued.popleft())
        clock = self._clock
        if clock.mode == "host" and self._is_open():
            ticks = self.wall.look(clock.retired)
            if ticks > clock.now:
                self._deliver(_CLOCK, ticks)
        self._awake()

    def _place(self) -> tuple[int, int]:
        """Where the machine is: instructions retired, and what has happened since."""
        retired = self._clock.retired
        return retired, (self._look if retired == self._retired else 0) + (not self.still)

    def _deliver(self, source: str, data: bytes | int) -> None:
        self._note(Way.PUSHED, source, data)
        if isinstance(data, int):
            self._clock.skip_to(Ticks(data))
        else:
            self._arrive[source](data)

    # -- inputs that the machine asks for ----------------------------------------------------------------------------
    def ask(self, source: str, answer: Callable[[], int]) -> int:
        """Ask the outside world now."""
        data = int(self._next(Way.ASKED, source)) if self._replay else answer()
        self._note(Way.ASKED, source, data)
        return data

    def fetch(self, source: str, answer: Callable[[], bytes]) -> bytes:
        """Ask the outside world for bytes now."""
        data = self._next(Way.ASKED, source) if self._replay else answer()
        assert isinstance(data, bytes)
        self._note(Way.ASKED, source, data)
        return data

    def closed(self) -> bool:
        """Whether a run is replayed, up to its end: nobody outside may be asked for anything."""
        return not self._is_open()

    def _is_open(self) -> bool:
        """Whether no run is replayed: after the last input of its journal, no time of the host came to its end."""
        if self._end:
            if self._replay or self._clock.retired < self._end:
                return False
            self._end = 0
            self.wall.rebase(self._clock.now)
        return True

    def follow(self) -> None:
        """Let the host's time in where the machine asks for it: code reads the counter, or a call took time."""
        self._is_open()
        self._clock.skip_to(Ticks(self.ask(_CLOCK, self.wall.ticks)))

    def look(self) -> None:
        """Let the host's time in where a device shows it, unless the machine stands still and somebody looks at it."""
        if self._runs and self._clock.mode == "host":
            self.follow()

    def idle(self, due: Ticks | None) -> None:
        """Let idle time pass until the counter reads ``due``, None if nothing is due.

        The host's time is waited for, but not long at once, and input from outside ends the wait. So it is in virtual
        time while somebody is attended; less time than asked for may pass, and a replay lets as much pass as has.
        """
        clock = self._clock
        if clock.mode == "host":
            if not self._replay and not self._queued:
                self.waits()
                self.wall.wait(due)
            self.follow()
            return
        if self._replay:
            one = self._replay[0]
            if self._comes_now(one):
                due = Ticks(one.time if due is None else min(due, one.time))
        elif self._queued:
            return
        elif self._is_open() and self.attended:
            self.waits()
            passed = Ticks(clock.now + self.wall.pause(None if due is None else Ticks(due - clock.now)))
            due = passed if due is None else min(due, passed)
        if due is not None:
            clock.skip_to(due)

    # -- results of threads ------------------------------------------------------------------------------------------
    def submit(self, source: str, work: Callable[[], bytes], due: Ticks) -> None:
        """Run ``work`` in a thread; ``source`` gets the result exactly when the counter reads ``due``."""
        result = None
        if not self._replay:
            if self._threads is None:
                from concurrent.futures import ThreadPoolExecutor

                self._threads = ThreadPoolExecutor(thread_name_prefix="device")
            result = self._threads.submit(work)
        self._works.append(_Work(source, due, result))
        self._schedule()

    def _schedule(self) -> None:
        due = min((work.due for work in self._works), default=None)
        self._events.call_at("results of threads", due, self._finish)

    def _finish(self, now: Ticks) -> None:
        """Deliver the results that are due, in order of submission."""
        for work in [work for work in self._works if work.due <= now]:
            self._works.remove(work)
            if work.result is None:
                data = self._next(Way.RESULT, work.source)
                assert isinstance(data, bytes)
            else:
                data = _bytes(work.result)
            self._note(Way.RESULT, work.source, data)
            self._arrive[work.source](data)
        self._schedule()

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> InputsState:
        """State for a snapshot; waits for the threads."""
        with self._lock:
            queued = tuple(self._queued)
        return InputsState(
            retired=self._retired,
            look=self._look,
            still=self.still,
            count=self._count,
            last=self._last,
            queued=tuple(PendingState(source, 0, data) for source, data in queued),
            results=tuple(
                PendingState(work.source, work.due, b"" if work.result is None else _bytes(work.result))
                for work in self._works
            ),
        )

    def restore(self, state: InputsState) -> None:
        """Restore what ``save`` returned; a replay continues from there."""
        self._retired, self._look, self.still = state.retired, state.look, state.still
        self._count, self._last = state.count, state.last
        self._queued = deque((one.source, one.data) for one in state.queued)
        self._works = [_Work(one.source, Ticks(one.due), one.data) for one in state.results]
        self._schedule()
        self.replay(self._journal)
        self.wall.rebase(self._clock.now)

    def reset(self) -> None:
        """Handle a system reset: pending results for devices are lost."""
        self._works.clear()
        self._schedule()

    def close(self) -> None:
        """Release the threads."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)


def _bytes(result: "Future[bytes] | bytes") -> bytes:
    return result if isinstance(result, bytes) else result.result()
