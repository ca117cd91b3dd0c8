"""The file system device (Virtio 1.2, 5.11): a folder of the host, by FUSE."""

from typing import Any, Final

from cca_arch.virtio import DeviceId
from cca_arch.virtio.fs import VirtioFsConfig
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.share.folder import Folder
from cca_host.kvmtool.share.fuse import MOST, Fuse
from cca_host.kvmtool.share.share import Share, ShareState
from cca_host.kvmtool.virtio.queue import Chain
from cca_host.kvmtool.virtio.shared import SharedFolder
from cca_platform.devices.wiring import Wiring

__all__ = ["MAX_TAG", "VirtioFs"]

MAX_TAG: Final = VirtioFsConfig.members["tag"].size
"""Bytes of a tag."""
_LARGEST: Final = MOST + 0x2000  # bytes of a request, its names included


class VirtioFs(SharedFolder):
    """A ``folder`` that the guest mounts by its ``tag``: ``mount -t virtiofs TAG DIRECTORY``."""

    device_id = DeviceId.FILE_SYSTEM
    sizes = (64, 128)

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, folder: Folder, tag: str) -> None:
        super().__init__(name, wiring, memory, folder, tag)
        self._share = Share(folder, wiring.fetch)
        self._fuse = Fuse(self._share, self._told)

    @property
    def config(self) -> bytes:
        """The tag, and one queue for requests besides that for what is urgent."""
        return VirtioFsConfig.pack(tag=self._tag, num_request_queues=1)

    def serve(self, index: int, chain: Chain) -> int:
        """Answer a request."""
        if chain.to_read > _LARGEST:
            return 0
        room = chain.to_write
        answer = self._fuse.answer(self.memory.gather(chain.readable), room)
        return self.memory.scatter(chain.writable, answer)

    def stopped(self) -> None:
        """The guest's driver has gone, and with it all that it knew."""
        self._share.reset()

    def save_more(self) -> ShareState:
        """What the guest knows of the folder."""
        return self._share.save()

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned."""
        self._share.restore(state)
