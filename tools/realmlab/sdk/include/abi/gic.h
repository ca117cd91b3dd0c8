// GICv3 (IHI 0069): interrupt IDs, frames and the CPU interface. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_GIC_H
#define ABI_GIC_H

#include "abi/number.h"

// Private interrupts of the Base System Architecture.
#define INTID_PMU 23
#define INTID_MAINTENANCE 25
#define INTID_CNTHP 26
#define INTID_CNTV 27
#define INTID_CNTHV 28
#define INTID_CNTPS 29
#define INTID_CNTP 30

// Where the kinds of interrupts begin, and the INTID that says there is none.
#define INTID_SPI 32
#define INTID_SPECIAL U64(0x3fc)
#define INTID_SPURIOUS U64(0x3ff)
#define INTID_LPI U64(0x2000)

// The distributor's frame.
#define GICD_CTLR 0
#define GICD_TYPER 4
#define GICD_IIDR 8
#define GICD_SETSPI_NSR 64
#define GICD_CLRSPI_NSR 72
#define GICD_SETSPI_SR 80
#define GICD_CLRSPI_SR 88
#define GICD_IGROUPR 128
#define GICD_ISENABLER U64(0x100)
#define GICD_ICENABLER U64(0x180)
#define GICD_ISPENDR U64(0x200)
#define GICD_ICPENDR U64(0x280)
#define GICD_ISACTIVER U64(0x300)
#define GICD_ICACTIVER U64(0x380)
#define GICD_IPRIORITYR U64(0x400)
#define GICD_ICFGR U64(0xc00)
#define GICD_IGRPMODR U64(0xd00)
#define GICD_NSACR U64(0xe00)
#define GICD_IROUTER U64(0x6000)
#define GICD_PIDR2 U64(0xffe8)

// GICD_CTLR, as Non-secure accesses and a Realm see it.
#define GICD_CTLR_ENABLEGRP1 U64(0x1)
#define GICD_CTLR_ENABLEGRP1A U64(0x2)
#define GICD_CTLR_ARE_NS U64(0x10)
#define GICD_CTLR_DS U64(0x40)
#define GICD_CTLR_RWP U64(0x80000000)

// GICD_TYPER.
#define GICD_TYPER_ITLINESNUMBER_SHIFT 0
#define GICD_TYPER_ITLINESNUMBER_MASK U64(0x1f)
#define GICD_TYPER_ITLINESNUMBER(word) (((word) >> 0) & 0x1f)
#define GICD_TYPER_CPUNUMBER_SHIFT 5
#define GICD_TYPER_CPUNUMBER_MASK U64(0xe0)
#define GICD_TYPER_CPUNUMBER(word) (((word) >> 5) & 0x7)
#define GICD_TYPER_SECURITYEXTN U64(0x400)
#define GICD_TYPER_MBIS U64(0x10000)
#define GICD_TYPER_LPIS U64(0x20000)
#define GICD_TYPER_DVIS U64(0x40000)
#define GICD_TYPER_IDBITS_SHIFT 19
#define GICD_TYPER_IDBITS_MASK U64(0xf80000)
#define GICD_TYPER_IDBITS(word) (((word) >> 19) & 0x1f)
#define GICD_TYPER_A3V U64(0x1000000)
#define GICD_TYPER_NO1N U64(0x2000000)
#define GICD_TYPER_RSS U64(0x4000000)

// GICD_IROUTER.
#define GICD_IROUTER_AFF0_SHIFT 0
#define GICD_IROUTER_AFF0_MASK U64(0xff)
#define GICD_IROUTER_AFF0(word) (((word) >> 0) & 0xff)
#define GICD_IROUTER_AFF1_SHIFT 8
#define GICD_IROUTER_AFF1_MASK U64(0xff00)
#define GICD_IROUTER_AFF1(word) (((word) >> 8) & 0xff)
#define GICD_IROUTER_AFF2_SHIFT 16
#define GICD_IROUTER_AFF2_MASK U64(0xff0000)
#define GICD_IROUTER_AFF2(word) (((word) >> 16) & 0xff)
#define GICD_IROUTER_IRM U64(0x80000000)
#define GICD_IROUTER_AFF3_SHIFT 32
#define GICD_IROUTER_AFF3_MASK U64(0xff00000000)
#define GICD_IROUTER_AFF3(word) (((word) >> 32) & 0xff)

// A redistributor's first frame.
#define GICR_CTLR 0
#define GICR_IIDR 4
#define GICR_TYPER 8
#define GICR_WAKER 20
#define GICR_PIDR2 U64(0xffe8)

// Its second one has the distributor's registers for SGIs and PPIs; then comes the next redistributor.
#define GICR_SGI U64(0x10000)
#define GICR_STRIDE U64(0x20000)

// GICR_TYPER.
#define GICR_TYPER_PLPIS U64(0x1)
#define GICR_TYPER_LAST U64(0x10)
#define GICR_TYPER_PROCESSOR_NUMBER_SHIFT 8
#define GICR_TYPER_PROCESSOR_NUMBER_MASK U64(0xffff00)
#define GICR_TYPER_PROCESSOR_NUMBER(word) (((word) >> 8) & 0xffff)
#define GICR_TYPER_AFFINITY_VALUE_SHIFT 32
#define GICR_TYPER_AFFINITY_VALUE_MASK U64(0xffffffff00000000)
#define GICR_TYPER_AFFINITY_VALUE(word) (((word) >> 32) & 0xffffffff)

// GICR_WAKER.
#define GICR_WAKER_PROCESSORSLEEP U64(0x2)
#define GICR_WAKER_CHILDRENASLEEP U64(0x4)

