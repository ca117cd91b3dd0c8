// Loops of code at EL1 under a hypervisor at EL2: stage 2 faults that it repairs, registers that it traps. Its tables are
// in the loop's data.
// SPDX-License-Identifier: BSD-3-Clause
#include "guest_code.h"

#define HCR_RW (1 << 31)
#define TRAP_ID (1 << 18)               // TID3
#define TRAP_MMU (1 << 26)              // TVM
#define PSTATE_EL1H 0x3c5
#define WINDOW_GIB 7                    // where the pages are that come and go
#define PAGES 512
#define PAGE_LEAF 0x7ff                 // normal memory, all accesses
#define DATA_ABORT 0x24
#define HVC 0x16

        .section .text, "ax"
        .global stage2, trapped_mrs, trapped_msr, lower

stage2: mov     x0, #0
        adr     x1, touch
        b       enter
touch:  mov     x21, #WINDOW_GIB << 30
1:      and     x1, x19, #(PAGES - 1)
        cbnz    x1, 2f
        hvc     #0                      // no page is there any more
2:      add     x0, x21, x1, lsl #12
        ldr     x2, [x0]
        repeat  1b

trapped_mrs:
        mov     x0, #TRAP_ID
        adr     x1, 1f
        b       enter
1:      mrs     x0, id_aa64pfr0_el1
        repeat  1b

trapped_msr:
        mov     x0, #TRAP_MMU
        adr     x1, 1f
        b       enter
1:      msr     contextidr_el1, x0
        repeat  1b

// To X1 at EL1, with the bits X0 in HCR_EL2, under a stage 2 that maps all but a window; EL1 uses the tables of EL2.
enter:  mov     x2, x20                 // X20: level 1, a page more: level 2, X23: level 3, and the page that all map
        add     x22, x20, #0x1000
        add     x23, x20, #0x2000
        add     x24, x20, #0x3000
        movz    x3, #0x7fd              // blocks of 1 GiB
        mov     x4, #512
        mov     x5, #1 << 30
1:      str     x3, [x2], #8
        str     xzr, [x2, #(0x1000 - 8)]
        str     xzr, [x2, #(0x2000 - 8)]
        add     x3, x3, x5
        subs    x4, x4, #1
        b.ne    1b
        orr     x3, x22, #3
        str     x3, [x20, #(8 * WINDOW_GIB)]
        orr     x3, x23, #3
        str     x3, [x22]
        mov     x3, #PAGE_LEAF
        orr     x24, x24, x3
        movz    x3, #0x3559             // VTCR: T0SZ 25, from level 1, write-back, inner shareable, 4 KiB
        movk    x3, #0x8002, lsl #16    // PS 40 bits
        msr     vtcr_el2, x3
        msr     vttbr_el2, x20
        mrs     x3, ttbr0_el2
        msr     ttbr0_el1, x3
        mrs     x3, mair_el2
        msr     mair_el1, x3
        movz    x3, #0x3519             // TCR, as EL1 has it in a Realm
        movk    x3, #0x80, lsl #16
        movk    x3, #0x2, lsl #32
        msr     tcr_el1, x3
        dsb     ish
        tlbi    vmalls12e1
        dsb     ish
        isb
        mrs     x3, sctlr_el2
        movz    x4, #0x1005
        and     x3, x3, x4
        msr     sctlr_el1, x3
        mov     x3, #HCR_RW
        orr     x3, x3, x0
        orr     x3, x3, #1              // VM
        msr     hcr_el2, x3
        msr     elr_el2, x1
        mov     x3, #PSTATE_EL1H
        msr     spsr_el2, x3
        isb
        eret

// An exception from EL1: a page that is missing, the call that takes all away, or a register's access, which is stepped over.
lower:  mrs     x10, esr_el2
        lsr     x10, x10, #26
        cmp     x10, #DATA_ABORT
        b.ne    1f
        mrs     x11, hpfar_el2
        ubfx    x11, x11, #4, #9
        str     x24, [x23, x11, lsl #3]
        dsb     ish
        eret
1:      cmp     x10, #HVC
        b.eq    2f
        mrs     x11, elr_el2
        add     x11, x11, #4
        msr     elr_el2, x11
        eret
2:      mov     x11, x23
        mov     x12, #PAGES
3:      str     xzr, [x11], #8
        subs    x12, x12, #1
        b.ne    3b
        dsb     ish
        tlbi    vmalls12e1
        dsb     ish
        eret
