"""The encoding of every system register for MRS and MSR, by name (DDI 0487, D24; IHI 0069, 12.2)."""

from typing import Final, NamedTuple

__all__ = ["REGISTERS", "Encoding"]


class Encoding(NamedTuple):
    """The encoding of a system register in MRS and MSR."""

    op0: int
    op1: int
    crn: int
    crm: int
    op2: int

    @property
    def packed(self) -> int:
        """op0:op1:CRn:CRm:op2 as one number, 4 bits each, for comparisons in native code."""
        return self.op0 << 16 | self.op1 << 12 | self.crn << 8 | self.crm << 4 | self.op2


# -- identification -----------------------------------------------------------------------------------------------
MIDR_EL1: Final = Encoding(3, 0, 0, 0, 0)
MPIDR_EL1: Final = Encoding(3, 0, 0, 0, 5)
REVIDR_EL1: Final = Encoding(3, 0, 0, 0, 6)
ID_AA64PFR0_EL1: Final = Encoding(3, 0, 0, 4, 0)
ID_AA64PFR1_EL1: Final = Encoding(3, 0, 0, 4, 1)
ID_AA64DFR0_EL1: Final = Encoding(3, 0, 0, 5, 0)
ID_AA64DFR1_EL1: Final = Encoding(3, 0, 0, 5, 1)
ID_AA64AFR0_EL1: Final = Encoding(3, 0, 0, 5, 4)
ID_AA64AFR1_EL1: Final = Encoding(3, 0, 0, 5, 5)
ID_AA64ISAR0_EL1: Final = Encoding(3, 0, 0, 6, 0)
ID_AA64ISAR1_EL1: Final = Encoding(3, 0, 0, 6, 1)
ID_AA64MMFR0_EL1: Final = Encoding(3, 0, 0, 7, 0)
ID_AA64MMFR1_EL1: Final = Encoding(3, 0, 0, 7, 1)
ID_AA64MMFR2_EL1: Final = Encoding(3, 0, 0, 7, 2)
CTR_EL0: Final = Encoding(3, 3, 0, 0, 1)
VPIDR_EL2: Final = Encoding(3, 4, 0, 0, 0)
VMPIDR_EL2: Final = Encoding(3, 4, 0, 0, 5)

# -- debug --------------------------------------------------------------------------------------------------------
MDSCR_EL1: Final = Encoding(2, 0, 0, 2, 2)
DBGBVR0_EL1: Final = Encoding(2, 0, 0, 0, 4)
DBGBVR1_EL1: Final = Encoding(2, 0, 0, 1, 4)
DBGBVR2_EL1: Final = Encoding(2, 0, 0, 2, 4)
DBGBVR3_EL1: Final = Encoding(2, 0, 0, 3, 4)
DBGBVR4_EL1: Final = Encoding(2, 0, 0, 4, 4)
DBGBVR5_EL1: Final = Encoding(2, 0, 0, 5, 4)
DBGBCR0_EL1: Final = Encoding(2, 0, 0, 0, 5)
DBGBCR1_EL1: Final = Encoding(2, 0, 0, 1, 5)
DBGBCR2_EL1: Final = Encoding(2, 0, 0, 2, 5)
DBGBCR3_EL1: Final = Encoding(2, 0, 0, 3, 5)
DBGBCR4_EL1: Final = Encoding(2, 0, 0, 4, 5)
DBGBCR5_EL1: Final = Encoding(2, 0, 0, 5, 5)
DBGWVR0_EL1: Final = Encoding(2, 0, 0, 0, 6)
DBGWVR1_EL1: Final = Encoding(2, 0, 0, 1, 6)
DBGWVR2_EL1: Final = Encoding(2, 0, 0, 2, 6)
DBGWVR3_EL1: Final = Encoding(2, 0, 0, 3, 6)
DBGWCR0_EL1: Final = Encoding(2, 0, 0, 0, 7)
DBGWCR1_EL1: Final = Encoding(2, 0, 0, 1, 7)
DBGWCR2_EL1: Final = Encoding(2, 0, 0, 2, 7)
DBGWCR3_EL1: Final = Encoding(2, 0, 0, 3, 7)
OSLAR_EL1: Final = Encoding(2, 0, 1, 0, 4)
OSLSR_EL1: Final = Encoding(2, 0, 1, 1, 4)
MDCR_EL2: Final = Encoding(3, 4, 1, 1, 1)
MDCR_EL3: Final = Encoding(3, 6, 1, 3, 1)

