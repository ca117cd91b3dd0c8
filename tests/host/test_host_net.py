"""The guest's network: gateway, DHCP, ping, UDP and TCP to the host's loopback, forwards, and whatever is hostile."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from queue import Queue
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca_host.kvmtool.net import dhcp
from cca_host.kvmtool.net.nat import DNS, GATEWAY, GATEWAY_MAC, GUEST, Nat, NatState
from cca_host.kvmtool.net.options import Forward, Network, read_network
from cca_host.kvmtool.net.outside import Sockets, Told, write_message
from cca_host.kvmtool.net.packets import (
    BROADCAST,
    Arp,
    EtherType,
    IcmpType,
    Ip,
    Protocol,
    TcpFlag,
    TcpSegment,
    Udp,
    checksum,
    read_arp,
    read_frame,
    read_ip,
    read_tcp,
    read_udp,
    write_arp,
    write_frame,
    write_icmp,
    write_ip,
    write_tcp,
    write_udp,
)
from cca_platform.errors import MachineError
from cca_platform.state import decode, encode

SECOND = 100_000_000
MAC = bytes.fromhex("525400123456")
FAR = 0x0808_0808
EVERYBODY = 0xFFFF_FFFF
SYN, ACK, FIN, RST = TcpFlag.SYN, TcpFlag.ACK, TcpFlag.FIN, TcpFlag.RST


class Orders:
    """An outside that only notes its orders."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def connect(self, *order: Any) -> None:
        self.seen.append(("connect", *order))

    def send(self, *order: Any) -> None:
        self.seen.append(("send", *order))

    def allow(self, *order: Any) -> None:
        self.seen.append(("allow", *order))

    def shut(self, *order: Any) -> None:
        self.seen.append(("shut", *order))

    def close(self, flow: int, abort: bool) -> None:
        self.seen.append(("close", flow, abort))

    def datagram(self, *order: Any) -> None:
        self.seen.append(("datagram", *order))

    def end(self) -> None:
        """Nothing to end."""


class Guest:
    """A guest's card on a NAT: what it sends, what it gets."""

    def __init__(self, nat: Nat) -> None:
        self.nat = nat

    def ip(self, target: int, protocol: Protocol, payload: bytes, source: int = GUEST) -> list[Ip]:
        """Send a packet; what comes back."""
        packet = write_ip(source, target, protocol, payload)
        self.nat.receive(write_frame(GATEWAY_MAC, MAC, EtherType.IPV4, packet), 0)
        return self.got()

    def udp(self, target: int, port: int, data: bytes, source: int = 4000) -> list[Ip]:
        return self.ip(target, Protocol.UDP, write_udp(GUEST, target, Udp(source, port, data)))

    def tcp(self, target: int, segment: TcpSegment) -> list[TcpSegment]:
        """Send a segment; the segments that come back."""
        found = self.ip(target, Protocol.TCP, write_tcp(GUEST, target, segment))
        return [self.read_tcp(ip) for ip in found]

    @staticmethod
    def read_tcp(ip: Ip) -> TcpSegment:
        segment = read_tcp(ip)
        assert segment is not None
        return segment

    def got(self) -> list[Ip]:
        """The packets that wait for the guest."""
        found = []
        while (packet := self.nat.next(0)) is not None:
            frame = read_frame(packet.frame)
            assert frame is not None and frame.kind == EtherType.IPV4 and frame.source == GATEWAY_MAC
            ip = read_ip(frame.payload)
            assert ip is not None
            found.append(ip)
        return found


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def guest(orders: Orders) -> Guest:
    return Guest(Nat(SECOND, MAC, Network(forwards=(Forward("127.0.0.1", 0, 22),)), orders))


