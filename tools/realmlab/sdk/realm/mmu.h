// Stage 1: 4 KiB pages, 48-bit VA, one table for EL1 and EL0. RAM is mapped flat; nothing is both writable and executable.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef MMU_H
#define MMU_H

#include "stage1.h"
#include "types.h"

#define MAP_NORMAL (ATTR_NORMAL | INNER_SHAREABLE | AF)
#define MAP_DEVICE (ATTR_DEVICE | AF | PXN | XN)
#define MAP_DATA (MAP_NORMAL | PXN | XN)
#define MAP_CONST (MAP_NORMAL | AP_RO | PXN | XN)
#define MAP_TEXT (MAP_NORMAL | AP_RO | XN)
#define MAP_WRITE_EXECUTE (MAP_NORMAL | XN)
#define MAP_USER_TEXT (MAP_NORMAL | AP_RO | AP_EL0 | PXN)
#define MAP_USER_DATA (MAP_NORMAL | AP_EL0 | PXN | XN)

void mmu_init(u64 ram_base, u64 ram_size);
void mmu_map(u64 va, u64 ipa, u64 size, u64 attributes);        // new or changed; no split of a block
void mmu_unmap(u64 va, u64 size);

#endif
