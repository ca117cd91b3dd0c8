// smc_call(): see smc.h.
// SPDX-License-Identifier: BSD-3-Clause
#include "registers.h"

        .text
// void smc_call(struct smc *): X0..X17 from the structure, SMC #0, X0..X17 back into it.
        .global smc_call
smc_call:
        stp     x0, x30, [sp, #-16]!
        mov     x30, x0
        ldp     x0, x1, [x30]
        registers_2_to_17 ldp, x30
        smc     #0
        ldr     x30, [sp]
        stp     x0, x1, [x30]
        registers_2_to_17 stp, x30
        ldp     x0, x30, [sp], #16
        ret
