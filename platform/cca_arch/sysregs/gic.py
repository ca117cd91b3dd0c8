"""The GIC's CPU interface: fields of the ICC and ICH registers (IHI 0069, 12.2 and 12.4)."""

from enum import IntEnum

from cca_arch.fields import Bits, Field

__all__ = [
    "IccCtlr",
    "IccCtlrEl3",
    "IccIgrpen1El3",
    "IccSgi",
    "IccSre",
    "IchHcr",
    "IchLr",
    "IchMisr",
    "IchVmcr",
    "IchVtr",
    "LrState",
]


class IccCtlr(Bits):
    """ICC_CTLR_EL1 and ICV_CTLR_EL1."""

    cbpr = Field(0)
    eoimode = Field(1)
    pmhe = Field(6)
    pribits = Field(10, 8)
    idbits = Field(13, 11)
    seis = Field(14)
    a3v = Field(15)
    rss = Field(18)
    extrange = Field(19)


class IccCtlrEl3(Bits):
    """ICC_CTLR_EL3."""

    cbpr_el1s = Field(0)
    cbpr_el1ns = Field(1)
    eoimode_el3 = Field(2)
    eoimode_el1s = Field(3)
    eoimode_el1ns = Field(4)
    rm = Field(5)
    pmhe = Field(6)
    pribits = Field(10, 8)
    idbits = Field(13, 11)
    seis = Field(14)
    a3v = Field(15)
    nds = Field(17)
    rss = Field(18)


class IccIgrpen1El3(Bits):
    """ICC_IGRPEN1_EL3."""

    enablegrp1ns = Field(0)
    enablegrp1s = Field(1)


class IccSre(Bits):
    """ICC_SRE_EL1, ICC_SRE_EL2 and ICC_SRE_EL3; ICC_SRE_EL1 has no Enable."""

    sre = Field(0)
    dfb = Field(1)
    dib = Field(2)
    enable = Field(3)


class IccSgi(Bits):
    """ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1: a software-generated interrupt."""

    targetlist = Field(15, 0)
    aff1 = Field(23, 16)
    intid = Field(27, 24)
    aff2 = Field(39, 32)
    irm = Field(40)
    rs = Field(47, 44)
    aff3 = Field(55, 48)


class IchHcr(Bits):
    """ICH_HCR_EL2."""

    en = Field(0)
    uie = Field(1)
    lrenpie = Field(2)
    npie = Field(3)
    vgrp0eie = Field(4)
    vgrp0die = Field(5)
    vgrp1eie = Field(6)
    vgrp1die = Field(7)
    tc = Field(10)
    tall0 = Field(11)
    tall1 = Field(12)
    tsei = Field(13)
    tdir = Field(14)
    eoicount = Field(31, 27)


class LrState(IntEnum):
    """ICH_LR<n>_EL2.State."""

    INVALID = 0
    PENDING = 1
    ACTIVE = 2
    PENDING_ACTIVE = 3


class IchLr(Bits):
    """ICH_LR<n>_EL2. With HW = 0, bit 9 of pINTID requests a maintenance interrupt at the end of the interrupt."""

    vintid = Field(31, 0)
    pintid = Field(44, 32)
    eoi = Field(41)
    priority = Field(55, 48)
    group = Field(60)
    hw = Field(61)
    state = Field(63, 62)


class IchMisr(Bits):
    """ICH_MISR_EL2."""

    eoi = Field(0)
    u = Field(1)
    lrenp = Field(2)
    np = Field(3)
    vgrp0e = Field(4)
    vgrp0d = Field(5)
    vgrp1e = Field(6)
    vgrp1d = Field(7)


class IchVmcr(Bits):
    """ICH_VMCR_EL2."""

    veng0 = Field(0)
    veng1 = Field(1)
    vackctl = Field(2)
    vfiqen = Field(3)
    vcbpr = Field(4)
    veoim = Field(9)
    vbpr1 = Field(20, 18)
    vbpr0 = Field(23, 21)
    vpmr = Field(31, 24)


class IchVtr(Bits):
    """ICH_VTR_EL2."""

    listregs = Field(4, 0)
    tds = Field(19)
    nv4 = Field(20)
    a3v = Field(21)
    seis = Field(22)
    idbits = Field(25, 23)
    prebits = Field(28, 26)
    pribits = Field(31, 29)
