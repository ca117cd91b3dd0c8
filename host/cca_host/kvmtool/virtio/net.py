"""The network card (Virtio 1.2, 5.1), with a NAT behind it."""

from typing import Any, Final

from cca_arch.virtio import DeviceId
from cca_arch.virtio.net import GsoType, NetFeature, NetHeaderFlags, NetStatus, VirtioNetConfig, VirtioNetHdr
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.net.nat import Nat, NatState, Packet, Peers
from cca_host.kvmtool.net.options import Network
from cca_host.kvmtool.virtio.outgoing import Outgoing
from cca_host.kvmtool.virtio.queue import Chain
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import MachineError
from cca_platform.state import State
from cca_platform.trace.events import NetFlow

__all__ = ["MAC", "MTU", "VirtioNet", "VirtioNetState"]

MAC: Final = bytes.fromhex("525400123456")
"""The guest's Ethernet address."""
MTU: Final = 1500
_RX, _TX = 0, 1
_HEADER: Final = VirtioNetHdr.size
_PACK: Final = VirtioNetHdr.codec()
_CONFIG: Final = VirtioNetConfig.codec()
_LARGEST: Final = 0x1_0000 + 64  # bytes of a packet that the guest's TCP has not divided
_AT_ONCE: Final = 32_768  # bytes of TCP that the card gets to divide
_NEEDS_CSUM: Final = NetHeaderFlags.needs_csum.mask
_TCP_DATA: Final = 54  # behind the headers


class PacketState(State, frozen=True, tag="virtio.packet/1"):
    """A packet for which the driver has no room yet."""

    frame: bytes
    mss: int
    partial: tuple[int, ...]


class VirtioNetState(State, frozen=True, tag="virtio.net/1"):
    """The network, and the packet that waits for room."""

    nat: NatState
    held: PacketState | None