# -- EL0 and EL1 --------------------------------------------------------------------------------------------------
CSSELR_EL1: Final = Encoding(3, 2, 0, 0, 0)
SCTLR_EL1: Final = Encoding(3, 0, 1, 0, 0)
ACTLR_EL1: Final = Encoding(3, 0, 1, 0, 1)
CPACR_EL1: Final = Encoding(3, 0, 1, 0, 2)
TTBR0_EL1: Final = Encoding(3, 0, 2, 0, 0)
TTBR1_EL1: Final = Encoding(3, 0, 2, 0, 1)
APIAKEYLO_EL1: Final = Encoding(3, 0, 2, 1, 0)
APIAKEYHI_EL1: Final = Encoding(3, 0, 2, 1, 1)
APIBKEYLO_EL1: Final = Encoding(3, 0, 2, 1, 2)
APIBKEYHI_EL1: Final = Encoding(3, 0, 2, 1, 3)
APDAKEYLO_EL1: Final = Encoding(3, 0, 2, 2, 0)
APDAKEYHI_EL1: Final = Encoding(3, 0, 2, 2, 1)
APDBKEYLO_EL1: Final = Encoding(3, 0, 2, 2, 2)
APDBKEYHI_EL1: Final = Encoding(3, 0, 2, 2, 3)
APGAKEYLO_EL1: Final = Encoding(3, 0, 2, 3, 0)
APGAKEYHI_EL1: Final = Encoding(3, 0, 2, 3, 1)
TCR_EL1: Final = Encoding(3, 0, 2, 0, 2)
SPSR_EL1: Final = Encoding(3, 0, 4, 0, 0)
ELR_EL1: Final = Encoding(3, 0, 4, 0, 1)
AFSR0_EL1: Final = Encoding(3, 0, 5, 1, 0)
AFSR1_EL1: Final = Encoding(3, 0, 5, 1, 1)
ESR_EL1: Final = Encoding(3, 0, 5, 2, 0)
FAR_EL1: Final = Encoding(3, 0, 6, 0, 0)
PAR_EL1: Final = Encoding(3, 0, 7, 4, 0)
MAIR_EL1: Final = Encoding(3, 0, 10, 2, 0)
AMAIR_EL1: Final = Encoding(3, 0, 10, 3, 0)
VBAR_EL1: Final = Encoding(3, 0, 12, 0, 0)
ISR_EL1: Final = Encoding(3, 0, 12, 1, 0)
CONTEXTIDR_EL1: Final = Encoding(3, 0, 13, 0, 1)
TPIDR_EL1: Final = Encoding(3, 0, 13, 0, 4)
TPIDR_EL0: Final = Encoding(3, 3, 13, 0, 2)
TPIDRRO_EL0: Final = Encoding(3, 3, 13, 0, 3)
DIT: Final = Encoding(3, 3, 4, 2, 5)
SSBS: Final = Encoding(3, 3, 4, 2, 6)
RNDR: Final = Encoding(3, 3, 2, 4, 0)
RNDRRS: Final = Encoding(3, 3, 2, 4, 1)

