// Suite `realms`: Realms that are interrupted, that take interrupts, and that are built and run on two PEs at once.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "realm.h"
#include "gic.h"
#include "ich.h"
#include "platform.h"
#include "psci.h"
#include "timer.h"

#define MIDDLE 0x80
#define HIGH 0x40
#define IDLE 0xff
#define KICK 1u                         // SGI that makes another PE leave its Realm
#define SGI 5u                          // of the Realm
#define SGI1R_INTID(value) ((value) >> 24 & 0xf)
#define ROUNDS 10ul
#define SYSTEM_IS_OFF STATUS(RMI_ERROR_REALM, 1)

static struct board_realm realms[2];
static struct board_realm *const realm = &realms[0];
static struct rmi_rec_run *const run = &realms[0].runs[0];
static struct pe *const self = &pes[0];

static void build(u64 role)
{
    realm_build(realm, 1, role);
    want("a Realm is built", realm->failed, 0);
}

static void destroy(void)
{
    realm_destroy(realm);
    want("and destroyed, to its last granule", realm->failed, 0);
}

static void want_exit(const char *rule, u64 flags, u64 reason)
{
    want(rule, realm_enter(realm, 0, flags), RMI_SUCCESS);
    detail("it exits for the right reason", run->exit.exit_reason, reason);
}

static void want_step(const char *rule, u64 flags, u64 number)
{
    want_exit(rule, flags, RMI_EXIT_HOST_CALL);
    detail("it is the step that comes next", run->exit.imm, number);
}

static void want_irq(const char *rule)
{
    want_exit(rule, 0, RMI_EXIT_IRQ);
    detail("without a syndrome", run->exit.esr | run->exit.far | run->exit.hpfar, 0);
}

// -- devices ------------------------------------------------------------------------------------------------------------
#define EMULATED(size, sf, wnr)                                                                                                 \
    (ESR_CLASS(EC_DATA_ABORT) | ESR_ISV | (u64)(size) << 22 | (u64)(sf) << 15 | (u64)(wnr) << 6 |                             \
     (FSC_TRANSLATION + START_LEVEL))

static void mmio(void)
{
    static const struct { const char *rule; u64 esr, offset, value; } accesses[] = {
        {"a store to a device", EMULATED(3, 1, 1), 8, GUEST_MMIO_OUT},
        {"a store of a half", EMULATED(1, 0, 1), 2, GUEST_MMIO_OUT & 0xffff},
        {"a load of a byte", EMULATED(0, 0, 0), 1, 0xa5},
        {"a load of a half with its sign", EMULATED(1, 1, 0), 6, 0x8001},
        {"a load of a word", EMULATED(2, 0, 0), 4, 0xdeadbeef},
    };
    u64 flags = 0;

    build(ROLE_MMIO);
    for (size_t i = 0; i < ARRAY_SIZE(accesses); i++, flags = RMI_ENTER_EMUL_MMIO) {
        bool store = accesses[i].esr & ESR_WNR;

        want_exit(accesses[i].rule, flags, RMI_EXIT_SYNC);
        detail("its ESR is what the Host may see", run->exit.esr, accesses[i].esr);
        detail("so is its FAR", run->exit.far, accesses[i].offset);
        detail("HPFAR is the page", run->exit.hpfar, GUEST_DEVICE >> 12 << 4);
        detail("so is the value of a store", run->exit.gprs[0], store ? accesses[i].value : 0);
        run->enter.gprs[0] = accesses[i].value;
    }
    want_step("the Realm has its values", flags, STEP_READ);
    want("the byte", run->exit.gprs[0], 0xa5);
    want("the half, with its sign", run->exit.gprs[1], 0xffffffffffff8001);
    want("the word", run->exit.gprs[2], 0xdeadbeef);
    destroy();
}

// -- virtual interrupts -------------------------------------------------------------------------------------------------
static void set_lrs(u64 lr0, u64 lr1)
{
    run->enter.gicv3_lrs[0] = lr0;
    run->enter.gicv3_lrs[1] = lr1;
}

