// Exception syndromes (DDI 0487, ESR_ELx): abi/esr.h, and macros that make one.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ESR_H
#define ESR_H

#include "abi/esr.h"
#include "types.h"

#define ESR_CLASS(ec) ((u64)(ec) << ESR_EC_SHIFT)
#define ESR(ec, iss) (ESR_CLASS(ec) | ESR_IL | (iss))

#endif
