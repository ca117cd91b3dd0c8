"""TCP between a guest and its network: what is sent arrives, whatever is lost, and nothing grows without end."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_host.kvmtool.net.packets import TcpFlag, TcpSegment
from cca_host.kvmtool.net.tcp import CREDIT, Tcp, TcpPhase, Todo
from cca_platform.state import decode, encode

SECOND = 1_000_000
SYN, ACK, FIN, RST = TcpFlag.SYN, TcpFlag.ACK, TcpFlag.FIN, TcpFlag.RST


class Side:
    """One of two ends, with an application that sends ``data`` as its credit allows, and takes what comes."""

    def __init__(self, tcp: Tcp, data: bytes, greedy: bool = True) -> None:
        self.tcp = tcp
        self.left = data
        self.credit = CREDIT
        self.got = bytearray()
        self.ended = self.shut = False
        self.greedy = greedy
        self.waiting = 0

    def work(self, now: int) -> None:
        """Let the application do what it can."""
        for effect in self.tcp.effects:
            if effect.todo is Todo.SEND:
                self.got += effect.data
                self.waiting += len(effect.data)
            elif effect.todo is Todo.CREDIT:
                self.credit += effect.amount
            elif effect.todo is Todo.SHUT:
                self.shut = True
        self.tcp.effects.clear()
        if self.waiting and self.greedy:
            self.tcp.taken(self.waiting)
            self.waiting = 0
        if not self.tcp.is_open or self.ended:
            return
        part, self.left = self.left[: self.credit], self.left[self.credit :]
        self.credit -= len(part)
        if part:
            self.tcp.data(part, now)
        if not self.left:
            self.ended = True
            self.tcp.eof(now)


def _talk(one: Side, other: Side, fate: Any, rounds: int = 4000, save: int = 0) -> int:
    """Carry segments between two ends; ``fate(index)`` says how often a segment arrives. Returns the time."""
    now, index, asked = 0, 0, False
    for turn in range(rounds):
        busy = False
        for source, target in ((one, other), (other, one)):
            batch = []
            while (segment := source.tcp.next(1460, now)) is not None:
                batch += [segment] * fate(index)
                index += 1
                busy = True
            if fate(index) == 2:
                batch.reverse()
            for segment in batch:
                if target is other and not asked and segment.flags & SYN:
                    asked = True
                    other.tcp.asked(segment)
                    other.tcp.connected(now)
                else:
                    target.tcp.segment(segment, now)
            source.work(now)
            target.work(now)
            if save and turn % save == 0:
                for side in (one, other):
                    side.tcp = Tcp.restored(SECOND, decode(encode(side.tcp.save()), type(side.tcp.save())))
        if one.tcp.over and other.tcp.over:
            return now
        if not busy:
            due = [side.tcp.deadline for side in (one, other) if side.tcp.deadline is not None]
            if not due:
                return now
            now = max(now, min(due))
            for side in (one, other):
                side.tcp.advance(now)
    raise AssertionError(f"they still talk: {one.tcp.phase}, {other.tcp.phase}")


def _pair(data: bytes, back: bytes) -> tuple[Side, Side]:
    return Side(Tcp(SECOND, 0xFFFF_FF00), data), Side(Tcp(SECOND, 5), back)


class TestTalk:
    """Two ends that send to each other, and close."""

    @pytest.mark.parametrize("size", [0, 1, 1460, 1461, 70_000, 3 * CREDIT])
    def test_all_arrives(self, size: int) -> None:
        """Everything arrives in order in both directions, past the end of sequence numbers, and both close."""
        data, back = bytes(range(256)) * (size // 256 + 1), b"answer" * size
        one, other = _pair(data[:size], back[:size])
        _talk(one, other, lambda index: 1)
        assert bytes(other.got) == data[:size] and bytes(one.got) == back[:size]
        assert one.tcp.over and other.tcp.over and one.shut and other.shut

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.sampled_from([0, 1, 1, 1, 1, 2]), min_size=1, max_size=97),
        st.integers(0, 20_000),
        st.integers(0, 3),
    )
    def test_loss(self, fates: list[int], size: int, save: int) -> None:
        """Whatever is lost, doubled or comes in another order, all arrives in order or the connection breaks."""
        data, back = bytes(n % 251 for n in range(size)), bytes(n % 241 for n in range(size // 3))
        one, other = _pair(data, back)
        _talk(one, other, lambda index: fates[index % len(fates)] if index < 3000 else 1, save=save)
        if one.shut and other.shut:
            assert bytes(other.got) == data and bytes(one.got) == back
        else:
            assert data.startswith(bytes(other.got)) and back.startswith(bytes(one.got))

    def test_one_loss_is_made_good(self) -> None:
        """Each segment of a connection may be lost alone: all arrives all the same."""
        for lost in range(30):
            one, other = _pair(b"x" * 9000, b"y" * 4000)
            _talk(one, other, lambda index, lost=lost: int(index != lost))
            assert bytes(other.got) == b"x" * 9000 and bytes(one.got) == b"y" * 4000

    def test_nobody_there(self) -> None:
        """Who never gets an answer gives up, in bounded time."""
        one, other = _pair(b"x" * 3000, b"")
        now = _talk(one, other, lambda index: int(index < 4))
        assert one.tcp.over
        assert now < 300 * SECOND


class TestPressure:
    """Neither end can be made to keep more than its credit."""

    def test_the_outside_takes_nothing(self) -> None:
        """The window closes, is probed, and opens again when the outside takes what waits."""
        one, other = _pair(b"x" * (2 * CREDIT), b"")
        other.greedy = False
        with pytest.raises(AssertionError, match="they still talk"):
            _talk(one, other, lambda index: 1, rounds=600)
        assert len(other.got) == CREDIT
        assert other.tcp.phase is TcpPhase.OPEN
        other.greedy = True
        other.work(0)
        now = 10**12
        for _ in range(3000):
            for source, target in ((one, other), (other, one)):
                while (segment := source.tcp.next(1460, now)) is not None:
                    target.tcp.segment(segment, now)
                source.work(now), target.work(now)
                source.tcp.advance(now)
            now += SECOND
        assert bytes(other.got) == b"x" * (2 * CREDIT)

    def test_beyond_the_window(self) -> None:
        """A guest that ignores the window loses what is beyond it."""
        tcp = _open()
        for part in range(40):
            tcp.segment(_data(1 + part * 10_000, b"z" * 10_000), 0)
        assert sum(len(effect.data) for effect in tcp.effects) == CREDIT


def _open() -> Tcp:
    tcp = Tcp(SECOND, 100)
    tcp.asked(TcpSegment(9, 8, 0, 0, SYN, 65535, mss=1460, scale=7))
    tcp.connected(0)
    answer = tcp.next(1460, 0)
    assert answer is not None and answer.flags == SYN | ACK
    assert (answer.sequence, answer.acknowledged, answer.mss, answer.scale) == (100, 1, 1460, 7)
    tcp.segment(TcpSegment(9, 8, 1, 101, ACK, 512), 0)
    assert tcp.is_open
    return tcp


def _data(sequence: int, data: bytes = b"", flags: TcpFlag = ACK, acknowledged: int = 101) -> TcpSegment:
    return TcpSegment(9, 8, sequence, acknowledged, flags, 512, data)


class TestSegments:
    """Single segments, also those that nobody should send."""

    def test_repeated_syn(self) -> None:
        """A SYN that comes again before the answer was confirmed is answered again."""
        tcp = Tcp(SECOND, 100)
        syn = TcpSegment(9, 8, 0, 0, SYN, 1000)
        tcp.asked(syn)
        assert tcp.next(1460, 0) is None
        tcp.connected(0)
        first = tcp.next(1460, 0)
        tcp.segment(syn, 0)
        assert tcp.next(1460, 0) == first

    def test_refused(self) -> None:
        """Where the outside refuses, the guest gets a reset for its SYN."""
        tcp = Tcp(SECOND, 100)
        tcp.asked(TcpSegment(9, 8, 41, 0, SYN, 1000))
        tcp.reset()
        found = tcp.next(1460, 0)
        assert found is not None and found.flags == RST | ACK and found.acknowledged == 42
        assert tcp.over and tcp.effects[-1].todo is Todo.ABORT

    def test_reset_of_the_guest(self) -> None:
        """A reset in the window ends the connection at once, another does nothing."""
        tcp = _open()
        tcp.segment(_data(1 + (1 << 30), flags=RST), 0)
        assert tcp.is_open
        tcp.segment(_data(1, flags=RST), 0)
        assert tcp.over and [effect.todo for effect in tcp.effects] == [Todo.ABORT]

    @pytest.mark.parametrize(
        "segment",
        [
            _data(500, b"later"),
            _data(1, acknowledged=5000),
            _data(0, flags=SYN),
            _data(1 - 600 & 0xFFFF_FFFF, b"old"),
            _data(77, flags=FIN | ACK),
        ],
        ids=["beyond", "not sent", "SYN", "old", "FIN beyond"],
    )
    def test_out_of_place(self, segment: TcpSegment) -> None:
        """A segment that does not fit changes nothing, and is answered with what does."""
        tcp = _open()
        tcp.segment(segment, 0)
        answer = tcp.next(1460, 0)
        assert not tcp.effects
        assert answer is not None and (answer.flags, answer.sequence, answer.acknowledged) == (ACK, 101, 1)
        assert tcp.is_open

    def test_half_closed(self) -> None:
        """The guest sends no more, and still gets everything."""
        tcp = _open()
        tcp.segment(_data(1, b"bye", FIN | ACK), 0)
        assert [effect.todo for effect in tcp.effects] == [Todo.SEND, Todo.SHUT]
        tcp.data(b"answer", 0)
        tcp.eof(0)
        found = tcp.next(1460, 0)
        assert found is not None and found.payload == b"answer" and found.flags & FIN and found.acknowledged == 5
        tcp.segment(_data(5, acknowledged=108), 0)
        assert tcp.over and tcp.effects[-1].todo is Todo.CLOSE

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.builds(
                TcpSegment, st.just(9), st.just(8), st.integers(0, 2**32 - 1) | st.integers(0, 300),
                st.integers(0, 2**32 - 1) | st.integers(90, 300), st.integers(0, 31).map(TcpFlag),
                st.integers(0, 65535), st.binary(max_size=20),
            ),
            max_size=30,
        )
    )  # fmt: skip
    def test_anything(self, segments: list[TcpSegment]) -> None:
        """Whatever a guest sends, the connection goes on or ends, and sends a bounded number of segments."""
        tcp, now = _open(), 0
        tcp.data(b"data" * 100, 0)
        for segment in segments:
            tcp.segment(segment, now)
            sent = 0
            while tcp.next(1460, now) is not None:
                sent += 1
            assert sent < 8
            now += SECOND
            tcp.advance(now)
