// Stage 1 of Non-secure EL2: descriptors, controls, and the tables of mmu.c.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef MMU_H
#define MMU_H

#include "types.h"

#define TABLE 3ul
#define PAGE 3ul
#define BLOCK 1ul
#define ATTR_DEVICE (0ul << 2)
#define ATTR_NORMAL (1ul << 2)
#define AP_RO (1ul << 7)
#define INNER_SHAREABLE (3ul << 8)
#define AF (1ul << 10)
#define XN (1ul << 54)

#define MAIR 0xff00ul                   // attribute 0: Device-nGnRnE, 1: Normal Write-Back
#define TCR_T0SZ_39 25ul
#define TCR_WRITE_BACK (1ul << 8 | 1ul << 10 | 3ul << 12)
#define TCR_RES1 (1ul << 31 | 1ul << 23)

extern u64 mmu_level1[512];             // 39 bits of VA

void mmu_tables(void);                  // once, then mmu_on() on each PE
void mmu_on(void);

#endif