class TestGateway:
    """What needs nobody outside."""

    @pytest.mark.parametrize(("asked", "answers"), [(GATEWAY, True), (DNS, True), (GUEST, False), (FAR, False)])
    def test_arp(self, guest: Guest, asked: int, answers: bool) -> None:
        """The gateway answers for itself and the name server, for nobody else."""
        question = write_arp(Arp(1, MAC, GUEST, bytes(6), asked))
        assert guest.nat.receive(write_frame(BROADCAST, MAC, EtherType.ARP, question), 0) == "arp"
        packet = guest.nat.next(0)
        assert (packet is not None) == answers
        if packet is not None:
            frame = read_frame(packet.frame)
            assert frame is not None and (frame.target, frame.source) == (MAC, GATEWAY_MAC)
            assert read_arp(frame.payload) == Arp(2, GATEWAY_MAC, asked, MAC, GUEST)

    def test_ping(self, guest: Guest) -> None:
        """The gateway answers a ping with its data; others cannot be reached."""
        ping = write_icmp(IcmpType.ECHO, 0, struct.pack(">HH", 7, 1) + b"data")
        (answer,) = guest.ip(GATEWAY, Protocol.ICMP, ping)
        assert (answer.source, answer.target) == (GATEWAY, GUEST)
        assert answer.payload == write_icmp(IcmpType.ECHO_REPLY, 0, struct.pack(">HH", 7, 1) + b"data")
        (refused,) = guest.ip(FAR, Protocol.ICMP, ping)
        assert refused.payload[:2] == bytes((IcmpType.UNREACHABLE, 1)) and checksum(refused.payload) == 0xFFFF
        assert refused.payload[8:28] == write_ip(GUEST, FAR, Protocol.ICMP, ping)[:20]

    def test_dhcp(self, guest: Guest) -> None:
        """DISCOVER, REQUEST: the guest gets its address, mask, router, name server; a wrong address is refused."""
        offer = _dhcp(guest, dhcp.Kind.DISCOVER)
        assert offer[0] == GUEST and offer[1][53] == bytes((dhcp.Kind.OFFER,))
        given = _dhcp(guest, dhcp.Kind.REQUEST, {50: GUEST.to_bytes(4, "big"), 54: GATEWAY.to_bytes(4, "big")})
        assert given[0] == GUEST
        assert given[1] == {
            53: bytes((dhcp.Kind.ACK,)), 54: bytes((10, 0, 2, 2)), 1: bytes((255, 255, 255, 0)),
            3: bytes((10, 0, 2, 2)), 6: bytes((10, 0, 2, 3)), 51: (86400).to_bytes(4, "big"),
        }  # fmt: skip
        refused = _dhcp(guest, dhcp.Kind.REQUEST, {50: bytes((10, 0, 2, 99))})
        assert refused[0] == 0 and refused[1][53] == bytes((dhcp.Kind.NAK,))

    def test_restricted(self) -> None:
        """With nobody outside, the gateway answers all the same, and connections are refused."""
        guest = Guest(Nat(SECOND, MAC, Network(restrict=True), None))
        assert _dhcp(guest, dhcp.Kind.DISCOVER)[0] == GUEST
        (refused,) = guest.tcp(GATEWAY, TcpSegment(1000, 80, 7, 0, SYN, 1000))
        assert refused.flags == RST | ACK and refused.acknowledged == 8
        (refused_too,) = guest.udp(FAR, 53, b"?")
        assert refused_too.payload[:2] == bytes((IcmpType.UNREACHABLE, 3))
        assert not guest.nat.expects(0)


def _dhcp(guest: Guest, kind: dhcp.Kind, options: dict[int, bytes] | None = None) -> tuple[int, dict[int, bytes]]:
    """What the server answers: the address, and the options."""
    body = b"".join(bytes((n, len(data))) + data for n, data in {53: bytes((kind,)), **(options or {})}.items())
    head = struct.pack(">BBBBIHHIIII16s192sI", 1, 1, 6, 0, 99, 0, 0, 0, 0, 0, 0, MAC, b"", 0x63825363)
    message = write_udp(0, EVERYBODY, Udp(68, 67, head + body + b"\xff"))
    (ip,) = guest.ip(EVERYBODY, Protocol.UDP, message, source=0)
    udp = read_udp(ip)
    assert udp is not None and (udp.source, udp.target, ip.target) == (67, 68, EVERYBODY)
    assert udp.payload[4:8] == (99).to_bytes(4, "big") and udp.payload[28:34] == MAC
    found, at = {}, 240
    while udp.payload[at] != 255:
        size = udp.payload[at + 1]
        found[udp.payload[at]] = udp.payload[at + 2 : at + 2 + size]
        at += 2 + size
    return int.from_bytes(udp.payload[16:20], "big"), found


