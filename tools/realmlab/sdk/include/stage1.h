// Stage 1 translation with 4 KiB pages (DDI 0487, VMSAv8-64): descriptor bits and control register fields.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef STAGE1_H
#define STAGE1_H

#include "abi/sysreg.h"

#define VALID 1ul
#define BLOCK U64(S1_BLOCK)
#define TABLE U64(S1_TABLE)
#define PAGE U64(S1_PAGE)
#define ATTR_INDEX(n) ((u64)(n) << S1_ATTRINDX_SHIFT)   // into MAIR, where every world has these two:
#define ATTR_DEVICE ATTR_INDEX(0)
#define ATTR_NORMAL ATTR_INDEX(1)
#define NS S1_NS
#define AP_EL0 S1_USER
#define AP_RO S1_READ_ONLY
#define INNER_SHAREABLE S1_SH_MASK
#define AF S1_AF
#define PXN S1_PXN                      // of EL1&0
#define XN S1_UXN                       // UXN of EL1&0

#define MAIR 0xff00ul                   // attribute 0: Device-nGnRnE, 1: Normal Write-Back
#define TCR_T0SZ_48 16ul                // bits of VA
#define TCR_T0SZ_39 25ul
#define TCR_WALKS (1ul << 8 | 1ul << 10 | 3ul << 12)     // of tables: Write-Back, Inner Shareable

#define SCTLR_C_I (SCTLR_C | SCTLR_I)

#endif
