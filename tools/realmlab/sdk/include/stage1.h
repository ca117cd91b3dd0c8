// Stage 1 translation with 4 KiB pages (DDI 0487, VMSAv8-64): descriptor bits and control register fields.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef STAGE1_H
#define STAGE1_H

#define VALID 1ul
#define BLOCK 1ul
#define TABLE 3ul
#define PAGE 3ul
#define ATTR_INDEX(n) ((u64)(n) << 2)   // into MAIR, where every world has these two:
#define ATTR_DEVICE ATTR_INDEX(0)
#define ATTR_NORMAL ATTR_INDEX(1)
#define NS (1ul << 5)
#define AP_EL0 (1ul << 6)
#define AP_RO (1ul << 7)
#define INNER_SHAREABLE (3ul << 8)
#define AF (1ul << 10)
#define PXN (1ul << 53)                 // of EL1&0
#define XN (1ul << 54)                  // UXN of EL1&0

#define MAIR 0xff00ul                   // attribute 0: Device-nGnRnE, 1: Normal Write-Back
#define TCR_T0SZ_48 16ul                // bits of VA
#define TCR_T0SZ_39 25ul
#define TCR_WALKS (1ul << 8 | 1ul << 10 | 3ul << 12)     // of tables: Write-Back, Inner Shareable
#define TCR_EPD1 (1ul << 23)            // of EL1&0
#define TCR_IPS_SHIFT 32                // of EL1&0

#define SCTLR_M 1ul
#define SCTLR_C_I (1ul << 2 | 1ul << 12)

#endif
