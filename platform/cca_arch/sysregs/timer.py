"""The controls of the generic timers (DDI 0487, D12 and D24.10)."""

from cca_arch.fields import Bits, Field

__all__ = ["CntCtl", "Cnthctl", "Cntkctl"]


class CntCtl(Bits):
    """CNTP_CTL_EL0, CNTV_CTL_EL0, CNTHP_CTL_EL2 and CNTHV_CTL_EL2."""

    enable = Field(0)
    imask = Field(1)
    istatus = Field(2)


class Cnthctl(Bits):
    """CNTHCTL_EL2 with HCR_EL2.E2H = 0."""

    el1pcten = Field(0)
    el1pcen = Field(1)
    evnten = Field(2)
    evntdir = Field(3)
    evnti = Field(7, 4)
    cntvmask = Field(18)
    cntpmask = Field(19)


class Cntkctl(Bits):
    """CNTKCTL_EL1: access of EL0 to the counter and timers."""

    el0pcten = Field(0)
    el0vcten = Field(1)
    evnten = Field(2)
    evntdir = Field(3)
    evnti = Field(7, 4)
    el0vten = Field(8)
    el0pten = Field(9)
