// guest_code: loops whose speed `realmlab bench` measures: in a Realm, at Non-secure EL2, and with another emulator.
// It runs wherever it is put, turns the MMU on (an identity map), runs one loop, and turns the system off by PSCI.
// SPDX-License-Identifier: BSD-3-Clause

#define SCTLR_ON (1 << 0 | 1 << 2 | 1 << 12)    // M, C, I
#define PSCI_SYSTEM_OFF 0x84000008
#define PSCI_CPU_ON 0xc4000003
#include "guest_code.h"

        .arch_extension fp
        .arch_extension simd
        .section .text.start, "ax"
        .global _start
_start: b       start
        .balign 8
which:  .quad   0               // which loop: its number in the table below
count:  .quad   1000            // how often, at least once
device: .quad   0               // the address of a device's register, of a protected page, of the GIC's distributor
frames: .quad   0               // the address of the GIC's redistributors
pes:    .quad   1               // how many PEs run the loop: this one turns the others on
        .quad   0
        .global frames, ended

start:  mov     x25, #0                 // the number of this PE
pe:     mrs     x0, CurrentEL
        adr     x1, tables
        adr     x2, vectors
        mov     x3, #0x00ff             // MAIR: 0 write-back, 1 Device-nGnRnE
        movz    x4, #0x3519             // TCR: T0SZ 25, 4 KiB, write-back, inner shareable
        movk    x4, #0x2, lsl #16       // EL2: PS 40 bits
        mov     x5, #SCTLR_ON
        cmp     x0, #8
        b.eq    2f
        movk    x4, #0x80, lsl #16      // EL1: EPD1
        movk    x4, #0x2, lsl #32       // IPS 40 bits
        msr     ttbr0_el1, x1
        msr     vbar_el1, x2
        msr     mair_el1, x3
        msr     tcr_el1, x4
        mov     x6, #3 << 20            // FP on
        msr     cpacr_el1, x6
        isb
        msr     sctlr_el1, x5
        b       3f
2:      movk    x4, #0x8082, lsl #16    // RES1
        msr     ttbr0_el2, x1
        msr     vbar_el2, x2
        msr     mair_el2, x3
        msr     tcr_el2, x4
        msr     cptr_el2, xzr
        isb
        msr     sctlr_el2, x5
3:      isb
        ldr     x19, count
        cmp     x19, #0
        csinc   x19, x19, xzr, ne
        adr     x20, _start
        add     x20, x20, #0x100, lsl #12       // 1 MiB from the start
        add     x20, x20, x25, lsl #20          // and as much for each PE
        adr     x27, device
        ldr     x27, [x27]
        ldr     x1, which
        adr     x2, table
        add     x2, x2, x1, lsl #2
        adr     x28, done
        cbz     x25, others
        br      x2

others: ldr     x24, pes                // the last ones first
1:      sub     x24, x24, #1
        cbz     x24, 2f
        movz    x0, #(PSCI_CPU_ON & 0xffff)
        movk    x0, #(PSCI_CPU_ON >> 16), lsl #16
        mov     x1, x24
        adr     x2, second
        mov     x3, x24
        smc     #0
        b       1b
2:      ldr     x1, which
        adr     x2, table
        add     x2, x2, x1, lsl #2
        br      x2
second: mov     x25, x0
        b       pe

done:   adr     x0, ended               // a PE has done its turns
        add     x0, x0, x25, lsl #3
        mov     x1, #1
        str     x1, [x0]
        cbnz    x25, asleep
        ldr     x24, pes
1:      sub     x24, x24, #1
        cbz     x24, off
        adr     x0, ended
        add     x0, x0, x24, lsl #3
2:      ldr     x1, [x0]
        yield
        cbz     x1, 2b
        b       1b
asleep: wfi
        b       asleep
off:    movz    x0, #(PSCI_SYSTEM_OFF & 0xffff)
        movk    x0, #(PSCI_SYSTEM_OFF >> 16), lsl #16
        smc     #0
        b       .

        .balign 8
ended:  .fill   8, 8, 0

table:  b       alu10
        b       alu100
        b       branchy
        b       call
        b       load
        b       store
        b       three_in_12
        b       memcpy
        b       bytes
        b       exclusive
        b       svc_eret
        b       fresh
        b       rewritten
        b       walks
        b       tlbi
        b       cntvct
        b       floating
        b       device_read
        b       device_write
        b       thread_register
        b       trapped_read
        b       trapped_write
        b       fault
        b       identification
        b       stage2
        b       trapped_mrs
        b       trapped_msr
        b       wake
        b       interrupt
        b       between

alu10:  .rept   4
        add     x0, x0, x1
        eor     x1, x1, x0, ror #7
        .endr
        repeat  alu10

alu100: .rept   49
        add     x0, x0, x1
        eor     x1, x1, x0, ror #7
        .endr
        repeat  alu100

branchy:
        add     x0, x0, #0x9e
        eor     x0, x0, x0, lsl #13
        eor     x0, x0, x0, lsr #7
        .irp    bit, 1, 5, 9, 13, 17, 21, 25, 29
        tbz     x0, #\bit, 1f
        add     x1, x1, x0
1:
        .endr
        repeat  branchy

call:   bl      outer
        repeat  call
outer:  mov     x9, x30
        bl      inner
        bl      inner
        ret     x9
inner:  add     x0, x0, #1
        ret