class TestFlows:
    """Orders for the outside, and what it tells."""

    def test_tcp(self, guest: Guest, orders: Orders) -> None:
        """The gateway is the host's loopback; a connection is confirmed when the outside has accepted it."""
        syn = TcpSegment(1000, 80, 7, 0, SYN, 1000, mss=1460)
        assert guest.tcp(GATEWAY, syn) == []
        assert orders.seen[0][:4] == ("connect", 1, "127.0.0.1", 80)
        guest.nat.told(write_message(Told.CONNECTED, 1), 0)
        answer = guest.read_tcp(guest.got()[0])
        assert answer.flags == SYN | ACK and (answer.source, answer.target) == (80, 1000)
        ack = TcpSegment(1000, 80, 8, answer.sequence + 1, ACK, 1000, b"GET")
        (confirmed,) = guest.tcp(GATEWAY, ack)
        assert orders.seen[1] == ("send", 1, b"GET") and confirmed.acknowledged == 11
        guest.nat.told(write_message(Told.DATA, 1, b"page") + write_message(Told.END, 1), 0)
        page = guest.read_tcp(guest.got()[0])
        assert page.payload == b"page" and page.flags & FIN
        guest.tcp(GATEWAY, TcpSegment(1000, 80, 11, page.sequence + 5, ACK | FIN, 1000))
        assert orders.seen[2:] == [("allow", 1, 4), ("shut", 1), ("close", 1, False)]
        assert guest.nat.save().tcp == {}

    def test_refused(self, guest: Guest) -> None:
        """What the outside refuses, the guest is refused."""
        guest.tcp(FAR, TcpSegment(1000, 80, 7, 0, SYN, 1000))
        guest.nat.told(write_message(Told.BROKEN, 1), 0)
        (refused,) = guest.got()
        assert guest.read_tcp(refused).flags == RST | ACK
        assert guest.nat.save().tcp == {}

    def test_udp(self, guest: Guest, orders: Orders) -> None:
        """Datagrams of a pair of peers have one flow; an answer is awaited for some time."""
        assert guest.udp(DNS, 53, b"name?") == []
        guest.udp(DNS, 53, b"again?")
        assert orders.seen == [("datagram", 1, "resolver", 53, b"name?"), ("datagram", 1, "resolver", 53, b"again?")]
        quiet = Nat(SECOND, MAC, Network(), orders)
        quiet.restore(guest.nat.save())
        assert quiet.expects(9 * SECOND) and not quiet.expects(11 * SECOND)
        guest.nat.told(write_message(Told.DATA, 1, b"address"), 0)
        (ip,) = guest.got()
        assert read_udp(ip) == Udp(53, 4000, b"address") and ip.source == DNS

    def test_forward(self, guest: Guest, orders: Orders) -> None:
        """Who comes from outside is offered to the guest, from the gateway."""
        assert guest.nat.expects(0)
        flow = 1 << 31
        guest.nat.told(write_message(Told.ACCEPTED, flow, bytes(4)), 0)
        (ip,) = guest.got()
        syn = guest.read_tcp(ip)
        assert ip.source == GATEWAY and syn.flags == SYN and syn.target == 22
        answer = TcpSegment(22, syn.source, 500, syn.sequence + 1, SYN | ACK, 1000, mss=1460)
        (confirmed,) = guest.tcp(GATEWAY, answer)
        assert confirmed.flags == ACK and confirmed.acknowledged == 501
        guest.nat.told(write_message(Told.DATA, flow, b"hello"), 0)
        assert guest.read_tcp(guest.got()[0]).payload == b"hello"

    def test_divided_by_the_card(self, guest: Guest) -> None:
        """A card that divides segments and completes checksums gets them large, and with the sum of their header."""
        guest.tcp(GATEWAY, TcpSegment(1000, 80, 7, 0, SYN, 1000, mss=1400, scale=7))
        guest.nat.told(write_message(Told.CONNECTED, 1), 0)
        sequence = guest.read_tcp(guest.got()[0]).sequence
        guest.tcp(GATEWAY, TcpSegment(1000, 80, 8, sequence + 1, ACK, 1000))
        guest.nat.told(write_message(Told.DATA, 1, b"x" * 9000), 0)
        packet = guest.nat.next(0, largest=60_000, partial=True)
        assert packet is not None and packet.mss == 1400 and packet.partial == (34, 16)
        assert len(packet.frame) == 14 + 20 + 20 + 9000
        start, place = packet.partial
        whole = bytearray(packet.frame)
        whole[start + place : start + place + 2] = checksum(packet.frame[start:]).to_bytes(2, "big")
        frame = read_frame(bytes(whole))
        assert frame is not None
        ip = read_ip(frame.payload)
        assert ip is not None and guest.read_tcp(ip).payload == b"x" * 9000

    def test_bounded(self, guest: Guest, orders: Orders) -> None:
        """Connections beyond the limit are refused, and pairs of datagrams that were used least lately forgotten."""
        for port in range(1, 300):
            guest.tcp(FAR, TcpSegment(port, 80, 7, 0, SYN, 1000))
            guest.udp(FAR, 53, b"", source=port)
        state = guest.nat.save()
        assert len(state.tcp) == len(state.udp) == 256
        assert ("close", 2, False) in orders.seen
        for _ in range(500):
            guest.nat.receive(write_frame(BROADCAST, MAC, EtherType.ARP, write_arp(Arp(1, MAC, 1, MAC, GATEWAY))), 0)
        assert len(guest.nat.save().ready) == 64

    def test_saved(self, guest: Guest, orders: Orders) -> None:
        """A NAT made of the saved state goes on where the other was; without sockets it breaks off its flows."""
        guest.tcp(GATEWAY, TcpSegment(1000, 80, 7, 0, SYN, 1000))
        guest.udp(DNS, 53, b"name?")
        guest.nat.told(write_message(Told.CONNECTED, 1), 0)
        saved = decode(encode(guest.nat.save()), NatState)
        again = Guest(Nat(SECOND, MAC, Network(), orders))
        again.nat.restore(saved)
        assert [guest.read_tcp(ip) for ip in again.got()] == [guest.read_tcp(ip) for ip in guest.got()]
        assert again.nat.deadline == guest.nat.deadline
        again.nat.abandon()
        assert [guest.read_tcp(ip).flags for ip in again.got()] == [RST | ACK]
        assert again.nat.save().tcp == {} and again.nat.save().udp == {}


