// Entry at Non-secure EL2, MMU off, DAIF masked: a stack, vectors, main(), then PSCI SYSTEM_OFF.
// .bss comes as zeros with the image.
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
        .global power_off
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
