"""Stage 2 descriptors of VMSAv8-64, 4 KiB granule (DDI 0487, D8.3)."""

from typing import Final

from cca_arch.fields import Bits, Field

__all__ = ["BLOCK", "INVALID", "PAGE", "TABLE", "Stage2Descriptor"]

INVALID: Final = 0b00
BLOCK: Final = 0b01
"""A leaf at level 1 or 2."""
PAGE: Final = 0b11
"""A leaf at level 3."""
TABLE: Final = 0b11
"""At levels 0 to 2."""


class Stage2Descriptor(Bits):
    """A page, block or table descriptor; a table has only ``type`` and ``address``."""

    type = Field(1, 0)
    memattr = Field(5, 2)
    s2ap = Field(7, 6)
    readable = Field(6)  # S2AP[0]
    writable = Field(7)  # S2AP[1]
    sh = Field(9, 8)
    af = Field(10)
    fnxs = Field(11)
    address = Field(47, 12)
    dbm = Field(51)
    contiguous = Field(52)
    xn = Field(54, 53)
    ns = Field(55)  # of the Realm EL1&0 regime
