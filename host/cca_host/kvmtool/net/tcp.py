"""One TCP connection of a guest, from the side of its peer: what the NAT says in the name of the outside world.

A pure state machine. Segments of the guest go in (``segment``), and what the outside has done (``connected``,
``refused``, ``data``, ``eof``, ``reset``, ``taken``). Segments for the guest come out when there is room for them
(``next``), and ``effects`` for the outside. Time is virtual: a lost segment is sent again at ``deadline``.

Positions count bytes from the SYN on, which is at 0, and never wrap. Data is kept until the guest has acknowledged it;
how much there may be of it is the outside's credit, so that nothing grows without bound. Segments that come out of
order are dropped, and the guest sends them again.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from cca_host.kvmtool.net.packets import TcpFlag, TcpSegment
from cca_platform.state import State

__all__ = ["CREDIT", "Effect", "Tcp", "TcpPhase", "TcpState", "Todo"]

CREDIT: Final = 256 << 10
"""The most bytes for the guest that wait for its acknowledgement, and the most from it that wait for the outside."""

_ONES: Final = 0xFFFF_FFFF
_HALF: Final = 1 << 31
_WIDEST: Final = 0xFFFF
_SCALE: Final = 7
_MSS: Final = 1460
_DEFAULT_MSS: Final = 536
_LEAST_MSS: Final = 64
_FIRST_TIMEOUT: Final = 0.2  # seconds until something is sent again,
_LONGEST: Final = 30.0  # twice as long each time, up to this,
_TRIES: Final = 10  # so often
_DUPLICATES: Final = 3  # acknowledgements of the same, which tell of a loss


class TcpPhase(StrEnum):
    """The phase of a connection."""

    CONNECTING = "connecting"
    """The guest has asked for it, the outside has not answered."""
    ANSWERED = "answered"
    """The guest has to confirm it."""
    OFFERED = "offered"
    """The outside has asked for it, the guest has not answered."""
    OPEN = "open"
    CLOSED = "closed"


class Todo(StrEnum):
    """What the outside has to do."""

    SEND = "send"
    SHUT = "shut"
    """The guest sends no more."""
    CREDIT = "credit"
    """Allow so many more bytes for the guest."""
    CLOSE = "close"
    ABORT = "abort"


class Effect(NamedTuple):
    """Something that the outside has to do."""

    todo: Todo
    data: bytes = b""
    amount: int = 0


class TcpState(State, frozen=True, tag="host.net.tcp/1"):
    """A connection as plain data."""

    phase: TcpPhase
    first: int
    mss: int
    scale: int | None
    acked: int
    sent: int
    furthest: int
    window: int
    buffer: bytes
    base: int
    ended: bool
    expected: int
    untaken: int
    told: int
    finished: bool
    owes: bool
    resets: bool
    again: float
    tries: int
    duplicates: int
    recovered: int
    deadline: int | None


class Tcp:
    """A connection; ``second`` is a second in ticks, ``first`` the sequence number of our SYN.

    ``sent`` is the position that is sent next, ``acked`` up to where the guest has everything, ``furthest`` the end of
    what was ever sent. ``expected`` is the sequence number that comes next from the guest.
    """

    def __init__(self, second: int, first: int) -> None:
        self.phase = TcpPhase.OFFERED
        self.effects: list[Effect] = []
        self.deadline: int | None = None
        self._second = second
        self._first = first
        self._mss = _DEFAULT_MSS
        self._scale: int | None = None
        self._acked = self._sent = self._furthest = 0
        self._window = 0
        self._buffer = bytearray()
        self._base = 1  # the position of what is in the buffer
        self._ended = False  # the outside sends no more
        self._expected = 0
        self._untaken = 0  # bytes of the guest that the outside has not taken
        self._told = 0  # the window that the guest was told
        self._finished = False  # the guest sends no more
        self._owes = False  # an acknowledgement
        self._resets = False
        self._again = _FIRST_TIMEOUT
        self._tries = self._duplicates = 0
        self._recovered = 0

    # -- the guest ---------------------------------------------------------------------------------------------------
    def asked(self, syn: TcpSegment) -> None:
        """Begin with the guest's first segment: the outside has to be connected."""
        self.phase = TcpPhase.CONNECTING
        self._greet(syn)

    def _greet(self, syn: TcpSegment) -> None:
        self._expected = (syn.sequence + 1) & _ONES
        self._mss = min(max(_DEFAULT_MSS if syn.mss is None else syn.mss, _LEAST_MSS), _MSS)
        self._scale = syn.scale
        self._window = syn.window

    def segment(self, got: TcpSegment, now: int) -> None:
        """Take a segment of the guest."""
        if self.phase is TcpPhase.CLOSED or self._resets:
            return
        if got.flags & TcpFlag.RST:
            self._refused_by_guest(got)
        elif self.phase is TcpPhase.OFFERED:
            self._answer(got)
        elif got.flags & TcpFlag.SYN:
            if self.phase is TcpPhase.ANSWERED:
                self._sent = 0  # the answer was lost
            elif self.is_open:
                self._owes = True
        elif got.flags & TcpFlag.ACK and self._acknowledge(got) and self.is_open:
            self._take(got)
        self._watch(now)

    def _refused_by_guest(self, got: TcpSegment) -> None:
        """A reset counts if it is in the window, so that a late one of another connection does not."""
        if self.phase is TcpPhase.OFFERED:
            counts = bool(got.flags & TcpFlag.ACK) and got.acknowledged == self._number(1)
        else:
            counts = (got.sequence - self._expected) & _ONES <= max(self._told, 1)
        if counts:
            self._close(Todo.ABORT)

    def _answer(self, got: TcpSegment) -> None:
        """The guest's answer to our SYN."""
        wanted = TcpFlag.SYN | TcpFlag.ACK
        if got.flags & wanted == wanted and got.acknowledged == self._number(1):
            self._greet(got)
            self.phase, self._acked, self._owes = TcpPhase.OPEN, 1, True
            self._calm()

    def _acknowledge(self, got: TcpSegment) -> bool:
        """Look at what a segment acknowledges; returns True if the rest of it counts."""
        if self.phase is TcpPhase.CONNECTING:
            return False
        ahead = (got.acknowledged - self._number(self._acked) + _HALF & _ONES) - _HALF
        position = self._acked + ahead
        if position > self._furthest:
            self._owes = True
            return False
        if ahead < 0:  # an old one, whose data may be new
            return self.is_open
        window = got.window << (self._scale or 0)
        if ahead > 0:
            self._advance(position)
        elif self._sent > self._acked and not got.payload and window == self._window:
            self._duplicates += 1
            if self._duplicates == _DUPLICATES and self._acked >= self._recovered:
                self._recovered, self._sent = self._furthest, self._acked
        self._window = window
        if not window:
            self._tries = 0  # a guest that answers a probe is there
        return True

    def _advance(self, position: int) -> None:
        """The guest has everything up to ``position``."""
        count = min(position, self._end) - self._base
        if count > 0:
            del self._buffer[:count]
            self._base += count
            self.effects.append(Effect(Todo.CREDIT, amount=count))
        self._acked = position
        self._sent = max(self._sent, position)
        self._calm()
        if self.phase is TcpPhase.ANSWERED:
            self.phase = TcpPhase.OPEN
        self._close_if_over()

    def _calm(self) -> None:
        """Something has come through: the next loss is the first one again."""
        self._again, self._tries, self._duplicates, self.deadline = _FIRST_TIMEOUT, 0, 0, None

    def _take(self, got: TcpSegment) -> None:
        """Take a segment's data, and its end of all data."""
        size = len(got.payload)
        if not size and not got.flags & TcpFlag.FIN:
            return
        self._owes = True
        known = (self._expected - got.sequence) & _ONES
        if known > size or self._finished:
            return
        data = got.payload[known : known + CREDIT - self._untaken]
        if data:
            self._expected = (self._expected + len(data)) & _ONES
            self._untaken += len(data)
            self.effects.append(Effect(Todo.SEND, data))
        if got.flags & TcpFlag.FIN and known + len(data) == size:
            self._expected = (self._expected + 1) & _ONES
            self._finished = True
            self.effects.append(Effect(Todo.SHUT))
            self._close_if_over()

    def _close_if_over(self) -> None:
        if self._finished and self._ended and self._acked > self._end and self.phase is not TcpPhase.CLOSED:
            self._close(Todo.CLOSE)

    def _close(self, todo: Todo) -> None:
        self.effects.append(Effect(todo))
        self.phase, self.deadline = TcpPhase.CLOSED, None

    # -- the outside -------------------------------------------------------------------------------------------------
    def connected(self, now: int) -> None:
        """The outside has accepted."""
        if self.phase is TcpPhase.CONNECTING:
            self.phase = TcpPhase.ANSWERED
            self._watch(now)

    def reset(self) -> None:
        """The outside has refused, or broken off."""
        if self.phase is not TcpPhase.CLOSED:
            self._resets = True

    def data(self, data: bytes, now: int) -> None:
        """Bytes for the guest, within the credit."""
        if self.phase is not TcpPhase.CLOSED and not self._ended:
            self._buffer += data
            self._watch(now)

    def eof(self, now: int) -> None:
        """The outside sends no more."""
        self._ended = True
        self._watch(now)

    def taken(self, count: int) -> None:
        """The outside has taken so many bytes of the guest."""
        self._untaken = max(self._untaken - count, 0)
        if self._room - self._told >= CREDIT // 4 or self._told < _MSS <= self._room:
            self._owes = True  # the guest may be waiting for room

    # -- segments for the guest --------------------------------------------------------------------------------------
    @property
    def is_open(self) -> bool:
        """True if data flows."""
        return self.phase is TcpPhase.OPEN

    @property
    def over(self) -> bool:
        """True if nothing comes any more."""
        return self.phase is TcpPhase.CLOSED and not self._owes

    def next(self, largest: int, now: int) -> TcpSegment | None:
        """The next segment for the guest with at most ``largest`` bytes of data, of which no more fit into a packet.

        It may be more than a packet has: the guest's card can divide it.
        """
        if self._resets:
            return self._reset()
        if self.phase is TcpPhase.CLOSED:
            return self._last()
        if self.phase in (TcpPhase.OFFERED, TcpPhase.ANSWERED):
            return self._greeting(now)
        if not self.is_open:
            return None
        size = self._sendable(largest)
        flags, data = TcpFlag.ACK, b""
        if size:
            start = self._sent - self._base
            data = bytes(self._buffer[start : start + size])
            flags |= TcpFlag.PSH
        ends = self._ended and self._base <= self._sent <= self._end and self._sent + size == self._end
        if ends:
            flags |= TcpFlag.FIN
        if not (size or ends or self._owes):
            return None
        found = self._segment(flags, data)
        self._sent += size + ends
        self._furthest = max(self._furthest, self._sent)
        self._watch(now)
        return found

    def _sendable(self, largest: int) -> int:
        """How many bytes to send: no little ones while others are on their way and more will fit later."""
        left = self._end - self._sent
        size = min(left, self._acked + self._window - self._sent, largest)
        if size <= 0:
            return 0
        return 0 if size < min(left, self._mss) and self._sent > self._acked else size

    @property
    def mss(self) -> int:
        """The bytes of data that fit into a packet."""
        return self._mss

    def _greeting(self, now: int) -> TcpSegment | None:
        """Our SYN."""
        if self._sent:
            return None
        offered = self.phase is TcpPhase.OFFERED
        flags = TcpFlag.SYN if offered else TcpFlag.SYN | TcpFlag.ACK
        scale = _SCALE if offered or self._scale is not None else None
        found = self._segment(flags)._replace(mss=_MSS, scale=scale, window=_WIDEST)
        self._sent, self._furthest, self._told = 1, max(self._furthest, 1), _WIDEST
        self._watch(now)
        return found

    def _reset(self) -> TcpSegment:
        self._resets = self._owes = False
        position = self._furthest
        self._close(Todo.ABORT)
        return TcpSegment(0, 0, self._number(position), self._expected, TcpFlag.RST | TcpFlag.ACK, 0)

    def _last(self) -> TcpSegment | None:
        return self._segment(TcpFlag.ACK) if self._owes else None

    def _segment(self, flags: TcpFlag, data: bytes = b"") -> TcpSegment:
        self._owes, self._told = False, self._room
        acknowledged = self._expected if flags & TcpFlag.ACK else 0
        window = self._room if self._scale is None else self._room >> _SCALE
        return TcpSegment(0, 0, self._number(self._sent), acknowledged, flags, window, data)

    @property
    def _room(self) -> int:
        """The window as the guest can be told it."""
        room = CREDIT - self._untaken
        return min(room, _WIDEST) if self._scale is None else room >> _SCALE << _SCALE

    @property
    def _end(self) -> int:
        """The position behind all data: that of our FIN."""
        return self._base + len(self._buffer)

    def _number(self, position: int) -> int:
        return (self._first + position) & _ONES

    # -- time --------------------------------------------------------------------------------------------------------
    def _watch(self, now: int) -> None:
        """Wait for an answer, if there is something to wait for."""
        if self.phase is TcpPhase.CLOSED:
            return
        stalled = self.phase is TcpPhase.OPEN and self._sent < self._end and self._sent >= self._acked + self._window
        if self._sent > self._acked or stalled:
            if self.deadline is None:
                self.deadline = now + int(self._again * self._second)
        else:
            self.deadline = None

    def advance(self, now: int) -> None:
        """Send again what is not acknowledged, or a byte into a closed window, unless that was done too often."""
        if self.deadline is None or now < self.deadline:
            return
        self.deadline, self._again = None, min(2 * self._again, _LONGEST)
        self._tries += 1
        if self._tries > _TRIES:
            self.reset()
            return
        if self.phase is TcpPhase.OPEN and not self._window:
            self._window = 1  # until the guest says otherwise
        self._sent, self._recovered = self._acked, self._furthest
        self._watch(now)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> TcpState:
        """State for a snapshot; the effects have been taken."""
        return TcpState(
            phase=self.phase, first=self._first, mss=self._mss, scale=self._scale, acked=self._acked, sent=self._sent,
            furthest=self._furthest, window=self._window, buffer=bytes(self._buffer), base=self._base,
            ended=self._ended, expected=self._expected, untaken=self._untaken, told=self._told,
            finished=self._finished, owes=self._owes, resets=self._resets, again=self._again, tries=self._tries,
            duplicates=self._duplicates, recovered=self._recovered, deadline=self.deadline,
        )  # fmt: skip

    @classmethod
    def restored(cls, second: int, state: TcpState) -> "Tcp":
        """The connection that :meth:`save` returned."""
        tcp = cls(second, state.first)
        tcp.phase, tcp.deadline = TcpPhase(state.phase), state.deadline
        tcp._mss, tcp._scale, tcp._window = state.mss, state.scale, state.window
        tcp._acked, tcp._sent, tcp._furthest = state.acked, state.sent, state.furthest
        tcp._buffer, tcp._base, tcp._ended = bytearray(state.buffer), state.base, state.ended
        tcp._expected, tcp._untaken, tcp._told = state.expected, state.untaken, state.told
        tcp._finished, tcp._owes, tcp._resets = state.finished, state.owes, state.resets
        tcp._again, tcp._tries, tcp._duplicates = state.again, state.tries, state.duplicates
        tcp._recovered = state.recovered
        return tcp
