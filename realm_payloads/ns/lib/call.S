// SMCs with all their registers: a plain one, and one that shows what became of X5..X30; the SIMD registers; another PE's start.
// SPDX-License-Identifier: BSD-3-Clause

#define PSCI_CPU_OFF 0x84000002

        .text
// void smc_call(u64 x[8]): X0..X7 from x, SMC #0, X0..X4 back into it.
        .global smc_call
smc_call:
        stp     x0, x30, [sp, #-16]!
        mov     x9, x0
        ldp     x0, x1, [x9]
        ldp     x2, x3, [x9, #16]
        ldp     x4, x5, [x9, #32]
        ldp     x6, x7, [x9, #48]
        smc     #0
        ldp     x9, x30, [sp], #16
        stp     x0, x1, [x9]
        stp     x2, x3, [x9, #16]
        str     x4, [x9, #32]
        ret

// void smc_watched(u64 x[5], u64 before[31], u64 after[31]): the same, with X5..X30 from before, and X5..X30 to after.
        .global smc_watched
smc_watched:
        stp     x19, x20, [sp, #-128]!
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     x0, x2, [sp, #96]
        mov     x30, x1
        ldp     x1, x2, [x0, #8]
        ldp     x3, x4, [x0, #24]
        ldr     x0, [x0]
        .irp    n, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
        ldr     x\n, [x30, #8 * \n]
        .endr
        smc     #0
        str     x30, [sp, #112]
        ldr     x30, [sp, #104]
        .irp    n, 5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29
        str     x\n, [x30, #8 * \n]
        .endr
        ldr     x5, [sp, #112]
        str     x5, [x30, #8 * 30]
        ldr     x5, [sp, #96]
        stp     x0, x1, [x5]
        stp     x2, x3, [x5, #16]
        str     x4, [x5, #32]
        ldp     x29, x30, [sp, #80]
        ldp     x27, x28, [sp, #64]
        ldp     x25, x26, [sp, #48]
        ldp     x23, x24, [sp, #32]
        ldp     x21, x22, [sp, #16]
        ldp     x19, x20, [sp], #128
        ret

// Where PSCI CPU_ON starts another PE; X0 is its stack.
        .global second_start
second_start:
        mov     sp, x0
        adrp    x1, vectors
        add     x1, x1, :lo12:vectors
        msr     vbar_el2, x1
        isb
        mov     x29, xzr
        mov     x30, xzr
        .weak   second_main             // not in a payload that starts no other PE
        bl      second_main
        ldr     w0, =PSCI_CPU_OFF
        smc     #0
1:      wfi
        b       1b

// void vectors_load(const u64 words[64]), void vectors_store(u64 words[64]): V0..V31.
        .arch_extension simd
        .global vectors_load
vectors_load:
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        ldr     q\n, [x0], #16
        .endr
        ret
        .global vectors_store
vectors_store:
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        str     q\n, [x0], #16
        .endr
        ret
