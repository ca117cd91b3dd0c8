"""Stream sockets between a guest and files of the host: both directions, credit, ends, and whatever is hostile."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from virtio_driver import BASE, Bench, Driver

from cca_arch.virtio.vsock import HOST_CID, STREAM, VirtioVsockHdr, VsockOp, VsockShutdown
from cca_host.kvmtool.net.outside import Told, write_message
from cca_host.kvmtool.net.vsock import GUEST_CID, HEADER, Vsock, VsockState
from cca_host.kvmtool.virtio.vsock import VirtioVsock
from cca_platform.errors import MachineError
from cca_platform.state import decode, encode

OUTSIDE = 1 << 31
FIRST = 1 << 30
CREDIT = 256 << 10


class Orders:
    """An outside that only notes its orders."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *order, **named: self.seen.append((name, *order, *named.values()))


class Guest:
    """A guest's side; its buffers have ``credit`` bytes for each stream."""

    def __init__(self, streams: Vsock, credit: int = 1 << 20) -> None:
        self.streams = streams
        self.credit = credit

    def send(self, op: int, guest: int, host: int, data: bytes = b"", flags: int = 0, taken: int = 0) -> list[Any]:
        """Send a packet; what comes back."""
        self.streams.receive(packet(op, guest, host, data, flags, self.credit, taken))
        return self.got()

    def got(self, room: int = 4096) -> list[Any]:
        """The packets that wait: op, ports, flags, data."""
        found = []
        while (data := self.streams.next(room)) is not None:
            head = VirtioVsockHdr.unpack(data)
            assert (head.src_cid, head.dst_cid, head.type, head.len) == (HOST_CID, GUEST_CID, 1, len(data) - HEADER)
            assert len(data) <= room and head.buf_alloc == CREDIT
            found.append((VsockOp(head.op), head.dst_port, head.src_port, head.flags, data[HEADER:]))
        return found

    def tell(self, *message: Any) -> list[Any]:
        """Let in a message of the outside; what comes of it."""
        self.streams.told(write_message(*message))
        return self.got()


def packet(op: int, guest: int, host: int, data: bytes, flags: int, credit: int, taken: int) -> bytes:
    head = VirtioVsockHdr.pack(
        src_cid=GUEST_CID, dst_cid=HOST_CID, src_port=guest, dst_port=host, len=len(data), type=STREAM, op=op,
        flags=flags, buf_alloc=credit, fwd_cnt=taken,
    )  # fmt: skip
    return head + data


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def guest(orders: Orders) -> Guest:
    return Guest(Vsock("/v", orders))


def _open(guest: Guest) -> None:
    assert guest.send(VsockOp.REQUEST, 100, 5) == []
    assert guest.tell(Told.CONNECTED, 1) == [(VsockOp.RESPONSE, 100, 5, 0, b"")]


class TestStreams:
    def test_of_the_guest(self, guest: Guest, orders: Orders) -> None:
        """The guest connects to who listens at PATH_PORT; data goes both ways, and each side ends what it sends."""
        _open(guest)
        assert orders.seen == [("connect", 1, "unix:/v_5", 0, CREDIT)]
        guest.send(VsockOp.RW, 100, 5, b"question")
        assert guest.tell(Told.DATA, 1, b"answer") == [(VsockOp.RW, 100, 5, 0, b"answer")]
        assert guest.tell(Told.END, 1) == [(VsockOp.SHUTDOWN, 100, 5, VsockShutdown.SEND, b"")]
        assert guest.send(VsockOp.SHUTDOWN, 100, 5, flags=3) == [(VsockOp.RST, 100, 5, 0, b"")]
        assert orders.seen[1:] == [
            ("send", 1, b"question"), ("allow", 1, 6), ("shut", 1), ("close", 1, False)
        ]  # fmt: skip
        assert guest.streams.save().connections == {}

    def test_refused(self, guest: Guest) -> None:
        """Where nobody listens, the guest is refused; so is a packet of no connection."""
        guest.send(VsockOp.REQUEST, 100, 5)
        assert guest.tell(Told.BROKEN, 1) == [(VsockOp.RST, 100, 5, 0, b"")]
        assert guest.send(VsockOp.RW, 7, 8, b"?") == [(VsockOp.RST, 7, 8, 0, b"")]
        assert guest.send(VsockOp.RST, 7, 8) == []

    def test_of_the_host(self, guest: Guest, orders: Orders) -> None:
        """Who comes says CONNECT PORT, in however many pieces, is told OK, and what follows is the guest's."""
        assert guest.tell(Told.ACCEPTED, OUTSIDE, bytes(4)) == []
        assert guest.tell(Told.DATA, OUTSIDE, b"CONNECT 7") == []
        assert guest.tell(Told.DATA, OUTSIDE, b"0\nhello") == [(VsockOp.REQUEST, 70, FIRST, 0, b"")]
        assert guest.send(VsockOp.RESPONSE, 70, FIRST) == [(VsockOp.RW, 70, FIRST, 0, b"hello")]
        assert ("send", OUTSIDE, b"OK 1073741824\n") in orders.seen
        assert guest.tell(Told.TAKEN, OUTSIDE, (14).to_bytes(4, "little")) == []
        assert guest.streams.save().connections[OUTSIDE].taken == 0
        assert guest.send(VsockOp.RST, 70, FIRST) == []
        assert orders.seen[-1] == ("close", OUTSIDE, False)

    @pytest.mark.parametrize("line", [b"HELLO 70\n", b"CONNECT x\n", b"CONNECT 70" + b" " * 60, b"\n"])
    def test_no_port(self, guest: Guest, orders: Orders, line: bytes) -> None:
        """Who says anything else is sent away."""
        guest.tell(Told.ACCEPTED, OUTSIDE, bytes(4))
        assert guest.tell(Told.DATA, OUTSIDE, line) == []
        assert orders.seen[-1] == ("close", OUTSIDE, True)

    def test_nobody_there(self, guest: Guest, orders: Orders) -> None:
        """A port on which the guest does not listen closes the socket."""
        guest.tell(Told.ACCEPTED, OUTSIDE, bytes(4))
        guest.tell(Told.DATA, OUTSIDE, b"CONNECT 70\n")
        guest.send(VsockOp.RST, 70, FIRST)
        assert orders.seen[-1][0] == "close"


