// Sealing keys, an extension of Realmlab's RMM (realmlab run --extension sealing). Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_SEALING_H
#define ABI_SEALING_H

#include "abi/number.h"

// Functions.
#define SEALING_UID U64(0x8600ff01)
#define SEALING_FEATURES U64(0xc6000000)
#define SEALING_KEY U64(0xc6000001)

// SEALING_FEATURES, index 0.
#define SEALING_FEATURES_HKDF_SHA_384 U64(0x1)

// What a key depends on: X1 of SEALING_KEY.
#define SEALING_KEY_RIM U64(0x1)
#define SEALING_KEY_RPV U64(0x2)
#define SEALING_KEY_REM0 U64(0x4)
#define SEALING_KEY_REM1 U64(0x8)
#define SEALING_KEY_REM2 U64(0x10)
#define SEALING_KEY_REM3 U64(0x20)
#define SEALING_KEY_LIFECYCLE U64(0x40)
#define SEALING_KEY_IMAGES U64(0x80)

#endif
