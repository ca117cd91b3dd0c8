"""The guest's network: its gateway, DHCP and name server, and a NAT to the outside.

Everyone knows the addresses: the guest is 10.0.2.15, the gateway 10.0.2.2, which is also the loopback of the host, the
name server 10.0.2.3. Frames of the guest go in (``receive``); frames for it come out when its card has room (``next``).
What the outside does comes as messages (``told``), through the machine's door for inputs; what it has to do are orders.
So the NAT itself is deterministic. It keeps no more than a bounded number of flows and frames, and drops what is
hostile.
"""

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from cca_host.kvmtool.net import dhcp
from cca_host.kvmtool.net.options import Network
from cca_host.kvmtool.net.outside import RESOLVER, Message, Outside, Told, read_messages
from cca_host.kvmtool.net.packets import (
    BROADCAST,
    ETHERNET_SIZE,
    IP_SIZE,
    Arp,
    EtherType,
    Frame,
    IcmpType,
    Ip,
    Protocol,
    TcpFlag,
    TcpSegment,
    Udp,
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
from cca_host.kvmtool.net.tcp import CREDIT, Tcp, TcpState, Todo
from cca_platform.state import State

__all__ = ["DNS", "GATEWAY", "GATEWAY_MAC", "GUEST", "Nat", "NatState", "Packet"]

GUEST: Final = int(IPv4Address("10.0.2.15"))
GATEWAY: Final = int(IPv4Address("10.0.2.2"))
DNS: Final = int(IPv4Address("10.0.2.3"))
GATEWAY_MAC: Final = bytes.fromhex("525400123502")
_MASK: Final = int(IPv4Address("255.255.255.0"))
_LOOPBACK: Final = "127.0.0.1"
_DNS_PORT: Final = 53
_FLOWS: Final = 256  # of a protocol
_FRAMES: Final = 64  # that wait for the guest
_SYN_STEP: Final = 0x3D09_0001  # between the first sequence numbers of two connections
_FIRST_PORT, _PORTS = 49152, 16384  # of who comes from outside
_WAITS: Final = 10  # seconds until an answer to a datagram is not expected any more
_REST: Final = 28  # bytes of a refused packet that its sender gets back
_HOST, _PORT = 1, 3  # codes of what cannot be reached
_GROUP: Final = 224 << 24  # multicast and beyond
_HOME: Final = 127
_ALL: Final = (1 << 32) - 1  # everybody's address
_NUMBERS: Final = 0xFFFF_FFFF  # of sequences
_TCP_START: Final = ETHERNET_SIZE + IP_SIZE
_TCP_CHECK: Final = (_TCP_START, 16)  # where TCP begins, and its checksum in it


class Packet(NamedTuple):
    """A frame for the guest. With ``mss``, its card divides it; ``partial`` is where its checksum has to be completed.

    That is: from which byte on to sum up, and where to put the sum.
    """

    frame: bytes
    mss: int = 0
    partial: tuple[int, int] | None = None


class Peers(NamedTuple):
    """Who talks to whom, by address and port."""

    guest: int
    guest_port: int
    peer: int
    peer_port: int


class FlowState(State, frozen=True, tag="host.net.flow/1"):
    """A connection of TCP."""

    peers: tuple[int, ...]
    tcp: TcpState


class UdpState(State, frozen=True, tag="host.net.udp/1"):
    """A pair of peers that exchange datagrams."""

    peers: tuple[int, ...]
    used: int
    waits: bool


class NatState(State, frozen=True, tag="host.net/1"):
    """Everything that the NAT knows."""

    mac: bytes
    made: int
    accepted: int
    ready: tuple[bytes, ...]
    wanting: tuple[int, ...]
    tcp: dict[int, FlowState]
    udp: dict[int, UdpState]


class _Datagrams:
    """A pair of peers that exchange datagrams; ``waits`` for an answer."""

    def __init__(self, peers: Peers, used: int, waits: bool = False) -> None:
        self.peers = peers
        self.used = used
        self.waits = waits


class _Stream(NamedTuple):
    peers: Peers
    tcp: Tcp


FlowTold = Callable[[str, int, Peers, str], None]
"""Gets what becomes of flows: protocol, number, peers, state."""


class Nat:
    """The network of one guest, whose card has the address ``mac``; ``second`` is a second in ticks.

    ``outside`` carries out orders; None refuses everything. ``watch`` hears of flows.
    """

    def __init__(
        self, second: int, mac: bytes, network: Network, outside: Outside | None, watch: FlowTold | None = None
    ) -> None:
        self.outside = outside
        self._second = second
        self._mac = mac
        self._forwards = network.forwards
        self._watch = watch
        self._ready = deque[bytes]()
        self._wanting = dict[int, None]()  # flows that may have segments for the guest, in their order
        self._tcp = dict[int, _Stream]()
        self._udp = dict[int, _Datagrams]()
        self._numbers = dict[Peers, int]()  # of flows of TCP
        self._made = 0
        self._accepted = 0

    # -- frames of the guest -----------------------------------------------------------------------------------------
    def receive(self, data: bytes, now: int, checked: bool = False) -> str:
        """Take a frame of the guest, ``checked`` if checksums do not count; returns what it was, for who watches."""
        frame = read_frame(data)
        if frame is None:
            return "short"
        if frame.kind == EtherType.ARP:
            self._arp(frame)
            return "arp"
        ip = read_ip(frame.payload) if frame.kind == EtherType.IPV4 else None
        if ip is None:
            return "other"
        if not frame.source[0] & 1:
            self._mac = frame.source
        if ip.protocol == Protocol.UDP:
            return self._take_udp(ip, now, checked)
        if not self._is_reachable(ip.target):
            return "other"
        if ip.protocol == Protocol.TCP:
            self._take_tcp(ip, now, checked)
            return "tcp"
        if ip.protocol == Protocol.ICMP:
            self._take_icmp(ip)
            return "icmp"
        return "other"

    def _arp(self, frame: Frame) -> None:
        """Answer who asks for an address of ours."""
        asked = read_arp(frame.payload)
        if asked is not None and asked.operation == 1 and asked.target in (GATEWAY, DNS):
            found = write_arp(Arp(2, GATEWAY_MAC, asked.target, asked.mac, asked.sender))
            self._put(write_frame(frame.source, GATEWAY_MAC, EtherType.ARP, found))

    def _put(self, frame: bytes) -> None:
        """A frame for the guest, which is lost if too many wait."""
        if len(self._ready) < _FRAMES:
            self._ready.append(frame)

    def _send(self, source: int, target: int, protocol: Protocol, payload: bytes) -> None:
        packet = write_ip(source, target, protocol, payload)
        self._put(write_frame(self._mac, GATEWAY_MAC, EtherType.IPV4, packet))

    @staticmethod
    def _is_reachable(target: int) -> bool:
        """Whether an address may be behind the gateway, or is the gateway."""
        if target & _MASK == GATEWAY & _MASK:
            return target in (GATEWAY, DNS)
        return 0 < target >> 24 != _HOME and target < _GROUP

    def _take_icmp(self, ip: Ip) -> None:
        """Answer a ping of the gateway; nobody else can be pinged without privilege."""
        if ip.payload[:2] != bytes((IcmpType.ECHO, 0)) or len(ip.payload) < 8:
            return
        if ip.target in (GATEWAY, DNS):
            self._send(ip.target, ip.source, Protocol.ICMP, write_icmp(IcmpType.ECHO_REPLY, 0, ip.payload[4:]))
        else:
            self._refuse(ip, _HOST)

    def _refuse(self, ip: Ip, code: int) -> None:
        """Tell the guest that a packet cannot reach its target."""
        back = bytes(4) + ip.header + ip.payload[: _REST - len(ip.header) + 8]
        self._send(GATEWAY, ip.source, Protocol.ICMP, write_icmp(IcmpType.UNREACHABLE, code, back))

    # -- UDP ---------------------------------------------------------------------------------------------------------
    def _take_udp(self, ip: Ip, now: int, checked: bool) -> str:
        udp = read_udp(ip, checked)
        if udp is None:
            return "other"
        if udp.target == dhcp.SERVER_PORT and ip.target in (GATEWAY, _ALL):
            self._answer_dhcp(udp.payload)
            return "dhcp"
        if not self._is_reachable(ip.target):
            return "other"
        host = self._host(ip.target, udp.target)
        if self.outside is None or host is None:
            self._refuse(ip, _PORT)
            return "udp"
        peers = Peers(ip.source, udp.source, ip.target, udp.target)
        number = self._pair(peers, now)
        flow = self._udp[number]
        flow.used, flow.waits = now, True
        self.outside.datagram(number, host, udp.target, udp.payload)
        return "udp"

    def _pair(self, peers: Peers, now: int) -> int:
        """The number of a pair; the one that was used least lately makes room for a new one."""
        for number, flow in self._udp.items():
            if flow.peers == peers:
                return number
        if len(self._udp) >= _FLOWS:
            self._forget(min(self._udp, key=lambda number: self._udp[number].used))
        number = self._number()
        self._udp[number] = _Datagrams(peers, now)
        self._tell("udp", number, peers, "open")
        return number

    def _forget(self, number: int) -> None:
        gone = self._udp.pop(number)
        self._tell("udp", number, gone.peers, "closed")
        if self.outside is not None:
            self.outside.close(number, abort=False)

    def _answer_dhcp(self, message: bytes) -> None:
        found = dhcp.answer(message, GUEST, _MASK, GATEWAY, DNS)
        if found is not None:
            udp = write_udp(GATEWAY, _ALL, Udp(dhcp.SERVER_PORT, dhcp.CLIENT_PORT, found))
            packet = write_ip(GATEWAY, _ALL, Protocol.UDP, udp)
            self._put(write_frame(BROADCAST, GATEWAY_MAC, EtherType.IPV4, packet))

    # -- TCP ---------------------------------------------------------------------------------------------------------
    def _take_tcp(self, ip: Ip, now: int, checked: bool) -> None:
        got = read_tcp(ip, checked)
        if got is None:
            return
        peers = Peers(ip.source, got.source, ip.target, got.target)
        number = self._numbers.get(peers)
        if number is None:
            self._begin(peers, got)
            return
        self._tcp[number].tcp.segment(got, now)
        self._follow(number)

    def _begin(self, peers: Peers, got: TcpSegment) -> None:
        """A segment of no connection: it asks for one, or is refused."""
        if got.flags & TcpFlag.RST:
            return
        asks = got.flags & (TcpFlag.SYN | TcpFlag.ACK | TcpFlag.FIN) == TcpFlag.SYN
        host = self._host(peers.peer, peers.peer_port)
        if not asks or self.outside is None or host is None or len(self._tcp) >= _FLOWS:
            self._reset(peers, got)
            return
        number = self._number()
        stream = self._add(number, peers)
        stream.tcp.asked(got)
        self._tell("tcp", number, peers, "open")
        self.outside.connect(number, host, peers.peer_port, CREDIT)

    def _reset(self, peers: Peers, got: TcpSegment) -> None:
        """Refuse a segment."""
        if got.flags & TcpFlag.ACK:
            sequence, acknowledged, flags = got.acknowledged, 0, TcpFlag.RST
        else:
            size = len(got.payload) + bool(got.flags & TcpFlag.SYN) + bool(got.flags & TcpFlag.FIN)
            sequence, acknowledged, flags = 0, (got.sequence + size) & _NUMBERS, TcpFlag.RST | TcpFlag.ACK
        found = TcpSegment(peers.peer_port, peers.guest_port, sequence, acknowledged, flags, 0)
        self._send(peers.peer, peers.guest, Protocol.TCP, write_tcp(peers.peer, peers.guest, found))

    def _add(self, number: int, peers: Peers) -> _Stream:
        stream = self._tcp[number] = _Stream(peers, Tcp(self._second, self._made * _SYN_STEP & _NUMBERS))
        self._numbers[peers] = number
        return stream

    def _number(self) -> int:
        self._made += 1
        return self._made

    @staticmethod
    def _host(target: int, port: int) -> str | None:
        """Where an address of the guest's network is for the host."""
        if target == GATEWAY:
            return _LOOPBACK
        if target == DNS:
            return RESOLVER if port == _DNS_PORT else None
        return str(IPv4Address(target))

    def _follow(self, number: int) -> None:
        """Carry out what a connection has for the outside, and for the guest."""
        stream, outside = self._tcp[number], self.outside
        for effect in stream.tcp.effects:
            if outside is None:
                break
            if effect.todo is Todo.SEND:
                outside.send(number, effect.data)
            elif effect.todo is Todo.CREDIT:
                outside.allow(number, effect.amount)
            elif effect.todo is Todo.SHUT:
                outside.shut(number)
            else:
                outside.close(number, abort=effect.todo is Todo.ABORT)
        stream.tcp.effects.clear()
        if stream.tcp.over:
            del self._tcp[number], self._numbers[stream.peers]
            self._wanting.pop(number, None)
            self._tell("tcp", number, stream.peers, "closed")
        else:
            self._wanting[number] = None

    def _tell(self, protocol: str, number: int, peers: Peers, state: str) -> None:
        if self._watch is not None:
            self._watch(protocol, number, peers, state)

    # -- the outside -------------------------------------------------------------------------------------------------
    def told(self, data: bytes, now: int) -> None:
        """Take messages of the outside; those of flows that are over say nothing."""
        for message in read_messages(data):
            if message.told is Told.ACCEPTED:
                self._accept(message)
            elif message.flow in self._tcp:
                self._tell_stream(self._tcp[message.flow].tcp, message, now)
                self._follow(message.flow)
            elif message.flow in self._udp:
                self._tell_pair(self._udp[message.flow], message, now)

    @staticmethod
    def _tell_stream(tcp: Tcp, message: Message, now: int) -> None:
        if message.told is Told.CONNECTED:
            tcp.connected(now)
        elif message.told is Told.BROKEN:
            tcp.reset()
        elif message.told is Told.DATA:
            tcp.data(message.data, now)
        elif message.told is Told.END:
            tcp.eof(now)
        elif message.told is Told.TAKEN:
            tcp.taken(message.amount)

    def _tell_pair(self, flow: _Datagrams, message: Message, now: int) -> None:
        flow.waits = False
        if message.told is Told.DATA:
            flow.used, peers = now, flow.peers
            udp = write_udp(peers.peer, peers.guest, Udp(peers.peer_port, peers.guest_port, message.data))
            self._send(peers.peer, peers.guest, Protocol.UDP, udp)

    def _accept(self, message: Message) -> None:
        """Somebody has come by a forward: the guest is asked."""
        if self.outside is None or message.amount >= len(self._forwards):
            return
        port = _FIRST_PORT + self._accepted % _PORTS
        self._accepted += 1
        peers = Peers(GUEST, self._forwards[message.amount].guest_port, GATEWAY, port)
        if len(self._tcp) >= _FLOWS or peers in self._numbers:
            self.outside.close(message.flow, abort=True)
            return
        self._made += 1
        self._add(message.flow, peers)
        self._tell("tcp", message.flow, peers, "open")
        self.outside.allow(message.flow, CREDIT)
        self._wanting[message.flow] = None

    def expects(self, now: int) -> bool:
        """Whether the outside may have something to tell."""
        if self.outside is None:
            return False
        if self._forwards or self._tcp:
            return True
        return any(flow.waits and now - flow.used < _WAITS * self._second for flow in self._udp.values())

    def abandon(self) -> None:
        """Break off every flow: nobody outside knows them any more."""
        for number, stream in list(self._tcp.items()):
            stream.tcp.reset()
            self._follow(number)
        for number in list(self._udp):
            self._forget(number)

    # -- frames for the guest ----------------------------------------------------------------------------------------
    def next(self, now: int, largest: int = 0, partial: bool = False) -> Packet | None:
        """The next frame for the guest.

        ``largest`` is how much data of TCP its card takes at once, to divide it; with ``partial`` it completes
        checksums of TCP.
        """
        if self._ready:
            return Packet(self._ready.popleft())
        while self._wanting:
            number = next(iter(self._wanting))
            del self._wanting[number]
            stream = self._tcp[number]
            tcp = stream.tcp
            segment = tcp.next(max(largest, tcp.mss), now)
            self._follow(number)  # puts it behind the others
            if segment is not None:
                return self._packet(stream.peers, segment, tcp.mss, partial)
            self._wanting.pop(number, None)
        return None

    def _packet(self, peers: Peers, segment: TcpSegment, mss: int, partial: bool) -> Packet:
        segment = segment._replace(source=peers.peer_port, target=peers.guest_port)
        data = write_tcp(peers.peer, peers.guest, segment, partial)
        packet = write_ip(peers.peer, peers.guest, Protocol.TCP, data)
        frame = write_frame(self._mac, GATEWAY_MAC, EtherType.IPV4, packet)
        return Packet(frame, mss if len(segment.payload) > mss else 0, _TCP_CHECK if partial else None)

    # -- time --------------------------------------------------------------------------------------------------------
    @property
    def deadline(self) -> int | None:
        """When something has to be sent again."""
        return min((one.tcp.deadline for one in self._tcp.values() if one.tcp.deadline is not None), default=None)

    def advance(self, now: int) -> None:
        """Send again what is due."""
        for number, stream in list(self._tcp.items()):
            if stream.tcp.deadline is not None and stream.tcp.deadline <= now:
                stream.tcp.advance(now)
                self._follow(number)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> NatState:
        """State for a snapshot."""
        return NatState(
            mac=self._mac,
            made=self._made,
            accepted=self._accepted,
            ready=tuple(self._ready),
            wanting=tuple(self._wanting),
            tcp={number: FlowState(tuple(one.peers), one.tcp.save()) for number, one in self._tcp.items()},
            udp={number: UdpState(tuple(one.peers), one.used, one.waits) for number, one in self._udp.items()},
        )

    def restore(self, state: NatState) -> None:
        """Restore what :meth:`save` returned."""
        self._mac, self._made, self._accepted = state.mac, state.made, state.accepted
        self._ready, self._wanting = deque(state.ready), dict.fromkeys(state.wanting)
        self._tcp = {
            number: _Stream(Peers(*one.peers), Tcp.restored(self._second, one.tcp)) for number, one in state.tcp.items()
        }
        self._udp = {number: _Datagrams(Peers(*one.peers), one.used, one.waits) for number, one in state.udp.items()}
        self._numbers = {one.peers: number for number, one in self._tcp.items()}