class TestCredit:
    def test_of_the_guest(self, orders: Orders) -> None:
        """The guest gets no more than it has room for, until it says that it has taken some."""
        guest = Guest(Vsock("/v", orders), credit=1000)
        _open(guest)
        first = guest.tell(Told.DATA, 1, bytes(2500))
        assert [len(one[4]) for one in first] == [1000]
        more = guest.send(VsockOp.CREDIT_UPDATE, 100, 5, taken=600)
        assert [len(one[4]) for one in more] == [600]
        assert sum(order[2] for order in orders.seen if order[0] == "allow") == 1600

    def test_of_the_host(self, guest: Guest) -> None:
        """The guest is told of room again after much was taken; more than it was allowed ends the connection."""
        _open(guest)
        for _ in range(4):
            guest.send(VsockOp.RW, 100, 5, bytes(1 << 16))
        update = guest.tell(Told.TAKEN, 1, (1 << 16).to_bytes(4, "little"))
        assert [one[0] for one in update] == [VsockOp.CREDIT_UPDATE]
        for _ in range(1000):  # asked by a guest that takes nothing: one answer will do
            guest.streams.receive(packet(VsockOp.CREDIT_REQUEST, 100, 5, b"", 0, guest.credit, 0))
        assert [one[0] for one in guest.got()] == [VsockOp.CREDIT_UPDATE]
        assert guest.send(VsockOp.RW, 100, 5, bytes((1 << 16) + 1)) == [(VsockOp.RST, 100, 5, 0, b"")]

    def test_small_buffers(self, guest: Guest) -> None:
        """Data is divided as the guest's buffers are."""
        _open(guest)
        guest.streams.told(write_message(Told.DATA, 1, b"0123456789"))
        assert [one[4] for one in guest.got(room=HEADER + 4)] == [b"0123", b"4567", b"89"]


class TestHostile:
    def test_many(self, guest: Guest) -> None:
        """Connections, and answers to packets of none, are limited."""
        for port in range(300):
            guest.streams.receive(packet(VsockOp.REQUEST, port, 5, b"", 0, 0, 0))
        state = guest.streams.save()
        assert len(state.connections) == 256 and len(state.resets) == 44
        for port in range(500):
            guest.streams.receive(packet(VsockOp.RW, port, 6, b"", 0, 0, 0))
        assert len(guest.streams.save().resets) == 64

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_anything(self, data: st.DataObject) -> None:
        """Any packets and messages: a bounded answer, and a state that can be saved."""
        guest = Guest(Vsock("/v", Orders()))
        port, number = st.integers(0, 2), st.integers(0, 2**32 - 1) | st.integers(0, 5)
        sent = st.builds(packet, st.integers(0, 8), port, port, st.binary(max_size=9), number, number, number)
        body = st.sampled_from([b"CONNECT 1\n", b"CONN", bytes(4), b"x" * 70])
        heard = st.builds(write_message, st.sampled_from(Told), st.integers(1, 4) | st.just(OUTSIDE), body)
        drawn = st.tuples(st.booleans(), st.binary(max_size=60) | sent | heard)
        for kind, one in data.draw(st.lists(drawn, max_size=30)):
            if kind:
                guest.streams.receive(one)
            elif len(one) >= 9 and one[0] in range(1, 7) and len(one) == 9 + int.from_bytes(one[5:9], "little"):
                guest.streams.told(one)
            assert len(guest.got()) < 100
            saved = guest.streams.save()
            again = Vsock("/v", Orders())
            again.restore(decode(encode(saved), VsockState))
            assert again.save() == saved


