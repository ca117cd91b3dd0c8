// Suite `watchdog`: both watchdogs, up to their interrupts. lives.c lets them reset the system. Empty for a board without them.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "devices.h"
#include "gic.h"
#include "platform.h"
#include "timer.h"

#ifdef WATCHDOG_CONTROL

#define MIDDLE 0x80
#define OFFSET 1000000ul                // ticks: 10 ms
#define LOAD 328u                       // the same at 32,768 Hz
#define ARM 0x43bu

static struct pe *const self = &pes[0];
static u64 status;

static void refresh(struct pe *pe, u32 intid)
{
    (void)pe;
    status = intid == SP805_INTID ? read32(WDOGMIS) : read32(WCS);
    if (intid == SP805_INTID)
        write32(WDOGINTCLR, 1);
    else
        write32(WRR, 1);
}

static void wait_interrupt(u32 intid)
{
    self->interrupts = 0;
    gic_route(intid, MPIDR_OF(0));
    gic_edge(intid, false);
    gic_enable(intid, MIDDLE);
    pe_wait_interrupts(self, 1);
}

static void generic(void)
{
    u64 start, armed;

    want("the generic watchdog is Arm's", read32(W_IIDR) & 0xfff, ARM);
    want("it is off", read32(WCS) & WCS_EN, 0);
    write32(WOR, OFFSET);
    want("its offset reads back", read32(WOR), OFFSET);
    start = now();
    write32(WCS, WCS_EN);
    armed = read64(WCV);
    want("it is armed", read32(WCS), WCS_EN);
    want("its compare value is the counter and the offset", armed - start >= OFFSET && armed - start < OFFSET + 1000, true);
    while (now() - start < OFFSET / 2)
        ;
    write32(WRR, 0);
    want("a refresh moves it", read64(WCV) - armed >= OFFSET / 2 - 1000, true);
    armed = read64(WCV);
    while (now() < start + OFFSET)
        ;
    want("so nothing happens at its first time", read32(WCS), WCS_EN);
    wait_interrupt(WATCHDOG_INTID);
    want("then WS0 interrupts", self->intids[0], WATCHDOG_INTID);
    want("not before", now() > armed, true);
    want("WCS shows it", status, WCS_EN | WCS_WS0);
    want("a refresh ends it", read32(WCS), WCS_EN);
    want("and the interrupt", gic_bit(GICD_ISPENDR, WATCHDOG_INTID), false);
    write32(WCS, 0);
    want("it is off again", read32(WCS), 0);
    gic_disable(WATCHDOG_INTID);
}

static void sp805(void)
{
    u64 start = now();

    want("the SP805 is off", read32(WDOGCONTROL), 0);
    write32(WDOGLOCK, 0);
    want("its lock closes", read32(WDOGLOCK) & 1, 1);
    write32(WDOGLOAD, 1);
    want("and keeps writes out", read32(WDOGLOAD) != 1, true);
    write32(WDOGLOCK, WDOG_KEY);
    want("the key opens it", read32(WDOGLOCK) & 1, 0);
    write32(WDOGLOAD, LOAD);
    want("its load value reads back", read32(WDOGLOAD), LOAD);
    write32(WDOGCONTROL, WDOG_INTEN);
    want("it counts down from there", read32(WDOGVALUE) <= LOAD, true);
    wait_interrupt(SP805_INTID);
    want("at zero it interrupts", self->intids[0], SP805_INTID);
    want("at its own pace", now() - start >= OFFSET - OFFSET / LOAD && now() - start < OFFSET + OFFSET / 4, true);
    want("with its status", status, 1);
    want("INTCLR ends it", read32(WDOGRIS), 0);
    write32(WDOGCONTROL, 0);
    gic_disable(SP805_INTID);
}

void suite_watchdog(void)
{
    suite("watchdog");
    self->on_irq = refresh;
    generic();
    sp805();
    self->on_irq = NULL;
}
#endif
