"""The world outside a guest's network: sockets of the host, in a thread of their own.

The NAT gives orders (:class:`Outside`), and hears what has come of them by messages (:class:`Told`), which go through
the machine's door for inputs. A flow is a number that the NAT has given a connection; for one that somebody outside has
begun, the thread gives it, from :data:`ACCEPTED_FROM` on.
"""

import errno
import os
import selectors
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final, NamedTuple, Protocol

from cca_host.kvmtool.net.options import Forward

__all__ = [
    "ACCEPTED_FROM",
    "RESOLVER",
    "UNIX",
    "Message",
    "Outside",
    "Sockets",
    "Told",
    "read_messages",
    "write_message",
]

ACCEPTED_FROM: Final = 1 << 31
"""The first number of flows that the outside has begun."""
UNIX: Final = "unix:"
"""What an address begins with that is a socket in the host's file system."""
RESOLVER: Final = "resolver"
"""The address of the host's name server, whatever it is."""

_HEAD = struct.Struct("<BII")
_MOST: Final = 64 << 10  # bytes of one message
_DATAGRAM: Final = 1472  # that a frame carries
_BACKLOG: Final = 16
_ABORT = struct.pack("ii", 1, 0)  # lingers for no time: a reset
_RESOLVERS: Final = Path("/etc/resolv.conf")
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Told(IntEnum):
    """What the outside tells of a flow."""

    CONNECTED = 1
    BROKEN = 2
    """It was refused, or is reset."""
    DATA = 3
    END = 4
    """Nothing more comes."""
    TAKEN = 5
    """The outside has taken as many bytes as the data says, in four bytes."""
    ACCEPTED = 6
    """A new one, by the forward that the data numbers, in four bytes."""


class Message(NamedTuple):
    """What the outside tells of one flow."""

    told: Told
    flow: int
    data: bytes = b""

    @property
    def amount(self) -> int:
        """The number in the data."""
        return int.from_bytes(self.data, "little")


def write_message(told: Told, flow: int, data: bytes = b"") -> bytes:
    """The bytes of a message."""
    return _HEAD.pack(told, flow, len(data)) + data


def read_messages(data: bytes) -> list[Message]:
    """The messages in ``data``."""
    found, at = list[Message](), 0
    while at < len(data):
        told, flow, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        found.append(Message(Told(told), flow, data[at : at + size]))
        at += size
    return found


class Outside(Protocol):
    """Who carries out a NAT's orders. Addresses are text, for they are the host's."""

    def connect(self, flow: int, host: str, port: int, credit: int) -> None:
        """Connect a flow of TCP, which may tell ``credit`` bytes."""

    def send(self, flow: int, data: bytes) -> None:
        """Send bytes of TCP; those that are taken are told."""

    def allow(self, flow: int, count: int) -> None:
        """Allow ``count`` bytes more."""

    def shut(self, flow: int) -> None:
        """Send no more, after all that was sent."""

    def close(self, flow: int, abort: bool) -> None:
        """Forget a flow; without ``abort``, after all that was sent."""

    def datagram(self, flow: int, host: str, port: int, data: bytes) -> None:
        """Send a datagram of UDP; answers come as data of the flow."""

    def end(self) -> None:
        """Close everything; when this returns, nothing is told any more."""


class _Socket:
    """A socket of a flow, or one that listens (``forward``)."""

    def __init__(self, one: socket.socket, flow: int) -> None:
        self.socket = one
        self.flow = flow
        self.forward: int | None = None
        self.connecting = False
        self.datagrams = False
        self.credit = 0
        self.ended = False  # it has sent everything
        self.shuts = self.closes = False
        self.waiting = deque[bytes]()
        self.mask = 0

    @property
    def wanted(self) -> int:
        """The events to wait for."""
        if self.connecting:
            return _WRITE
        reads = self.forward is not None or self.datagrams or (self.credit > 0 and not (self.ended or self.closes))
        return _READ * reads | _WRITE * bool(self.waiting)


