// hypercall(): see rsi.h.
// SPDX-License-Identifier: BSD-3-Clause
#include "abi/host.h"
#include "registers.h"

        .text
// void hypercall(struct smc *): X0..X17 from the structure, HVC with Realmlab's immediate, X0..X17 back into it.
        .global hypercall
hypercall:
        stp     x0, x30, [sp, #-16]!
        mov     x30, x0
        ldp     x0, x1, [x30]
        registers_2_to_17 ldp, x30
        hvc     #HOST_CALL_IMM
        ldr     x30, [sp]
        stp     x0, x1, [x30]
        registers_2_to_17 stp, x30
        ldp     x0, x30, [sp], #16
        ret
