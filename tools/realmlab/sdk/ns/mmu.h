// Stage 1 of Non-secure EL2.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef MMU_H
#define MMU_H

#include "stage1.h"
#include "types.h"

#define TCR_EL2_RES1 (1ul << 31 | 1ul << 23)

extern u64 mmu_level1[512];             // 39 bits of VA

void mmu_tables(void);                  // once, then mmu_on() on each PE
void mmu_on(void);

#endif
