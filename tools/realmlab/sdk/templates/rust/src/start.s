// Entry point and exception vectors at Realm EL1. A Realm enters at _start in EL1h: MMU off, DAIF masked, X0 = IPA of the
// device tree, which becomes the argument of payload_main().
// SPDX-License-Identifier: BSD-3-Clause

        .section .text.start, "ax"
        .global _start
_start: adrp    x1, vectors
        add     x1, x1, :lo12:vectors
        msr     vbar_el1, x1
        adrp    x1, __stack_end
        add     x1, x1, :lo12:__stack_end
        mov     sp, x1
        isb
        adrp    x1, __bss_start
        add     x1, x1, :lo12:__bss_start
        adrp    x2, __bss_end
        add     x2, x2, :lo12:__bss_end
1:      cmp     x1, x2
        b.hs    2f
        str     xzr, [x1], #8
        b       1b
2:      mov     x29, xzr
        mov     x30, xzr
        bl      payload_main
3:      wfi
        b       3b

// Every exception is the end: exception(vector, ESR, ELR, FAR) says what happened.
        .text
        .balign 2048
vectors:
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        .balign 128
        mov     x0, #\n
        b       fatal
        .endr

fatal:  adrp    x1, __stack_end
        add     x1, x1, :lo12:__stack_end
        mov     sp, x1
        mrs     x1, esr_el1
        mrs     x2, elr_el1
        mrs     x3, far_el1
        b       exception
