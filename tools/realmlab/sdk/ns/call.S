// An SMC that passes and returns X5 to X30 as well, and routines that load and store the SIMD registers.
// SPDX-License-Identifier: BSD-3-Clause

        .text
// void smc_watched(u64 x[5], u64 before[31], u64 after[31]): SMC #0 with X0..X4 from x and back into it, X5..X30 from before
// and to after.
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
