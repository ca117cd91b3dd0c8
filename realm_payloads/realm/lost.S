// lost: a guest without vectors. With its MMU off it jumps to an IPA whose RIPAS is EMPTY; the abort that the RMM injects
// goes to VBAR_EL1 = 0, which is EMPTY too, and so on for ever without one instruction completed.
// Expects: the machine notices that no instruction is completed and the run ends with a report, status 3.
// SPDX-License-Identifier: BSD-3-Clause

        .section .text.start, "ax"
        .global _start
_start: msr     vbar_el1, xzr
        mov     x0, #0x40000000
        br      x0
