"""Virtio network device (Virtio 1.2, 5.1)."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field, Member, Struct

__all__ = ["GsoType", "NetFeature", "NetHeaderFlags", "NetStatus", "VirtioNetConfig", "VirtioNetHdr"]


class NetFeature(IntEnum):
    """Bit numbers of its features (5.1.3)."""

    CSUM = 0
    GUEST_CSUM = 1
    MTU = 3
    MAC = 5
    GUEST_TSO4 = 7
    HOST_TSO4 = 11
    MRG_RXBUF = 15
    STATUS = 16

    @property
    def mask(self) -> int:
        """The feature as a bit of a set."""
        return 1 << self


VirtioNetConfig: Final = Struct(
    "VirtioNetConfig",
    12,
    Member("mac", 0, 6),
    Member("status", 6, 2),
    Member("max_virtqueue_pairs", 8, 2),
    Member("mtu", 10, 2),
)
"""The configuration space (5.1.4), as far as features ask for it."""


class NetStatus(Bits):
    """VirtioNetConfig.status."""

    link_up = Field(0)


VirtioNetHdr: Final = Struct(
    "VirtioNetHdr",
    12,
    Member("flags", 0, 1),
    Member("gso_type", 1, 1),
    Member("hdr_len", 2, 2),
    Member("gso_size", 4, 2),
    Member("csum_start", 6, 2),
    Member("csum_offset", 8, 2),
    Member("num_buffers", 10, 2),
)
"""What comes before every packet (5.1.6)."""


class NetHeaderFlags(Bits):
    """VirtioNetHdr.flags."""

    needs_csum = Field(0)
    data_valid = Field(1)


class GsoType(IntEnum):
    """VirtioNetHdr.gso_type."""

    NONE = 0
    TCPV4 = 1
