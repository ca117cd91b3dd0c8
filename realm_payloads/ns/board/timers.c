// Suite `timers`: the counter, and the four timers with their PPIs.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "gic.h"
#include "platform.h"
#include "psci.h"
#include "timer.h"

#define MIDDLE 0x80
#define SOON 20000ul                    // ticks
#define LATER 5000000ul
#define MILLISECOND 100000ul

static struct pe *const self = &pes[0];
static const struct timer *under_test;
static u64 left, status, deadline_met;

static void wait_until(u64 ticks)
{
    while (now() < ticks)
        ;
}

// Lets the timer interrupt `left` times, then masks it.
static void on_timer(struct pe *pe, u32 intid)
{
    (void)pe;
    (void)intid;
    status = under_test->control();
    deadline_met = under_test->now() >= under_test->compare();
    if (!--left)
        under_test->set_control(CNT_CTL_ENABLE | CNT_CTL_IMASK);
}

static void counter(void)
{
    u64 frequency = read_sysreg(cntfrq_el0), before = now(), after;

    want("the counter has its frequency", frequency, 100000000);
    for (volatile unsigned i = 0; i < 1000; i++)
        ;
    after = now();
    want("it runs, a tick for ten instructions or so", after - before >= 100, true);
    want("it never goes back", now() >= after, true);
    write_sysreg(cntvoff_el2, 0);
    isb();
    before = now();
    want("the virtual counter is the physical one without an offset", timers[CNTV].now() - before < MILLISECOND, true);
    write_sysreg(cntvoff_el2, 0x10000000);
    isb();
    before = now();
    want("and behind it by the offset", timers[CNTV].now() - (before - 0x10000000) < MILLISECOND, true);
    write_sysreg(cntvoff_el2, 0);
    isb();
}

static void each(const struct timer *timer)
{
    const u32 intid = timer->intid;
    u64 compare, value;

    under_test = timer;
    self->interrupts = 0;
    suite(timer->name);
    gic_edge(intid, false);
    gic_enable(intid, MIDDLE);
    timer->set_control(0);
    timer->set_compare(timer->now() + LATER);
    timer->set_control(CNT_CTL_ENABLE);
    want("a timer whose time has not come is quiet", timer->control(), CNT_CTL_ENABLE);
    want("its PPI is not pending", gic_bit(GICD_ISPENDR, intid), false);
    timer->set_value(SOON);
    compare = timer->compare();
    want("TVAL is relative to the counter", compare - timer->now() <= SOON, true);
    value = timer->value();
    while (timer->value() == value)
        ;
    want("and counts down", timer->value() < value && value <= SOON, true);
    while (timer->now() < compare)
        ;
    want("ISTATUS says that its time has come", timer->control(), CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    want("TVAL is negative then", (s64)(timer->value() << 32) < 0, true);
    want("its PPI is pending", gic_bit(GICD_ISPENDR, intid), true);
    timer->set_control(CNT_CTL_ENABLE | CNT_CTL_IMASK);
    want("IMASK leaves ISTATUS", timer->control(), CNT_CTL_ENABLE | CNT_CTL_IMASK | CNT_CTL_ISTATUS);
    want("and lowers the line", gic_bit(GICD_ISPENDR, intid), false);
    timer->set_control(CNT_CTL_ENABLE);
    want("which follows IMASK", gic_bit(GICD_ISPENDR, intid), true);
    timer->set_compare(timer->now() + LATER);
    want("and the condition", gic_bit(GICD_ISPENDR, intid), false);
    timer->set_control(0);
    want("ISTATUS is 0 while it is off", timer->control() & CNT_CTL_ISTATUS, 0);

    left = 3;
    timer->set_value(SOON);
    timer->set_control(CNT_CTL_ENABLE);
    pe_wait_interrupts(self, 3);
    want("its interrupt comes as long as the line is high", self->interrupts, 3);
    want("with its INTID", self->intids[0] == intid && self->intids[2] == intid, true);
    want("not before its time", deadline_met, true);
    want("and ISTATUS shows it", status, CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    irq_unmask();
    wait_until(now() + SOON);
    irq_mask();
    want("masked, it does not come", self->interrupts, 3);
    timer->set_control(0);
    gic_disable(intid);
}

// A pending interrupt ends WFI, whether it is taken or not.
static void sleep(void)
{
    const struct timer *timer = &timers[CNTHP];
    u64 start = now();

    self->interrupts = 0;
    gic_enable(timer->intid, MIDDLE);
    timer->set_compare(start + LATER);
    timer->set_control(CNT_CTL_ENABLE);
    while (now() < start + LATER)
        wfi();
    want("WFI sleeps through a long time", now() - start - LATER < SOON, true);
    want("and wakes by an interrupt that is masked", self->interrupts, 0);
    start = now();
    timer->set_compare(start + LATER);
    want("CPU_SUSPEND to standby succeeds", psci(PSCI_CPU_SUSPEND_64, 0, 0, 0), 0);
    want("and sleeps as WFI does", now() - start - LATER < SOON, true);
    want("to a state that is not there it does not", psci(PSCI_CPU_SUSPEND_64, 1, IMAGE, 0), PSCI_INVALID_PARAMETERS);
    timer->set_control(0);
    gic_disable(timer->intid);
}

// The virtual timer compares with the counter minus CNTVOFF_EL2.
static void offset(void)
{
    const struct timer *timer = &timers[CNTV];

    gic_enable(timer->intid, MIDDLE);
    write_sysreg(cntvoff_el2, now());
    isb();
    timer->set_compare(LATER);
    timer->set_control(CNT_CTL_ENABLE);
    want("the virtual timer waits for the virtual counter", timer->control(), CNT_CTL_ENABLE);
    write_sysreg(cntvoff_el2, 0);
    timer->set_compare(now());
    isb();
    want("and fires when it gets there", timer->control(), CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    write_sysreg(cntvoff_el2, now());
    isb();
    want("a larger offset takes that back", timer->control(), CNT_CTL_ENABLE);
    want("and the interrupt", gic_bit(GICD_ISPENDR, timer->intid), false);
    write_sysreg(cntvoff_el2, 0);
    isb();
    timer->set_control(0);
    gic_disable(timer->intid);
}

void suite_timers(void)
{
    suite("timers");
    self->on_irq = on_timer;
    counter();
    sleep();
    offset();
    for (size_t i = 0; i < TIMERS; i++)
        each(&timers[i]);
    self->on_irq = NULL;
}
