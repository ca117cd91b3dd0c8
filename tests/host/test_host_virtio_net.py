"""The network card: packets in both directions, merged buffers, work that the card does for the guest, saved state."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace
from virtio_driver import BASE, Bench, Driver

from cca_arch.virtio.net import GsoType, NetFeature, NetHeaderFlags, VirtioNetHdr
from cca_host.kvmtool.net.nat import GATEWAY, GATEWAY_MAC, GUEST
from cca_host.kvmtool.net.options import Forward, Network
from cca_host.kvmtool.net.outside import Told, write_message
from cca_host.kvmtool.net.packets import (
    Arp,
    EtherType,
    IcmpType,
    Protocol,
    TcpFlag,
    TcpSegment,
    checksum,
    read_frame,
    read_ip,
    read_tcp,
    write_arp,
    write_frame,
    write_icmp,
    write_ip,
    write_tcp,
)
from cca_host.kvmtool.virtio.net import MAC, VirtioNet, VirtioNetState
from cca_platform.errors import MachineError
from cca_platform.state import decode, encode

HEADER = VirtioNetHdr.size
QUESTION = write_frame(b"\xff" * 6, MAC, EtherType.ARP, write_arp(Arp(1, MAC, GUEST, bytes(6), GATEWAY)))
OFFLOAD = NetFeature.CSUM.mask | NetFeature.HOST_TSO4.mask | NetFeature.GUEST_CSUM.mask | NetFeature.GUEST_TSO4.mask
MERGED = NetFeature.MRG_RXBUF.mask


class Card:
    """A card with its driver. Messages of sockets, which come from a thread, wait in ``heard``."""

    def __init__(
        self, bench: Bench, network: Network | None = None, features: int = 0, replays: bool = False
    ) -> None:  # fmt: skip
        self.heard: list[bytes] = []
        self.expects: Any = None
        self.replays = replays
        wiring = replace(
            bench.wiring(), deliver=self.heard.append, attend=self._attend, replaying=lambda: self.replays
        )  # fmt: skip
        self.bench = bench
        self.model = VirtioNet("net", wiring, bench.memory, network or Network(True))
        self.driver = Driver(bench, self.model, features=features, size=16)

    def _attend(self, expects: Any) -> None:
        self.expects = expects

    def buffers(self, *sizes: int) -> None:
        """Give the card buffers to write packets into."""
        for size in sizes:
            self.driver.send(0, writable=(size,))
        self.driver.kick(0)

    def send(self, frame: bytes, **header: int) -> None:
        """Send a frame, and take the buffer back."""
        self.driver.send(1, VirtioNetHdr.pack(**header) + frame)
        self.driver.kick(1)
        assert len(self.driver.collect(1)) == 1

    def got(self) -> list[bytes]:
        """What the card has written, buffer by buffer."""
        return [data[:written] for _, written, data in self.driver.collect(0)]

    def segment(self, *fields: Any, mss: int | None = None, partial: bool = False, **header: int) -> None:
        """Send a segment of TCP to the gateway."""
        data = write_tcp(GUEST, GATEWAY, TcpSegment(*fields, mss=mss, scale=None if mss is None else 7), partial)
        self.send(write_frame(GATEWAY_MAC, MAC, EtherType.IPV4, write_ip(GUEST, GATEWAY, Protocol.TCP, data)), **header)

    def tell(self, *message: Any) -> None:
        """Let in a message of the outside."""
        self.model.arrive(b"\0" + write_message(*message))

    def hear(self) -> None:
        """Let in what sockets have told, within 20 s."""
        for _ in range(2000):
            if self.heard:
                break
            time.sleep(0.01)
        self.model.arrive(self.heard.pop(0))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    one = Bench(256)
    yield one
    one.close()


@pytest.fixture
def card(bench: Bench) -> Iterator[Any]:
    made: list[Card] = []

    def make(*args: Any, **options: Any) -> Card:
        bench.lines.clear()
        bench.memory.write(BASE, bytes(256 << 12))
        made.append(Card(bench, *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.model.close()


def opened(card: Card) -> int:
    """Connect to the gateway; returns the sequence number that comes next from there."""
    card.segment(1000, 80, 7, 0, TcpFlag.SYN, 1000, mss=1460)
    card.tell(Told.CONNECTED, 1)
    [answer] = card.got()
    frame = read_frame(answer[HEADER:])
    assert frame is not None
    ip = read_ip(frame.payload)
    assert ip is not None
    syn = read_tcp(ip, checked=True)
    assert syn is not None and syn.flags == TcpFlag.SYN | TcpFlag.ACK
    card.segment(1000, 80, 8, syn.sequence + 1, TcpFlag.ACK, 2000)
    return syn.sequence + 1


class TestPackets:
    def test_answer(self, card: Any) -> None:
        """A question for the gateway's address is answered into the driver's buffer, behind a header."""
        one = card()
        one.buffers(1600)
        one.send(QUESTION)
        [answer] = one.got()
        assert answer[:HEADER] == VirtioNetHdr.pack(num_buffers=1)
        frame = read_frame(answer[HEADER:])
        assert frame is not None and frame.target == MAC and frame.kind == EtherType.ARP
        assert one.bench.lines[-1]

    def test_config(self, card: Any) -> None:
        """MAC, link, one pair of queues, MTU."""
        driver = card().driver
        assert bytes(driver.config(n, 1) for n in range(6)) == MAC
        assert [driver.config(n, 2) for n in (6, 8, 10)] == [1, 1, 1500]

    def test_waits_for_room(self, card: Any) -> None:
        """A packet waits until the driver has a buffer."""
        one = card()
        one.send(QUESTION)
        assert one.got() == []
        one.buffers(1600)
        assert len(one.got()) == 1

    @pytest.mark.parametrize("features", [0, MERGED])
    def test_small_buffers(self, card: Any, features: int) -> None:
        """Small buffers are merged, if the driver can have that, when there are enough; else the packet is lost."""
        one = card(features=features)
        ping = write_icmp(IcmpType.ECHO, 0, bytes(range(200)))
        frame = write_frame(GATEWAY_MAC, MAC, EtherType.IPV4, write_ip(GUEST, GATEWAY, Protocol.ICMP, ping))
        one.buffers(100, 100)
        one.send(frame)
        if not features:
            assert one.got() == [b""]
            return
        assert one.got() == []
        one.buffers(100)
        parts = one.got()
        assert [len(part) for part in parts] == [100, 100, HEADER + len(frame) - 200]
        assert b"".join(parts)[:HEADER] == VirtioNetHdr.pack(num_buffers=3)
        assert b"".join(parts)[-200:] == bytes(range(200))

    @pytest.mark.parametrize("size", [0, 5, HEADER, 70_000])
    def test_no_packet(self, card: Any, size: int) -> None:
        """What is too small or too large is taken and lost."""
        one = card()
        one.driver.send(1, bytes(size) or b"x")
        one.driver.kick(1)
        assert len(one.driver.collect(1)) == 1
        assert one.model.live


class TestOffload:
    """What the card does for the guest."""

    def test_to_the_guest(self, card: Any) -> None:
        """Much data comes in one packet that says how to divide it, and where its checksum has to be completed."""
        one = card(Network(), features=OFFLOAD | MERGED)
        one.replays = True
        one.buffers(*[4096] * 8)
        opened(one)
        one.tell(Told.DATA, 1, bytes(range(200)) * 50)
        parts = one.got()
        data = b"".join(parts)
        header = VirtioNetHdr.unpack(data)
        assert header.flags == NetHeaderFlags.needs_csum.mask and header.gso_type == GsoType.TCPV4
        assert (header.gso_size, header.hdr_len, header.num_buffers) == (1460, 54, len(parts))
        frame = bytearray(data[HEADER:])
        at = header.csum_start + header.csum_offset
        frame[at : at + 2] = checksum(bytes(frame[header.csum_start :])).to_bytes(2, "big")
        found = read_frame(bytes(frame))
        assert found is not None
        ip = read_ip(found.payload)
        assert ip is not None
        segment = read_tcp(ip)
        assert segment is not None and segment.payload == bytes(range(200)) * 50

    def test_from_the_guest(self, card: Any) -> None:
        """A segment without its checksum, and larger than a packet, is taken if it says so."""
        one = card(Network(), features=OFFLOAD | MERGED)
        one.replays = True
        one.buffers(*[4096] * 8)
        there = opened(one)
        one.segment(1000, 80, 8, there, TcpFlag.ACK, 2000, b"x" * 20_000, partial=True)
        assert one.got() == []  # a wrong checksum
        one.segment(
            1000, 80, 8, there, TcpFlag.ACK, 2000, b"x" * 20_000, partial=True,
            flags=NetHeaderFlags.needs_csum.mask, gso_type=GsoType.TCPV4, gso_size=1460,
        )  # fmt: skip
        [answer] = one.got()
        frame = read_frame(answer[HEADER:])
        assert frame is not None
        ip = read_ip(frame.payload)
        assert ip is not None
        segment = read_tcp(ip, checked=True)
        assert segment is not None and segment.acknowledged == 8 + 20_000


class TestTime:
    def test_again(self, card: Any) -> None:
        """What the guest does not acknowledge is sent again when it is due, in virtual time."""
        one = card(Network())
        one.replays = True
        one.buffers(*[1600] * 8)
        opened(one)
        one.tell(Told.DATA, 1, b"data")
        [first] = one.got()
        due = one.driver.frame.deadline
        assert due == one.bench.machine.clock.now + one.bench.machine.clock.counter_hz // 5
        one.driver.frame.advance(due)
        assert one.got() == [first]


class TestSaved:
    def test_held(self, card: Any) -> None:
        """A packet that waits for room, and the flows, are part of the state."""
        one = card(features=MERGED)
        one.buffers(20)
        one.send(QUESTION)
        saved = decode(encode(one.driver.frame.save()), type(one.driver.frame.save()))
        assert saved.device.more.held is not None
        one.buffers(1000)
        assert len(one.got()) == 2 and one.model.save_more().held is None
        one.driver.frame.restore(saved)
        assert isinstance(one.model.save_more(), VirtioNetState) and one.model.save_more() == saved.device.more

    def test_flows_break(self, card: Any) -> None:
        """A restored flow has no socket: it is broken off, but not while a journal is replayed, which has its rest."""
        one = card(Network())
        one.replays = True
        one.buffers(*[1600] * 8)
        opened(one)
        one.driver.frame.restore(one.driver.frame.save())
        one.send(QUESTION)
        assert len(one.got()) == 1 and one.model.save_more().nat.tcp
        assert one.driver.frame.deadline is None
        one.replays = False
        assert one.driver.frame.deadline == one.bench.machine.clock.now
        one.driver.frame.advance(one.driver.frame.deadline)
        assert len(one.got()) == 1 and not one.model.save_more().nat.tcp
        assert one.driver.frame.deadline is None


class TestSockets:
    def test_real(self, card: Any) -> None:
        """The card reaches the host's loopback, and idle time waits for it meanwhile."""
        one = card(Network())
        assert not one.expects()
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            one.buffers(*[1600] * 4)
            one.segment(1000, server.getsockname()[1], 7, 0, TcpFlag.SYN, 1000)
            assert one.expects()
            one.hear()
            assert len(one.got()) == 1

    def test_taken_port(self, card: Any) -> None:
        """A port of a forward that somebody has is told before the guest starts."""
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            forwards = (Forward("127.0.0.1", server.getsockname()[1], 22),)
            with pytest.raises(MachineError, match=r"`network` must forward from addresses of the host that are free"):
                card(Network(forwards=forwards))

    def test_replay(self, card: Any) -> None:
        """While a journal is replayed nobody outside is asked for anything."""
        one = card(Network(forwards=(Forward("127.0.0.1", 0, 22),)), replays=True)
        one.segment(1000, 1, 7, 0, TcpFlag.SYN, 1000)
        time.sleep(0.02)
        assert one.heard == []
