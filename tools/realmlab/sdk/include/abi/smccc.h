// The SMC Calling Convention (DEN0028). Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_SMCCC_H
#define ABI_SMCCC_H

#include "abi/number.h"

// Functions of the architecture.
#define SMCCC_VERSION U64(0x80000000)
#define SMCCC_ARCH_FEATURES U64(0x80000001)
#define SMCCC_ARCH_SOC_ID U64(0x80000002)
#define SMCCC_ARCH_WORKAROUND_1 U64(0x80008000)

// X0 of a function that is not there.
#define SMCCC_NOT_SUPPORTED (-1)

// A function identifier.
#define SMCCC_FID_FAST U64(0x80000000)
#define SMCCC_FID_SMC64 U64(0x40000000)
#define SMCCC_FID_OWNER_SHIFT 24
#define SMCCC_FID_OWNER_MASK U64(0x3f000000)
#define SMCCC_FID_OWNER(word) (((word) >> 24) & 0x3f)
#define SMCCC_FID_ZERO_SHIFT 17
#define SMCCC_FID_ZERO_MASK U64(0xfe0000)
#define SMCCC_FID_ZERO(word) (((word) >> 17) & 0x7f)
#define SMCCC_FID_SVE_HINT U64(0x10000)
#define SMCCC_FID_NUMBER_SHIFT 0
#define SMCCC_FID_NUMBER_MASK U64(0xffff)
#define SMCCC_FID_NUMBER(word) (((word) >> 0) & 0xffff)

#endif
