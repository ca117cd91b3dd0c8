"""Stream sockets between a guest and this machine (vsock): the guest's ports are behind sockets of the host's files.

A guest that connects to port P of the host reaches who listens at ``PATH_P``. Who connects to ``PATH`` and sends a line
``CONNECT P`` reaches port P of the guest, and is told ``OK`` with a number first. Packets of the guest go in
(``receive``), packets for it come out when it has room (``next``); messages of the outside come by the machine's door.
Data waits for both sides within their credit, and no more of it.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from cca_arch.virtio.vsock import HOST_CID, STREAM, VirtioVsockHdr, VsockOp, VsockShutdown
from cca_host.kvmtool.net.options import Forward
from cca_host.kvmtool.net.outside import UNIX, Message, Outside, Told, read_messages
from cca_platform.state import State

__all__ = ["GUEST_CID", "HEADER", "Vsock", "VsockState", "door"]

GUEST_CID: Final = 3
HEADER: Final = VirtioVsockHdr.size
_HEAD = VirtioVsockHdr.codec()
_CREDIT: Final = 256 << 10  # bytes that wait for the guest, and that it may send without being told of room
_LINE: Final = 64  # bytes of the line that asks for a port
_CONNECT: Final = re.compile(rb"CONNECT (\d{1,10})\r?")
_CONNECTIONS: Final = 256
_RESETS: Final = 64  # answers to packets of no connection
_FIRST_PORT: Final = 1 << 30  # of who comes from outside
_ONES: Final = 0xFFFF_FFFF
_BOTH: Final = VsockShutdown.RECEIVE | VsockShutdown.SEND


class Phase(StrEnum):
    """The phase of a connection."""

    CONNECTING = "connecting"
    """The guest has asked for it, the outside has not answered."""
    ASKING = "asking"
    """Somebody outside has come, and has to say for which port."""
    OFFERED = "offered"
    """The guest has to answer."""
    OPEN = "open"


class ConnectionState(State, frozen=True, tag="host.vsock.connection/1"):
    """A connection as plain data."""

    phase: Phase
    guest_port: int
    host_port: int
    waiting: bytes
    ops: tuple[int, ...]
    allowed: int
    seen: int
    sent: int
    taken: int
    told: int
    own: int
    ended: bool
    end_told: bool
    shut: int


class VsockState(State, frozen=True, tag="host.vsock/1"):
    """All connections by number, those that may have packets, and answers to packets of none."""

    made: int
    accepted: int
    connections: dict[int, ConnectionState]
    wanting: tuple[int, ...]
    resets: tuple[tuple[int, int], ...]


class _Connection:
    """A connection. ``allowed`` and ``seen`` are the guest's credit; ``sent`` what it was sent, ``taken`` of it."""

    def __init__(self, phase: Phase, guest_port: int, host_port: int) -> None:
        self.phase = phase
        self.guest_port = guest_port
        self.host_port = host_port
        self.waiting = bytearray()  # for the guest
        self.ops: list[int] = []  # packets without data for it
        self.allowed = self.seen = self.sent = 0
        self.taken = self.told = 0  # bytes of the guest that the outside has taken, and those it was told of
        self.own = 0  # bytes of ours that the outside will take
        self.ended = self.end_told = False  # the outside sends no more
        self.shut = 0  # what the guest does not do any more

    @property
    def room(self) -> int:
        """Bytes that the guest takes."""
        return max(self.allowed - (self.sent - self.seen & _ONES), 0)


class _Packet(NamedTuple):
    """The header of a packet of the guest, and its data."""

    guest_port: int
    host_port: int
    op: int
    flags: int
    allowed: int
    seen: int
    data: bytes


def door(path: str) -> Forward:
    """The socket by which one comes from outside."""
    return Forward(f"{UNIX}{path}", 0, 0)


