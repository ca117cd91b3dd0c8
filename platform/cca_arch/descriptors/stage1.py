"""Stage 1 descriptors of VMSAv8-64, 4 KiB granule (DDI 0487, D8.3)."""

from cca_arch.descriptors.stage2 import BLOCK, PAGE, TABLE
from cca_arch.fields import Bits, Field

__all__ = ["BLOCK", "PAGE", "TABLE", "Stage1Leaf", "Stage1Table"]


class Stage1Leaf(Bits):
    """A page (level 3) or block descriptor; any other ``type`` is invalid."""

    type = Field(1, 0)  # PAGE or BLOCK
    attrindx = Field(4, 2)
    ns = Field(5)
    ap = Field(7, 6)
    user = Field(6)  # AP[1]
    read_only = Field(7)  # AP[2]
    sh = Field(9, 8)
    af = Field(10)
    ng = Field(11)
    address = Field(47, 12)
    dbm = Field(51)
    contiguous = Field(52)
    pxn = Field(53)
    uxn = Field(54)  # XN in a regime of one privilege level


class Stage1Table(Bits):
    """A table descriptor; its restrictions apply to everything below it."""

    type = Field(1, 0)  # TABLE
    address = Field(47, 12)
    pxntable = Field(59)
    uxntable = Field(60)  # XNTable in a regime of one privilege level
    aptable = Field(62, 61)
    no_user = Field(61)  # APTable[0]
    read_only = Field(62)  # APTable[1]
    nstable = Field(63)
