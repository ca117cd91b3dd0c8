// SMC #0 with all registers of the calling convention (SMCCC, DEN0028): passes X0 to X17 and returns them. Used in every world.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef SMC_H
#define SMC_H

#include "types.h"

// X0..X17 of a call, before and after.
struct smc {
    u64 x[18];
};
void smc_call(struct smc *smc);

// SMC(function, argument, ...) makes a call and yields the struct smc that comes back; other registers are passed as zero.
#define SMC(...) ({ struct smc s_ = {{__VA_ARGS__}}; smc_call(&s_); s_; })

#endif
