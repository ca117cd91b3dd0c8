// Loops with interrupts: a timer that ends WFI, an SGI that a PE sends to itself, SGIs that two PEs send to each other.
// SPDX-License-Identifier: BSD-3-Clause
#include "guest_code.h"

#define GICD_ON 0x12                    // affinity routing, Group 1
#define GICR_WAKER 0x14
#define GICR_SGI 0x10000
#define STRIDE_SHIFT 17
#define IGROUPR 0x80
#define ISENABLER 0x100
#define IPRIORITYR 0x400
#define PRIORITIES 0xa0a0a0a0
#define SGI 1
#define HCR_RW (1 << 31)
#define HCR_IMO (1 << 4)
#define IRQ 2                           // PSTATE.I, for DAIFSet

        .section .text, "ax"
        .global wake, interrupt, between, taken

wake:   bl      gic
1:      mov     x0, #100                // a microsecond
        msr     cntv_tval_el0, x0
        mov     x0, #1
        msr     cntv_ctl_el0, x0
        isb
        wfi
        msr     cntv_ctl_el0, xzr
        isb
        repeat  1b

interrupt:
        bl      gic
        mov     x21, #SGI << 24
        orr     x21, x21, #1            // to the first PE
        msr     daifclr, #IRQ
1:      mov     x26, #0
        msr     icc_sgi1r_el1, x21
        isb
2:      cbz     x26, 2b
        repeat  1b

between:
        bl      gic
        mov     x21, #SGI << 24
        mov     x0, #2                  // to the other PE
        lsr     x0, x0, x25
        orr     x21, x21, x0
        mov     x26, #0
        adr     x0, ended
        cbnz    x25, 3f
1:      ldr     x1, [x0, #8]            // until the other one can take interrupts
        yield
        cbz     x1, 1b
2:      msr     icc_sgi1r_el1, x21
        bl      await
        repeat  2b
3:      str     x21, [x0, #8]           // as if it had done its turns
4:      bl      await
        msr     icc_sgi1r_el1, x21
        b       4b

// Wait for an interrupt, and take it.
await:  wfi
        msr     daifclr, #IRQ
        isb
        msr     daifset, #IRQ
        cbz     x26, await
        mov     x26, #0
        ret

// An IRQ: X26 counts them.
taken:  mrs     x9, icc_iar1_el1
        msr     icc_eoir1_el1, x9
        add     x26, x26, #1
        eret

// The GIC, for this PE: X27 is the distributor.
gic:    mrs     x0, CurrentEL
        cmp     x0, #8
        b.ne    1f
        mov     x0, #HCR_RW
        orr     x0, x0, #HCR_IMO        // to EL2
        msr     hcr_el2, x0
1:      mov     w0, #GICD_ON
        str     w0, [x27]
        adr     x1, frames
        ldr     x1, [x1]
        add     x1, x1, x25, lsl #STRIDE_SHIFT
        str     wzr, [x1, #GICR_WAKER]
        add     x1, x1, #GICR_SGI
        mov     w0, #-1
        str     w0, [x1, #IGROUPR]
        movz    w2, #(PRIORITIES & 0xffff)
        movk    w2, #(PRIORITIES >> 16), lsl #16
        add     x3, x1, #IPRIORITYR
        mov     x4, #8
2:      str     w2, [x3], #4
        subs    x4, x4, #1
        b.ne    2b
        str     w0, [x1, #ISENABLER]
        mov     x0, #0xf0
        msr     icc_pmr_el1, x0
        mov     x0, #1
        msr     icc_igrpen1_el1, x0
        isb
        ret
