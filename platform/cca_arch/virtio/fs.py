"""Virtio file system device (Virtio 1.2, 5.11), which carries FUSE."""

from typing import Final

from cca_arch.fields import Member, Struct

__all__ = ["VirtioFsConfig"]

VirtioFsConfig: Final = Struct("VirtioFsConfig", 40, Member("tag", 0, 36), Member("num_request_queues", 36, 4))
"""The configuration space (5.11.4)."""
