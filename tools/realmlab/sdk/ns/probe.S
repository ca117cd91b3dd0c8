// Vectors that recognise the probes of ns.h; every other exception ends in unexpected().
// SPDX-License-Identifier: BSD-3-Clause

#define PROBING         0x50524f4245

        .text
// u64 probe_load(u64 pa), u64 probe_store(u64 pa), u64 probe_fetch(u64 pa): ESR_EL2 of the exception, 0 if there is none.
        .macro  probe name
        .global probe_\name
probe_\name:
        mov     x9, x0
        mov     x0, xzr
        ldr     x12, =PROBING
        .endm

        probe   load
        adr     x10, 1f
        ldr     x11, [x9]
1:      mov     x12, xzr
        ret
        probe   store
        adr     x10, 1f
        str     xzr, [x9]
1:      mov     x12, xzr
        ret
        probe   fetch
        mov     x10, x30
        br      x9

// A probe keeps its mark in X12 and the address to resume at in X10.
        .balign 2048
        .global vectors
vectors:
        .skip   0x200
        ldr     x13, =PROBING
        cmp     x12, x13
        b.ne    1f
        mrs     x0, esr_el2
        mov     x12, xzr
        msr     elr_el2, x10
        eret
1:      mrs     x0, esr_el2
        mrs     x1, elr_el2
        mrs     x2, far_el2
        adrp    x3, __stack_end
        mov     sp, x3
        bl      unexpected
        b       power_off