static void want_interrupts(u64 count, u64 intid, u64 priority)
{
    detail("it took them all", run->exit.gprs[0], count);
    detail("the last one is right", run->exit.gprs[1], intid);
    detail("with its priority", run->exit.gprs[2], priority);
}

static void virtual_interrupts(void)
{
    build(ROLE_INTERRUPTS);
    gic_enable(MAINTENANCE, MIDDLE);
    want_step("a Realm gets ready", 0, STEP_READY);
    set_lrs(LR(40, 0x50) | LR_PENDING, 0);
    want_step("a pending interrupt of a list register is taken", 0, STEP_TOOK);
    want_interrupts(1, 40, 0x50);
    want("and completed", run->exit.gicv3_lrs[0] & LR_STATE, 0);
    want("the Host sees the Realm's priority mask", VMCR_PMR(run->exit.gicv3_vmcr), GUEST_PRIORITY_MASK);
    want("and its group enable", run->exit.gicv3_vmcr & VMCR_GROUP1, VMCR_GROUP1);
    set_lrs(LR(41, 0x80) | LR_PENDING, LR(42, 0x40) | LR_PENDING);
    want_step("two are taken, by their priorities", 0, STEP_TOOK);
    want_interrupts(3, 41, 0x80);
    set_lrs(LR(43, 0x60) | LR_PENDING | LR_EOI, 0);
    want_step("one is acknowledged", 0, STEP_KEPT);
    want_interrupts(4, 43, 0x60);
    want("it comes back active", run->exit.gicv3_lrs[0], (LR(43, 0x60) | LR_ACTIVE | LR_EOI));
    set_lrs(run->exit.gicv3_lrs[0], 0);
    want_irq("its end, with EOI set, is for the Host");
    want("it comes back completed", run->exit.gicv3_lrs[0] & LR_STATE, 0);
    want("MISR says why", run->exit.gicv3_misr, MISR_EOI);
    set_lrs(0, 0);
    want_step("the Realm goes on", 0, STEP_ENDED);
    want("with nothing running", run->exit.gprs[0], IDLE);
    set_lrs(LR(44, 0x70) | LR_PENDING, 0);
    want_step("another one is acknowledged", 0, STEP_KEPT);
    set_lrs(0, 0);
    run->enter.gicv3_hcr = ICH_LRENPIE;
    want_irq("the end of what is in no list register is for the Host");
    want("EOIcount counts it", ICH_EOICOUNT(run->exit.gicv3_hcr), 1);
    want("MISR says why", run->exit.gicv3_misr, MISR_LRENP);
    run->enter.gicv3_hcr = ICH_UIE;
    want_irq("empty list registers are for the Host, when it wants to know");
    want("MISR says why", run->exit.gicv3_misr & MISR_U, MISR_U);
    run->enter.gicv3_hcr = 0;
    want_step("the Realm goes on", 0, STEP_ENDED);
    want_step("and is done", 0, STEP_DONE);
    want("it took five", run->exit.gprs[0], 5);
    gic_disable(MAINTENANCE);
    destroy();
}

