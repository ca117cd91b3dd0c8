"""What both devices with a folder of the host have in common, whatever protocol they speak."""

from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.share.folder import Folder
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_platform.devices.wiring import Wiring
from cca_platform.trace.events import FsRequest

__all__ = ["SharedFolder"]


class SharedFolder(VirtioDevice):
    """A ``folder`` that the guest mounts by its ``tag``."""

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, folder: Folder, tag: str) -> None:
        super().__init__(name, wiring, memory)
        self._tag = tag.encode()
        self._folder = folder

    def _told(self, operation: str, path: str, status: str, length: int) -> None:
        """Trace a request."""
        trace = self.wiring.trace
        if trace.on:
            trace.emit(FsRequest(device=self.name, operation=operation, path=path, status=status, length=length))

    def close(self) -> None:
        """The guest is gone."""
        self._folder.close()
