// Entry point and vectors of each guest vCPU. Interrupts call guest_interrupt(); exceptions from EL0 and virtual SErrors report
// a step.
// SPDX-License-Identifier: BSD-3-Clause
#include "guest.h"
#include "guest_start.h"
#include "registers.h"

        guest_vectors_begin

        .org    guest_vectors + 0x280
        stp     x0, x1, [sp, #-176]!
        registers_2_to_17 stp, sp
        stp     x18, x29, [sp, #144]
        str     x30, [sp, #160]
        bl      guest_interrupt
        registers_2_to_17 ldp, sp
        ldp     x18, x29, [sp, #144]
        ldr     x30, [sp, #160]
        ldp     x0, x1, [sp], #176
        eret

        .org    guest_vectors + 0x300           // only ROLE_GROUP0 gets here: X20 to X22 are its own
        mrs     x20, icc_iar0_el1
        mrs     x21, icc_rpr_el1
        msr     icc_eoir0_el1, x20
        add     x22, x22, #1
        eret

        .org    guest_vectors + 0x380
        mrs     x9, esr_el1
        hvc     #HVC_SERROR
        eret

        .org    guest_vectors + 0x400
        mrs     x9, esr_el1
        hvc     #HVC_FROM_EL0

guest_start:
        guest_go_main GUEST_STACKS_END