static void virtual_timer(void)
{
    const u32 intid = timers[CNTV].intid;

    build(ROLE_TIMER);
    gic_enable(intid, MIDDLE);
    for (u64 i = 1; i <= 2; i++) {
        set_lrs(0, 0);
        want_irq("the virtual timer of a Realm fires");
        want("the exit shows it", run->exit.cntv_ctl, CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
        set_lrs(LR(intid, 0x80) | LR_PENDING, 0);
        want_step("the Realm takes its interrupt", 0, STEP_TOOK);
        want_interrupts(i, intid, 0);
        want("and has turned it off", run->exit.cntv_ctl, 0);
    }
    want("the Host's own timer is as it was", timers[CNTV].control() & CNT_CTL_ENABLE, 0);
    set_lrs(0, 0);
    want_step("the Realm is done", 0, STEP_DONE);
    gic_disable(intid);
    destroy();
}

// -- physical interrupts ------------------------------------------------------------------------------------------------
static u64 flag;

static void timer_off(struct pe *pe, u32 intid)
{
    (void)pe;
    if (intid == timers[CNTHP].intid)
        timers[CNTHP].set_control(0);
}

// On another PE: interrupts the first PE after `argument` ticks.
static void interrupt_later(struct pe *pe, u64 argument)
{
    (void)pe;
    gic_pe_on();
    store_release(&flag, 1);
    for (u64 start = now(); now() - start < argument;)
        ;
    gic_sgi(KICK, MPIDR_OF(0));
}

static void want_taken(const char *rule, u32 intid)
{
    self->interrupts = 0;
    irq_unmask();
    for (volatile unsigned i = 0; i < 20 && !self->interrupts; i++)
        ;
    irq_mask();
    want(rule, self->interrupts, 1);
    detail("it is the right one", self->intids[0], intid);
}

static void physical_interrupts(void)
{
    const struct timer *timer = &timers[CNTHP];

    build(ROLE_SPIN);
    self->on_irq = timer_off;
    gic_enable(KICK, MIDDLE);
    gic_enable(timer->intid, HIGH);
    want_step("a Realm gets ready", 0, STEP_READY);
    timer->set_value(30000);
    timer->set_control(CNT_CTL_ENABLE);
    want_irq("the Host's timer takes the PE from it");
    want("at its time", timer->control(), CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    want_taken("the Host takes the interrupt when it lets it in", timer->intid);
    gic_sgi(KICK, MPIDR_OF(0));
    want_irq("an interrupt that is pending at the entry ends it at once");
    want_taken("the Host takes it", KICK);
    gic_mask(MIDDLE);
    gic_sgi(KICK, MPIDR_OF(0));
    timer->set_value(30000);
    timer->set_control(CNT_CTL_ENABLE);
    want_irq("one that the Host's priority mask keeps out does not");
    want("so the timer came first", timer->control(), CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    want("the mask is the Host's own still", read_sysreg(icc_pmr_el1), MIDDLE);
    want_taken("the Host takes the timer's", timer->intid);
    gic_mask(0xff);
    want_taken("then the other one", KICK);
    flag = 0;
    pe_start(1, interrupt_later, 250000);
    while (!load_acquire(&flag))
        ;
    want_irq("an SGI of another PE takes the PE from it");
    want_taken("the Host takes it", KICK);
    pe_wait(1);
    set_lrs(LR(40, 0x50) | LR_PENDING, 0);
    want_step("the Realm goes on", 0, STEP_TOOK);
    want_interrupts(1, 40, 0);
    gic_disable(timer->intid);
    self->on_irq = NULL;
    destroy();
}

// -- two Realms on two PEs ------------------------------------------------------------------------------------------------
static u64 reached[2], wrong[2];

// Each PE waits here for the other.
static void meet(u64 which, u64 point)
{
    store_release(&reached[which], point);
    while (load_acquire(&reached[!which]) < point)
        ;
}

static void live(struct pe *pe, u64 which)
{
    struct board_realm *mine = &realms[which];

    (void)pe;
    meet(which, 1);
    realm_build(mine, 1 + which, ROLE_HELLO);
    for (u64 i = 0; i < ROUNDS; i++) {
        meet(which, 2 + i);
        wrong[which] += realm_enter(mine, 0, 0) != RMI_SUCCESS || mine->runs[0].exit.exit_reason != RMI_EXIT_HOST_CALL;
        wrong[which] += mine->runs[0].exit.imm != STEP_HELLO || mine->runs[0].exit.gprs[0] != 1 << 2;
    }
    meet(which, 2 + ROUNDS);
    realm_destroy(mine);
}

static void two_realms(void)
{
    pe_start(1, live, 1);
    live(self, 0);
    pe_wait(1);
    want("a Realm is built and destroyed on this PE", realms[0].failed, 0);
    want("while another one is on another PE", realms[1].failed, 0);
    want("each of them runs", wrong[0], 0);
    want("in turn", wrong[1], 0);
}

// -- one Realm on two PEs -------------------------------------------------------------------------------------------------
// What the Host of each vCPU saw; vCPU n runs on PE n.
static struct {
    u64 played, sgis, intid, last_reason, last_fid, status, exits[7];
} seen[REALM_VCPUS];
static u64 sgi_for[REALM_VCPUS];        // an SGI that another vCPU sent

static void send_sgi(u64 value)
{
    for (u64 target = 0; target < REALM_VCPUS; target++)
        if (value >> target & 1) {
            store_release(&sgi_for[target], SGI1R_INTID(value));
            gic_sgi(KICK, MPIDR_OF(target));
        }
}

// Answers the exits of a vCPU until it turns itself or the Realm off.
static void serve(u64 vcpu)
{
    struct rmi_rec_run *mine = &realm->runs[vcpu];

    for (;;) {
        u64 intid = load_acquire(&sgi_for[vcpu]);

        mine->enter.gicv3_lrs[0] = mine->exit.gicv3_lrs[0];
        if (intid && !(mine->enter.gicv3_lrs[0] & LR_STATE)) {
            mine->enter.gicv3_lrs[0] = LR(intid, 0x80) | LR_PENDING;
            store_release(&sgi_for[vcpu], 0);
        }
        seen[vcpu].status = realm_enter(realm, vcpu, 0);
        if (seen[vcpu].status)
            return;
        seen[vcpu].exits[mine->exit.exit_reason]++;
        switch (mine->exit.exit_reason) {
        case RMI_EXIT_HOST_CALL:
            if (mine->exit.imm == STEP_PLAYED)
                seen[vcpu].played = mine->exit.gprs[0];
            if (mine->exit.imm == STEP_SGI) {
                seen[vcpu].sgis = mine->exit.gprs[0];
                seen[vcpu].intid = mine->exit.gprs[1];
            }
            break;
        case RMI_EXIT_IRQ:
            irq_unmask();
            irq_mask();
            break;
        case RMI_EXIT_SYNC:
            if (ESR_EC(mine->exit.esr) != EC_SYSREG)
                return;
            send_sgi(mine->exit.gprs[0]);
            break;
        default:                        // CPU_OFF and SYSTEM_OFF
            seen[vcpu].last_reason = mine->exit.exit_reason;
            seen[vcpu].last_fid = mine->exit.gprs[0];
            return;
        }
    }
}

static void serve_second(struct pe *pe, u64 argument)
{
    (void)pe;
    gic_pe_on();
    gic_enable(KICK, MIDDLE);
    serve(argument);
    write_sysreg(icc_igrpen1_el1, 0);
    isb();
}

static void two_vcpus(void)
{
    build(ROLE_FIRST);
    set_lrs(0, 0);
    want_exit("a Realm turns its second vCPU on", 0, RMI_EXIT_PSCI);
    want("with its function", run->exit.gprs[0], PSCI_CPU_ON_64);
    want("and its target", run->exit.gprs[1], 1);
    want("the Host completes that", realm_complete(realm, 0, 1), RMI_SUCCESS);
    want_step("the Realm hears", 0, STEP_ON);
    want("success", run->exit.gprs[0], 0);
    pe_start(1, serve_second, 1);
    serve(0);
    pe_wait(1);
    want("its vCPUs pass their turns, each on its PE", seen[0].played == TURNS && seen[1].played == TURNS, true);
    want("the first one ends by SYSTEM_OFF", seen[0].last_fid, PSCI_SYSTEM_OFF);
    want("the second one by CPU_OFF, or with it", seen[1].last_fid == PSCI_CPU_OFF || seen[1].status == SYSTEM_IS_OFF, true);
    want("each took the SGI of the other one", seen[0].sgis == 1 && seen[1].sgis == 1, true);
    want("as what it was", seen[0].intid == SGI && seen[1].intid == SGI, true);
    want("its SGIs came to the Host", seen[0].exits[RMI_EXIT_SYNC] == 1 && seen[1].exits[RMI_EXIT_SYNC] == 1, true);
    want("and brought the other vCPU out", seen[0].exits[RMI_EXIT_IRQ] >= 1, true);
    want("REC_ENTER after SYSTEM_OFF", realm_enter(realm, 1, 0), SYSTEM_IS_OFF);
    gic_disable(KICK);
    destroy();
}

void suite_realms(void)
{
    suite("realms");
    mmio();
    virtual_interrupts();
    virtual_timer();
    physical_interrupts();
    two_realms();
    two_vcpus();
}
