"""The GIC's memory-mapped frames and interrupt numbers (IHI 0069, chapters 2 and 12)."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field
from cca_arch.types import JEP106_ARM

__all__ = [
    "FIRST_LPI",
    "FIRST_SPECIAL",
    "FIRST_SPI",
    "GICD_SIZE",
    "GICR_SGI_BASE",
    "GICR_STRIDE",
    "IDENTIFICATION",
    "IIDR",
    "SPURIOUS",
    "Gicd",
    "GicdCtlr",
    "GicdCtlrNs",
    "GicdIrouter",
    "GicdTyper",
    "Gicr",
    "GicrTyper",
    "GicrWaker",
    "Ppi",
]

FIRST_SPI: Final = 32
FIRST_SPECIAL: Final = 1020
"""INTIDs 1020 to 1023 are special; 1024 to 8191 are reserved."""
SPURIOUS: Final = 1023
FIRST_LPI: Final = 8192
GICD_SIZE: Final = 0x1_0000
"""The size of the distributor's frame in bytes."""
GICR_STRIDE: Final = 0x2_0000
"""The distance between the redistributors of two PEs: RD_base and SGI_base, without virtual LPIs."""
GICR_SGI_BASE: Final = 0x1_0000
"""SGI_base relative to RD_base; its interrupt registers have the same offsets as in the distributor."""
IIDR: Final = JEP106_ARM
"""GICD_IIDR and GICR_IIDR: implementer Arm, product 0."""


class Ppi(IntEnum):
    """The private peripheral interrupts assigned by the Base System Architecture."""

    PMU = 23
    MAINTENANCE = 25
    CNTHP = 26
    CNTV = 27
    CNTHV = 28
    CNTPS = 29
    CNTP = 30


class Gicd(IntEnum):
    """Offsets in the distributor's frame; ``IGROUPR`` to ``NSACR`` also apply to SGI_base of a redistributor."""

    CTLR = 0x0000
    TYPER = 0x0004
    IIDR = 0x0008
    SETSPI_NSR = 0x0040
    CLRSPI_NSR = 0x0048
    SETSPI_SR = 0x0050
    CLRSPI_SR = 0x0058
    IGROUPR = 0x0080
    ISENABLER = 0x0100
    ICENABLER = 0x0180
    ISPENDR = 0x0200
    ICPENDR = 0x0280
    ISACTIVER = 0x0300
    ICACTIVER = 0x0380
    IPRIORITYR = 0x0400
    ICFGR = 0x0C00
    IGRPMODR = 0x0D00
    NSACR = 0x0E00
    IROUTER = 0x6000
    PIDR2 = 0xFFE8


class Gicr(IntEnum):
    """Offsets in RD_base of a redistributor."""

    CTLR = 0x0000
    IIDR = 0x0004
    TYPER = 0x0008
    WAKER = 0x0014
    PIDR2 = 0xFFE8


class GicdCtlr(Bits):
    """GICD_CTLR with two security states, as Secure accesses see it."""

    enablegrp0 = Field(0)
    enablegrp1ns = Field(1)
    enablegrp1s = Field(2)
    are_s = Field(4)
    are_ns = Field(5)
    ds = Field(6)
    e1nwf = Field(7)
    rwp = Field(31)


class GicdCtlrNs(Bits):
    """GICD_CTLR with two security states, as Non-secure accesses see it, or with one, if ``ds`` is set."""

    enablegrp1 = Field(0)
    enablegrp1a = Field(1)
    are_ns = Field(4)
    ds = Field(6)
    rwp = Field(31)


class GicdTyper(Bits):
    """GICD_TYPER."""

    itlinesnumber = Field(4, 0)
    cpunumber = Field(7, 5)
    securityextn = Field(10)
    mbis = Field(16)
    lpis = Field(17)
    dvis = Field(18)
    idbits = Field(23, 19)
    a3v = Field(24)
    no1n = Field(25)
    rss = Field(26)


class GicdIrouter(Bits):
    """GICD_IROUTER<n>: the affinity that an SPI is routed to, or any PE."""

    aff0 = Field(7, 0)
    aff1 = Field(15, 8)
    aff2 = Field(23, 16)
    irm = Field(31)
    aff3 = Field(39, 32)


class GicrTyper(Bits):
    """GICR_TYPER."""

    plpis = Field(0)
    last = Field(4)
    processor_number = Field(23, 8)
    affinity_value = Field(63, 32)


class GicrWaker(Bits):
    """GICR_WAKER."""

    processorsleep = Field(1)
    childrenasleep = Field(2)


IDENTIFICATION: Final = {
    0xFFD0: 0x44,
    0xFFE0: 0x92, 0xFFE4: 0xB4, 0xFFE8: 0x3B,  # PIDR2.ArchRev 3: GICv3
    0xFFF0: 0x0D, 0xFFF4: 0xF0, 0xFFF8: 0x05, 0xFFFC: 0xB1,
}  # fmt: skip
"""Offset to value of the peripheral and component ID registers at the end of every 64 KiB frame."""