class Sockets:
    """Orders carried out with sockets; ``tell`` gets messages, in the thread.

    The ports of ``forwards`` are taken at once, or OSError is raised; who comes there waits until :meth:`listen`.
    """

    def __init__(self, tell: Callable[[bytes], None], forwards: Sequence[Forward] = ()) -> None:
        self._tell = tell
        self._orders = deque[Callable[[], None]]()
        self._lock = Lock()  # while something is told, or the end comes
        self._ended = False
        self._flows: dict[int, _Socket] = {}
        self._accepted = ACCEPTED_FROM
        self._selector = selectors.DefaultSelector()
        listening = list[socket.socket]()
        try:
            for forward in forwards:
                listening.append(_server(forward))
        except OSError:
            for one in listening:
                one.close()
            self._selector.close()
            raise
        self._listening = listening
        self._paths = [one.host.removeprefix(UNIX) for one in forwards if one.host.startswith(UNIX)]
        self._bell, self._ear = socket.socketpair()
        for one in (self._bell, self._ear):
            one.setblocking(False)
        self._selector.register(self._ear, _READ)
        for one in listening:
            one.setblocking(False)
        self._thread = Thread(target=self._serve, name="network", daemon=True)
        self._thread.start()

    @property
    def ports(self) -> list[int]:
        """The ports that are listened to."""
        return [int(one.getsockname()[1]) for one in self._listening]

    # -- orders ------------------------------------------------------------------------------------------------------
    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        with suppress(BlockingIOError):
            self._bell.send(b"\0")

    def listen(self) -> None:
        """Let in who comes by the forwards."""
        self._order(self._listen)

    def connect(self, flow: int, host: str, port: int, credit: int) -> None:
        """See :class:`Outside`."""
        self._order(lambda: self._connect(flow, host, port, credit))

    def send(self, flow: int, data: bytes) -> None:
        """See :class:`Outside`."""
        self._order(lambda: self._send(flow, data))

    def allow(self, flow: int, count: int) -> None:
        """See :class:`Outside`."""
        self._order(lambda: self._allow(flow, count))

    def shut(self, flow: int) -> None:
        """See :class:`Outside`."""
        self._order(lambda: self._shut(flow))

    def close(self, flow: int, abort: bool) -> None:
        """See :class:`Outside`."""
        self._order(lambda: self._close(flow, abort))

    def datagram(self, flow: int, host: str, port: int, data: bytes) -> None:
        """See :class:`Outside`."""
        self._order(lambda: self._datagram(flow, host, port, data))

    def end(self) -> None:
        """See :class:`Outside`."""
        with self._lock:
            self._ended = True
        with suppress(BlockingIOError, OSError):
            self._bell.send(b"\0")
        self._thread.join()

    # -- the thread --------------------------------------------------------------------------------------------------
    def _serve(self) -> None:
        try:
            while not self._ended:
                for key, mask in self._selector.select():
                    if key.fileobj is self._ear:
                        with suppress(BlockingIOError):
                            self._ear.recv(4096)
                    else:
                        self._happened(key.data, mask)
                while self._orders:
                    self._orders.popleft()()
            while self._orders:  # the last words of a guest
                self._orders.popleft()()
        finally:
            for one in (*(found.socket for found in self._flows.values()), *self._listening, self._bell, self._ear):
                one.close()
            for path in self._paths:
                with suppress(OSError):
                    os.unlink(path)
            self._selector.close()

    def _say(self, told: Told, flow: int, data: bytes = b"") -> None:
        with self._lock:
            if not self._ended:
                self._tell(write_message(told, flow, data))

    def _say_count(self, told: Told, flow: int, count: int) -> None:
        self._say(told, flow, count.to_bytes(4, "little"))

    def _wait(self, found: _Socket) -> None:
        """Wait for what is wanted of a socket now."""
        wanted = found.wanted
        if wanted == found.mask:
            return
        if not found.mask:
            self._selector.register(found.socket, wanted, found)
        elif not wanted:
            self._selector.unregister(found.socket)
        else:
            self._selector.modify(found.socket, wanted, found)
        found.mask = wanted

    def _drop(self, found: _Socket) -> None:
        self._flows.pop(found.flow, None)
        if found.mask:
            self._selector.unregister(found.socket)
            found.mask = 0
        found.socket.close()

    def _break(self, found: _Socket) -> None:
        self._drop(found)
        self._say(Told.BROKEN, found.flow)

    # -- orders, in the thread ---------------------------------------------------------------------------------------
    def _open(self, flow: int, host: str, port: int, kind: socket.SocketKind) -> _Socket | None:
        """A socket that is being connected, or None if the host refuses at once."""
        made: socket.socket | None = None
        try:
            family: int
            address: Any
            if host.startswith(UNIX):
                family, address = socket.AF_UNIX, host.removeprefix(UNIX)
            else:
                host = _resolver() if host == RESOLVER else host
                family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
            made = socket.socket(family, kind)
            made.setblocking(False)
            found = _Socket(made, flow)
            if made.connect_ex(address) not in (0, errno.EINPROGRESS):
                made.close()
                return None
        except OSError:
            if made is not None:
                made.close()
            return None
        self._flows[flow] = found
        return found

    def _listen(self) -> None:
        for index, one in enumerate(self._listening):
            if one not in self._selector.get_map():
                ears = _Socket(one, 0)
                ears.forward, ears.mask = index, _READ
                self._selector.register(one, _READ, ears)

    def _connect(self, flow: int, host: str, port: int, credit: int) -> None:
        found = self._open(flow, host, port, socket.SOCK_STREAM)
        if found is None:
            self._say(Told.BROKEN, flow)
            return
        found.connecting, found.credit = True, credit
        self._wait(found)

    def _send(self, flow: int, data: bytes) -> None:
        found = self._flows.get(flow)
        if found is None:
            self._say(Told.BROKEN, flow)
            return
        found.waiting.append(data)
        self._push(found)

    def _allow(self, flow: int, count: int) -> None:
        found = self._flows.get(flow)
        if found is None:
            self._say(Told.BROKEN, flow)
            return
        found.credit += count
        self._wait(found)

    def _shut(self, flow: int) -> None:
        found = self._flows.get(flow)
        if found is not None:
            found.shuts = True
            self._push(found)

    def _close(self, flow: int, abort: bool) -> None:
        found = self._flows.get(flow)
        if found is None:
            return
        if found.waiting and not abort:
            found.closes = True
            self._wait(found)
            return
        if abort and not found.datagrams:
            with suppress(OSError):
                found.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self._drop(found)

    def _datagram(self, flow: int, host: str, port: int, data: bytes) -> None:
        found = self._flows.get(flow) or self._open(flow, host, port, socket.SOCK_DGRAM)
        if found is None:
            self._say(Told.BROKEN, flow)
            return
        found.datagrams = True
        with suppress(OSError):  # a network loses datagrams
            found.socket.send(data)
        self._wait(found)

    # -- events, in the thread ---------------------------------------------------------------------------------------
    def _happened(self, found: _Socket, mask: int) -> None:
        if found.forward is not None:
            self._accept(found)
        elif found.connecting:
            self._connected(found)
        elif found.datagrams:
            self._answer(found)
        else:
            if mask & _WRITE:
                self._push(found)
            if mask & _READ and found.mask:
                self._pull(found)

    def _accept(self, ears: _Socket) -> None:
        with suppress(OSError):
            one, _ = ears.socket.accept()
            one.setblocking(False)
            found = self._flows[self._accepted] = _Socket(one, self._accepted)
            self._accepted += 1
            assert ears.forward is not None
            self._say_count(Told.ACCEPTED, found.flow, ears.forward)

    def _connected(self, found: _Socket) -> None:
        if found.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._break(found)
            return
        found.connecting = False
        self._say(Told.CONNECTED, found.flow)
        self._push(found)

    def _answer(self, found: _Socket) -> None:
        try:
            data = found.socket.recv(_MOST)
        except OSError:  # nobody is there: ICMP said so
            return
        if len(data) <= _DATAGRAM:
            self._say(Told.DATA, found.flow, data)

    def _pull(self, found: _Socket) -> None:
        """Read what the credit allows."""
        try:
            data = found.socket.recv(min(found.credit, _MOST))
        except BlockingIOError:
            return
        except OSError:
            self._break(found)
            return
        found.credit -= len(data)
        if data:
            self._say(Told.DATA, found.flow, data)
        else:
            found.ended = True
            self._say(Told.END, found.flow)
        self._wait(found)

    def _push(self, found: _Socket) -> None:
        """Send what waits, as far as the host takes it."""
        if found.connecting:
            return
        count = 0
        try:
            while found.waiting:
                data = found.waiting[0]
                sent = found.socket.send(data)
                count += sent
                if sent < len(data):
                    found.waiting[0] = data[sent:]
                    break
                found.waiting.popleft()
            if found.shuts and not found.waiting:
                found.shuts = False
                found.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._break(found)
            return
        if found.closes and not found.waiting:
            self._drop(found)
            return
        if count:
            self._say_count(Told.TAKEN, found.flow, count)
        self._wait(found)


def _server(forward: Forward) -> socket.socket:
    """A socket that listens; OSError if the host does not let it."""
    if not forward.host.startswith(UNIX):
        return socket.create_server((forward.host, forward.port), backlog=_BACKLOG)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(forward.host.removeprefix(UNIX))
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _resolver() -> str:
    """The host's first name server; OSError if it has none."""
    for line in _RESOLVERS.read_text().splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            return words[1]
    raise OSError
