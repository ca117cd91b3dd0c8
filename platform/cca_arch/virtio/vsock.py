"""Virtio socket device (Virtio 1.2, 5.10)."""

from enum import IntEnum, IntFlag
from typing import Final

from cca_arch.fields import Member, Struct

__all__ = ["HOST_CID", "STREAM", "VirtioVsockConfig", "VirtioVsockHdr", "VsockOp", "VsockShutdown"]

HOST_CID: Final = 2
STREAM: Final = 1
"""VirtioVsockHdr.type of streams."""

VirtioVsockConfig: Final = Struct("VirtioVsockConfig", 8, Member("guest_cid", 0, 8))
"""The configuration space (5.10.4)."""
VirtioVsockHdr: Final = Struct(
    "VirtioVsockHdr",
    44,
    Member("src_cid", 0, 8),
    Member("dst_cid", 8, 8),
    Member("src_port", 16, 4),
    Member("dst_port", 20, 4),
    Member("len", 24, 4),
    Member("type", 28, 2),
    Member("op", 30, 2),
    Member("flags", 32, 4),
    Member("buf_alloc", 36, 4),
    Member("fwd_cnt", 40, 4),
)
"""What comes before every packet (5.10.6)."""


class VsockOp(IntEnum):
    """VirtioVsockHdr.op."""

    REQUEST = 1
    RESPONSE = 2
    RST = 3
    SHUTDOWN = 4
    RW = 5
    CREDIT_UPDATE = 6
    CREDIT_REQUEST = 7


class VsockShutdown(IntFlag):
    """VirtioVsockHdr.flags of a SHUTDOWN: what the sender does not do any more."""

    RECEIVE = 1
    SEND = 2
