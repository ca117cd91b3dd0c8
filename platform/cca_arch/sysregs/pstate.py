"""PSTATE in the format of SPSR_ELx (DDI 0487, C5.2.19), and the layout of exception vector tables (D1.3)."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field

__all__ = ["EL1H_MASKED", "EL2H_MASKED", "VECTOR_LOWER", "VECTOR_SPX", "VECTOR_TABLE", "Mode", "Pstate", "Vector"]


class Mode(IntEnum):
    """PSTATE.M in AArch64: the exception level, and SP_ELx (h) or SP_EL0 (t) as stack pointer."""

    EL0T = 0b0000
    EL1T = 0b0100
    EL1H = 0b0101
    EL2T = 0b1000
    EL2H = 0b1001
    EL3T = 0b1100
    EL3H = 0b1101


class Pstate(Bits):
    """PSTATE and SPSR_ELx in AArch64."""

    mode = Field(3, 0)
    sp = Field(0)
    el = Field(3, 2)
    aarch32 = Field(4)
    f = Field(6)
    i = Field(7)
    a = Field(8)
    d = Field(9)
    daif = Field(9, 6)
    btype = Field(11, 10)
    ssbs = Field(12)
    il = Field(20)
    ss = Field(21)
    pan = Field(22)
    uao = Field(23)
    dit = Field(24)
    v = Field(28)
    c = Field(29)
    z = Field(30)
    n = Field(31)
    nzcv = Field(31, 28)


EL1H_MASKED: Final = int(Pstate.make(mode=Mode.EL1H, daif=0b1111))
"""EL1h with debug exceptions, SErrors, IRQs and FIQs masked."""
EL2H_MASKED: Final = int(Pstate.make(mode=Mode.EL2H, daif=0b1111))
"""EL2h with debug exceptions, SErrors, IRQs and FIQs masked."""


class Vector(IntEnum):
    """The offsets of the four kinds of exceptions in a quarter of a vector table."""

    SYNCHRONOUS = 0x000
    IRQ = 0x080
    FIQ = 0x100
    SERROR = 0x180


VECTOR_TABLE: Final = 0x800
"""The size of a vector table; the bits of VBAR_ELx below it are RES0."""
VECTOR_SPX: Final = 0x200
"""The quarter for exceptions from the same level with SP_ELx; the preceding one is for SP_EL0."""
VECTOR_LOWER: Final = 0x400
"""The quarter for exceptions from a lower level in AArch64."""
