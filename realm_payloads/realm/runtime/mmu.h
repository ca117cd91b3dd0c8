// Stage 1: 4 KiB granule, 48-bit VA, one table for everything; RAM is mapped flat, W^X.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef MMU_H
#define MMU_H

#include "types.h"

#define ATTR_INDEX(n) ((u64)(n) << 2)
#define ATTR_EL0 (1ul << 6)
#define ATTR_RO (1ul << 7)
#define ATTR_SHARE (3ul << 8)
#define ATTR_AF (1ul << 10)
#define ATTR_PXN (1ul << 53)
#define ATTR_UXN (1ul << 54)

#define MAP_NORMAL (ATTR_INDEX(1) | ATTR_SHARE | ATTR_AF)
#define MAP_DEVICE (ATTR_INDEX(0) | ATTR_AF | ATTR_PXN | ATTR_UXN)
#define MAP_DATA (MAP_NORMAL | ATTR_PXN | ATTR_UXN)
#define MAP_CONST (MAP_NORMAL | ATTR_RO | ATTR_PXN | ATTR_UXN)
#define MAP_TEXT (MAP_NORMAL | ATTR_RO | ATTR_UXN)
#define MAP_WRITE_EXECUTE (MAP_NORMAL | ATTR_UXN)
#define MAP_USER_TEXT (MAP_NORMAL | ATTR_RO | ATTR_EL0 | ATTR_PXN)
#define MAP_USER_DATA (MAP_NORMAL | ATTR_EL0 | ATTR_PXN | ATTR_UXN)

void mmu_init(u64 ram_base, u64 ram_size);
void mmu_map(u64 va, u64 ipa, u64 size, u64 attributes);        // new or changed; no split of a block
void mmu_unmap(u64 va, u64 size);

#endif