# -- EL2 and EL3 --------------------------------------------------------------------------------------------------
SCTLR_EL2: Final = Encoding(3, 4, 1, 0, 0)
HCR_EL2: Final = Encoding(3, 4, 1, 1, 0)
CPTR_EL2: Final = Encoding(3, 4, 1, 1, 2)
HSTR_EL2: Final = Encoding(3, 4, 1, 1, 3)
ZCR_EL2: Final = Encoding(3, 4, 1, 2, 0)
TTBR0_EL2: Final = Encoding(3, 4, 2, 0, 0)
TTBR1_EL2: Final = Encoding(3, 4, 2, 0, 1)
TCR_EL2: Final = Encoding(3, 4, 2, 0, 2)
VTTBR_EL2: Final = Encoding(3, 4, 2, 1, 0)
VTCR_EL2: Final = Encoding(3, 4, 2, 1, 2)
DACR32_EL2: Final = Encoding(3, 4, 3, 0, 0)
SPSR_EL2: Final = Encoding(3, 4, 4, 0, 0)
ELR_EL2: Final = Encoding(3, 4, 4, 0, 1)
SPSR_IRQ: Final = Encoding(3, 4, 4, 3, 0)
SPSR_ABT: Final = Encoding(3, 4, 4, 3, 1)
SPSR_UND: Final = Encoding(3, 4, 4, 3, 2)
SPSR_FIQ: Final = Encoding(3, 4, 4, 3, 3)
IFSR32_EL2: Final = Encoding(3, 4, 5, 0, 1)
FPEXC32_EL2: Final = Encoding(3, 4, 5, 3, 0)
ESR_EL2: Final = Encoding(3, 4, 5, 2, 0)
FAR_EL2: Final = Encoding(3, 4, 6, 0, 0)
HPFAR_EL2: Final = Encoding(3, 4, 6, 0, 4)
MAIR_EL2: Final = Encoding(3, 4, 10, 2, 0)
VBAR_EL2: Final = Encoding(3, 4, 12, 0, 0)
CONTEXTIDR_EL2: Final = Encoding(3, 4, 13, 0, 1)
TPIDR_EL2: Final = Encoding(3, 4, 13, 0, 2)
SCR_EL3: Final = Encoding(3, 6, 1, 1, 0)
TPIDR_EL3: Final = Encoding(3, 6, 13, 0, 2)

# -- generic timers -----------------------------------------------------------------------------------------------
CNTFRQ_EL0: Final = Encoding(3, 3, 14, 0, 0)
CNTPCT_EL0: Final = Encoding(3, 3, 14, 0, 1)
CNTVCT_EL0: Final = Encoding(3, 3, 14, 0, 2)
CNTP_TVAL_EL0: Final = Encoding(3, 3, 14, 2, 0)
CNTP_CTL_EL0: Final = Encoding(3, 3, 14, 2, 1)
CNTP_CVAL_EL0: Final = Encoding(3, 3, 14, 2, 2)
CNTV_TVAL_EL0: Final = Encoding(3, 3, 14, 3, 0)
CNTV_CTL_EL0: Final = Encoding(3, 3, 14, 3, 1)
CNTV_CVAL_EL0: Final = Encoding(3, 3, 14, 3, 2)
CNTKCTL_EL1: Final = Encoding(3, 0, 14, 1, 0)
CNTVOFF_EL2: Final = Encoding(3, 4, 14, 0, 3)
CNTHCTL_EL2: Final = Encoding(3, 4, 14, 1, 0)
CNTHP_TVAL_EL2: Final = Encoding(3, 4, 14, 2, 0)
CNTHP_CTL_EL2: Final = Encoding(3, 4, 14, 2, 1)
CNTHP_CVAL_EL2: Final = Encoding(3, 4, 14, 2, 2)
CNTHV_TVAL_EL2: Final = Encoding(3, 4, 14, 3, 0)
CNTHV_CTL_EL2: Final = Encoding(3, 4, 14, 3, 1)
CNTHV_CVAL_EL2: Final = Encoding(3, 4, 14, 3, 2)

# -- performance monitors -----------------------------------------------------------------------------------------
PMINTENSET_EL1: Final = Encoding(3, 0, 9, 14, 1)
PMINTENCLR_EL1: Final = Encoding(3, 0, 9, 14, 2)
PMMIR_EL1: Final = Encoding(3, 0, 9, 14, 6)
PMCR_EL0: Final = Encoding(3, 3, 9, 12, 0)
PMCNTENSET_EL0: Final = Encoding(3, 3, 9, 12, 1)
PMCNTENCLR_EL0: Final = Encoding(3, 3, 9, 12, 2)
PMOVSCLR_EL0: Final = Encoding(3, 3, 9, 12, 3)
PMSWINC_EL0: Final = Encoding(3, 3, 9, 12, 4)
PMSELR_EL0: Final = Encoding(3, 3, 9, 12, 5)
PMCEID0_EL0: Final = Encoding(3, 3, 9, 12, 6)
PMCEID1_EL0: Final = Encoding(3, 3, 9, 12, 7)
PMCCNTR_EL0: Final = Encoding(3, 3, 9, 13, 0)
PMXEVTYPER_EL0: Final = Encoding(3, 3, 9, 13, 1)
PMXEVCNTR_EL0: Final = Encoding(3, 3, 9, 13, 2)
PMUSERENR_EL0: Final = Encoding(3, 3, 9, 14, 0)
PMOVSSET_EL0: Final = Encoding(3, 3, 9, 14, 3)
PMEVCNTR0_EL0: Final = Encoding(3, 3, 14, 8, 0)
"""The first event counter: number n has CRm 8 + n // 8 and op2 n % 8."""
PMEVTYPER0_EL0: Final = Encoding(3, 3, 14, 12, 0)
"""The first event type: number n has CRm 12 + n // 8 and op2 n % 8."""
PMCCFILTR_EL0: Final = Encoding(3, 3, 14, 15, 7)

