// RMI 1.0 (DEN0137), seen from the Host: abi/rmi.h, and what is worked out from it.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef RMI_H
#define RMI_H

#include "abi/rmi.h"
#include "types.h"

#define STATUS(code, index) ((u64)(code) | (u64)(index) << RMI_RETURN_INDEX_SHIFT)
#define RTT(level) STATUS(RMI_ERROR_RTT, level)
#define LEVEL_SIZE(level) (1ul << (12 + 9 * (3 - (level))))      // what an entry of a table at that level maps

#endif
