// System registers (DDI 0487, D24) and stage 1 descriptors (D8.3): their fields. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_SYSREG_H
#define ABI_SYSREG_H

#include "abi/number.h"

// SCTLR_EL1, and SCTLR_EL2 where it has the field.
#define SCTLR_M U64(0x1)
#define SCTLR_A U64(0x2)
#define SCTLR_C U64(0x4)
#define SCTLR_SA U64(0x8)
#define SCTLR_SA0 U64(0x10)
#define SCTLR_NAA U64(0x40)
#define SCTLR_UMA U64(0x200)
#define SCTLR_ENRCTX U64(0x400)
#define SCTLR_EOS U64(0x800)
#define SCTLR_I U64(0x1000)
#define SCTLR_ENDB U64(0x2000)
#define SCTLR_DZE U64(0x4000)
#define SCTLR_UCT U64(0x8000)
#define SCTLR_NTWI U64(0x10000)
#define SCTLR_NTWE U64(0x40000)
#define SCTLR_WXN U64(0x80000)
#define SCTLR_IESB U64(0x200000)
#define SCTLR_EIS U64(0x400000)
#define SCTLR_SPAN U64(0x800000)
#define SCTLR_E0E U64(0x1000000)
#define SCTLR_EE U64(0x2000000)
#define SCTLR_UCI U64(0x4000000)
#define SCTLR_ENDA U64(0x8000000)
#define SCTLR_ENIB U64(0x40000000)
#define SCTLR_ENIA U64(0x80000000)
#define SCTLR_DSSBS U64(0x100000000000)

// TCR_EL1.
#define TCR_T0SZ_SHIFT 0
#define TCR_T0SZ_MASK U64(0x3f)
#define TCR_T0SZ(word) (((word) >> 0) & 0x3f)
#define TCR_EPD0 U64(0x80)
#define TCR_IRGN0_SHIFT 8
#define TCR_IRGN0_MASK U64(0x300)
#define TCR_IRGN0(word) (((word) >> 8) & 0x3)
#define TCR_ORGN0_SHIFT 10
#define TCR_ORGN0_MASK U64(0xc00)
#define TCR_ORGN0(word) (((word) >> 10) & 0x3)
#define TCR_SH0_SHIFT 12
#define TCR_SH0_MASK U64(0x3000)
#define TCR_SH0(word) (((word) >> 12) & 0x3)
#define TCR_TG0_SHIFT 14
#define TCR_TG0_MASK U64(0xc000)
#define TCR_TG0(word) (((word) >> 14) & 0x3)
#define TCR_T1SZ_SHIFT 16
#define TCR_T1SZ_MASK U64(0x3f0000)
#define TCR_T1SZ(word) (((word) >> 16) & 0x3f)
#define TCR_A1 U64(0x400000)
#define TCR_EPD1 U64(0x800000)
#define TCR_IRGN1_SHIFT 24
#define TCR_IRGN1_MASK U64(0x3000000)
#define TCR_IRGN1(word) (((word) >> 24) & 0x3)
#define TCR_ORGN1_SHIFT 26
#define TCR_ORGN1_MASK U64(0xc000000)
#define TCR_ORGN1(word) (((word) >> 26) & 0x3)
#define TCR_SH1_SHIFT 28
#define TCR_SH1_MASK U64(0x30000000)
#define TCR_SH1(word) (((word) >> 28) & 0x3)
#define TCR_TG1_SHIFT 30
#define TCR_TG1_MASK U64(0xc0000000)
#define TCR_TG1(word) (((word) >> 30) & 0x3)
#define TCR_IPS_SHIFT 32
#define TCR_IPS_MASK U64(0x700000000)
#define TCR_IPS(word) (((word) >> 32) & 0x7)
#define TCR_AS U64(0x1000000000)
#define TCR_TBI0 U64(0x2000000000)
#define TCR_TBI1 U64(0x4000000000)
#define TCR_HA U64(0x8000000000)
#define TCR_HD U64(0x10000000000)
#define TCR_HPD0 U64(0x20000000000)
#define TCR_HPD1 U64(0x40000000000)
#define TCR_TBID0 U64(0x8000000000000)
#define TCR_TBID1 U64(0x10000000000000)
#define TCR_E0PD0 U64(0x80000000000000)
#define TCR_E0PD1 U64(0x100000000000000)