class TestHostile:
    """Nothing that a guest or the outside sends does harm."""

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_frames(self, data: st.DataObject) -> None:
        """Frames with anything in them are answered or dropped."""
        orders = Orders()
        nat = Nat(SECOND, MAC, Network(), orders)
        for _ in range(data.draw(st.integers(1, 6))):
            nat.receive(data.draw(_frames()), 0, checked=data.draw(st.booleans()))
            for _ in range(70):
                packet = nat.next(0)
                if packet is None:
                    break
                frame = read_frame(packet.frame)
                assert frame is not None
                assert frame.kind == EtherType.ARP or read_ip(frame.payload) is not None
            else:
                raise AssertionError("frames without end")
        assert decode(encode(nat.save()), NatState) == nat.save()

    @pytest.mark.parametrize("target", [0, 0x7F00_0001, 0xE000_0001, 0xFFFF_FFFF, 0x0A00_02FF, 0x0A00_0263])
    def test_targets(self, guest: Guest, orders: Orders, target: int) -> None:
        """Packets for nobody, for a loopback, for many or for a neighbour that is not there reach nobody outside."""
        guest.tcp(target, TcpSegment(1000, 80, 7, 0, SYN, 1000))
        guest.udp(target, 53, b"x")
        assert orders.seen == []

    def test_spoilt(self, guest: Guest, orders: Orders) -> None:
        """Packets with a wrong checksum, fragments and other versions are dropped."""
        udp = write_udp(GUEST, FAR, Udp(1, 2, b"data"))
        sound = write_ip(GUEST, FAR, Protocol.UDP, udp)
        for at in range(len(sound)):
            spoilt = bytearray(sound)
            spoilt[at] ^= 0x20
            guest.nat.receive(write_frame(GATEWAY_MAC, MAC, EtherType.IPV4, bytes(spoilt)), 0)
        assert orders.seen == []

    def test_messages(self, guest: Guest) -> None:
        """What the outside tells of flows that are over says nothing."""
        guest.nat.told(b"".join(write_message(told, 77, bytes(4)) for told in Told if told is not Told.ACCEPTED), 0)
        guest.nat.told(write_message(Told.ACCEPTED, 78, (9).to_bytes(4, "little")), 0)
        assert guest.got() == []


