"""The DHCP server of a guest's network: one address, for whoever asks."""

import struct
from enum import IntEnum
from typing import Final

__all__ = ["CLIENT_PORT", "SERVER_PORT", "Kind", "answer"]

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68

_HEAD = struct.Struct(">BBBBIHHIIII16s64s128sI")
_REQUEST, _REPLY = 1, 2
_ETHERNET: Final = (1, 6)
_COOKIE: Final = 0x6382_5363
_LEASE: Final = 86_400  # seconds


class Kind(IntEnum):
    """The kinds of messages."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    ACK = 5
    NAK = 6
    INFORM = 8


class _Option(IntEnum):
    PAD = 0
    MASK = 1
    ROUTER = 3
    DNS = 6
    ADDRESS = 50
    LEASE = 51
    KIND = 53
    SERVER = 54
    END = 255


_ANSWERS: Final = {Kind.DISCOVER: Kind.OFFER, Kind.REQUEST: Kind.ACK, Kind.INFORM: Kind.ACK}


def answer(message: bytes, address: int, mask: int, gateway: int, dns: int) -> bytes | None:
    """The server's answer to a message, None if it is for nobody here."""
    if len(message) < _HEAD.size:
        return None
    operation, hardware, size, _, xid, _, flags, client, _, _, _, mac, _, _, cookie = _HEAD.unpack_from(message)
    if operation != _REQUEST or (hardware, size) != _ETHERNET or cookie != _COOKIE:
        return None
    asked = _options(message[_HEAD.size :])
    kind = asked.get(_Option.KIND, b"")
    found = _ANSWERS.get(Kind(kind[0])) if len(kind) == 1 and kind[0] in _ANSWERS else None
    if found is None or _number(asked, _Option.SERVER, gateway) != gateway:
        return None
    given = client if kind[0] == Kind.INFORM else address
    options = {_Option.KIND: bytes((found,)), _Option.SERVER: gateway.to_bytes(4, "big")}
    if kind[0] == Kind.REQUEST and _number(asked, _Option.ADDRESS, client or address) != address:
        options[_Option.KIND], given = bytes((Kind.NAK,)), 0
    else:
        options[_Option.MASK] = mask.to_bytes(4, "big")
        options[_Option.ROUTER] = gateway.to_bytes(4, "big")
        options[_Option.DNS] = dns.to_bytes(4, "big")
        if kind[0] != Kind.INFORM:
            options[_Option.LEASE] = _LEASE.to_bytes(4, "big")
    client = client if kind[0] != Kind.DISCOVER else 0
    head = (_REPLY, *_ETHERNET, 0, xid, 0, flags, client, given, gateway, 0, mac, b"", b"", _COOKIE)
    body = b"".join(bytes((option, len(data))) + data for option, data in options.items())
    return _HEAD.pack(*head) + body + bytes((_Option.END,))


def _number(options: dict[int, bytes], option: _Option, default: int) -> int:
    """The address in an option."""
    data = options.get(option)
    return default if data is None else int.from_bytes(data, "big")


def _options(data: bytes) -> dict[int, bytes]:
    """The options of a message, up to its end or the first that is not whole."""
    found, at = dict[int, bytes](), 0
    while at < len(data) and data[at] != _Option.END:
        if data[at] == _Option.PAD:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else len(data)
        if at + 2 + size > len(data):
            break
        found[data[at]] = data[at + 2 : at + 2 + size]
        at += 2 + size
    return found
