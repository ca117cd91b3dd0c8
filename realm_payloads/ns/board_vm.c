// Suite `vm`: a plain VM at EL1 under Non-secure stage 2, with what EL2 traps, refuses, and injects.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "board_guest.h"
#include "gic.h"
#include "ich.h"
#include "platform.h"
#include "timer.h"

#define VMID (5ul << 48)
#define VMPIDR 0x80000000ul
#define MIDR 0x00cca000ul
#define S2_NORMAL (0xful << 2 | 3ul << 8 | 1ul << 10)
#define S2_READ (1ul << 6)
#define S2_WRITE (2ul << 6)
#define VTCR_T0SZ (64 - GUEST_IPA_WIDTH)
#define VTCR_SL0_1 (1ul << 6)
#define VTCR_WRITE_BACK (1ul << 8 | 1ul << 10 | 3ul << 12)
#define VTCR_PS_40 (2ul << 16)
#define VTCR_RES1 (1ul << 31)

#define CNTHCTL_EL1PCTEN 1ul
#define CNTHCTL_EL1PCEN 2ul
#define S1PTW (1ul << 7)
#define MIDDLE 0x80
#define IDLE 0xff

extern u8 __guest_start[], __guest_end[];
static u8 memory[GUEST_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static u64 level1[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));
static struct guest guest;
static struct pe *const self = &pes[0];

// A new VM with this role: memory from the start, tables, registers.
static void create(u64 role)
{
    u64 size = (u64)(__guest_end - __guest_start);

    detail("the program of the guest fits", size <= GUEST_CODE_PAGES * PAGE_SIZE, true);
    for (u64 at = 0; at < sizeof(memory); at += 4)
        *(volatile u32 *)((u8 *)memory + at) = at < size ? *(u32 *)(__guest_start + at) : 0;
    level1[GUEST_CODE >> 30] = (u64)level2 | TABLE;
    level2[0] = (u64)level3 | TABLE;
    for (u64 i = 0; i < GUEST_PAGES; i++)
        level3[i] = (u64)memory[i] | PAGE | S2_NORMAL | S2_READ | (GUEST_CODE + i * PAGE_SIZE < GUEST_READ_ONLY ? S2_WRITE : 0);
    write_sysreg(vtcr_el2, VTCR_RES1 | VTCR_PS_40 | VTCR_WRITE_BACK | VTCR_SL0_1 | VTCR_T0SZ);
    write_sysreg(vttbr_el2, (u64)level1 | VMID);
    write_sysreg(vmpidr_el2, VMPIDR);
    write_sysreg(vpidr_el2, MIDR);
    write_sysreg(sctlr_el1, 0x30d00800);
    write_sysreg(cntvoff_el2, 0);
    write_sysreg(cnthctl_el2, CNTHCTL_EL1PCTEN | CNTHCTL_EL1PCEN);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC);
    dsb(ish);
    __asm__ volatile("ic iallu\n\tdsb nsh\n\tisb\n\ttlbi vmalls12e1is\n\tdsb ish\n\tisb" ::: "memory");
    guest.pc = GUEST_CODE;
    guest.pstate = PSTATE_EL1H;
    guest.x[0] = role;
    for (size_t i = 1; i < ARRAY_SIZE(guest.x); i++)
        guest.x[i] = 0;
}

static void destroy(void)
{
    write_sysreg(ich_hcr_el2, 0);
    write_sysreg(ich_lr0_el2, 0);
    write_sysreg(ich_lr1_el2, 0);
    write_sysreg(ich_vmcr_el2, 0);
    write_sysreg(ich_ap1r0_el2, 0);
    write_sysreg(cntv_ctl_el0, 0);
    write_sysreg(hcr_el2, HCR_HOST);
    isb();
}

// Run until the guest makes this step.
static void want_step(const char *rule, u64 number)
{
    want(rule, guest_run(&guest), VECTOR_LOWER_SYNC);
    detail("it is the step that comes next", read_sysreg(esr_el2), ESR(EC_HVC, number));
}