def _frames() -> st.SearchStrategy[bytes]:
    """Frames: noise, and packets with noise in the place of some part."""
    small = st.binary(max_size=60)
    port, address = st.integers(0, 65535), st.sampled_from([GATEWAY, DNS, FAR, GUEST, EVERYBODY])

    def packet(target: int, protocol: Protocol, payload: bytes) -> bytes:
        return write_frame(GATEWAY_MAC, MAC, EtherType.IPV4, write_ip(GUEST, target, protocol, payload))

    segment = st.builds(
        TcpSegment, port, port, st.integers(0, 9), st.integers(0, 9), st.integers(0, 31).map(TcpFlag), port, small,
        st.none() | port, st.none() | st.integers(0, 255),
    )  # fmt: skip
    return st.one_of(
        small,
        st.builds(lambda kind, data: write_frame(GATEWAY_MAC, MAC, kind, data), st.sampled_from(EtherType), small),
        st.builds(packet, address, st.sampled_from(Protocol), small),
        st.builds(
            lambda target, one: packet(target, Protocol.UDP, write_udp(GUEST, target, one)),
            address, st.builds(Udp, port, st.sampled_from([53, 67, 9]), small),
        ),
        st.builds(
            lambda target, one: packet(target, Protocol.TCP, write_tcp(GUEST, target, one)), address, segment
        ),
    )  # fmt: skip


class Wire:
    """A NAT with real sockets, whose messages a test lets in."""

    def __init__(self, network: Network = Network()) -> None:  # noqa: B008 -- it is immutable
        self.heard: Queue[bytes] = Queue()
        self.sockets = Sockets(self.heard.put, network.forwards)
        self.sockets.listen()
        self.nat = Nat(SECOND, MAC, network, self.sockets)
        self.guest = Guest(self.nat)

    def wait(self) -> list[Ip]:
        """Let the next message in; what the guest gets."""
        self.nat.told(self.heard.get(timeout=20), 0)
        return self.guest.got()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire(Network(forwards=(Forward("127.0.0.1", 0, 22),)))
    yield made
    made.sockets.end()
    assert made.heard.empty() or made.heard.get() is not None


class TestSockets:
    """Real sockets on the host's loopback."""

    def test_tcp(self, wire: Wire) -> None:
        """A server on the loopback answers the guest: 300 KiB in both directions, and both sides close."""
        data = bytes(n % 251 for n in range(300_000))
        with closing(socket.create_server(("127.0.0.1", 0))) as server:

            def serve() -> None:
                one, _ = server.accept()
                with one:
                    got = b""
                    while part := one.recv(65536):
                        got += part
                    one.sendall(got[::-1])

            thread = threading.Thread(target=serve)
            thread.start()
            assert _talk(wire, server.getsockname()[1], data) == data[::-1]
            thread.join(20)
        assert wire.nat.save().tcp == {}

    def test_nobody_there(self, wire: Wire) -> None:
        """A port on which nobody listens refuses."""
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            port = server.getsockname()[1]
        assert wire.guest.tcp(GATEWAY, TcpSegment(1000, port, 0, 0, SYN, 65535)) == []
        (refused,) = wire.wait()
        assert wire.guest.read_tcp(refused).flags == RST | ACK

    def test_udp(self, wire: Wire) -> None:
        """A datagram comes back from the loopback."""
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(20)
            wire.guest.udp(GATEWAY, server.getsockname()[1], b"question")
            data, peer = server.recvfrom(100)
            server.sendto(b"answer to " + data, peer)
            (ip,) = wire.wait()
            udp = read_udp(ip)
            assert udp is not None and udp.payload == b"answer to question"

    def test_forward(self, wire: Wire) -> None:
        """A client of the host reaches the guest's port, and hears that the guest breaks off."""
        (port,) = wire.sockets.ports
        with closing(socket.create_connection(("127.0.0.1", port))) as client:
            client.settimeout(20)
            (ip,) = wire.wait()
            syn = wire.guest.read_tcp(ip)
            assert syn.target == 22
            answer = TcpSegment(22, syn.source, 500, syn.sequence + 1, SYN | ACK, 1000, mss=1460)
            wire.guest.tcp(GATEWAY, answer)
            wire.guest.tcp(GATEWAY, answer._replace(sequence=501, flags=ACK, payload=b"SSH"))
            assert client.recv(10) == b"SSH"
            client.sendall(b"hello")
            (got,) = [ip for _ in range(2) for ip in wire.wait()]
            assert wire.guest.read_tcp(got).payload == b"hello"
            wire.guest.tcp(GATEWAY, answer._replace(sequence=504, flags=RST))
            with pytest.raises(ConnectionResetError):
                client.recv(10)

    def test_lost_sockets(self, wire: Wire) -> None:
        """Orders for flows that have no socket, as after a snapshot, break them."""
        wire.sockets.send(5, b"x")
        wire.sockets.allow(6, 1)
        assert [wire.heard.get(timeout=20) for _ in range(2)] == [
            write_message(Told.BROKEN, 5), write_message(Told.BROKEN, 6)
        ]  # fmt: skip

    def test_taken_port(self, wire: Wire) -> None:
        """A port that somebody else has cannot be forwarded: the host's error says so."""
        with pytest.raises(OSError, match="in use"):
            Sockets(wire.heard.put, (Forward("127.0.0.1", wire.sockets.ports[0], 22),))


