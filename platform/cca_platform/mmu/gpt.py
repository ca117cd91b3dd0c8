"""Granule protection tables: encodings of GPCCR_EL3 and of the descriptors, and a lookup in plain Python.

EL3 writes the tables through its Root port with these encodings; the check itself, for every access of every PE and
port, is :func:`cca_platform.mmu.translate.granule_protection_check`. Source: DDI 0487, RME; 4 KiB physical granules.
"""

from collections.abc import Callable
from typing import Final

from cca_arch.fields import Bits, Field
from cca_arch.types import Gpi

__all__ = [
    "L0GPTSZ_BITS",
    "PPS_BITS",
    "Gpccr",
    "GptFault",
    "gpi_shift",
    "l0_block",
    "l0_index",
    "l0_table",
    "l0_table_size",
    "l1_contiguous",
    "l1_entry_offset",
    "l1_granules",
    "l1_table_size",
    "lookup",
]

PPS_BITS: Final = (32, 36, 40, 42, 44, 48, 52)
L0GPTSZ_BITS: Final = {0: 30, 4: 34, 6: 36, 9: 39}
_CONTIGUOUS_BITS: Final = {1: 21, 2: 25, 3: 29}
_ADDRESS: Final = 0x000F_FFFF_FFFF_F000
_DEFINED: Final = frozenset(int(gpi) for gpi in Gpi)


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


class GptFault(Exception):
    """The tables themselves cannot be walked: ``kind`` is "walk" or "size", ``level`` the level of the lookup."""

    def __init__(self, kind: str, level: int, pa: int) -> None:
        super().__init__(f"GPT {kind} fault at level {level} for PA {pa:#x}")
        self.kind = kind
        self.level = level


def l0_block(gpi: Gpi) -> int:
    """Level 0 block descriptor: one GPI for everything the entry covers."""
    return 0b0001 | gpi << 4


def l0_table(pa: int) -> int:
    """Level 0 table descriptor that points at the level 1 table at ``pa``."""
    return 0b0011 | pa & _ADDRESS


def l1_contiguous(gpi: Gpi, contig: int) -> int:
    """Level 1 contiguous descriptor; ``contig`` 1, 2, 3 = 2 MiB, 32 MiB, 512 MiB."""
    return 0b0001 | gpi << 4 | contig << 8


def l1_granules(gpi: Gpi) -> int:
    """Level 1 granules descriptor: sixteen granules, all with the same GPI."""
    return gpi * 0x1111_1111_1111_1111


def l0_table_size(pps_bits: int, l0gptsz_bits: int) -> int:
    """Bytes of a level 0 table."""
    return 8 << max(0, pps_bits - l0gptsz_bits)


def l1_table_size(l0gptsz_bits: int) -> int:
    """Bytes of a level 1 table with 4 KiB granules (128 KiB for 1 GiB)."""
    return 8 << (l0gptsz_bits - 16)


def l0_index(pa: int, l0gptsz_bits: int) -> int:
    """Index of the level 0 entry for ``pa``."""
    return pa >> l0gptsz_bits


def l1_entry_offset(pa: int, l0gptsz_bits: int) -> int:
    """Byte offset of the level 1 descriptor for ``pa`` inside its table."""
    return ((pa & ((1 << l0gptsz_bits) - 1)) >> 16) * 8


def gpi_shift(pa: int) -> int:
    """Bit position of the GPI of ``pa`` inside its granules descriptor."""
    return (pa >> 12 & 15) * 4


def lookup(read64: Callable[[int], int], gptbr: int, gpccr: int, pa: int) -> tuple[int, int]:
    """The GPI of ``pa`` and the level it was found at; GptFault when the walk fails.

    ``read64(pa)`` reads the tables in the Root PAS.
    """
    control = Gpccr(gpccr)
    pps_bits, l0_bits = PPS_BITS[control.pps], L0GPTSZ_BITS[control.l0gptsz]
    if pa >> pps_bits:
        raise GptFault("size", 0, pa)
    base = (gptbr & 0xFF_FFFF_FFFF) << 12
    descriptor = read64(base + 8 * l0_index(pa, l0_bits))
    if descriptor & 15 == 0b0001:
        return _valid(descriptor >> 4 & 15, 0, pa)
    if descriptor & 15 != 0b0011:
        raise GptFault("walk", 0, pa)
    descriptor = read64((descriptor & _ADDRESS) + l1_entry_offset(pa, l0_bits))
    if descriptor & 15 == 0b0001:
        if descriptor >> 8 & 3 not in _CONTIGUOUS_BITS:
            raise GptFault("walk", 1, pa)
        return _valid(descriptor >> 4 & 15, 1, pa)
    return _valid(descriptor >> gpi_shift(pa) & 15, 1, pa)


def _valid(gpi: int, level: int, pa: int) -> tuple[int, int]:
    if gpi not in _DEFINED:
        raise GptFault("walk", level, pa)
    return gpi, level
