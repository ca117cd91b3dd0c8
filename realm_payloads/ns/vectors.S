// EL2 vectors of a payload that takes interrupts and runs guests: what its own code is interrupted by goes to exception()
// with all registers saved; what a lower level causes ends guest_run().
// SPDX-License-Identifier: BSD-3-Clause

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
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x19, [sp, #144]
        stp     x20, x21, [sp, #160]
        stp     x22, x23, [sp, #176]
        stp     x24, x25, [sp, #192]
        stp     x26, x27, [sp, #208]
        stp     x28, x29, [sp, #224]
        str     x30, [sp, #240]
        mrs     x2, elr_el2
        mrs     x3, spsr_el2
        stp     x2, x3, [sp, #ELR]
        mov     x0, sp
        bl      exception
        ldp     x2, x3, [sp, #ELR]
        msr     elr_el2, x2
        msr     spsr_el2, x3
        ldp     x2, x3, [sp, #16]
        ldp     x4, x5, [sp, #32]
        ldp     x6, x7, [sp, #48]
        ldp     x8, x9, [sp, #64]
        ldp     x10, x11, [sp, #80]
        ldp     x12, x13, [sp, #96]
        ldp     x14, x15, [sp, #112]
        ldp     x16, x17, [sp, #128]
        ldp     x18, x19, [sp, #144]
        ldp     x20, x21, [sp, #160]
        ldp     x22, x23, [sp, #176]
        ldp     x24, x25, [sp, #192]
        ldp     x26, x27, [sp, #208]
        ldp     x28, x29, [sp, #224]
        ldr     x30, [sp, #240]
        ldp     x0, x1, [sp], #FRAME
        eret

// u64 guest_run(struct guest *guest): run it until something is taken to EL2, with interrupts masked here; the vector's number.
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
        ldp     x2, x3, [x30, #16]
        ldp     x4, x5, [x30, #32]
        ldp     x6, x7, [x30, #48]
        ldp     x8, x9, [x30, #64]
        ldp     x10, x11, [x30, #80]
        ldp     x12, x13, [x30, #96]
        ldp     x14, x15, [x30, #112]
        ldp     x16, x17, [x30, #128]
        ldp     x18, x19, [x30, #144]
        ldp     x20, x21, [x30, #160]
        ldp     x22, x23, [x30, #176]
        ldp     x24, x25, [x30, #192]
        ldp     x26, x27, [x30, #208]
        ldp     x28, x29, [x30, #224]
        ldr     x30, [x30, #240]
        eret

guest_left:
        mrs     x0, tpidr_el2
        stp     x2, x3, [x0, #16]
        stp     x4, x5, [x0, #32]
        stp     x6, x7, [x0, #48]
        stp     x8, x9, [x0, #64]
        stp     x10, x11, [x0, #80]
        stp     x12, x13, [x0, #96]
        stp     x14, x15, [x0, #112]
        stp     x16, x17, [x0, #128]
        stp     x18, x19, [x0, #144]
        stp     x20, x21, [x0, #160]
        stp     x22, x23, [x0, #176]
        stp     x24, x25, [x0, #192]
        stp     x26, x27, [x0, #208]
        stp     x28, x29, [x0, #224]
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