static void hello(void)
{
    create(ROLE_HELLO);
    want_step("a guest runs", STEP_HELLO);
    want("at EL1", guest.x[0], 1 << 2);
    want("with the MPIDR of VMPIDR_EL2", guest.x[1], VMPIDR);
    want("and the MIDR of VPIDR_EL2", guest.x[2], MIDR);
    want("SPSR_EL2 says where it was", guest.pstate & 0xf, 5);
    destroy();
}

// An EL0 program under TGE, without stage 1 and stage 2.
void user(void);
__asm__(".section .text\n\t.balign 4\nuser:\n\tsvc #34\n\tudf #0\n");

static void el0(void)
{
    create(ROLE_EL0);
    want_step("SVC of EL0 goes to EL1", STEP_FROM_EL0);
    want("with its immediate", guest.x[9], ESR(EC_SVC, 33));
    write_sysreg(hcr_el2, HCR_HOST | HCR_TGE);
    isb();
    guest.pc = (u64)user;
    guest.pstate = PSTATE_EL0;
    want("with TGE an SVC of EL0 comes to EL2", (guest_run(&guest), read_sysreg(esr_el2)), ESR(EC_SVC, 34));
    want("ELR is after it", guest.pc, (u64)user + 4);
    want("an undefined instruction does, too", (guest_run(&guest), read_sysreg(esr_el2)), ESR(EC_UNKNOWN, 0));
    destroy();
}

// -- what stage 2 refuses -----------------------------------------------------------------------------------------------
#define ISV(size, sse, srt, sf, ar) \
    (1ul << 24 | (u64)(size) << 22 | (u64)(sse) << 21 | (u64)(srt) << 16 | (u64)(sf) << 15 | (u64)(ar) << 14)