class TestDevice:
    """The device with real sockets."""

    @pytest.fixture
    def heard(self) -> list[bytes]:
        return []

    @pytest.fixture
    def driver(self, tmp_path: Path, heard: list[bytes]) -> Iterator[Driver]:
        bench = Bench(256)
        device = VirtioVsock("vsock", replace(bench.wiring(), deliver=heard.append), bench.memory, str(tmp_path / "v"))
        yield Driver(bench, device)
        device.close()
        bench.close()

    def _packets(self, driver: Driver) -> list[tuple[int, bytes]]:
        return [(VirtioVsockHdr.unpack(data).op, data[HEADER:written]) for _, written, data in driver.collect(0)]

    def _hear(self, driver: Driver, heard: list[bytes]) -> None:
        for _ in range(2000):
            if heard:
                break
            time.sleep(0.01)
        driver.frame.arrive(heard.pop(0))

    def _send(self, driver: Driver, op: int, guest: int, host: int, data: bytes = b"") -> None:
        driver.send(1, packet(op, guest, host, data, 0, 1 << 20, 0))
        driver.kick(1)
        driver.collect(1)

    def test_both_ways(self, driver: Driver, heard: list[bytes], tmp_path: Path) -> None:
        """A server at PATH_PORT hears the guest; a client at PATH reaches it."""
        for _ in range(6):
            driver.send(0, writable=(4096,))
        driver.kick(0)
        assert driver.config(0, 8) == GUEST_CID
        with closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(str(tmp_path / "v_5"))
            server.listen()
            self._send(driver, VsockOp.REQUEST, 100, 5)
            self._hear(driver, heard)
            assert self._packets(driver) == [(VsockOp.RESPONSE, b"")]
            self._send(driver, VsockOp.RW, 100, 5, b"from the guest")
            one, _ = server.accept()
            with one:
                one.settimeout(20)
                assert one.recv(100) == b"from the guest"
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(str(tmp_path / "v"))
            client.sendall(b"CONNECT 70\n")
            packets: list[tuple[int, bytes]] = []
            while (VsockOp.REQUEST, b"") not in packets:
                self._hear(driver, heard)
                packets += self._packets(driver)
            self._send(driver, VsockOp.RESPONSE, 70, FIRST)
            client.settimeout(20)
            assert client.recv(100) == b"OK 1073741824\n"
        record = next(one for one in driver.bench.events if one["event"] == "net.flow")
        assert (record["protocol"], record["guest"], record["peer"]) == ("vsock", "3:100", "2:5")

    def test_saved(self, driver: Driver, heard: list[bytes]) -> None:
        """The state has the connections; restored, they are broken off."""
        driver.send(0, writable=(4096,))
        driver.kick(0)
        self._send(driver, VsockOp.REQUEST, 100, 5)
        saved = driver.frame.save()
        assert len(saved.device.more.connections) == 1
        driver.frame.restore(decode(encode(saved), type(saved)))
        driver.kick(0)
        assert [op for op, _ in self._packets(driver)] == [VsockOp.RST]

    def test_too_much(self, driver: Driver) -> None:
        """A packet that names the same memory again and again is dropped and not held."""
        driver.offer(1, driver.chain(1, [(BASE + 0x20_000, 1 << 17)] * 7, []))
        driver.kick(1)
        assert len(driver.collect(1)) == 1 and driver.device.live

    def test_taken(self, driver: Driver, tmp_path: Path) -> None:
        """A path that is there already is refused before the guest starts, and goes with the guest."""
        for name, why in (("v", "Address already in use"), ("v" * 200, "AF_UNIX path too long")):
            with pytest.raises(MachineError, match=rf"^`vsock` must be a path for a new socket, not .*: {why}$"):
                VirtioVsock("vsock", driver.bench.wiring(), driver.memory, str(tmp_path / name))
        driver.device.close()
        assert not (tmp_path / "v").exists()
