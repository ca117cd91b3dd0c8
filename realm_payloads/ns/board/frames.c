// Suite `frames`: the FVP's memory-mapped timers and counters, and its power controller. Empty for a board without them.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "devices.h"
#include "gic.h"
#include "platform.h"
#include "timer.h"

#ifdef TIMER_FRAME

#define MIDDLE 0x80
#define SOON 50000u                     // ticks: 0.5 ms
#define SLACK 2000ul
#define PERIOD 999u                     // at 1 MHz: an interrupt each millisecond
#define MILLISECOND 100000ul

static struct pe *const self = &pes[0];
static u64 status, compare, taken_at;

static void frame_off(struct pe *pe, u32 intid)
{
    (void)pe;
    (void)intid;
    taken_at = read64(FRAME_CNTPCT);
    status = read32(FRAME_CTL);
    write32(FRAME_CTL, 0);
}

static void listen(u32 intid)
{
    self->interrupts = 0;
    gic_route(intid, MPIDR_OF(0));
    gic_edge(intid, false);
    gic_enable(intid, MIDDLE);
}

static bool near(u64 one, u64 other)
{
    return one - other + SLACK < 2 * SLACK;
}

static void timer_frame(void)
{
    want("frame 1 has a physical timer", read32(CNTTIDR) >> 4 & 0xf, 1);
    want("CNTNSAR is Secure", read32(CNTNSAR), 0);
    want("its frequency is the counter's", read32(FRAME_CNTFRQ), read_sysreg(cntfrq_el0));
    want("its counter is that of the PE", near(read64(FRAME_CNTPCT), now()), true);
    want("so is that of the read frame", near(read64(COUNTER_FRAME), now()), true);
    write32(FRAME_TVAL, SOON);
    compare = read64(FRAME_CVAL);
    want("TVAL is relative to the counter", near(compare, now() + SOON), true);
    write32(FRAME_CTL, CNT_CTL_ENABLE | CNT_CTL_IMASK);
    want("it is quiet before its time", read32(FRAME_CTL), CNT_CTL_ENABLE | CNT_CTL_IMASK);
    while (read64(FRAME_CNTPCT) < compare)
        ;
    want("ISTATUS says that its time has come", read32(FRAME_CTL), CNT_CTL_ENABLE | CNT_CTL_IMASK | CNT_CTL_ISTATUS);
    want("TVAL is negative then", read32(FRAME_TVAL) >> 31, 1);
    self->on_irq = frame_off;
    listen(TIMER_FRAME_INTID);
    want("masked, it does not interrupt", gic_bit(GICD_ISPENDR, TIMER_FRAME_INTID), false);
    write64(FRAME_CVAL, compare = now() + SOON);
    write32(FRAME_CTL, CNT_CTL_ENABLE);
    pe_wait_interrupts(self, 1);
    want("it interrupts", self->intids[0], TIMER_FRAME_INTID);
    want("at its time", taken_at >= compare && near(taken_at, compare), true);
    want("with its status", status, CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    want("off, it is quiet", gic_bit(GICD_ISPENDR, TIMER_FRAME_INTID), false);
    gic_disable(TIMER_FRAME_INTID);
}

static void count(struct pe *pe, u32 intid)
{
    (void)pe;
    (void)intid;
    status = read32(SP804_MIS);
    write32(SP804_INTCLR, 1);
}

static void dual_timer(void)
{
    u64 start, ticks;

    want("the dual timer is an SP804", identity(PERIPH_ID(SP804, 0)) & 0xfffff, 0x41804);
    want("and the system controller an SP810", identity(PERIPH_ID(SP810, 0)) & 0xfffff, 0x41810);
    write32(SCCTRL, read32(SCCTRL) | SCCTRL_TIMER0_1MHZ);
    write32(SP804_CONTROL, SP804_32_BITS | SP804_PERIODIC | SP804_INTEN);
    write32(SP804_LOAD, PERIOD);
    want("its value is what was loaded", read32(SP804_VALUE), PERIOD);
    self->on_irq = count;
    listen(SP804_INTID);
    start = now();
    write32(SP804_CONTROL, SP804_32_BITS | SP804_PERIODIC | SP804_INTEN | SP804_EN);
    pe_wait_interrupts(self, 3);
    ticks = now() - start;
    write32(SP804_CONTROL, 0);
    want("it interrupts again and again", self->intids[2], SP804_INTID);
    want("once in a millisecond", near(ticks, 3 * MILLISECOND), true);
    want("with its status", status, 1);
    want("which INTCLR ends", read32(SP804_MIS), 0);
    gic_disable(SP804_INTID);
}

static void power(void)
{
    write32(PSYSR, MPIDR_OF(0));
    want("the power controller knows that this PE is on", read32(PSYSR) & (PSYSR_L0 | PSYSR_L1), PSYSR_L0 | PSYSR_L1);
    write32(PSYSR, MPIDR_OF(1));
    want("and that the next one is off", read32(PSYSR) & (PSYSR_L0 | PSYSR_L1), PSYSR_L1);
    write32(PSYSR, 0xffff00);
    want("and that another one is not there", read32(PSYSR), 0xffffffff);
}

void suite_frames(void)
{
    suite("frames");
    timer_frame();
    dual_timer();
    power();
    self->on_irq = NULL;
}
#endif
