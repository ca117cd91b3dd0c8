"""The SMMU Root Control Page, through which EL3 programs an SMMU with RME (IHI 0070, 6.2.6)."""

from enum import IntEnum

from cca_arch.fields import Bits, Field

__all__ = ["RootCr0", "RootOffset"]


class RootOffset(IntEnum):
    """Registers of the page. SMMU_ROOT_GPT_BASE_CFG has the layout of GPCCR_EL3 without GPC."""

    IDR0 = 0x00
    IIDR = 0x08
    CR0 = 0x20
    CR0ACK = 0x24
    GPT_BASE = 0x28
    GPT_BASE_CFG = 0x30
    GPF_FAR = 0x38
    GPT_CFG_FAR = 0x40


class RootCr0(Bits):
    """SMMU_ROOT_CR0: whether client and SMMU-originated accesses are enabled, and checked."""

    accessen = Field(0)
    gpcen = Field(1)
