// Entry points at Non-secure EL2, MMU off, DAIF masked. _start sets up a stack and vectors, calls main() and ends with PSCI
// SYSTEM_OFF; second_start is where CPU_ON starts another PE. The loader zeroes .bss.
// SPDX-License-Identifier: BSD-3-Clause
#include "abi/psci.h"

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

// Where PSCI CPU_ON starts another PE; X0 is its stack.
        .section .text.second_start, "ax"
        .global second_start
second_start:
        mov     sp, x0
        adrp    x1, vectors
        add     x1, x1, :lo12:vectors
        msr     vbar_el2, x1
        isb
        mov     x29, xzr
        mov     x30, xzr
        .weak   second_main             // absent if the payload starts no other PE
        bl      second_main
        ldr     w0, =PSCI_CPU_OFF
        smc     #0
1:      wfi
        b       1b
