"""The entropy device (Virtio 1.2, 5.4): fills buffers with random bytes, of the host or from a seed."""

import os
from hashlib import shake_256
from typing import Any, ClassVar, Final

from cca_arch.virtio import DeviceId
from cca_host.kvmtool.guestmemory import GuestMemory
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.queue import Chain
from cca_platform.devices.wiring import Wiring
from cca_platform.state import State

__all__ = ["Rng"]

_MOST: Final = 1 << 16
"""Bytes in one buffer at most: the device may give fewer than were asked for."""


class RngState(State, frozen=True, tag="virtio.rng/1"):
    """How many requests it has answered, from a seed."""

    requests: int


class Rng(VirtioDevice):
    """Random bytes: a stream that ``seed`` fixes, else those of the host, which are inputs of the machine."""

    device_id: ClassVar[DeviceId] = DeviceId.ENTROPY
    sizes: ClassVar[tuple[int, ...]] = (64,)

    def __init__(self, name: str, wiring: Wiring, memory: GuestMemory, seed: bytes | None = None) -> None:
        super().__init__(name, wiring, memory)
        self._seed = seed
        self._requests = 0

    def serve(self, index: int, chain: Chain) -> int:
        """Fill a buffer."""
        size = min(chain.to_write, _MOST)
        if self._seed is None:
            data = self.wiring.fetch(lambda: os.urandom(size))
        else:
            data = shake_256(self._seed + self._requests.to_bytes(8, "little")).digest(size)
            self._requests += 1
        self.memory.scatter(chain.writable, data)
        self.note(index, "entropy", size)
        return size

    def save_more(self) -> RngState:
        """State for a snapshot."""
        return RngState(self._requests)

    def restore_more(self, state: Any) -> None:
        """Restore what :meth:`save_more` returned."""
        self._requests = state.requests