# -- interrupt controller: CPU interface --------------------------------------------------------------------------
ICC_PMR_EL1: Final = Encoding(3, 0, 4, 6, 0)
ICC_IAR0_EL1: Final = Encoding(3, 0, 12, 8, 0)
ICC_EOIR0_EL1: Final = Encoding(3, 0, 12, 8, 1)
ICC_HPPIR0_EL1: Final = Encoding(3, 0, 12, 8, 2)
ICC_BPR0_EL1: Final = Encoding(3, 0, 12, 8, 3)
ICC_AP0R0_EL1: Final = Encoding(3, 0, 12, 8, 4)
ICC_AP1R0_EL1: Final = Encoding(3, 0, 12, 9, 0)
ICC_DIR_EL1: Final = Encoding(3, 0, 12, 11, 1)
ICC_RPR_EL1: Final = Encoding(3, 0, 12, 11, 3)
ICC_SGI1R_EL1: Final = Encoding(3, 0, 12, 11, 5)
ICC_ASGI1R_EL1: Final = Encoding(3, 0, 12, 11, 6)
ICC_SGI0R_EL1: Final = Encoding(3, 0, 12, 11, 7)
ICC_IAR1_EL1: Final = Encoding(3, 0, 12, 12, 0)
ICC_EOIR1_EL1: Final = Encoding(3, 0, 12, 12, 1)
ICC_HPPIR1_EL1: Final = Encoding(3, 0, 12, 12, 2)
ICC_BPR1_EL1: Final = Encoding(3, 0, 12, 12, 3)
ICC_CTLR_EL1: Final = Encoding(3, 0, 12, 12, 4)
ICC_SRE_EL1: Final = Encoding(3, 0, 12, 12, 5)
ICC_IGRPEN0_EL1: Final = Encoding(3, 0, 12, 12, 6)
ICC_IGRPEN1_EL1: Final = Encoding(3, 0, 12, 12, 7)
ICC_SRE_EL2: Final = Encoding(3, 4, 12, 9, 5)
ICC_CTLR_EL3: Final = Encoding(3, 6, 12, 12, 4)
ICC_SRE_EL3: Final = Encoding(3, 6, 12, 12, 5)
ICC_IGRPEN1_EL3: Final = Encoding(3, 6, 12, 12, 7)

# -- interrupt controller: virtual CPU interface ------------------------------------------------------------------
ICH_AP0R0_EL2: Final = Encoding(3, 4, 12, 8, 0)
ICH_AP1R0_EL2: Final = Encoding(3, 4, 12, 9, 0)
ICH_HCR_EL2: Final = Encoding(3, 4, 12, 11, 0)
ICH_VTR_EL2: Final = Encoding(3, 4, 12, 11, 1)
ICH_MISR_EL2: Final = Encoding(3, 4, 12, 11, 2)
ICH_EISR_EL2: Final = Encoding(3, 4, 12, 11, 3)
ICH_ELRSR_EL2: Final = Encoding(3, 4, 12, 11, 5)
ICH_VMCR_EL2: Final = Encoding(3, 4, 12, 11, 7)
ICH_LR0_EL2: Final = Encoding(3, 4, 12, 12, 0)
"""The first list register; op2 increments for the following ones."""

REGISTERS: Final[dict[str, Encoding]] = {
    name.lower(): value for name, value in list(globals().items()) if isinstance(value, Encoding)
}
"""Every register by its lower-case name: ``hcr_el2``."""