// TCR_EL2.
#define TCR_EL2_T0SZ_SHIFT 0
#define TCR_EL2_T0SZ_MASK U64(0x3f)
#define TCR_EL2_T0SZ(word) (((word) >> 0) & 0x3f)
#define TCR_EL2_IRGN0_SHIFT 8
#define TCR_EL2_IRGN0_MASK U64(0x300)
#define TCR_EL2_IRGN0(word) (((word) >> 8) & 0x3)
#define TCR_EL2_ORGN0_SHIFT 10
#define TCR_EL2_ORGN0_MASK U64(0xc00)
#define TCR_EL2_ORGN0(word) (((word) >> 10) & 0x3)
#define TCR_EL2_SH0_SHIFT 12
#define TCR_EL2_SH0_MASK U64(0x3000)
#define TCR_EL2_SH0(word) (((word) >> 12) & 0x3)
#define TCR_EL2_TG0_SHIFT 14
#define TCR_EL2_TG0_MASK U64(0xc000)
#define TCR_EL2_TG0(word) (((word) >> 14) & 0x3)
#define TCR_EL2_PS_SHIFT 16
#define TCR_EL2_PS_MASK U64(0x70000)
#define TCR_EL2_PS(word) (((word) >> 16) & 0x7)
#define TCR_EL2_TBI U64(0x100000)
#define TCR_EL2_HA U64(0x200000)
#define TCR_EL2_HD U64(0x400000)
#define TCR_EL2_RES1_23 U64(0x800000)
#define TCR_EL2_HPD U64(0x1000000)
#define TCR_EL2_TBID U64(0x20000000)
#define TCR_EL2_RES1_31 U64(0x80000000)

// HCR_EL2.
#define HCR_VM U64(0x1)
#define HCR_SWIO U64(0x2)
#define HCR_PTW U64(0x4)
#define HCR_FMO U64(0x8)
#define HCR_IMO U64(0x10)
#define HCR_AMO U64(0x20)
#define HCR_VF U64(0x40)
#define HCR_VI U64(0x80)
#define HCR_VSE U64(0x100)
#define HCR_FB U64(0x200)
#define HCR_BSU_SHIFT 10
#define HCR_BSU_MASK U64(0xc00)
#define HCR_BSU(word) (((word) >> 10) & 0x3)
#define HCR_DC U64(0x1000)
#define HCR_TWI U64(0x2000)
#define HCR_TWE U64(0x4000)
#define HCR_TID0 U64(0x8000)
#define HCR_TID1 U64(0x10000)
#define HCR_TID2 U64(0x20000)
#define HCR_TID3 U64(0x40000)
#define HCR_TSC U64(0x80000)
#define HCR_TIDCP U64(0x100000)
#define HCR_TACR U64(0x200000)
#define HCR_TSW U64(0x400000)
#define HCR_TPCP U64(0x800000)
#define HCR_TPU U64(0x1000000)
#define HCR_TTLB U64(0x2000000)
#define HCR_TVM U64(0x4000000)
#define HCR_TGE U64(0x8000000)
#define HCR_TDZ U64(0x10000000)
#define HCR_HCD U64(0x20000000)
#define HCR_TRVM U64(0x40000000)
#define HCR_RW U64(0x80000000)
#define HCR_CD U64(0x100000000)
#define HCR_ID U64(0x200000000)
#define HCR_E2H U64(0x400000000)
#define HCR_TLOR U64(0x800000000)
#define HCR_TERR U64(0x1000000000)
#define HCR_TEA U64(0x2000000000)
#define HCR_APK U64(0x10000000000)
#define HCR_API U64(0x20000000000)
#define HCR_NV U64(0x40000000000)
#define HCR_NV1 U64(0x80000000000)
#define HCR_AT U64(0x100000000000)
#define HCR_NV2 U64(0x200000000000)
#define HCR_FWB U64(0x400000000000)
#define HCR_FIEN U64(0x800000000000)
#define HCR_GPF U64(0x1000000000000)
#define HCR_TID4 U64(0x2000000000000)
#define HCR_TICAB U64(0x4000000000000)
#define HCR_AMVOFFEN U64(0x8000000000000)
#define HCR_TOCU U64(0x10000000000000)
#define HCR_ENSCXT U64(0x20000000000000)
#define HCR_TTLBIS U64(0x40000000000000)
#define HCR_TTLBOS U64(0x80000000000000)
#define HCR_ATA U64(0x100000000000000)
#define HCR_DCT U64(0x200000000000000)
#define HCR_TID5 U64(0x400000000000000)
#define HCR_TWEDEN U64(0x800000000000000)
#define HCR_TWEDEL_SHIFT 60
#define HCR_TWEDEL_MASK U64(0xf000000000000000)
#define HCR_TWEDEL(word) (((word) >> 60) & 0xf)

// CPACR_EL1.
#define CPACR_ZEN_SHIFT 16
#define CPACR_ZEN_MASK U64(0x30000)
#define CPACR_ZEN(word) (((word) >> 16) & 0x3)
#define CPACR_FPEN_SHIFT 20
#define CPACR_FPEN_MASK U64(0x300000)
#define CPACR_FPEN(word) (((word) >> 20) & 0x3)
#define CPACR_TTA U64(0x10000000)

