// Suite `vm`, interrupts: virtual ones from list registers and HCR_EL2, and physical ones that take the PE from the guest.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "vm.h"
#include "gic.h"
#include "ich.h"
#include "timer.h"

#define MIDDLE 0x80
#define IDLE 0xff

static struct pe *const self = &pes[0];

static void want_interrupts(u64 count, u64 intid, u64 priority)
{
    detail("it took them all", guest.x[0], count);
    detail("the last one is right", guest.x[1], intid);
    detail("with its priority", guest.x[2], priority);
}

// The host unmasks interrupts and takes this one.
static void want_host_interrupt(const char *rule, u32 intid)
{
    self->interrupts = 0;
    irq_unmask();
    for (volatile unsigned i = 0; i < 20 && !self->interrupts; i++)
        ;
    irq_mask();
    want(rule, self->intids[0], intid);
    detail("it is taken", self->interrupts > 0, true);
}

static void maintenance_off(struct pe *pe, u32 intid)
{
    (void)pe;
    if (intid == MAINTENANCE)
        write_sysreg(ich_hcr_el2, read_sysreg(ich_hcr_el2) & ~(ICH_UIE | ICH_LRENPIE));
    isb();
}

static void virtual_interrupts(void)
{
    vm_create(ROLE_INTERRUPTS);
    self->on_irq = maintenance_off;
    gic_enable(MAINTENANCE, MIDDLE);
    write_sysreg(ich_hcr_el2, ICH_EN);
    want("there are four list registers or more", (read_sysreg(ich_vtr_el2) & 0x1f) >= 3, true);
    vm_want_step("a guest gets ready", STEP_READY);
    want("all list registers are empty", read_sysreg(ich_elrsr_el2) & 0xf, 0xf);
    write_sysreg(ich_lr0_el2, LR(40, 0x50) | LR_PENDING);
    isb();
    vm_want_step("a pending interrupt of a list register is taken", STEP_TOOK);
    want_interrupts(1, 40, 0x50);
    want("and done with", read_sysreg(ich_lr0_el2) & LR_STATE, 0);
    want("ICH_VMCR_EL2 has the guest's priority mask", VMCR_PMR(read_sysreg(ich_vmcr_el2)), GUEST_PRIORITY_MASK);
    want("and its group enables", read_sysreg(ich_vmcr_el2) & 3, VMCR_GROUP1);
    write_sysreg(ich_lr0_el2, LR(41, 0x80) | LR_PENDING);
    write_sysreg(ich_lr1_el2, LR(42, 0x40) | LR_PENDING);
    isb();
    vm_want_step("two are taken", STEP_TOOK);
    want_interrupts(3, 41, 0x80);
    write_sysreg(ich_lr0_el2, LR(43, 0x60) | LR_PENDING | LR_EOI);
    isb();
    vm_want_step("one is kept", STEP_KEPT);
    want_interrupts(4, 43, 0x60);
    want("its list register is active", read_sysreg(ich_lr0_el2) & LR_STATE, LR_ACTIVE);
    want("the others are empty", read_sysreg(ich_elrsr_el2) & 0xf, 0xe);
    want("the end of an interrupt with EOI set is for the host", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("MISR says so", read_sysreg(ich_misr_el2), MISR_EOI);
    want("and EISR which one", read_sysreg(ich_eisr_el2), 1);
    write_sysreg(ich_lr0_el2, 0);
    isb();
    want("an empty list register ends that", read_sysreg(ich_misr_el2), 0);
    vm_want_step("the guest goes on", STEP_ENDED);
    want("with nothing running", guest.x[0], IDLE);

    write_sysreg(ich_lr0_el2, LR(44, 0x70) | LR_PENDING);
    isb();
    vm_want_step("one is kept again", STEP_KEPT);
    write_sysreg(ich_lr0_el2, 0);
    write_sysreg(ich_hcr_el2, ICH_EN | ICH_LRENPIE);
    isb();
    want("the end of what is in no list register is for the host", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("EOIcount counts it", ICH_EOICOUNT(read_sysreg(ich_hcr_el2)), 1);
    want("MISR says so", read_sysreg(ich_misr_el2), MISR_LRENP);
    want_host_interrupt("the maintenance interrupt is taken here", MAINTENANCE);
    vm_want_step("the guest goes on", STEP_ENDED);
    write_sysreg(ich_hcr_el2, ICH_EN | ICH_UIE);
    isb();
    want("list registers that run out are for the host", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("MISR says so", read_sysreg(ich_misr_el2), MISR_U);
    want_host_interrupt("the maintenance interrupt is taken here", MAINTENANCE);
    vm_want_step("the guest is done", STEP_DONE);
    want("it took five", guest.x[0], 5);
    gic_disable(MAINTENANCE);
    vm_destroy();
}

static void group0(void)
{
    vm_create(ROLE_GROUP0);
    write_sysreg(ich_hcr_el2, ICH_EN);
    vm_want_step("a guest gets ready", STEP_READY);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_VSE);
    isb();
    vm_want_step("HCR_EL2.VSE makes a virtual SError", STEP_SERROR);
    want("with its class", ESR_EC(guest.x[9]), EC_SERROR);
    want("once", read_sysreg(hcr_el2) & HCR_VSE, 0);
    write_sysreg(ich_lr0_el2, (LR(60, 0x50) & ~LR_GROUP1) | LR_PENDING);
    isb();
    vm_want_step("an interrupt of Group 0 is a virtual FIQ", STEP_TOOK);
    want_interrupts(1, 60, 0x50);
    want("and completed", read_sysreg(ich_lr0_el2) & LR_STATE, 0);
    vm_want_step("the guest is done", STEP_DONE);
    vm_destroy();
}

// HCR_EL2.VI alone interrupts too, but leaves nothing to acknowledge.
static void by_hcr(void)
{
    vm_create(ROLE_SPIN);
    write_sysreg(ich_hcr_el2, ICH_EN);
    vm_want_step("a guest gets ready", STEP_READY);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_VI);
    isb();
    vm_want_step("HCR_EL2.VI interrupts", STEP_SPURIOUS);
    want("and there is nothing to acknowledge", guest.x[0], INTID_SPURIOUS);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC);
    write_sysreg(ich_lr0_el2, LR(50, 0x50) | LR_PENDING);
    isb();
    vm_want_step("an interrupt ends its loop", STEP_TOOK);
    want_interrupts(1, 50, 0);
    vm_destroy();
}

