// Entry points, exception vectors, and the routines that C cannot express, all at EL1. A fresh Realm enters at _start in EL1h:
// MMU off, DAIF masked, X0 = IPA of the device tree.
// SPDX-License-Identifier: BSD-3-Clause
#include "registers.h"

#define STACK_BIT       14                      // stacks are 16 KiB on 32 KiB slots: see realm.ld
#define FRAME_SIZE      272                     // x0..x30, sp_el0, elr, spsr: struct frame

        .section .text.start, "ax"
        .global _start
_start:
        mov     x19, x0
        adrp    x1, vectors
        add     x1, x1, :lo12:vectors
        msr     vbar_el1, x1
        isb
        adrp    x1, __bss_start
        add     x1, x1, :lo12:__bss_start
        adrp    x2, __bss_end
        add     x2, x2, :lo12:__bss_end
1:      cmp     x1, x2
        b.hs    2f
        str     xzr, [x1], #8
        b       1b
2:      adrp    x1, __stacks + (2 << STACK_BIT)
        mov     sp, x1
        adrp    x1, cpus
        add     x1, x1, :lo12:cpus
        msr     tpidr_el1, x1
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, x19
        bl      runtime_init
        bl      main
        b       exit

// A vCPU started by PSCI CPU_ON: X0 = its struct cpu {index, stack, ttbr, tcr, mair, sctlr, ...}.
        .global secondary_start
secondary_start:
        msr     tpidr_el1, x0
        ldp     x1, x2, [x0, #8]
        mov     sp, x1
        msr     ttbr0_el1, x2
        ldp     x1, x2, [x0, #24]
        msr     tcr_el1, x1
        msr     mair_el1, x2
        adrp    x1, vectors
        add     x1, x1, :lo12:vectors
        msr     vbar_el1, x1
        tlbi    vmalle1
        dsb     nsh
        isb
        ldr     x1, [x0, #40]
        msr     sctlr_el1, x1
        isb
        mov     x29, xzr
        mov     x30, xzr
        bl      secondary_main
1:      wfi
        b       1b

// One vector: make room for the frame, save two registers, name the vector.
        .macro  entry number
        .balign 128
        sub     sp, sp, #FRAME_SIZE
        stp     x0, x1, [sp]
        mov     x1, #\number
        b       trap_entry
        .endm

        .text
        .balign 2048
vectors:
        entry   0
        entry   1
        entry   2
        entry   3
        // EL1h, synchronous: first checks, without a free register, whether the stack overflowed.
        .balign 128
        sub     sp, sp, #FRAME_SIZE
        add     sp, sp, x0
        sub     x0, sp, x0
        tbz     x0, #STACK_BIT, 1f
        sub     x0, sp, x0
        sub     sp, sp, x0
        stp     x0, x1, [sp]
        mov     x1, #4
        b       trap_entry
1:      adrp    x1, __overflow_stack_end
        mov     sp, x1
        b       stack_overflow
        entry   5
        entry   6
        entry   7
        entry   8
        entry   9
        entry   10
        entry   11
        entry   12
        entry   13
        entry   14
        entry   15

trap_entry:
        registers_2_to_29 stp, sp
        mrs     x2, sp_el0
        stp     x30, x2, [sp, #240]
        mrs     x2, elr_el1
        mrs     x3, spsr_el1
        stp     x2, x3, [sp, #256]
        mov     x0, sp
        bl      trap
        ldp     x2, x3, [sp, #256]
        msr     elr_el1, x2
        msr     spsr_el1, x3
        ldp     x30, x2, [sp, #240]
        msr     sp_el0, x2
        registers_2_to_29 ldp, sp
        ldp     x0, x1, [sp]
        add     sp, sp, #FRAME_SIZE
        eret

// int context_save(struct context *): returns 0 now, and 1 when context_resume() comes back here.
        .global context_save
context_save:
        stp     x19, x20, [x0]
        stp     x21, x22, [x0, #16]
        stp     x23, x24, [x0, #32]
        stp     x25, x26, [x0, #48]
        stp     x27, x28, [x0, #64]
        stp     x29, x30, [x0, #80]
        mov     x1, sp
        str     x1, [x0, #96]
        mov     w0, #0
        ret

// void context_resume(const struct context *): does not return.
        .global context_resume
context_resume:
        ldr     x1, [x0, #96]
        mov     sp, x1
        ldp     x29, x30, [x0, #80]
        ldp     x27, x28, [x0, #64]
        ldp     x25, x26, [x0, #48]
        ldp     x23, x24, [x0, #32]
        ldp     x21, x22, [x0, #16]
        ldp     x19, x20, [x0]
        mov     w0, #1
        ret

// void user_enter(u64 entry, u64 sp, u64 argument): ERET to EL0, DAIF masked, all other registers zero.
        .global user_enter
user_enter:
        msr     elr_el1, x0
        msr     sp_el0, x1
        mov     x3, #0x3c0
        msr     spsr_el1, x3
        mov     x0, x2
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
        mov     x\n, xzr
        .endr
        eret