// PSTATE in SPSR_ELx.
#define PSTATE_MODE_SHIFT 0
#define PSTATE_MODE_MASK U64(0xf)
#define PSTATE_MODE(word) (((word) >> 0) & 0xf)
#define PSTATE_SP U64(0x1)
#define PSTATE_EL_SHIFT 2
#define PSTATE_EL_MASK U64(0xc)
#define PSTATE_EL(word) (((word) >> 2) & 0x3)
#define PSTATE_AARCH32 U64(0x10)
#define PSTATE_F U64(0x40)
#define PSTATE_I U64(0x80)
#define PSTATE_A U64(0x100)
#define PSTATE_D U64(0x200)
#define PSTATE_DAIF_SHIFT 6
#define PSTATE_DAIF_MASK U64(0x3c0)
#define PSTATE_DAIF(word) (((word) >> 6) & 0xf)
#define PSTATE_BTYPE_SHIFT 10
#define PSTATE_BTYPE_MASK U64(0xc00)
#define PSTATE_BTYPE(word) (((word) >> 10) & 0x3)
#define PSTATE_SSBS U64(0x1000)
#define PSTATE_IL U64(0x100000)
#define PSTATE_SS U64(0x200000)
#define PSTATE_PAN U64(0x400000)
#define PSTATE_UAO U64(0x800000)
#define PSTATE_DIT U64(0x1000000)
#define PSTATE_V U64(0x10000000)
#define PSTATE_C U64(0x20000000)
#define PSTATE_Z U64(0x40000000)
#define PSTATE_N U64(0x80000000)
#define PSTATE_NZCV_SHIFT 28
#define PSTATE_NZCV_MASK U64(0xf0000000)
#define PSTATE_NZCV(word) (((word) >> 28) & 0xf)

// PSTATE of code that starts, interrupts masked.
#define PSTATE_EL1H_MASKED U64(0x3c5)
#define PSTATE_EL2H_MASKED U64(0x3c9)

// MPIDR_EL1.
#define MPIDR_AFF0_SHIFT 0
#define MPIDR_AFF0_MASK U64(0xff)
#define MPIDR_AFF0(word) (((word) >> 0) & 0xff)
#define MPIDR_AFF1_SHIFT 8
#define MPIDR_AFF1_MASK U64(0xff00)
#define MPIDR_AFF1(word) (((word) >> 8) & 0xff)
#define MPIDR_AFF2_SHIFT 16
#define MPIDR_AFF2_MASK U64(0xff0000)
#define MPIDR_AFF2(word) (((word) >> 16) & 0xff)
#define MPIDR_MT U64(0x1000000)
#define MPIDR_U U64(0x40000000)
#define MPIDR_RES1 U64(0x80000000)
#define MPIDR_AFF3_SHIFT 32
#define MPIDR_AFF3_MASK U64(0xff00000000)
#define MPIDR_AFF3(word) (((word) >> 32) & 0xff)

// Aff3 to Aff0.
#define MPIDR_AFFINITY U64(0xff00ffffff)

// CNTV_CTL_EL0, CNTP_CTL_EL0, CNTHP_CTL_EL2, CNTHV_CTL_EL2.
#define CNT_CTL_ENABLE U64(0x1)
#define CNT_CTL_IMASK U64(0x2)
#define CNT_CTL_ISTATUS U64(0x4)

// PAR_EL1 after an AT that succeeded.
#define PAR_F U64(0x1)
#define PAR_SH_SHIFT 7
#define PAR_SH_MASK U64(0x180)
#define PAR_SH(word) (((word) >> 7) & 0x3)
#define PAR_NS U64(0x200)
#define PAR_RES1 U64(0x800)
#define PAR_PA_SHIFT 12
#define PAR_PA_MASK U64(0xfffffffff000)
#define PAR_PA(word) (((word) >> 12) & 0xfffffffff)
#define PAR_ATTR_SHIFT 56
#define PAR_ATTR_MASK U64(0xff00000000000000)
#define PAR_ATTR(word) (((word) >> 56) & 0xff)

// Types of stage 1 descriptors.
#define S1_BLOCK 1
#define S1_PAGE 3
#define S1_TABLE 3

// A page or block descriptor of stage 1.
#define S1_TYPE_SHIFT 0
#define S1_TYPE_MASK U64(0x3)
#define S1_TYPE(word) (((word) >> 0) & 0x3)
#define S1_ATTRINDX_SHIFT 2
#define S1_ATTRINDX_MASK U64(0x1c)
#define S1_ATTRINDX(word) (((word) >> 2) & 0x7)
#define S1_NS U64(0x20)
#define S1_AP_SHIFT 6
#define S1_AP_MASK U64(0xc0)
#define S1_AP(word) (((word) >> 6) & 0x3)
#define S1_USER U64(0x40)
#define S1_READ_ONLY U64(0x80)
#define S1_SH_SHIFT 8
#define S1_SH_MASK U64(0x300)
#define S1_SH(word) (((word) >> 8) & 0x3)
#define S1_AF U64(0x400)
#define S1_NG U64(0x800)
#define S1_ADDRESS_SHIFT 12
#define S1_ADDRESS_MASK U64(0xfffffffff000)
#define S1_ADDRESS(word) (((word) >> 12) & 0xfffffffff)
#define S1_DBM U64(0x8000000000000)
#define S1_CONTIGUOUS U64(0x10000000000000)
#define S1_PXN U64(0x20000000000000)
#define S1_UXN U64(0x40000000000000)

#endif
