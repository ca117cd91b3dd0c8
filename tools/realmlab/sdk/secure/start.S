// Entry points of the Secure payload. EL3 enters at S-EL1h with DAIF masked: at _start on the primary PE, later at one of
// `entries`. Each entry ends in an SMC whose X0 says what has been done. TPIDR_EL0 holds the index of the PE, TPIDR_EL1 the top
// of its stack.
// SPDX-License-Identifier: BSD-3-Clause
#include "abi/tsp.h"
#include "registers.h"

#define STACK_BITS      13
#define PROBING         0x50524f4245

        .macro  done fid
        ldr     w0, =\fid
        smc     #0
1:      b       1b
        .endm

        .section .text.start, "ax"
        .global _start
_start:
        mov     x19, x0
        adrp    x3, __bss_start
        add     x3, x3, :lo12:__bss_start
        adrp    x4, __bss_end
        add     x4, x4, :lo12:__bss_end
1:      cmp     x3, x4
        b.hs    2f
        stp     xzr, xzr, [x3], #16
        b       1b
2:      bl      setup
        mov     x0, x19
        bl      primary_main
        adr     x1, entries
        done    TSP_ENTRY_DONE

// Sets up stack and vectors; X0 = index of the PE.
setup:  adrp    x3, __stacks
        add     x4, x0, #1
        add     x3, x3, x4, lsl #STACK_BITS
        mov     sp, x3
        msr     tpidr_el1, x3
        msr     tpidr_el0, x0
        adrp    x3, vectors
        add     x3, x3, :lo12:vectors
        msr     vbar_el1, x3
        isb
        mov     x29, xzr
        ret

        .balign 4
entries:
        b       yielding_entry
        b       fast_entry
        b       on_entry
        b       off_entry
        b       resume_entry
        b       suspend_entry
        b       interrupt_entry
        b       system_off_entry
        b       system_reset_entry
        b       abort_entry

        .macro  registers instruction
        \instruction x0, x1, [sp]
        \instruction x2, x3, [sp, #16]
        \instruction x4, x5, [sp, #32]
        \instruction x6, x7, [sp, #48]
        .endm

fast_entry:
        sub     sp, sp, #64
        registers stp
        mov     x0, sp
        bl      fast_call
        b       answer

// Meanwhile, Secure interrupts are taken here, Non-secure ones by EL3.
yielding_entry:
        sub     sp, sp, #64
        registers stp
        mov     x0, sp
        msr     daifclr, #2
        bl      yielding_call
        msr     daifset, #2
answer: registers ldp
        add     sp, sp, #64
        smc     #0
        b       never

on_entry:
        mov     x19, x0
        bl      setup
        mov     x0, x19
        bl      secondary_main
        done    TSP_ON_DONE

// Abandons a preempted call: its stack is free again.
        .macro  afresh
        mrs     x0, tpidr_el1
        mov     sp, x0
        .endm

abort_entry:
        afresh
        done    TSP_ABORT_DONE
off_entry:
        afresh
        bl      pe_off
        done    TSP_OFF_DONE

// EL3 keeps the registers while the PE is powered down.
suspend_entry:
        afresh
        done    TSP_SUSPEND_DONE
resume_entry:
        done    TSP_RESUME_DONE
system_off_entry:
        afresh
        bl      system_off
        done    TSP_SYSTEM_OFF_DONE
system_reset_entry:
        afresh
        bl      system_off
        done    TSP_SYSTEM_RESET_DONE

// A Secure interrupt arrived in another world. EL3 keeps the general registers of any preempted call.
interrupt_entry:
        bl      interrupt
        done    TSP_HANDLED_S_EL1_INTR

never:  mov     x0, xzr
        mov     x1, xzr
        mov     x2, xzr
        bl      unexpected

        .text
// u64 ns_copy(void *to, const void *from, u64 size): the mark in X12 tells the vector to resume at X10.
        .global ns_copy
ns_copy:
        ldr     x12, =PROBING
        adr     x10, 2f
        mov     x11, xzr
1:      cbz     x2, 2f
        ldrb    w3, [x1], #1
        strb    w3, [x0], #1
        sub     x2, x2, #1
        b       1b
2:      mov     x12, xzr
        mov     x0, x11
        ret

        .balign 2048
vectors:
        .skip   0x200
        ldr     x13, =PROBING
        cmp     x12, x13
        b.ne    1f
        mrs     x11, esr_el1
        msr     elr_el1, x10
        eret
1:      mrs     x0, esr_el1
        mrs     x1, elr_el1
        mrs     x2, far_el1
        bl      unexpected

        .balign 0x80
        stp     x0, x1, [sp, #-176]!
        registers_2_to_17 stp, sp
        stp     x18, x30, [sp, #144]
        bl      interrupt
        registers_2_to_17 ldp, sp
        ldp     x18, x30, [sp, #144]
        ldp     x0, x1, [sp], #176
        eret
