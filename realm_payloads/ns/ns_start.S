// Entry at Non-secure EL2, MMU off, DAIF masked: a stack, vectors, main(), then PSCI SYSTEM_OFF.
// Synchronous exceptions are for the probes of ns.h. .bss comes as zeros with the image.
// SPDX-License-Identifier: BSD-3-Clause

#define PSCI_SYSTEM_OFF 0x84000008

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
        .global probe_load
probe_load:
        mov     x9, x0
        mov     x0, xzr
        adr     x10, 1f
        ldr     x11, [x9]
1:      ret
        .global probe_store
probe_store:
        mov     x9, x0
        mov     x0, xzr
        adr     x10, 1f
        str     xzr, [x9]
1:      ret
        .global probe_fetch
probe_fetch:
        mov     x9, x0
        mov     x0, xzr
        mov     x10, x30
        br      x9

// Synchronous exceptions at EL2 come from the probes only: X10 says where to go on.
        .balign 2048
vectors:
        .skip   0x200
        mrs     x0, esr_el2
        msr     elr_el2, x10
        eret