// The host's own timer takes the PE from a guest that never leaves it.
static void physical_interrupts(void)
{
    const struct timer *timer = &timers[CNTHP];

    vm_create(ROLE_SPIN);
    vm_want_step("a guest gets ready", STEP_READY);
    gic_enable(timer->intid, MIDDLE);
    timer->set_value(30000);
    timer->set_control(CNT_CTL_ENABLE);
    want("a physical interrupt takes the PE from it", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("at its time", timer->control(), CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    want("the guest was interrupted with its own mask off", guest.pstate & 0x3cf, 0x345);
    want("the interrupt waits here", gic_acknowledge(), timer->intid);
    timer->set_control(0);
    gic_end(timer->intid);
    gic_disable(timer->intid);
    vm_destroy();
}

// As KVM does it: the physical interrupt stays active until the guest ends the virtual one.
static void virtual_timer(void)
{
    const struct timer *timer = &timers[CNTV];

    vm_create(ROLE_TIMER);
    gic_mode(true);
    gic_enable(timer->intid, MIDDLE);
    write_sysreg(ich_hcr_el2, ICH_EN);
    isb();
    for (u64 i = 1; i <= 2; i++) {
        want("the virtual timer of a guest interrupts the host", guest_run(&guest), VECTOR_LOWER_IRQ);
        want("as PPI 27", gic_acknowledge(), timer->intid);
        gic_end(timer->intid);
        want("which stays active", gic_bit(GICD_ISACTIVER, timer->intid), true);
        write_sysreg(ich_lr0_el2, LR(timer->intid, 0x80) | LR_PENDING | LR_HW | (u64)timer->intid << 32);
        isb();
        vm_want_step("the guest takes it from a list register", STEP_TOOK);
        detail("it took them all", guest.x[0], i);
        detail("the last one is right", guest.x[1], timer->intid);
        want("its end deactivates the physical one", gic_bit(GICD_ISACTIVER, timer->intid), false);
    }
    vm_want_step("the guest is done", STEP_DONE);
    gic_mode(false);
    gic_disable(timer->intid);
    vm_destroy();
}

void vm_interrupts(void)
{
    virtual_interrupts();
    group0();
    by_hcr();
    physical_interrupts();
    virtual_timer();
    self->on_irq = NULL;
}
