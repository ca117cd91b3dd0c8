// Paging, an extension of Realmlab's RMM (realmlab run --extension paging). Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_PAGING_H
#define ABI_PAGING_H

#include "abi/number.h"

// Functions.
#define PAGING_UID U64(0xb000ff01)
#define PAGING_FEATURES U64(0xf0000000)
#define PAGE_OUT U64(0xf0000001)
#define PAGE_IN U64(0xf0000002)

// PAGING_FEATURES, index 0.
#define PAGING_FEATURES_AES_256_GCM U64(0x1)
#define PAGING_FEATURES_VERSION_BITS_SHIFT 8
#define PAGING_FEATURES_VERSION_BITS_MASK U64(0x3f00)
#define PAGING_FEATURES_VERSION_BITS(word) (((word) >> 8) & 0x3f)

// RmiRttEntryState of a page that is out.
#define RMI_SEALED 128

#endif
