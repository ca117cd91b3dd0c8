// List registers and controls of the virtual CPU interface (IHI 0069, ICH_*), for VMs and for RmiRecRun.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ICH_H
#define ICH_H

#define ICH_EN 1ul
#define ICH_UIE 2ul
#define ICH_LRENPIE 4ul
#define ICH_TALL1 (1ul << 12)
#define ICH_EOICOUNT(hcr) ((hcr) >> 27 & 0x1f)
enum { MISR_EOI = 1, MISR_U = 2, MISR_LRENP = 4 };
#define LR_STATE (3ul << 62)
#define LR_PENDING (1ul << 62)
#define LR_ACTIVE (2ul << 62)
#define LR_HW (1ul << 61)
#define LR_GROUP1 (1ul << 60)
#define LR_EOI (1ul << 41)
#define LR(intid, priority) (LR_GROUP1 | (u64)(priority) << 48 | (intid))
#define VMCR_PMR(vmcr) ((vmcr) >> 24)
#define VMCR_GROUP1 2ul
#define MAINTENANCE 25u                 // its PPI

#endif
