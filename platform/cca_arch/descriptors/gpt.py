"""Granule protection tables: GPCCR_EL3, GPTBR_EL3 and the descriptors (DDI 0487, D9; 4 KiB physical granules)."""

from typing import Final

from cca_arch.fields import Bits, Field
from cca_arch.sysregs.translation import OUTPUT_BITS
from cca_arch.types import Gpi

__all__ = [
    "BLOCK",
    "CONTIGUOUS_BITS",
    "L0GPTSZ_BITS",
    "PPS_BITS",
    "TABLE",
    "Gpccr",
    "Gptbr",
    "L0Block",
    "L0Table",
    "L1Contiguous",
    "gpi_shift",
    "l0_block",
    "l0_index",
    "l0_table",
    "l0_table_size",
    "l1_contiguous",
    "l1_entry_offset",
    "l1_granules",
    "l1_table_size",
]


class Gpccr(Bits):
    """GPCCR_EL3: Granule Protection Check Control Register."""

    pps = Field(2, 0)
    irgn = Field(9, 8)
    orgn = Field(11, 10)
    sh = Field(13, 12)
    pgs = Field(15, 14)
    gpc = Field(16)
    gpcp = Field(17)
    l0gptsz = Field(23, 20)


class Gptbr(Bits):
    """GPTBR_EL3: Granule Protection Table Base Register."""

    baddr = Field(39, 0)  # PA[51:12] of the level 0 table


BLOCK: Final = 0b0001
"""``type`` of a level 0 block and of a level 1 contiguous descriptor."""
TABLE: Final = 0b0011


class L0Block(Bits):
    """A level 0 block descriptor: one GPI for everything that the entry covers. All other bits are RES0."""

    type = Field(3, 0)
    gpi = Field(7, 4)


class L0Table(Bits):
    """A level 0 table descriptor. All other bits are RES0."""

    type = Field(3, 0)
    address = Field(51, 12)  # of the level 1 table, aligned to its size


class L1Contiguous(Bits):
    """A level 1 contiguous descriptor: one GPI for a block of memory. All other bits are RES0."""

    type = Field(3, 0)
    gpi = Field(7, 4)
    contig = Field(9, 8)


PPS_BITS: Final = OUTPUT_BITS
"""The width in bits of the protected physical address space, by GPCCR_EL3.PPS."""
L0GPTSZ_BITS: Final = {0: 30, 4: 34, 6: 36, 9: 39}
"""The address bits that one level 0 entry covers, by GPCCR_EL3.L0GPTSZ."""
CONTIGUOUS_BITS: Final = {1: 21, 2: 25, 3: 29}
"""The address bits that a level 1 contiguous descriptor covers, by Contig; 0 is reserved."""


def l0_block(gpi: Gpi) -> int:
    """Level 0 block descriptor."""
    return BLOCK | gpi << L0Block.gpi.low


def l0_table(pa: int) -> int:
    """Level 0 table descriptor that points to the level 1 table at ``pa``."""
    return TABLE | pa & L0Table.address.mask


def l1_contiguous(gpi: Gpi, contig: int) -> int:
    """Level 1 contiguous descriptor; ``contig`` 1, 2, 3 = 2 MiB, 32 MiB, 512 MiB."""
    return BLOCK | gpi << L1Contiguous.gpi.low | contig << L1Contiguous.contig.low


def l1_granules(gpi: Gpi) -> int:
    """Level 1 granules descriptor: sixteen granules with the same GPI."""
    return gpi * 0x1111_1111_1111_1111


def l0_table_size(pps_bits: int, l0gptsz_bits: int) -> int:
    """The size in bytes of a level 0 table."""
    return 8 << max(0, pps_bits - l0gptsz_bits)


def l1_table_size(l0gptsz_bits: int) -> int:
    """The size in bytes of a level 1 table with 4 KiB granules (128 KiB for 1 GiB)."""
    return 8 << (l0gptsz_bits - 16)


def l0_index(pa: int, l0gptsz_bits: int) -> int:
    """The index of the level 0 entry for ``pa``."""
    return pa >> l0gptsz_bits


def l1_entry_offset(pa: int, l0gptsz_bits: int) -> int:
    """The byte offset of the level 1 descriptor for ``pa`` in its table."""
    return ((pa & ((1 << l0gptsz_bits) - 1)) >> 16) * 8


def gpi_shift(pa: int) -> int:
    """The bit position of the GPI of ``pa`` in its granules descriptor."""
    return (pa >> 12 & 15) * 4
