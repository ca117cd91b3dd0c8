// List registers and controls of the virtual CPU interface (IHI 0069, ICH_*), for VMs and for RmiRecRun.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ICH_H
#define ICH_H

#include "abi/gic.h"

#define ICH_EN ICH_HCR_EN
#define ICH_UIE ICH_HCR_UIE
#define ICH_LRENPIE ICH_HCR_LRENPIE
#define ICH_TALL1 ICH_HCR_TALL1
#define ICH_EOICOUNT(hcr) ICH_HCR_EOICOUNT(hcr)
#define MISR_EOI ICH_MISR_EOI
#define MISR_U ICH_MISR_U
#define MISR_LRENP ICH_MISR_LRENP
#define LR_STATE ICH_LR_STATE_MASK
#define LR_PENDING (U64(ICH_LR_STATE_PENDING) << ICH_LR_STATE_SHIFT)
#define LR_ACTIVE (U64(ICH_LR_STATE_ACTIVE) << ICH_LR_STATE_SHIFT)
#define LR_HW ICH_LR_HW
#define LR_GROUP1 ICH_LR_GROUP
#define LR_EOI ICH_LR_EOI
#define LR(intid, priority) (LR_GROUP1 | (u64)(priority) << ICH_LR_PRIORITY_SHIFT | (intid))
#define VMCR_PMR(vmcr) ICH_VMCR_VPMR(vmcr)
#define VMCR_GROUP1 ICH_VMCR_VENG1
#define MAINTENANCE INTID_MAINTENANCE   // its PPI

#endif