static void stage2(void)
{
    static const struct { const char *rule; u64 iss, far, ipa; } aborts[] = {
        {"STRB", ISV(0, 0, 3, 0, 0) | WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"STRH", ISV(1, 0, 4, 0, 0) | WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE + 2, GUEST_DEVICE},
        {"STR of a word", ISV(2, 0, 5, 0, 0) | WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE + 4, GUEST_DEVICE},
        {"STR", ISV(3, 0, 6, 1, 0) | WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE + 8, GUEST_DEVICE},
        {"STR of XZR", ISV(3, 0, 31, 1, 0) | WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"LDRB", ISV(0, 0, 3, 0, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 1, GUEST_DEVICE},
        {"LDRSB", ISV(0, 1, 4, 1, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 1, GUEST_DEVICE},
        {"LDRSH of a word", ISV(1, 1, 5, 0, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 2, GUEST_DEVICE},
        {"LDRSW", ISV(2, 1, 6, 1, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 4, GUEST_DEVICE},
        {"LDR of a word", ISV(2, 0, 7, 0, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 4, GUEST_DEVICE},
        {"LDR", ISV(3, 0, 8, 1, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 8, GUEST_DEVICE},
        {"LDAR", ISV(2, 0, 9, 0, 1) | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"STLR", ISV(3, 0, 10, 1, 1) | WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"LDP has no valid syndrome", FSC_TRANSLATION + 1, GUEST_DEVICE, GUEST_DEVICE},
        {"nor has a load with writeback", FSC_TRANSLATION + 1, GUEST_DEVICE, GUEST_DEVICE},
        {"a store to what stage 2 makes read-only", ISV(2, 0, 14, 0, 0) | WNR | (FSC_PERMISSION + 3), GUEST_READ_ONLY + 16, GUEST_READ_ONLY},
        {"a load across a page", ISV(3, 0, 15, 1, 0) | (FSC_TRANSLATION + 3), GUEST_READ_ONLY + PAGE_SIZE, GUEST_READ_ONLY + PAGE_SIZE},
    };

    create(ROLE_ABORTS);
    for (size_t i = 0; i < ARRAY_SIZE(aborts); i++) {
        detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
        want(aborts[i].rule, read_sysreg(esr_el2), ESR(EC_DABT_LOWER, aborts[i].iss));
        detail("FAR is its address", read_sysreg(far_el2), aborts[i].far);
        detail("HPFAR is the page", read_sysreg(hpfar_el2), aborts[i].ipa >> 12 << 4);
        guest.pc += 4;
    }
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want("a fetch from nothing", read_sysreg(esr_el2), ESR(EC_IABT_LOWER, FSC_TRANSLATION + 3));
    detail("FAR is its address", read_sysreg(far_el2), GUEST_READ_ONLY + PAGE_SIZE + 0x10);
    detail("HPFAR is the page", read_sysreg(hpfar_el2), (GUEST_READ_ONLY + PAGE_SIZE) >> 12 << 4);
    guest.pc = guest.x[30];
    want_step("the guest goes on after all that", STEP_HELLO);
    level3[GUEST_PAGES - 1] = 0;
    dsb(ishst);
    __asm__ volatile("tlbi ipas2e1is, %0\n\tdsb ish\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::"r"(GUEST_READ_ONLY >> 12) : "memory");
    destroy();
}

// FAR is the address that the guest used, HPFAR what its own tables made of it.
static void want_abort(const char *rule, u64 iss, u64 far, u64 ipa)
{
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want(rule, read_sysreg(esr_el2), ESR(EC_DABT_LOWER, iss));
    detail("FAR is its address", read_sysreg(far_el2), far);
    detail("HPFAR is the page", read_sysreg(hpfar_el2), ipa >> 12 << 4);
    guest.pc += 4;
}

static void both_stages(void)
{
    const u64 above = GUEST_READ_ONLY + PAGE_SIZE;

    create(ROLE_STAGE1);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM);           // DC would turn stage 1 off
    isb();
    want_step("a guest turns its own stage 1 on", STEP_STAGE1);
    want("its own fault is its own", guest.x[0], ESR(EC_DABT, FSC_TRANSLATION + 1));
    want("with its address", guest.x[1], 0x1008);
    want("it reads through both stages", guest.x[2], GUEST_CODE | 0x701);
    want_abort("stage 2 has nothing at the IPA", ISV(2, 0, 3, 0, 0) | (FSC_TRANSLATION + 3), GUEST_ALIAS + above - GUEST_CODE + 0x20, above);
    want_abort("it forbids the write", ISV(3, 0, 4, 1, 0) | WNR | (FSC_PERMISSION + 3), GUEST_ALIAS + GUEST_READ_ONLY - GUEST_CODE + 0x40, GUEST_READ_ONLY);
    want_abort("it has no table for the walk of stage 1", S1PTW | (FSC_TRANSLATION + 3), GUEST_NO_TABLE + 0x5008, GUEST_TABLE_IPA);
    want_step("the guest goes on", STEP_DONE);
    destroy();
}

// A page of the guest that was given to another world: EL2 hears of it when it wants to (HCR_EL2.GPF).
static void protection(void)
{
    create(ROLE_HELLO);
    want_step("a guest runs", STEP_HELLO);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_GPF);
    level3[0] = REALM_MEMORY | PAGE | S2_NORMAL | S2_READ | S2_WRITE;
    dsb(ishst);
    __asm__ volatile("tlbi vmalls12e1is\n\tdsb ish\n\tisb" ::: "memory");
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want("code in Realm memory is a granule protection fault", read_sysreg(esr_el2), ESR(EC_IABT_LOWER, FSC_GPF));
    detail("at its address", read_sysreg(far_el2), guest.pc);
    destroy();
}

// -- what EL2 traps -----------------------------------------------------------------------------------------------------
#define SYSREG(op0, op1, crn, crm, op2, rt, read) \
    ESR(EC_SYSREG, (u64)(op0) << 20 | (u64)(op2) << 17 | (u64)(op1) << 14 | (u64)(crn) << 10 | (u64)(rt) << 5 | (u64)(crm) << 1 | (read))

static void want_trap(const char *rule, u64 esr)
{
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want(rule, read_sysreg(esr_el2), esr);
    guest.pc += 4;
}

static void traps(void)
{
    create(ROLE_TRAPS);
    write_sysreg(cnthctl_el2, 0);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_TID3 | HCR_TWI | HCR_TSC);
    write_sysreg(ich_hcr_el2, ICH_EN | ICH_TALL1);
    isb();
    want_trap("CNTPCT without EL1PCTEN", SYSREG(3, 3, 14, 0, 1, 3, 1));
    want_trap("CNTP_CTL without EL1PCEN", SYSREG(3, 3, 14, 2, 1, 4, 1));
    want_trap("CNTP_CVAL, too", SYSREG(3, 3, 14, 2, 2, 5, 0));
    want_trap("an ID register with TID3", SYSREG(3, 0, 0, 4, 0, 7, 1));
    want_trap("IAR1 with TALL1", SYSREG(3, 0, 12, 12, 0, 8, 1));
    want_trap("SGI1R with IMO", SYSREG(3, 0, 12, 11, 5, 9, 0));
    want_trap("WFI with TWI", ESR(EC_WFX, 1ul << 24 | 0xeul << 20));
    want_trap("SMC with TSC", ESR(EC_SMC, 0));
    guest.pc -= 4;
    want("ELR is the SMC itself", *(u32 *)((u8 *)memory + (guest.pc - GUEST_CODE)), 0xd4000003);
    guest.pc += 4;
    want_trap("HVC with its immediate", ESR(EC_HVC, 0x1234));
    create(ROLE_TRAPS);
    write_sysreg(ich_hcr_el2, ICH_EN);
    isb();
    want_trap("without those controls SGI1R is the first trap", SYSREG(3, 0, 12, 11, 5, 9, 0));
    want("IAR1 gave no interrupt", guest.x[8], INTID_SPURIOUS);
    want("the counter was read", guest.x[6] - guest.x[3] < 1000, true);
    destroy();
}

// -- interrupts -------------------------------------------------------------------------------------------------------
static void want_interrupts(u64 count, u64 intid, u64 priority)
{
    detail("it took them all", guest.x[0], count);
    detail("the last one is right", guest.x[1], intid);
    detail("with its priority", guest.x[2], priority);
}

// The interrupt that the host takes when it lets them in.
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
    create(ROLE_INTERRUPTS);
    self->on_irq = maintenance_off;
    gic_enable(MAINTENANCE, MIDDLE);
    write_sysreg(ich_hcr_el2, ICH_EN);
    want("there are four list registers or more", (read_sysreg(ich_vtr_el2) & 0x1f) >= 3, true);
    want_step("a guest gets ready", STEP_READY);
    want("all list registers are empty", read_sysreg(ich_elrsr_el2) & 0xf, 0xf);
    write_sysreg(ich_lr0_el2, LR(40, 0x50) | LR_PENDING);
    isb();
    want_step("a pending interrupt of a list register is taken", STEP_TOOK);
    want_interrupts(1, 40, 0x50);
    want("and done with", read_sysreg(ich_lr0_el2) & LR_STATE, 0);
    want("ICH_VMCR_EL2 has the guest's controls", read_sysreg(ich_vmcr_el2) >> 24 << 24 | (read_sysreg(ich_vmcr_el2) & 3), GUEST_PRIORITY_MASK << 24 | 2);
    write_sysreg(ich_lr0_el2, LR(41, 0x80) | LR_PENDING);
    write_sysreg(ich_lr1_el2, LR(42, 0x40) | LR_PENDING);
    isb();
    want_step("two are taken", STEP_TOOK);
    want_interrupts(3, 41, 0x80);
    write_sysreg(ich_lr0_el2, LR(43, 0x60) | LR_PENDING | LR_EOI);
    isb();
    want_step("one is kept", STEP_KEPT);
    want_interrupts(4, 43, 0x60);
    want("its list register is active", read_sysreg(ich_lr0_el2) & LR_STATE, LR_ACTIVE);
    want("the others are empty", read_sysreg(ich_elrsr_el2) & 0xf, 0xe);
    want("the end of an interrupt with EOI set is for the host", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("MISR says so", read_sysreg(ich_misr_el2), MISR_EOI);
    want("and EISR which one", read_sysreg(ich_eisr_el2), 1);
    write_sysreg(ich_lr0_el2, 0);
    isb();
    want("an empty list register ends that", read_sysreg(ich_misr_el2), 0);
    want_step("the guest goes on", STEP_ENDED);
    want("with nothing running", guest.x[0], IDLE);

    write_sysreg(ich_lr0_el2, LR(44, 0x70) | LR_PENDING);
    isb();
    want_step("one is kept again", STEP_KEPT);
    write_sysreg(ich_lr0_el2, 0);
    write_sysreg(ich_hcr_el2, ICH_EN | ICH_LRENPIE);
    isb();
    want("the end of what is in no list register is for the host", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("EOIcount counts it", ICH_EOICOUNT(read_sysreg(ich_hcr_el2)), 1);
    want("MISR says so", read_sysreg(ich_misr_el2), MISR_LRENP);
    want_host_interrupt("the maintenance interrupt is taken here", MAINTENANCE);
    want_step("the guest goes on", STEP_ENDED);
    write_sysreg(ich_hcr_el2, ICH_EN | ICH_UIE);
    isb();
    want("list registers that run out are for the host", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("MISR says so", read_sysreg(ich_misr_el2), MISR_U);
    want_host_interrupt("the maintenance interrupt is taken here", MAINTENANCE);
    want_step("the guest is done", STEP_DONE);
    want("it took five", guest.x[0], 5);
    gic_disable(MAINTENANCE);
    destroy();
}

static void group0(void)
{
    create(ROLE_GROUP0);
    write_sysreg(ich_hcr_el2, ICH_EN);
    want_step("a guest gets ready", STEP_READY);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_VSE);
    isb();
    want_step("HCR_EL2.VSE makes a virtual SError", STEP_SERROR);
    want("with its class", EC(guest.x[9]), EC_SERROR);
    want("once", read_sysreg(hcr_el2) & HCR_VSE, 0);
    write_sysreg(ich_lr0_el2, (LR(60, 0x50) & ~LR_GROUP1) | LR_PENDING);
    isb();
    want_step("an interrupt of Group 0 is a virtual FIQ", STEP_TOOK);
    want_interrupts(1, 60, 0x50);
    want("and completed", read_sysreg(ich_lr0_el2) & LR_STATE, 0);
    want_step("the guest is done", STEP_DONE);
    destroy();
}

// HCR_EL2.VI alone interrupts, too, with nothing to acknowledge.
static void by_hcr(void)
{
    create(ROLE_SPIN);
    write_sysreg(ich_hcr_el2, ICH_EN);
    want_step("a guest gets ready", STEP_READY);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_VI);
    isb();
    want_step("HCR_EL2.VI interrupts", STEP_SPURIOUS);
    want("and there is nothing to acknowledge", guest.x[0], INTID_SPURIOUS);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC);
    write_sysreg(ich_lr0_el2, LR(50, 0x50) | LR_PENDING);
    isb();
    want_step("an interrupt ends its loop", STEP_TOOK);
    want_interrupts(1, 50, 0);
    destroy();
}

// An SGI of the host itself, and its own timer, take the PE from a guest that never leaves it.
static void physical_interrupts(void)
{
    const struct timer *timer = &timers[CNTHP];

    create(ROLE_SPIN);
    want_step("a guest gets ready", STEP_READY);
    gic_enable(timer->intid, MIDDLE);
    timer->set_value(30000);
    timer->set_control(TIMER_ENABLE);
    want("a physical interrupt takes the PE from it", guest_run(&guest), VECTOR_LOWER_IRQ);
    want("at its time", timer->control(), TIMER_ENABLE | TIMER_ISTATUS);
    want("the guest was interrupted with its own mask off", guest.pstate & 0x3cf, 0x345);
    want("the interrupt waits here", gic_acknowledge(), timer->intid);
    timer->set_control(0);
    gic_end(timer->intid);
    gic_disable(timer->intid);
    destroy();
}

// As KVM does it: the physical interrupt stays active until the guest ends the virtual one.
static void virtual_timer(void)
{
    const struct timer *timer = &timers[CNTV];

    create(ROLE_TIMER);
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
        want_step("the guest takes it from a list register", STEP_TOOK);
        detail("it took them all", guest.x[0], i);
        detail("the last one is right", guest.x[1], timer->intid);
        want("its end deactivates the physical one", gic_bit(GICD_ISACTIVER, timer->intid), false);
    }
    want_step("the guest is done", STEP_DONE);
    gic_mode(false);
    gic_disable(timer->intid);
    destroy();
}

void suite_vm(void)
{
    suite("vm");
    hello();
    el0();
    stage2();
    both_stages();
    protection();
    traps();
    virtual_interrupts();
    group0();
    by_hcr();
    physical_interrupts();
    virtual_timer();
    self->on_irq = NULL;
}
