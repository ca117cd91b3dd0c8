"""The performance monitors, version 3 for Armv8.5 (DDI 0487, D13 and D24.5): registers and events."""

from enum import IntEnum
from typing import Final

from cca_arch.fields import Bits, Field

__all__ = ["PMU_COUNTERS", "PMU_CYCLES", "PMU_V3P5", "PmEvent", "PmFilter", "Pmcr", "Pmuserenr"]

PMU_V3P5: Final = 6
"""ID_AA64DFR0_EL1.PMUVer: 64-bit event counters."""
PMU_COUNTERS: Final = 6
"""The event counters of a PE: PMCR_EL0.N, and the reset value of MDCR_EL2.HPMN."""
PMU_CYCLES: Final = 31
"""The cycle counter's number: its bit in PMCNTENSET_EL0 and the like, its value of PMSELR_EL0.SEL."""


class Pmcr(Bits):
    """PMCR_EL0: Performance Monitors Control Register."""

    e = Field(0)
    p = Field(1)
    c = Field(2)
    dp = Field(5)
    lc = Field(6)
    lp = Field(7)
    n = Field(15, 11)
    idcode = Field(23, 16)
    imp = Field(31, 24)


class PmFilter(Bits):
    """PMEVTYPER<n>_EL0 and PMCCFILTR_EL0: what counts, and where."""

    event = Field(15, 0)
    rlh = Field(20)
    rlu = Field(21)
    rlk = Field(22)
    m = Field(26)
    nsh = Field(27)
    nsu = Field(28)
    nsk = Field(29)
    u = Field(30)
    p = Field(31)


class Pmuserenr(Bits):
    """PMUSERENR_EL0: what EL0 may use."""

    en = Field(0)
    sw = Field(1)
    cr = Field(2)
    er = Field(3)


class PmEvent(IntEnum):
    """The common events that this PE has."""

    SW_INCR = 0x00
    INST_RETIRED = 0x08
    CPU_CYCLES = 0x11
    CHAIN = 0x1E
    STALL_FRONTEND = 0x23
    STALL_BACKEND = 0x24
    STALL = 0x3C
