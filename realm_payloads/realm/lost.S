// lost: a guest without vectors. With its MMU off it jumps to an IPA whose RIPAS is EMPTY. The abort that the RMM injects goes
// to VBAR_EL1 = 0, which is EMPTY too, and so on for ever. The machine must notice that no instruction completes, and end the
// run with a report and status 3.
// SPDX-License-Identifier: BSD-3-Clause

        .section .text.start, "ax"
        .global _start
_start: msr     vbar_el1, xzr
        mov     x0, #0x40000000
        br      x0
