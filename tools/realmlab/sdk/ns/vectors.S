// EL2 vectors for payloads that take interrupts and run guests. An exception from EL2 itself calls exception() with all
// registers saved; an exception from a lower level ends guest_run().
// SPDX-License-Identifier: BSD-3-Clause
#include "registers.h"

#define FRAME   272             // struct frame: X0..X30, ELR, SPSR, one word unused
#define ELR     248             // also where struct guest has its PC and PSTATE

        .macro  own number
        .balign 0x80
        stp     x0, x1, [sp, #-FRAME]!
        mov     x1, #\number
        b       interrupted
        .endm

        .macro  lower number
        .balign 0x80
        stp     x0, x1, [sp, #-16]!
        mov     x1, #\number
        b       guest_left
        .endm

        .text
        .balign 2048
        .global vectors
vectors:
        .irp    n, 0,1,2,3,4,5,6,7
        own     \n
        .endr
        .irp    n, 8,9,10,11,12,13,14,15
        lower   \n
        .endr

interrupted:
        registers_2_to_29 stp, sp
        str     x30, [sp, #240]
        mrs     x2, elr_el2
        mrs     x3, spsr_el2
        stp     x2, x3, [sp, #ELR]
        mov     x0, sp
        bl      exception
        ldp     x2, x3, [sp, #ELR]
        msr     elr_el2, x2
        msr     spsr_el2, x3
        registers_2_to_29 ldp, sp
        ldr     x30, [sp, #240]
        ldp     x0, x1, [sp], #FRAME
        eret

// u64 guest_run(struct guest *guest): runs the guest until EL2 takes an exception; returns the vector's number. Interrupts must
// be masked.
        .global guest_run
guest_run:
        stp     x19, x20, [sp, #-96]!
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        msr     tpidr_el2, x0
        mov     x30, x0
        ldp     x1, x2, [x30, #ELR]
        msr     elr_el2, x1
        msr     spsr_el2, x2
        ldp     x0, x1, [x30]
        registers_2_to_29 ldp, x30
        ldr     x30, [x30, #240]
        eret

guest_left:
        mrs     x0, tpidr_el2
        registers_2_to_29 stp, x0
        str     x30, [x0, #240]
        ldp     x2, x3, [sp], #16
        stp     x2, x3, [x0]
        mrs     x2, elr_el2
        mrs     x3, spsr_el2
        stp     x2, x3, [x0, #ELR]
        mov     x0, x1
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     x19, x20, [sp], #96
        ret
