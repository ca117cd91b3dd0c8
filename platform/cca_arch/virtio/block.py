"""The block device (Virtio 1.2, 5.2)."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field, Member, Struct

__all__ = [
    "ID_SIZE",
    "SECTOR",
    "BlockFeature",
    "BlockRequest",
    "BlockStatus",
    "SegmentFlags",
    "VirtioBlkConfig",
    "VirtioBlkReq",
    "VirtioBlkSegment",
]

SECTOR: Final = 512
"""Bytes of a sector, whatever the block size is."""
ID_SIZE: Final = 20


class BlockFeature(IntEnum):
    """Bit numbers of its features."""

    SIZE_MAX = 1
    SEG_MAX = 2
    GEOMETRY = 4
    RO = 5
    BLK_SIZE = 6
    FLUSH = 9
    TOPOLOGY = 10
    CONFIG_WCE = 11
    MQ = 12
    DISCARD = 13
    WRITE_ZEROES = 14
    LIFETIME = 15
    SECURE_ERASE = 16


class BlockRequest(IntEnum):
    """VirtioBlkReq.type."""

    IN = 0
    OUT = 1
    FLUSH = 4
    GET_ID = 8
    GET_LIFETIME = 10
    DISCARD = 11
    WRITE_ZEROES = 13
    SECURE_ERASE = 14


class BlockStatus(IntEnum):
    """The last byte of a request, by which the device answers."""

    OK = 0
    IOERR = 1
    UNSUPP = 2


VirtioBlkReq: Final = Struct("VirtioBlkReq", 16, Member("type", 0, 4), Member("sector", 8, 8))
"""The head of a request."""
VirtioBlkSegment: Final = Struct(
    "VirtioBlkSegment", 16, Member("sector", 0, 8), Member("num_sectors", 8, 4), Member("flags", 12, 4)
)
"""A range of DISCARD and WRITE_ZEROES."""


class SegmentFlags(Bits):
    """VirtioBlkSegment.flags."""

    unmap = Field(0)


VirtioBlkConfig: Final = Struct(
    "VirtioBlkConfig", 60,
    Member("capacity", 0, 8), Member("size_max", 8, 4), Member("seg_max", 12, 4),
    Member("cylinders", 16, 2), Member("heads", 18, 1), Member("sectors", 19, 1), Member("blk_size", 20, 4),
    Member("physical_block_exp", 24, 1), Member("alignment_offset", 25, 1), Member("min_io_size", 26, 2),
    Member("opt_io_size", 28, 4), Member("writeback", 32, 1), Member("num_queues", 34, 2),
    Member("max_discard_sectors", 36, 4), Member("max_discard_seg", 40, 4),
    Member("discard_sector_alignment", 44, 4), Member("max_write_zeroes_sectors", 48, 4),
    Member("max_write_zeroes_seg", 52, 4), Member("write_zeroes_may_unmap", 56, 1),
)  # fmt: skip
