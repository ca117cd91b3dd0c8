// SHA-256 (FIPS 180-4).
// SPDX-License-Identifier: BSD-3-Clause
#ifndef SHA256_H
#define SHA256_H

#include "types.h"

void sha256(const void *data, size_t size, u8 digest[32]);

#endif
