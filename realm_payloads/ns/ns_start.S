// Entry at Non-secure EL2, MMU off, DAIF masked: a stack, vectors, main(), then PSCI SYSTEM_OFF.
// Synchronous exceptions are for the probes of ns.h; any other one ends in unexpected(). .bss comes as zeros with the image.
// SPDX-License-Identifier: BSD-3-Clause

#define PSCI_SYSTEM_OFF 0x84000008
#define PROBING         0x50524f4245

        .section .text.start, "ax"
        .global _start
_start: adrp    x1, __stack_end
        mov     sp, x1
        adr     x1, vectors
        msr     vbar_el2, x1
        isb
        mov     x29, xzr
        mov     x30, xzr
        bl      main
power_off:
        ldr     w0, =PSCI_SYSTEM_OFF
        smc     #0
1:      wfi
        b       1b

// u64 smc1(u64 fid, u64 argument): X0 of the answer.
        .text
        .global smc1
smc1:   smc     #0
        ret

// u64 probe_load(u64 pa), u64 probe_store(u64 pa), u64 probe_fetch(u64 pa): ESR_EL2 of the exception, 0 when there is none.
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

// A probe has its mark in X12, and says in X10 where to go on.
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
