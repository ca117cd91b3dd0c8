// Exception syndromes (DDI 0487, ESR_ELx). Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_ESR_H
#define ABI_ESR_H

#include "abi/number.h"

// Exception classes; _SAME is taken from the level that takes it.
#define EC_UNKNOWN 0
#define EC_WFX 1
#define EC_FP_ASIMD 7
#define EC_PAC 9
#define EC_ILLEGAL_STATE 14
#define EC_SVC 21
#define EC_HVC 22
#define EC_SMC 23
#define EC_SYSREG 24
#define EC_SVE 25
#define EC_ERET 26
#define EC_SME 29
#define EC_GPC 30
#define EC_INSTRUCTION_ABORT 32
#define EC_INSTRUCTION_ABORT_SAME 33
#define EC_PC_ALIGNMENT 34
#define EC_DATA_ABORT 36
#define EC_DATA_ABORT_SAME 37
#define EC_SP_ALIGNMENT 38
#define EC_SERROR 47
#define EC_BREAKPOINT 48
#define EC_BREAKPOINT_SAME 49
#define EC_SOFTWARE_STEP 50
#define EC_SOFTWARE_STEP_SAME 51
#define EC_WATCHPOINT 52
#define EC_WATCHPOINT_SAME 53
#define EC_BRK 60

// Fault status codes; for a table walk, add the level.
#define FSC_ADDRESS_SIZE 0
#define FSC_TRANSLATION 4
#define FSC_ACCESS_FLAG 8
#define FSC_PERMISSION 12
#define FSC_EXTERNAL 16
#define FSC_ASYNCHRONOUS 17
#define FSC_EXTERNAL_WALK 20
#define FSC_ALIGNMENT 33
#define FSC_DEBUG 34
#define FSC_GPF_WALK 36
#define FSC_GPF 40
#define FSC_UNSUPPORTED_EXCLUSIVE 53

// Aborts.
#define ESR_EC_SHIFT 26
#define ESR_EC_MASK U64(0xfc000000)
#define ESR_EC(word) (((word) >> 26) & 0x3f)
#define ESR_IL U64(0x2000000)
#define ESR_ISS_SHIFT 0
#define ESR_ISS_MASK U64(0x1ffffff)
#define ESR_ISS(word) (((word) >> 0) & 0x1ffffff)
#define ESR_SET_SHIFT 11
#define ESR_SET_MASK U64(0x1800)
#define ESR_SET(word) (((word) >> 11) & 0x3)
#define ESR_FNV U64(0x400)
#define ESR_EA U64(0x200)
#define ESR_S1PTW U64(0x80)
#define ESR_FSC_SHIFT 0
#define ESR_FSC_MASK U64(0x3f)
#define ESR_FSC(word) (((word) >> 0) & 0x3f)
#define ESR_ISV U64(0x1000000)
#define ESR_SAS_SHIFT 22
#define ESR_SAS_MASK U64(0xc00000)
#define ESR_SAS(word) (((word) >> 22) & 0x3)
#define ESR_SSE U64(0x200000)
#define ESR_SRT_SHIFT 16
#define ESR_SRT_MASK U64(0x1f0000)
#define ESR_SRT(word) (((word) >> 16) & 0x1f)
#define ESR_SF U64(0x8000)
#define ESR_AR U64(0x4000)
#define ESR_VNCR U64(0x2000)
#define ESR_CM U64(0x100)
#define ESR_WNR U64(0x40)

// SVC, HVC, SMC and BRK.
#define ESR_IMM16_SHIFT 0
#define ESR_IMM16_MASK U64(0xffff)
#define ESR_IMM16(word) (((word) >> 0) & 0xffff)

// A trapped MSR, MRS or SYS.
#define ESR_SYS_OP0_SHIFT 20
#define ESR_SYS_OP0_MASK U64(0x300000)
#define ESR_SYS_OP0(word) (((word) >> 20) & 0x3)
#define ESR_SYS_OP2_SHIFT 17
#define ESR_SYS_OP2_MASK U64(0xe0000)
#define ESR_SYS_OP2(word) (((word) >> 17) & 0x7)
#define ESR_SYS_OP1_SHIFT 14
#define ESR_SYS_OP1_MASK U64(0x1c000)
#define ESR_SYS_OP1(word) (((word) >> 14) & 0x7)
#define ESR_SYS_CRN_SHIFT 10
#define ESR_SYS_CRN_MASK U64(0x3c00)
#define ESR_SYS_CRN(word) (((word) >> 10) & 0xf)
#define ESR_SYS_RT_SHIFT 5
#define ESR_SYS_RT_MASK U64(0x3e0)
#define ESR_SYS_RT(word) (((word) >> 5) & 0x1f)
#define ESR_SYS_CRM_SHIFT 1
#define ESR_SYS_CRM_MASK U64(0x1e)
#define ESR_SYS_CRM(word) (((word) >> 1) & 0xf)
#define ESR_SYS_DIRECTION U64(0x1)

// A trapped WFI or WFE.
#define ESR_WFX_CV U64(0x1000000)
#define ESR_WFX_COND_SHIFT 20
#define ESR_WFX_COND_MASK U64(0xf00000)
#define ESR_WFX_COND(word) (((word) >> 20) & 0xf)
#define ESR_WFX_RN_SHIFT 5
#define ESR_WFX_RN_MASK U64(0x3e0)
#define ESR_WFX_RN(word) (((word) >> 5) & 0x1f)
#define ESR_WFX_RV U64(0x4)
#define ESR_WFX_TI_SHIFT 0
#define ESR_WFX_TI_MASK U64(0x3)
#define ESR_WFX_TI(word) (((word) >> 0) & 0x3)

// An SError.
#define ESR_SERROR_IDS U64(0x1000000)
#define ESR_SERROR_AET_SHIFT 10
#define ESR_SERROR_AET_MASK U64(0x1c00)
#define ESR_SERROR_AET(word) (((word) >> 10) & 0x7)
#define ESR_SERROR_EA U64(0x200)
#define ESR_SERROR_DFSC_SHIFT 0
#define ESR_SERROR_DFSC_MASK U64(0x3f)
#define ESR_SERROR_DFSC(word) (((word) >> 0) & 0x3f)

#endif
