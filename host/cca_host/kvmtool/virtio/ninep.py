"""The 9P device: a folder of the host, by 9P2000.L."""

from typing import Any

from cca_arch.virtio import DeviceId
from cca_arch.virtio.ninep import NinepFeature
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.share.folder import Folder
from cca_host.kvmtool.share.ninep import LARGEST, Ninep, NinepState
from cca_host.kvmtool.share.share import Share
from cca_host.kvmtool.virtio.queue import Chain
from cca_host.kvmtool.virtio.shared import SharedFolder
from cca_platform.devices.wiring import Wiring

__all__ = ["Virtio9p"]


class Virtio9p(SharedFolder):
    """A ``folder`` that the guest mounts by its ``tag``: ``mount -t 9p -o trans=virtio TAG DIRECTORY``."""

    device_id = DeviceId.NINE_P
    sizes = (128,)
    offers = NinepFeature.MOUNT_TAG.mask

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, folder: Folder, tag: str) -> None:
        super().__init__(name, wiring, memory, folder, tag)
        self._server = Ninep(Share(folder, wiring.fetch), self._told)

    @property
    def config(self) -> bytes:
        """The tag behind its length."""
        return len(self._tag).to_bytes(2, "little") + self._tag

    def serve(self, index: int, chain: Chain) -> int:
        """Answer a request; one that is too long is dropped."""
        if chain.to_read > LARGEST:
            return 0
        answer = self._server.answer(self.memory.gather(chain.readable), chain.to_write)
        return self.memory.scatter(chain.writable, answer)

    def stopped(self) -> None:
        """The guest's driver has gone, and with it all that it knew."""
        self._server.reset()

    def save_more(self) -> NinepState:
        """What the guest knows of the folder."""
        return self._server.save()

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned."""
        self._server.restore(state)
