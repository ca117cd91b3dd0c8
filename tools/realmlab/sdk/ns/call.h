// Calls and registers that need assembly: call.S.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef CALL_H
#define CALL_H

#include "types.h"

void smc_watched(u64 x[5], const u64 before[31], u64 after[31]);        // X0..X4 in and out; X5..X30 from before, to after
void vectors_load(const u64 words[64]);                                 // V0..V31
void vectors_store(u64 words[64]);

#endif
