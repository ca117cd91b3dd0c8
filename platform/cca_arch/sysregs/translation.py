"""The controls of address translation (DDI 0487, D24)."""

from typing import Final

from cca_arch.fields import Bits, Field

__all__ = [
    "MAIR_MEMORY",
    "MAIR_NORMAL_NC",
    "MAIR_NORMAL_WB",
    "MAIR_NORMAL_WT",
    "OUTPUT_BITS",
    "SCTLR_EL1_RES1",
    "SCTLR_EL2_RES1",
    "Par",
    "ParFault",
    "Sctlr",
    "Tcr",
    "TcrEl2",
    "Ttbr",
    "Vtcr",
    "Vttbr",
]


class Sctlr(Bits):
    """SCTLR_EL1, and SCTLR_EL2 where it has the field: System Control Register."""

    m = Field(0)
    a = Field(1)
    c = Field(2)
    sa = Field(3)
    sa0 = Field(4)
    naa = Field(6)
    uma = Field(9)
    enrctx = Field(10)
    eos = Field(11)
    i = Field(12)
    endb = Field(13)
    dze = Field(14)
    uct = Field(15)
    ntwi = Field(16)
    ntwe = Field(18)
    wxn = Field(19)
    iesb = Field(21)
    eis = Field(22)
    span = Field(23)
    e0e = Field(24)
    ee = Field(25)
    uci = Field(26)
    enda = Field(27)
    enib = Field(30)
    enia = Field(31)
    dssbs = Field(44)


SCTLR_EL1_RES1: Final = 0x30D0_0800
"""EOS, TSCXT, EIS, SPAN, nTLSMD and LSMAOE, which are RES1 without their features; all else is off."""
SCTLR_EL2_RES1: Final = 0x30C5_0830


class Tcr(Bits):
    """TCR_EL1: Translation Control Register of the EL1&0 regime."""

    t0sz = Field(5, 0)
    epd0 = Field(7)
    irgn0 = Field(9, 8)
    orgn0 = Field(11, 10)
    sh0 = Field(13, 12)
    tg0 = Field(15, 14)
    t1sz = Field(21, 16)
    a1 = Field(22)
    epd1 = Field(23)
    irgn1 = Field(25, 24)
    orgn1 = Field(27, 26)
    sh1 = Field(29, 28)
    tg1 = Field(31, 30)
    ips = Field(34, 32)
    as_ = Field(36)
    tbi0 = Field(37)
    tbi1 = Field(38)
    ha = Field(39)
    hd = Field(40)
    hpd0 = Field(41)
    hpd1 = Field(42)
    tbid0 = Field(51)
    tbid1 = Field(52)
    e0pd0 = Field(55)
    e0pd1 = Field(56)


class TcrEl2(Bits):
    """TCR_EL2 with HCR_EL2.E2H = 0."""

    t0sz = Field(5, 0)
    irgn0 = Field(9, 8)
    orgn0 = Field(11, 10)
    sh0 = Field(13, 12)
    tg0 = Field(15, 14)
    ps = Field(18, 16)
    tbi = Field(20)
    ha = Field(21)
    hd = Field(22)
    res1_23 = Field(23)
    hpd = Field(24)
    tbid = Field(29)
    res1_31 = Field(31)


class Vtcr(Bits):
    """VTCR_EL2: Virtualization Translation Control Register."""

    t0sz = Field(5, 0)
    sl0 = Field(7, 6)
    irgn0 = Field(9, 8)
    orgn0 = Field(11, 10)
    sh0 = Field(13, 12)
    tg0 = Field(15, 14)
    ps = Field(18, 16)
    vs = Field(19)
    ha = Field(21)
    hd = Field(22)
    nsw = Field(29)
    nsa = Field(30)
    res1 = Field(31)


class Ttbr(Bits):
    """TTBR0_EL1, TTBR1_EL1 and TTBR0_EL2: Translation Table Base Register."""

    cnp = Field(0)
    baddr = Field(47, 1)
    asid = Field(63, 48)


class Vttbr(Bits):
    """VTTBR_EL2: Virtualization Translation Table Base Register."""

    cnp = Field(0)
    baddr = Field(47, 1)
    vmid = Field(63, 48)


class Par(Bits):
    """PAR_EL1 after a successful AT."""

    f = Field(0)
    sh = Field(8, 7)
    ns = Field(9)
    res1 = Field(11)
    pa = Field(47, 12)
    attr = Field(63, 56)


class ParFault(Bits):
    """PAR_EL1 after a failed AT."""

    f = Field(0)
    fst = Field(6, 1)
    ptw = Field(8)
    s = Field(9)
    res1 = Field(11)


OUTPUT_BITS: Final = (32, 36, 40, 42, 44, 48, 52)
"""Address width by the encoding of TCR_ELx.PS, VTCR_EL2.PS, GPCCR_EL3.PPS and ID_AA64MMFR0_EL1.PARange."""
MAIR_MEMORY: Final = 0xF0
"""The bits of a MAIR_ELx attribute that are all zero for Device memory only."""
MAIR_NORMAL_NC: Final = 0x44
"""Normal, Non-cacheable."""
MAIR_NORMAL_WT: Final = 0xAA
"""Normal, Write-Through, read-allocate."""
MAIR_NORMAL_WB: Final = 0xFF
"""Normal, Write-Back, read- and write-allocate."""