// ICC_SGI1R_EL1.
#define ICC_SGI1R_TARGETLIST_SHIFT 0
#define ICC_SGI1R_TARGETLIST_MASK U64(0xffff)
#define ICC_SGI1R_TARGETLIST(word) (((word) >> 0) & 0xffff)
#define ICC_SGI1R_AFF1_SHIFT 16
#define ICC_SGI1R_AFF1_MASK U64(0xff0000)
#define ICC_SGI1R_AFF1(word) (((word) >> 16) & 0xff)
#define ICC_SGI1R_INTID_SHIFT 24
#define ICC_SGI1R_INTID_MASK U64(0xf000000)
#define ICC_SGI1R_INTID(word) (((word) >> 24) & 0xf)
#define ICC_SGI1R_AFF2_SHIFT 32
#define ICC_SGI1R_AFF2_MASK U64(0xff00000000)
#define ICC_SGI1R_AFF2(word) (((word) >> 32) & 0xff)
#define ICC_SGI1R_IRM U64(0x10000000000)
#define ICC_SGI1R_RS_SHIFT 44
#define ICC_SGI1R_RS_MASK U64(0xf00000000000)
#define ICC_SGI1R_RS(word) (((word) >> 44) & 0xf)
#define ICC_SGI1R_AFF3_SHIFT 48
#define ICC_SGI1R_AFF3_MASK U64(0xff000000000000)
#define ICC_SGI1R_AFF3(word) (((word) >> 48) & 0xff)

// ICH_LR<n>_EL2, RmiRecRun.gicv3_lrs.
#define ICH_LR_VINTID_SHIFT 0
#define ICH_LR_VINTID_MASK U64(0xffffffff)
#define ICH_LR_VINTID(word) (((word) >> 0) & 0xffffffff)
#define ICH_LR_PINTID_SHIFT 32
#define ICH_LR_PINTID_MASK U64(0x1fff00000000)
#define ICH_LR_PINTID(word) (((word) >> 32) & 0x1fff)
#define ICH_LR_EOI U64(0x20000000000)
#define ICH_LR_PRIORITY_SHIFT 48
#define ICH_LR_PRIORITY_MASK U64(0xff000000000000)
#define ICH_LR_PRIORITY(word) (((word) >> 48) & 0xff)
#define ICH_LR_GROUP U64(0x1000000000000000)
#define ICH_LR_HW U64(0x2000000000000000)
#define ICH_LR_STATE_SHIFT 62
#define ICH_LR_STATE_MASK U64(0xc000000000000000)
#define ICH_LR_STATE(word) (((word) >> 62) & 0x3)

// Its state.
#define ICH_LR_STATE_INVALID 0
#define ICH_LR_STATE_PENDING 1
#define ICH_LR_STATE_ACTIVE 2
#define ICH_LR_STATE_PENDING_ACTIVE 3

// ICH_HCR_EL2, RmiRecRun.gicv3_hcr.
#define ICH_HCR_EN U64(0x1)
#define ICH_HCR_UIE U64(0x2)
#define ICH_HCR_LRENPIE U64(0x4)
#define ICH_HCR_NPIE U64(0x8)
#define ICH_HCR_VGRP0EIE U64(0x10)
#define ICH_HCR_VGRP0DIE U64(0x20)
#define ICH_HCR_VGRP1EIE U64(0x40)
#define ICH_HCR_VGRP1DIE U64(0x80)
#define ICH_HCR_TC U64(0x400)
#define ICH_HCR_TALL0 U64(0x800)
#define ICH_HCR_TALL1 U64(0x1000)
#define ICH_HCR_TSEI U64(0x2000)
#define ICH_HCR_TDIR U64(0x4000)
#define ICH_HCR_EOICOUNT_SHIFT 27
#define ICH_HCR_EOICOUNT_MASK U64(0xf8000000)
#define ICH_HCR_EOICOUNT(word) (((word) >> 27) & 0x1f)

// ICH_MISR_EL2, RmiRecRun.gicv3_misr.
#define ICH_MISR_EOI U64(0x1)
#define ICH_MISR_U U64(0x2)
#define ICH_MISR_LRENP U64(0x4)
#define ICH_MISR_NP U64(0x8)
#define ICH_MISR_VGRP0E U64(0x10)
#define ICH_MISR_VGRP0D U64(0x20)
#define ICH_MISR_VGRP1E U64(0x40)
#define ICH_MISR_VGRP1D U64(0x80)

// ICH_VMCR_EL2, RmiRecRun.gicv3_vmcr.
#define ICH_VMCR_VENG0 U64(0x1)
#define ICH_VMCR_VENG1 U64(0x2)
#define ICH_VMCR_VACKCTL U64(0x4)
#define ICH_VMCR_VFIQEN U64(0x8)
#define ICH_VMCR_VCBPR U64(0x10)
#define ICH_VMCR_VEOIM U64(0x200)
#define ICH_VMCR_VBPR1_SHIFT 18
#define ICH_VMCR_VBPR1_MASK U64(0x1c0000)
#define ICH_VMCR_VBPR1(word) (((word) >> 18) & 0x7)
#define ICH_VMCR_VBPR0_SHIFT 21
#define ICH_VMCR_VBPR0_MASK U64(0xe00000)
#define ICH_VMCR_VBPR0(word) (((word) >> 21) & 0x7)
#define ICH_VMCR_VPMR_SHIFT 24
#define ICH_VMCR_VPMR_MASK U64(0xff000000)
#define ICH_VMCR_VPMR(word) (((word) >> 24) & 0xff)

#endif