class Vsock:
    """The streams of one guest, at sockets that begin with ``path``; ``outside`` carries out orders.

    ``watch`` hears of connections: number, port of the guest, port of the host, state.
    """

    def __init__(self, path: str, outside: Outside, watch: Callable[[int, int, int, str], None] | None = None) -> None:
        self._path = path
        self._outside = outside
        self._watch = watch
        self._connections: dict[int, _Connection] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._wanting: dict[int, None] = {}
        self._resets: list[tuple[int, int]] = []
        self._made = self._accepted = 0

    # -- packets of the guest ----------------------------------------------------------------------------------------
    def receive(self, data: bytes) -> str:
        """Take a packet of the guest; returns what it was. One that is for nobody here is answered with a reset."""
        if len(data) < HEADER:
            return "short"
        source, target, guest, host, size, kind, op, flags, allowed, seen = _HEAD.unpack_from(data)
        if (source, target) != (GUEST_CID, HOST_CID) or size > len(data) - HEADER:
            return "other"
        packet = _Packet(guest, host, op, flags, allowed, seen, data[HEADER : HEADER + size])
        number = self._numbers.get((guest, host))
        if number is None or kind != STREAM:
            self._begin(packet, kind)
        else:
            connection = self._connections[number]
            connection.allowed, connection.seen = allowed, seen
            self._take(number, connection, packet)
        return _TITLES.get(op, "other")

    def _begin(self, packet: _Packet, kind: int) -> None:
        """A packet of no connection: it asks for one, or is refused."""
        if packet.op == VsockOp.RST:
            return
        if packet.op != VsockOp.REQUEST or kind != STREAM or len(self._connections) >= _CONNECTIONS:
            self._refuse(packet.guest_port, packet.host_port)
            return
        self._made += 1
        number = self._made
        connection = self._add(number, _Connection(Phase.CONNECTING, packet.guest_port, packet.host_port))
        connection.allowed, connection.seen = packet.allowed, packet.seen
        self._tell(connection, number, "open")
        self._outside.connect(number, f"{UNIX}{self._path}_{packet.host_port}", 0, _CREDIT)

    def _add(self, number: int, connection: _Connection) -> _Connection:
        self._connections[number] = connection
        if connection.phase is not Phase.ASKING:
            self._numbers[connection.guest_port, connection.host_port] = number
        return connection

    def _refuse(self, guest_port: int, host_port: int) -> None:
        if len(self._resets) < _RESETS:
            self._resets.append((guest_port, host_port))

    def _take(self, number: int, connection: _Connection, packet: _Packet) -> None:
        self._wanting[number] = None
        op = packet.op
        if op == VsockOp.RST:
            self._drop(number)
        elif connection.phase is Phase.OFFERED:
            self._answered(number, connection, op)
        elif op in (VsockOp.REQUEST, VsockOp.RESPONSE) or connection.phase is not Phase.OPEN:
            self._reset(number)
        elif op == VsockOp.RW:
            self._forward(number, connection, packet.data)
        elif op == VsockOp.SHUTDOWN:
            self._shut(number, connection, packet.flags)
        elif op == VsockOp.CREDIT_REQUEST and VsockOp.CREDIT_UPDATE not in connection.ops:
            connection.ops.append(VsockOp.CREDIT_UPDATE)

    def _answered(self, number: int, connection: _Connection, op: int) -> None:
        """The guest's answer to who has come from outside."""
        if op != VsockOp.RESPONSE:
            self._reset(number)
            return
        connection.phase = Phase.OPEN
        line = f"OK {connection.host_port}\n".encode()
        connection.own = len(line)
        self._outside.send(number, line)
        self._outside.allow(number, _CREDIT)

    def _forward(self, number: int, connection: _Connection, data: bytes) -> None:
        """Data of the guest: more than it was allowed ends the connection."""
        connection.told += len(data)
        if connection.told - connection.taken > _CREDIT:
            self._reset(number)
        elif data:
            self._outside.send(number, data)

    def _shut(self, number: int, connection: _Connection, flags: int) -> None:
        before, connection.shut = connection.shut, connection.shut | flags & _BOTH
        if connection.shut & ~before & VsockShutdown.SEND:
            self._outside.shut(number)
        if connection.shut == _BOTH:
            self._reset(number, abort=False)

    def _reset(self, number: int, abort: bool = True) -> None:
        """End a connection, and say so to the guest."""
        connection = self._connections[number]
        if connection.phase is not Phase.ASKING:
            self._refuse(connection.guest_port, connection.host_port)
        self._drop(number, abort)

    def _drop(self, number: int, abort: bool = False) -> None:
        connection = self._connections.pop(number)
        self._numbers.pop((connection.guest_port, connection.host_port), None)
        self._wanting.pop(number, None)
        self._tell(connection, number, "closed")
        self._outside.close(number, abort)

    def _tell(self, connection: _Connection, number: int, state: str) -> None:
        if self._watch is not None and connection.phase is not Phase.ASKING:
            self._watch(number, connection.guest_port, connection.host_port, state)

    # -- the outside -------------------------------------------------------------------------------------------------
    def told(self, data: bytes) -> None:
        """Take messages of the outside; those of connections that are over say nothing."""
        for message in read_messages(data):
            if message.told is Told.ACCEPTED:
                self._accept(message.flow)
            elif message.flow in self._connections:
                self._hear(message.flow, self._connections[message.flow], message)

    def _accept(self, number: int) -> None:
        """Somebody has come from outside, and has a line to say for which port."""
        if len(self._connections) >= _CONNECTIONS:
            self._outside.close(number, abort=True)
            return
        self._add(number, _Connection(Phase.ASKING, 0, _FIRST_PORT + self._accepted))
        self._accepted += 1
        self._outside.allow(number, _LINE)

    def _hear(self, number: int, connection: _Connection, message: Message) -> None:
        self._wanting[number] = None
        if message.told is Told.BROKEN:
            self._reset(number)
        elif message.told is Told.CONNECTED:
            connection.phase = Phase.OPEN
            connection.ops.append(VsockOp.RESPONSE)
        elif message.told is Told.DATA:
            connection.waiting += message.data
            if connection.phase is Phase.ASKING:
                self._asked(number, connection)
        elif message.told is Told.END:
            connection.ended = True
            if connection.phase is Phase.ASKING:
                self._drop(number)
        elif message.told is Told.TAKEN:
            own = min(connection.own, message.amount)
            connection.own -= own
            self._credit(connection, message.amount - own)

    def _credit(self, connection: _Connection, count: int) -> None:
        """The outside has taken so many bytes: the guest is told when it is much."""
        before, connection.taken = connection.taken, connection.taken + count
        if before // (_CREDIT // 4) != connection.taken // (_CREDIT // 4):
            connection.ops.append(VsockOp.CREDIT_UPDATE)

    def _asked(self, number: int, connection: _Connection) -> None:
        """The line of who has come from outside, once it is whole."""
        line, end, rest = bytes(connection.waiting).partition(b"\n")
        found = _CONNECT.fullmatch(line) if end else None
        if found is None:
            if end or len(connection.waiting) >= _LINE:
                self._drop(number, abort=True)
            return
        connection.guest_port, connection.waiting = int(found[1]) & _ONES, bytearray(rest)
        connection.phase = Phase.OFFERED
        self._numbers[connection.guest_port, connection.host_port] = number
        connection.ops.append(VsockOp.REQUEST)
        self._tell(connection, number, "open")

    def abandon(self) -> None:
        """Break off all connections: nobody outside knows them any more."""
        for number in list(self._connections):
            self._reset(number)

    # -- packets for the guest ---------------------------------------------------------------------------------------
    @property
    def pending(self) -> bool:
        """Whether there may be a packet."""
        return bool(self._resets or self._wanting)

    def next(self, room: int) -> bytes | None:
        """The next packet for the guest, of at most ``room`` bytes."""
        if self._resets:
            guest_port, host_port = self._resets.pop(0)
            return _pack(guest_port, host_port, VsockOp.RST)
        while self._wanting:
            number = next(iter(self._wanting))
            del self._wanting[number]
            packet = self._of(number, self._connections[number], room - HEADER)
            if packet is not None:
                if number in self._connections:
                    self._wanting[number] = None  # behind the others
                return packet
        return None

    def _of(self, number: int, one: _Connection, room: int) -> bytes | None:
        """The next packet of a connection."""
        if one.ops:
            return self._head(one, one.ops.pop(0))
        if one.phase is not Phase.OPEN:
            return None
        size = min(len(one.waiting), one.room, room)
        if size > 0 and not one.shut & VsockShutdown.RECEIVE:
            data = bytes(one.waiting[:size])
            del one.waiting[:size]
            one.sent = one.sent + size & _ONES
            self._outside.allow(number, size)
            return self._head(one, VsockOp.RW, data)
        if one.ended and not one.waiting and not one.end_told:
            one.end_told = True
            return self._head(one, VsockOp.SHUTDOWN, flags=VsockShutdown.SEND)
        return None

    @staticmethod
    def _head(one: _Connection, op: int, data: bytes = b"", flags: int = 0) -> bytes:
        return _pack(one.guest_port, one.host_port, op, data, flags, one.taken & _ONES)

    # -- state -------------------------------------------------------------------------------------------------------
    def save(self) -> VsockState:
        """State for a snapshot."""
        return VsockState(
            made=self._made,
            accepted=self._accepted,
            connections={number: _saved(one) for number, one in self._connections.items()},
            wanting=tuple(self._wanting),
            resets=tuple(self._resets),
        )

    def restore(self, state: VsockState) -> None:
        """Restore what :meth:`save` returned."""
        self._made, self._accepted = state.made, state.accepted
        self._connections, self._numbers = {}, {}
        for number, one in state.connections.items():
            self._add(number, _restored(one))
        self._wanting = dict.fromkeys(state.wanting)
        self._resets = [(guest, host) for guest, host in state.resets]


_TITLES: Final = {int(one): one.name.lower() for one in VsockOp}


def _pack(guest_port: int, host_port: int, op: int, data: bytes = b"", flags: int = 0, taken: int = 0) -> bytes:
    head = (HOST_CID, GUEST_CID, host_port, guest_port, len(data), STREAM, op, flags, _CREDIT, taken)
    return _HEAD.pack(*head) + data


def _saved(one: _Connection) -> ConnectionState:
    fields: dict[str, Any] = {name: getattr(one, name) for name in ConnectionState.__struct_fields__}
    return ConnectionState(**{**fields, "waiting": bytes(one.waiting), "ops": tuple(one.ops)})


def _restored(state: ConnectionState) -> _Connection:
    one = _Connection(Phase(state.phase), state.guest_port, state.host_port)
    for name in ConnectionState.__struct_fields__:
        setattr(one, name, getattr(state, name))
    one.phase, one.waiting, one.ops = Phase(state.phase), bytearray(state.waiting), list(state.ops)
    return one
