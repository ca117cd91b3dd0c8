// Assembly macros for the start of a guest: its first page, and the way from its entry to guest_main().
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GUEST_START_H
#define GUEST_START_H

// The first page: the entry, and a synchronous vector that skips the faulting instruction and leaves ESR_EL1 in X9, FAR_EL1 in
// X10. More vectors may follow, then guest_start.
        .macro  guest_vectors_begin
        .section .text.guest_start, "ax"
guest_vectors:
        b       guest_start
        .org    guest_vectors + 0x200
        mrs     x9, esr_el1
        mrs     x10, elr_el1
        add     x10, x10, #4
        msr     elr_el1, x10
        mrs     x10, far_el1
        eret
        .endm

// Sets vectors and a stack, then jumps to guest_main() with X0 and X1 unchanged. The stack of vCPU 0 ends `offset` bytes into the
// guest, that of the next vCPU a page higher.
        .macro  guest_go_main offset
        adr     x3, guest_vectors
        msr     vbar_el1, x3
        mrs     x2, mpidr_el1
        and     x2, x2, #15
        add     x3, x3, #\offset
        add     x3, x3, x2, lsl #12
        mov     sp, x3
        isb
        b       guest_main
        .endm

#endif
