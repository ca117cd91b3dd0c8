"""The socket device (Virtio 1.2, 5.10): streams between the guest and sockets of the host's files."""

from typing import Any, Final

from cca_arch.virtio import DeviceId
from cca_arch.virtio.vsock import HOST_CID, VirtioVsockConfig
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.net.vsock import GUEST_CID, HEADER, Vsock, VsockState, door
from cca_host.kvmtool.virtio.outgoing import Outgoing
from cca_host.kvmtool.virtio.queue import Chain
from cca_platform.devices.wiring import Wiring
from cca_platform.errors import MachineError
from cca_platform.trace.events import NetFlow
from cca_platform.userfiles import shown

__all__ = ["VirtioVsock"]

_RX, _TX = 0, 1
_LARGEST: Final = HEADER + (64 << 10)


class VirtioVsock(Outgoing):
    """Streams at sockets that begin with ``path``; raises MachineError if there can be none."""

    device_id = DeviceId.SOCKET
    sizes = (32, 64, 8)
    """A driver keeps a page for each buffer of the first, in memory that a Realm shares."""

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, path: str) -> None:
        self._path = path
        super().__init__(name, wiring, memory, (door(path),))
        self._streams = Vsock(path, self.user, self._watch)

    def expects(self) -> bool:
        """Somebody may come at any time."""
        return True

    def refused(self, error: OSError) -> MachineError:
        """There can be no socket at the path."""
        return MachineError(
            f"`vsock` must be a path for a new socket, not {shown(self._path)}: {error.strerror or error}"
        )

    def abandon(self) -> None:
        """Break off all connections."""
        self._streams.abandon()

    def _watch(self, number: int, guest_port: int, host_port: int, state: str) -> None:
        trace = self.wiring.trace
        if trace.on:
            guest, peer = f"{GUEST_CID}:{guest_port}", f"{HOST_CID}:{host_port}"
            trace.emit(
                NetFlow(device=self.name, flow=number, protocol="vsock", guest=guest, peer=peer, state=state)
            )  # fmt: skip

    @property
    def config(self) -> bytes:
        """The guest's number."""
        return VirtioVsockConfig.pack(guest_cid=GUEST_CID)

    def notified(self, index: int) -> None:
        """Take what the driver sends; give it what waits for room."""
        self.settle()
        if index == _TX:
            super().notified(index)
        self.fill()

    def serve(self, index: int, chain: Chain) -> int:
        """Take a packet; one that is too large is lost."""
        if chain.to_read <= _LARGEST:
            data = self.memory.gather(chain.readable)
            self.note(_TX, self._streams.receive(data), len(data))
        return 0

    def received(self, data: bytes) -> None:
        """The outside has something to tell."""
        self.settle()
        self._streams.told(data)
        self.fill()

    def fill(self) -> None:
        """Give the driver what waits for it, as far as it has room."""
        queue = self.queues[_RX]
        if not self.live:
            return
        while self._streams.pending and queue.waiting:
            chain = queue.pop()
            if chain is None:
                break
            packet = self._streams.next(chain.to_write) if chain.to_write >= HEADER else b""
            if packet is None:
                queue.undo()
                break
            queue.push(chain, self.memory.scatter(chain.writable, packet))
            self.note(_RX, "packet", len(packet))
        self.signal(_RX)

    def save_more(self) -> VsockState:
        """All connections."""
        return self._streams.save()

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned. Nobody outside knows the connections any more."""
        self._streams.restore(state)
        self.lose()
