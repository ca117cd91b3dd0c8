"""The split virtqueue (Virtio 1.2, 2.7): descriptor table, available ring (driver area), used ring (device area)."""

from typing import Final

from cca_arch.fields import Bits, Field, Member, Struct

__all__ = [
    "AVAIL_RING",
    "AVAIL_SLOT",
    "DESC_SIZE",
    "INDEX",
    "USED_RING",
    "USED_SLOT",
    "AvailFlags",
    "DescFlags",
    "UsedFlags",
    "VirtqDesc",
    "VirtqUsedElem",
]

VirtqDesc: Final = Struct(
    "VirtqDesc", 16, Member("addr", 0, 8), Member("len", 8, 4), Member("flags", 12, 2), Member("next", 14, 2)
)
"""A descriptor: a piece of a buffer, or of an indirect table."""
VirtqUsedElem: Final = Struct("VirtqUsedElem", 8, Member("id", 0, 4), Member("len", 4, 4))
"""An entry of the used ring: the head of the chain, and how many bytes the device has written."""
DESC_SIZE: Final = VirtqDesc.size
USED_SLOT: Final = VirtqUsedElem.size
AVAIL_SLOT: Final = 2
INDEX: Final = 2
"""The offset of ``idx`` in both rings, after ``flags``."""
AVAIL_RING: Final = 4
"""The offset of the entries in the available ring; ``used_event`` follows the last one."""
USED_RING: Final = 4
"""The offset of the entries in the used ring; ``avail_event`` follows the last one."""


class DescFlags(Bits):
    """VirtqDesc.flags."""

    next = Field(0)
    write = Field(1)
    indirect = Field(2)


class AvailFlags(Bits):
    """The flags of the available ring, without RING_EVENT_IDX."""

    no_interrupt = Field(0)


class UsedFlags(Bits):
    """The flags of the used ring, without RING_EVENT_IDX."""

    no_notify = Field(0)
