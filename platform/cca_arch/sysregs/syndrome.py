"""Syndromes: ESR_ELx with its ISS layouts, exception classes, fault status codes (DDI 0487, D24.2.40)."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field

__all__ = [
    "FSC_LEVEL",
    "AbortEsr",
    "Aet",
    "DataAbortEsr",
    "Ec",
    "Esr",
    "Fsc",
    "GpcEsr",
    "ImmediateEsr",
    "SErrorEsr",
    "SysregEsr",
    "WfxEsr",
    "syndrome",
]


class Ec(IntEnum):
    """ESR_ELx.EC: the exception class. ``_SAME`` is taken from the same level and has bit 0 set."""

    UNKNOWN = 0x00
    WFX = 0x01
    FP_ASIMD = 0x07
    PAC = 0x09
    ILLEGAL_STATE = 0x0E
    SVC = 0x15
    HVC = 0x16
    SMC = 0x17
    SYSREG = 0x18
    SVE = 0x19
    ERET = 0x1A
    SME = 0x1D
    GPC = 0x1E
    INSTRUCTION_ABORT = 0x20
    INSTRUCTION_ABORT_SAME = 0x21
    PC_ALIGNMENT = 0x22
    DATA_ABORT = 0x24
    DATA_ABORT_SAME = 0x25
    SP_ALIGNMENT = 0x26
    SERROR = 0x2F
    BREAKPOINT = 0x30
    BREAKPOINT_SAME = 0x31
    SOFTWARE_STEP = 0x32
    SOFTWARE_STEP_SAME = 0x33
    WATCHPOINT = 0x34
    WATCHPOINT_SAME = 0x35
    BRK = 0x3C


class Fsc(IntEnum):
    """DFSC and IFSC: the fault status code of an abort. For a table walk, add the level."""

    ADDRESS_SIZE = 0x00
    TRANSLATION = 0x04
    ACCESS_FLAG = 0x08
    PERMISSION = 0x0C
    EXTERNAL = 0x10
    ASYNCHRONOUS = 0x11
    EXTERNAL_WALK = 0x14
    ALIGNMENT = 0x21
    DEBUG = 0x22
    GPF_WALK = 0x24
    GPF = 0x28
    UNSUPPORTED_EXCLUSIVE = 0x35


FSC_LEVEL: Final = 0b11
"""The level in the fault status code of a translation; without the level, the code is a kind of ``Fsc``."""


class Esr(Bits):
    """ESR_ELx: the exception class, which determines the layout of the ISS."""

    ec = Field(31, 26)
    il = Field(25)
    iss = Field(24, 0)


class AbortEsr(Esr):
    """The common fields of Instruction Aborts and Data Aborts."""

    set = Field(12, 11)
    fnv = Field(10)
    ea = Field(9)
    s1ptw = Field(7)
    fsc = Field(5, 0)


class DataAbortEsr(AbortEsr):
    """ESR_ELx of a Data Abort."""

    isv = Field(24)
    sas = Field(23, 22)
    sse = Field(21)
    srt = Field(20, 16)
    sf = Field(15)
    ar = Field(14)
    vncr = Field(13)
    cm = Field(8)
    wnr = Field(6)


class GpcEsr(Esr):
    """ESR_EL3 of a Granule Protection Check exception."""

    s2ptw = Field(21)
    ind = Field(20)
    gpcsc = Field(19, 14)
    vncr = Field(13)
    cm = Field(8)
    s1ptw = Field(7)
    wnr = Field(6)
    xfsc = Field(5, 0)


class ImmediateEsr(Esr):
    """ESR_ELx of SVC, HVC, SMC and BRK."""

    imm16 = Field(15, 0)


class Aet(IntEnum):
    """SErrorEsr.aet, where DFSC is ``Fsc.ASYNCHRONOUS``: what the error has done to the state of the PE."""

    UNCONTAINABLE = 0
    UNRECOVERABLE = 1
    RESTARTABLE = 2
    RECOVERABLE = 3
    CORRECTED = 6


class SErrorEsr(Esr):
    """ESR_ELx of an SError. With ``ids`` the ISS is IMPLEMENTATION DEFINED."""

    ids = Field(24)
    aet = Field(12, 10, Aet)
    ea = Field(9)
    dfsc = Field(5, 0)


class SysregEsr(Esr):
    """ESR_ELx of a trapped MSR, MRS or SYS."""

    op0 = Field(21, 20)
    op2 = Field(19, 17)
    op1 = Field(16, 14)
    crn = Field(13, 10)
    rt = Field(9, 5)
    crm = Field(4, 1)
    direction = Field(0)


class WfxEsr(Esr):
    """ESR_ELx of a trapped WFI or WFE."""

    cv = Field(24)
    cond = Field(23, 20)
    rn = Field(9, 5)
    rv = Field(2)
    ti = Field(1, 0)


_EC_LOW: Final = Esr.ec.low
_IL: Final = Esr.il.mask


def syndrome(ec: int, iss: int = 0) -> int:
    """ESR_ELx of an exception from a 32-bit instruction."""
    return int(ec) << _EC_LOW | _IL | iss
