// Entry point of both vCPUs of the Realm. X0 is the parameter from REC_CREATE or CPU_ON. All other registers must be zero: X1
// collects the bits that are not. Then it fills V0 to V31 with a pattern that the Host must never see.
// SPDX-License-Identifier: BSD-3-Clause
#include "guest.h"
#include "guest_start.h"

        .arch_extension simd
        guest_vectors_begin

guest_start:
        .irp    n, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
        orr     x1, x1, x\n
        .endr
        .irp    name, sp_el0,tpidr_el0,tpidrro_el0,tpidr_el1,vbar_el1,ttbr0_el1,ttbr1_el1,elr_el1,esr_el1,far_el1,cpacr_el1
        mrs     x2, \name
        orr     x1, x1, x2
        .endr
        mov     x2, sp
        orr     x1, x1, x2
        mov     x2, #3 << 20                    // CPACR_EL1.FPEN
        msr     cpacr_el1, x2
        isb
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        orr     v0.16b, v0.16b, v\n\().16b
        .endr
        .irp    half, 0,1
        mov     x2, v0.d[\half]
        orr     x1, x1, x2
        .endr
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        movi    v\n\().16b, #0x6e
        .endr
        guest_go_main GUEST_STACKS_END