class VirtioNet(Outgoing):
    """A card on a ``network``; raises MachineError if the host's ports of its forwards are not free."""

    device_id = DeviceId.NETWORK
    sizes = (64, 64)
    """A driver keeps buffers in the whole of the first, in memory that a Realm shares."""
    offers = (
        NetFeature.MAC.mask | NetFeature.STATUS.mask | NetFeature.MTU.mask | NetFeature.MRG_RXBUF.mask
        | NetFeature.CSUM.mask | NetFeature.HOST_TSO4.mask | NetFeature.GUEST_CSUM.mask | NetFeature.GUEST_TSO4.mask
    )  # fmt: skip

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, network: Network) -> None:
        self._ports = ", ".join(f"{one.host}:{one.port}" for one in network.forwards)
        super().__init__(name, wiring, memory, network.forwards)
        outside = None if network.restrict else self.user
        self._nat = Nat(wiring.clock.counter_hz, MAC, network, outside, self._watch)
        self._held: Packet | None = None
        self._due: int | None = None  # the deadline that the machine knows

    # -- the world ---------------------------------------------------------------------------------------------------
    def expects(self) -> bool:
        """Whether a connection is open, or somebody may come."""
        return self._nat.expects(self.wiring.now())

    def refused(self, error: OSError) -> MachineError:
        """A port of a forward is not free."""
        why = error.strerror or error
        return MachineError(
            f"`network` must forward from addresses of the host that are free, not from {self._ports}: {why}"
        )

    def abandon(self) -> None:
        """Break off all connections."""
        self._nat.abandon()

    def _watch(self, protocol: str, number: int, peers: Peers, state: str) -> None:
        trace = self.wiring.trace
        if trace.on:
            trace.emit(
                NetFlow(
                    device=self.name,
                    flow=number,
                    protocol=protocol,
                    guest=_address(peers.guest, peers.guest_port),
                    peer=_address(peers.peer, peers.peer_port),
                    state=state,
                )
            )

    def _now(self) -> int:
        """The time, at which connections of another life are broken off."""
        self.settle()
        return self.wiring.now()

    # -- the driver --------------------------------------------------------------------------------------------------
    @property
    def config(self) -> bytes:
        """MAC, status, one pair of queues, MTU."""
        return _CONFIG.pack(MAC, NetStatus.link_up.mask, 1, MTU)

    def notified(self, index: int) -> None:
        """Take what the driver sends; give it what waits for room."""
        if index == _TX:
            super().notified(index)
        self.fill()

    def serve(self, index: int, chain: Chain) -> int:
        """Take a packet; one that is too large, or too small, is lost."""
        size = chain.to_read
        if not _HEADER < size <= _HEADER + _LARGEST:
            return 0
        data = self.memory.gather(chain.readable)
        kind = self._nat.receive(data[_HEADER:], self._now(), checked=bool(data[0] & _NEEDS_CSUM))
        self.note(_TX, kind, size - _HEADER)
        return 0

    def received(self, data: bytes) -> None:
        """The outside has something to tell."""
        self._nat.told(data, self._now())
        self.fill()

    @property
    def again(self) -> int | None:
        """When TCP sends something again."""
        return self._nat.deadline

    def resend(self, now: int) -> None:
        """Let TCP do so."""
        self._nat.advance(now)

    def fill(self) -> None:
        """Give the driver what waits for it, as far as it has room."""
        if not self.live:
            return
        queue, sent = self.queues[_RX], False
        while queue.waiting:
            packet, self._held = self._held or self._next(), None
            if packet is None:
                break
            if not self._put(packet):
                self._held = packet
                break
            sent = True
        if sent:
            self.signal(_RX)
        if self._nat.deadline != self._due:
            self._due = self._nat.deadline
            self.wiring.changed()

    def _next(self) -> Packet | None:
        largest = _AT_ONCE if self.has(NetFeature.GUEST_TSO4) else 0
        return self._nat.next(self._now(), largest, partial=self.has(NetFeature.GUEST_CSUM))

    def _put(self, packet: Packet) -> bool:
        """Put a packet into as many buffers as it needs; False if the driver has not enough."""
        queue, size = self.queues[_RX], _HEADER + len(packet.frame)
        chains, room = list[Chain](), 0
        while room < size:
            chain = queue.pop()
            if chain is None:
                for _ in chains:
                    queue.undo()
                return False
            chains.append(chain)
            room += chain.to_write
            if not self.has(NetFeature.MRG_RXBUF):
                break
        if room < size:  # its one buffer is too small: the packet is lost
            queue.push(chains[0], 0)
            return True
        data = memoryview(_header(packet, len(chains)) + packet.frame)
        for chain in chains:
            written = self.memory.scatter(chain.writable, data[: chain.to_write])
            queue.push(chain, written)
            data = data[written:]
        self.note(_RX, "frame", len(packet.frame))
        return True

    # -- state -------------------------------------------------------------------------------------------------------
    def save_more(self) -> VirtioNetState:
        """The network, and the packet that waits for room."""
        held = self._held
        return VirtioNetState(
            self._nat.save(),
            None if held is None else PacketState(held.frame, held.mss, tuple(held.partial or ())),
        )

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned. Nobody outside knows the flows any more."""
        self._nat.restore(state.nat)
        self.lose()
        self._held, held = None, state.held
        if held is not None:
            partial = (held.partial[0], held.partial[1]) if held.partial else None
            self._held = Packet(held.frame, held.mss, partial)


def _header(packet: Packet, buffers: int) -> bytes:
    """What comes before a packet for the driver."""
    start, place = packet.partial or (0, 0)
    flags = _NEEDS_CSUM if packet.partial else 0
    kind, header = (GsoType.TCPV4, _TCP_DATA) if packet.mss else (GsoType.NONE, 0)
    return _PACK.pack(flags, kind, header, packet.mss, start, place, buffers)


def _address(address: int, port: int) -> str:
    return f"{'.'.join(map(str, address.to_bytes(4, 'big')))}:{port}"
