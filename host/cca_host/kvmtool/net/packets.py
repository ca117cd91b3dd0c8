"""Packets on a guest's Ethernet: Ethernet II, ARP, IPv4, ICMP, UDP and TCP, from bytes and to bytes.

Whatever a guest sends can be read: what is no packet of these kinds, or not whole, is None.
"""

import struct
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

__all__ = [
    "BROADCAST",
    "ETHERNET_SIZE",
    "IP_SIZE",
    "TCP_SIZE",
    "UDP_SIZE",
    "Arp",
    "EtherType",
    "Frame",
    "IcmpType",
    "Ip",
    "Protocol",
    "TcpFlag",
    "TcpSegment",
    "Udp",
    "checksum",
    "pseudo_sum",
    "read_arp",
    "read_frame",
    "read_ip",
    "read_tcp",
    "read_udp",
    "write_arp",
    "write_frame",
    "write_icmp",
    "write_ip",
    "write_tcp",
    "write_udp",
]

BROADCAST: Final = b"\xff" * 6
ETHERNET_SIZE: Final = 14
IP_SIZE: Final = 20
UDP_SIZE: Final = 8
TCP_SIZE: Final = 20

_ETHERNET = struct.Struct(">6s6sH")
_ARP = struct.Struct(">HHBBH6sI6sI")
_ARP_KIND: Final = (1, 0x0800, 6, 4)  # IPv4 addresses on Ethernet
_IP = struct.Struct(">BBHHHBBHII")
_IP_VERSION: Final = 4
_FRAGMENT: Final = 0x3FFF  # more fragments, or an offset
_WHOLE: Final = 0x4000  # may not be fragmented
_TTL: Final = 64
_UDP = struct.Struct(">HHHH")
_TCP = struct.Struct(">HHIIHHHH")
_PSEUDO = struct.Struct(">IIHH")
_WORD: Final = 4
_ONES: Final = 0xFFFF
_MSS, _SCALE = 2, 3  # options of TCP
_MOST_SCALE: Final = 14


class EtherType(IntEnum):
    """What an Ethernet frame carries."""

    IPV4 = 0x0800
    ARP = 0x0806


class Protocol(IntEnum):
    """What an IPv4 packet carries."""

    ICMP = 1
    TCP = 6
    UDP = 17


class IcmpType(IntEnum):
    """Kinds of ICMP messages."""

    ECHO_REPLY = 0
    UNREACHABLE = 3
    ECHO = 8