def _talk(wire: Wire, port: int, data: bytes) -> bytes:
    """Send ``data``, close, and get what comes back: a small TCP of a guest that acknowledges everything at once."""
    guest, own, seen = wire.guest, 1, 0
    got, pending = bytearray(), guest.tcp(GATEWAY, TcpSegment(1000, port, 0, 0, SYN, 65535, mss=1460, scale=4))
    window = sent = 0
    closed = False
    while True:
        if not pending:
            pending = [guest.read_tcp(ip) for ip in wire.wait()]
            continue
        for segment in pending:
            if segment.flags & SYN:
                seen = segment.sequence + 1 & 0xFFFF_FFFF
            assert not segment.flags & RST
            window = segment.window << 7
            acknowledged = segment.acknowledged - 1
            if segment.sequence == seen:
                got += segment.payload
                seen = seen + len(segment.payload) & 0xFFFF_FFFF
                if segment.flags & FIN:
                    guest.tcp(GATEWAY, TcpSegment(1000, port, own + 1, seen + 1, ACK, 65535))
                    return bytes(got)
        room = acknowledged + window - sent
        part = data[sent : sent + min(room, 60_000)]
        flags = ACK
        if sent + len(part) == len(data) and not closed and acknowledged <= len(data):
            flags, closed = ACK | FIN, True
        segment = TcpSegment(1000, port, own, seen, flags, 65535, part)
        sent, own = sent + len(part), own + len(part)
        pending = guest.tcp(GATEWAY, segment)


class TestOptions:
    """The words of ``--network``."""

    def test_read(self) -> None:
        """None, restricted, and forwards of which only the ports have to be said."""
        assert read_network("none") is None
        assert read_network("user") == Network()
        assert read_network("user,restrict=on") == Network(restrict=True)
        assert read_network("user,hostfwd=tcp::8022-:22,hostfwd=tcp:0.0.0.0:80-10.0.2.15:8080") == Network(
            forwards=(Forward("127.0.0.1", 8022, 22), Forward("0.0.0.0", 80, 8080))
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("tap", r"`network` must be none or user, with options after a comma, not 'tap'"),
            ("none,restrict=on", r"`network` must be none or user"),
            ("user,restrict=yes", r"must be restrict=on, restrict=off or hostfwd=tcp::8022-:22, not 'restrict=yes'"),
            ("user,hostfwd=udp::1-:2", r"hostfwd must be tcp:\[ADDRESS OF THE HOST\]:PORT"),
            ("user,hostfwd=tcp::70000-:2", r"hostfwd must be"),
            ("user,hostfwd=tcp::1-:0", r"hostfwd must be"),
            ("user,hostfwd=tcp:1.2.3:1-:2", r"hostfwd must be"),
            ("user,hostfwd=tcp::1-10.0.2.99:2", r"hostfwd must be"),
            ("user,restrict=on,hostfwd=tcp::1-:2", r"must have restrict=on or hostfwd, not both"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        """Anything else is refused with what there is."""
        with pytest.raises(MachineError, match=message):
            read_network(text)
