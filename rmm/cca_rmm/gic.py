"""What the Host may put into the virtual CPU interface of a REC: ICH_HCR_EL2 and the list registers (DEN0137 "GIC")."""

from collections.abc import Sequence
from typing import Final

from cca_platform.fields import Bits, Field

__all__ = ["HCR_PERMITTED", "IchHcr", "IchLr", "lrs_valid"]


class IchHcr(Bits):
    """ICH_HCR_EL2: the bits that the Host may set."""

    uie = Field(1)
    lrenpie = Field(2)
    npie = Field(3)
    vgrp0eie = Field(4)
    vgrp0die = Field(5)
    vgrp1eie = Field(6)
    vgrp1die = Field(7)
    tdir = Field(14)


class IchLr(Bits):
    """ICH_LR<n>_EL2."""

    vintid = Field(31, 0)
    pintid = Field(44, 32)
    priority = Field(55, 48)
    group = Field(60)
    hw = Field(61)
    state = Field(63, 62)


HCR_PERMITTED: Final = sum(field.mask for field in IchHcr.fields().values())
_EOI: Final = 1 << 9  # pINTID bit 9: with HW = 0 it asks for a maintenance interrupt at EOI
_PRIORITY_RAZ: Final = 0b111  # 5 priority bits are implemented
_SPECIAL: Final = 1020  # INTIDs 1020..8191 are special or reserved
_LPI: Final = range(8192, 1 << 16)  # 16-bit INTIDs


def lrs_valid(lrs: Sequence[int]) -> bool:
    """Whether no list register asks for more than a virtual interrupt; those in state 0 (invalid) are not looked at."""
    seen: set[int] = set()
    for value in lrs:
        lr = IchLr(value)
        if not lr.state:
            continue
        vintid = lr.vintid
        if lr.hw or lr.pintid & ~_EOI or lr.priority & _PRIORITY_RAZ or vintid in seen:
            return False
        if vintid >= _SPECIAL and vintid not in _LPI:
            return False
        seen.add(vintid)
    return True