class TcpFlag(IntFlag):
    """Flags of a TCP segment."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16


class Frame(NamedTuple):
    """An Ethernet frame."""

    target: bytes
    source: bytes
    kind: int
    payload: bytes


class Arp(NamedTuple):
    """A question (``operation`` 1) for the Ethernet address of ``target``, or an answer (2)."""

    operation: int
    mac: bytes
    sender: int
    target_mac: bytes
    target: int


class Ip(NamedTuple):
    """An IPv4 packet that is no fragment. ``header`` are its bytes before the payload."""

    source: int
    target: int
    protocol: int
    payload: bytes
    header: bytes


class Udp(NamedTuple):
    """A UDP datagram."""

    source: int
    target: int
    payload: bytes


class TcpSegment(NamedTuple):
    """A TCP segment; ``mss`` and ``scale`` are options of a SYN."""

    source: int
    target: int
    sequence: int
    acknowledged: int
    flags: TcpFlag
    window: int
    payload: bytes = b""
    mss: int | None = None
    scale: int | None = None


def checksum(data: bytes, start: int = 0) -> int:
    """The Internet checksum of ``data``; ``start`` is a sum to begin with."""
    if len(data) & 1:
        data += b"\0"
    total = (int.from_bytes(data, "big") + start) % _ONES
    return _ONES - total  # a sum that is all ones, or zero, has the checksum all ones: both are zero in this arithmetic


def pseudo_sum(source: int, target: int, protocol: int, size: int) -> int:
    """The sum of the header that TCP and UDP check besides their own, in 16 bits."""
    return int.from_bytes(_PSEUDO.pack(source, target, protocol, size), "big") % _ONES


def _is_sound(data: bytes, start: int = 0) -> bool:
    return checksum(data, start) == _ONES


# -- Ethernet and ARP ------------------------------------------------------------------------------------------------
def read_frame(data: bytes) -> Frame | None:
    """The frame in ``data``."""
    if len(data) < ETHERNET_SIZE:
        return None
    target, source, kind = _ETHERNET.unpack_from(data)
    return Frame(target, source, kind, data[ETHERNET_SIZE:])


def write_frame(target: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    """The bytes of a frame."""
    return _ETHERNET.pack(target, source, kind) + payload


def read_arp(data: bytes) -> Arp | None:
    """The question or answer about an IPv4 address in ``data``."""
    if len(data) < _ARP.size:
        return None
    *kind, operation, mac, sender, target_mac, target = _ARP.unpack_from(data)
    return Arp(operation, mac, sender, target_mac, target) if tuple(kind) == _ARP_KIND else None


def write_arp(arp: Arp) -> bytes:
    """The bytes of a question or an answer."""
    return _ARP.pack(*_ARP_KIND, *arp)


# -- IPv4 ------------------------------------------------------------------------------------------------------------
def read_ip(data: bytes) -> Ip | None:
    """The packet in ``data``, which may be longer, as short frames are."""
    if len(data) < IP_SIZE:
        return None
    first, _, size, _, fragment, _, protocol, _, source, target = _IP.unpack_from(data)
    start = (first & 0xF) * _WORD
    if first >> 4 != _IP_VERSION or not IP_SIZE <= start <= size <= len(data) or fragment & _FRAGMENT:
        return None
    if not _is_sound(data[:start]):
        return None
    return Ip(source, target, protocol, data[start:size], data[:start])


def write_ip(source: int, target: int, protocol: int, payload: bytes) -> bytes:
    """The bytes of a packet."""
    size = IP_SIZE + len(payload)
    fields = (_IP_VERSION << 4 | IP_SIZE // _WORD, 0, size, 0, _WHOLE, _TTL, protocol)
    header = _IP.pack(*fields, 0, source, target)
    return _IP.pack(*fields, checksum(header), source, target) + payload


def write_icmp(kind: int, code: int, rest: bytes) -> bytes:
    """The bytes of an ICMP message; ``rest`` follows its checksum."""
    head = struct.pack(">BB", kind, code)
    return head + struct.pack(">H", checksum(head + b"\0\0" + rest)) + rest


# -- UDP and TCP -----------------------------------------------------------------------------------------------------
def read_udp(ip: Ip, checked: bool = False) -> Udp | None:
    """The datagram in ``ip``; ``checked`` if its checksum must not be looked at."""
    data = ip.payload
    if len(data) < UDP_SIZE:
        return None
    source, target, size, check = _UDP.unpack_from(data)
    if not UDP_SIZE <= size <= len(data):
        return None
    data = data[:size]
    if check and not checked and not _is_sound(data, pseudo_sum(ip.source, ip.target, Protocol.UDP, size)):
        return None
    return Udp(source, target, data[UDP_SIZE:])


def write_udp(source: int, target: int, udp: Udp) -> bytes:
    """The bytes of a datagram between two addresses."""
    size = UDP_SIZE + len(udp.payload)
    header = _UDP.pack(udp.source, udp.target, size, 0)
    check = checksum(header + udp.payload, pseudo_sum(source, target, Protocol.UDP, size))
    return _UDP.pack(udp.source, udp.target, size, check) + udp.payload


def read_tcp(ip: Ip, checked: bool = False) -> TcpSegment | None:
    """The segment in ``ip``; ``checked`` if its checksum must not be looked at."""
    data = ip.payload
    if len(data) < TCP_SIZE:
        return None
    source, target, sequence, acknowledged, word, window, _, _ = _TCP.unpack_from(data)
    start = (word >> 12) * _WORD
    if not TCP_SIZE <= start <= len(data):
        return None
    if not checked and not _is_sound(data, pseudo_sum(ip.source, ip.target, Protocol.TCP, len(data))):
        return None
    flags = TcpFlag(word & 0x1F)
    mss, scale = _options(data[TCP_SIZE:start]) if flags & TcpFlag.SYN else (None, None)
    return TcpSegment(source, target, sequence, acknowledged, flags, window, data[start:], mss, scale)


def _options(data: bytes) -> tuple[int | None, int | None]:
    """The maximum segment size and the scale of the window among the options of a SYN."""
    mss = scale = None
    at = 0
    while at < len(data) and data[at] != 0:
        if data[at] == 1:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            break
        if data[at] == _MSS and size == 4:
            mss = int.from_bytes(data[at + 2 : at + 4], "big")
        elif data[at] == _SCALE and size == 3:
            scale = min(data[at + 2], _MOST_SCALE)
        at += size
    return mss, scale


def write_tcp(source: int, target: int, segment: TcpSegment, partial: bool = False) -> bytes:
    """The bytes of a segment between two addresses.

    With ``partial``, its checksum is only the sum of the pseudo header, for who sums up the rest.
    """
    options = b""
    if segment.mss is not None:
        options += struct.pack(">BBH", _MSS, 4, segment.mss)
    if segment.scale is not None:
        options += struct.pack(">BBBB", 1, _SCALE, 3, segment.scale)
    size = TCP_SIZE + len(options) + len(segment.payload)
    word = (TCP_SIZE + len(options)) // _WORD << 12 | segment.flags
    head = (segment.source, segment.target, segment.sequence, segment.acknowledged, word, segment.window)
    pseudo = pseudo_sum(source, target, Protocol.TCP, size)
    check = pseudo if partial else checksum(_TCP.pack(*head, 0, 0) + options + segment.payload, pseudo)
    return _TCP.pack(*head, check, 0) + options + segment.payload