load:   .irp    at, 0, 64, 128, 192, 256, 320, 384, 448
        ldr     x0, [x20, #\at]
        .endr
        repeat  load

store:  .irp    at, 0, 64, 128, 192, 256, 320, 384, 448
        str     x0, [x20, #\at]
        .endr
        repeat  store

three_in_12:
        ldr     x0, [x20]
        add     x1, x1, x0
        eor     x1, x1, x1, ror #3
        add     x2, x2, x1
        ldr     x3, [x20, #8]
        add     x2, x2, x3
        eor     x4, x2, x1
        str     x4, [x20, #16]
        add     x5, x5, x4
        eor     x5, x5, x5, ror #9
        repeat  three_in_12

memcpy: mov     x0, x20                 // 4 KiB
        add     x1, x20, #0x2000
        mov     x2, #64
1:      ldp     x3, x4, [x0], #16
        ldp     x5, x6, [x0], #16
        ldp     x7, x8, [x0], #16
        ldp     x9, x10, [x0], #16
        stp     x3, x4, [x1], #16
        stp     x5, x6, [x1], #16
        stp     x7, x8, [x1], #16
        stp     x9, x10, [x1], #16
        subs    x2, x2, #1
        b.ne    1b
        repeat  memcpy

bytes:  mov     x0, x20                 // 64 bytes
        add     x1, x20, #0x1000
        mov     x2, #64
1:      ldrb    w3, [x0], #1
        strb    w3, [x1], #1
        subs    x2, x2, #1
        b.ne    1b
        repeat  bytes

exclusive:
        ldxr    x0, [x20]
        add     x0, x0, #1
        stxr    w1, x0, [x20]
        cbnz    w1, exclusive
        repeat  exclusive

svc_eret:
        svc     #0
        repeat  svc_eret

fresh:  adr     x0, line                // code that nobody has run: 1,000 instructions, copied to another page each time
        and     x1, x19, #31
        add     x1, x20, x1, lsl #12
        mov     x21, x1
        mov     x2, #(4032 / 16)
1:      ldp     x3, x4, [x0], #16
        stp     x3, x4, [x1], #16
        subs    x2, x2, #1
        b.ne    1b
        dsb     ish
        ic      iallu
        dsb     ish
        isb
        blr     x21
        repeat  fresh
        .balign 16
line:   .rept   500
        add     x0, x0, x1
        eor     x1, x1, x0, ror #7
        .endr
        ret
        .balign 16
        nop
        nop
        nop
        nop
        nop
        nop
        nop
        nop

rewritten:                              // one instruction of a function changes before each call
        movz    w0, #0x0000
        movk    w0, #0x9100, lsl #16    // ADD X0, X0, #n
        and     w1, w19, #0xfff
        orr     w0, w0, w1, lsl #10
        str     w0, [x20]
        movz    w0, #0x03c0
        movk    w0, #0xd65f, lsl #16    // RET
        str     w0, [x20, #4]
        dc      cvau, x20
        dsb     ish
        ic      ivau, x20
        dsb     ish
        isb
        blr     x20
        repeat  rewritten

walks:  mov     x0, x20                 // 4,096 pages
        mov     x1, #4096
1:      ldr     x2, [x0]
        add     x0, x0, #4096
        subs    x1, x1, #1
        b.ne    1b
        repeat  walks

tlbi:   mrs     x2, CurrentEL
        lsr     x0, x20, #12
        cmp     x2, #8
        b.eq    2f
1:      tlbi    vae1, x0
        dsb     ish
        isb
        ldr     x1, [x20]
        repeat  1b
2:      tlbi    vae2, x0
        dsb     ish
        isb
        ldr     x1, [x20]
        repeat  2b

cntvct: mrs     x0, cntvct_el0
        repeat  cntvct

floating:
        fmadd   d0, d1, d2, d0
        fadd    d3, d3, d1
        fmul    v4.2d, v5.2d, v6.2d
        add     v7.4s, v7.4s, v4.4s
        fmadd   d1, d1, d2, d3
        fadd    d2, d2, d3
        repeat  floating

device_read:
        ldr     w0, [x27]
        repeat  device_read

device_write:
        str     w19, [x27]
        repeat  device_write

thread_register:
        mrs     x0, tpidr_el1
        msr     tpidr_el1, x0
        repeat  thread_register

trapped_read:
        mrs     x0, icc_pmr_el1
        repeat  trapped_read

trapped_write:
        mov     x0, #0xf0
1:      msr     icc_pmr_el1, x0
        repeat  1b

fault:  ldr     w0, [x27]               // the handler steps over it
        repeat  fault

identification:
        mrs     x0, id_aa64pfr0_el1
        repeat  identification

        .balign 2048
vectors:
        .rept   4
        .balign 128
        b       .
        .endr
        .balign 128                     // synchronous, from the same level: SVC is over; anything else is stepped over
        mrs     x9, CurrentEL
        cmp     x9, #8
        b.eq    1f
        mrs     x10, esr_el1
        lsr     x10, x10, #26
        cmp     x10, #0x15
        b.eq    2f
        mrs     x11, elr_el1
        add     x11, x11, #4
        msr     elr_el1, x11
2:      eret
1:      mrs     x10, esr_el2
        lsr     x10, x10, #26
        cmp     x10, #0x15
        b.eq    3f
        mrs     x11, elr_el2
        add     x11, x11, #4
        msr     elr_el2, x11
3:      eret
        .balign 128                     // IRQ from the same level
        b       taken
        .balign 1024
        b       lower                   // synchronous, from the level below
        .balign 2048

        .balign 4096
tables: .quad   0x0000000000000000 | 0x705              // 0: Device, 1 GiB blocks
        .set    gigabyte, 1
        .rept   511
        .quad   gigabyte << 30 | 0x701                  // Normal
        .set    gigabyte, gigabyte + 1
        .endr
