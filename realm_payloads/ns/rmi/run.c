// Runs the Realm of `rmi`: checks and answers each REC exit.
// SPDX-License-Identifier: BSD-3-Clause
#include "gic.h"
#include "ich.h"
#include "psci.h"
#include "realm.h"
#include "timer.h"

#define SHARED_ATTRIBUTES (6ul << 2 | 3ul << 6)         // Normal Write-Back, read and write

#define ISV(size, sf, wnr) (ESR_ISV | (u64)(size) << 22 | (u64)(sf) << 15 | (u64)(wnr) << 6)

#define VIRTUAL_TIMER 27u

// -- the Realm runs -----------------------------------------------------------------------------------------------
// Enters a REC with these flags; it must exit for this reason.
static struct rmi_rec_run *enter(const char *rule, u64 vcpu, u64 flags, u64 reason)
{
    struct rmi_rec_run *run = &runs[vcpu];

    run->enter.flags = flags;
    want(rule, rec_enter(realm.recs[vcpu], run), RMI_SUCCESS);
    detail("it exits for the right reason", run->exit.exit_reason, reason);
    return run;
}

// The next host call must be this step.
static struct rmi_rec_run *next(const char *rule, u64 vcpu, u64 flags, u64 number)
{
    struct rmi_rec_run *run = enter(rule, vcpu, flags, RMI_EXIT_HOST_CALL);

    detail("it is the step that comes next", run->exit.imm, number);
    return run;
}

// The next exit must be a data abort, sanitised.
static struct rmi_rec_run *next_abort(const char *rule, u64 vcpu, u64 flags, u64 esr, u64 far, u64 ipa)
{
    struct rmi_rec_run *run = enter(rule, vcpu, flags, RMI_EXIT_SYNC);

    detail("its ESR is what the Host may see", run->exit.esr, esr);
    detail("so is its FAR", run->exit.far, far);
    detail("HPFAR is the page", run->exit.hpfar, HPFAR(ipa));
    return run;
}

static void host_call(void)
{
    struct rmi_rec_run *run = &runs[0];
    u64 wrong = 0;

    run->enter.gicv3_hcr = 1;
    want("REC_ENTER with a GIC bit that is the RMM's", rec_enter(realm.recs[0], run), RMI_ERROR_REC);
    run->enter.gicv3_hcr = 0;
    run->enter.flags = RMI_ENTER_EMUL_MMIO;
    want("REC_ENTER with an access to emulate, and there was none", rec_enter(realm.recs[0], run), RMI_ERROR_REC);
    want("REC_ENTER of a REC that is not runnable", rec_enter(realm.recs[1], &runs[1]), RMI_ERROR_REC);
    next("the Realm starts", 0, 0, STEP_START);
    want("with the parameter of its REC", run->exit.gprs[0], 0x4242);
    for (u64 i = 1; i < 31; i++)
        wrong += run->exit.gprs[i] != 0x100 + i;
    want("all values of its host call arrive", wrong, 0);
    want("the syndrome of a host call is zero", run->exit.esr | run->exit.far | run->exit.hpfar, 0);
    want("its virtual timer is shown", run->exit.cntv_ctl == 3 && run->exit.cntv_cval == 0x6e57a8000000, true);
    want("and its physical one", run->exit.cntp_ctl == 3 && run->exit.cntp_cval == 0x6e57a9000000, true);
    for (u64 i = 0; i < 31; i++)
        run->enter.gprs[i] = 0x200 + i;
    next("the Realm goes on", 0, 0, STEP_ANSWERED);
    want("all values of the answer arrive", run->exit.gprs[0], 31);
    want("its other registers were zero at the start", run->exit.gprs[1], 0);
}

static void device(void)
{
    static const struct { u64 offset, esr, value; } stores[] = {
        {1, ISV(0, 0, 1), 0xf1}, {2, ISV(1, 0, 1), 0x77f1}, {4, ISV(2, 0, 1), 0x556677f1},
        {8, ISV(3, 1, 1), 0x11223344556677f1}, {0, ISV(3, 1, 1), 0},
    };
    static const struct { u64 offset, esr, value, result; } loads[] = {
        {1, ISV(0, 0, 0), 0xffff80, 0x80}, {1, ISV(0, 1, 0), 0x80, 0xffffffffffffff80}, {2, ISV(1, 0, 0), 0x8000, 0xffff8000},
        {4, ISV(2, 0, 0), 0x1deadbeef, 0xdeadbeef}, {8, ISV(3, 1, 0), 0x8877665544332211, 0x8877665544332211},
    };
    struct rmi_rec_run *run = &runs[0];
    u64 flags = 0, fault = DATA_ABORT(TRANSLATION(START_LEVEL));

    for (size_t i = 0; i < ARRAY_SIZE(stores); i++, flags = RMI_ENTER_EMUL_MMIO) {
        next_abort("a store to a device", 0, flags, fault | stores[i].esr, stores[i].offset, GUEST_DEVICE);
        want("the value that it stores", run->exit.gprs[0], stores[i].value);
    }
    next("the stores are done", 0, flags, STEP_WROTE);
    flags = 0;
    for (size_t i = 0; i < ARRAY_SIZE(loads); i++, flags = RMI_ENTER_EMUL_MMIO) {
        next_abort("a load from a device", 0, flags, fault | loads[i].esr, loads[i].offset, GUEST_DEVICE);
        want("it shows no register", run->exit.gprs[0], 0);
        run->enter.gprs[0] = loads[i].value;
    }
    next("the loads are done", 0, flags, STEP_READ);
    for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
        want("a load gives what it should", run->exit.gprs[i], loads[i].result);
    next_abort("a load that the Host refuses", 0, 0, fault | ISV(3, 1, 0), 16, GUEST_DEVICE);
    next("the Realm takes a SEA", 0, RMI_ENTER_INJECT_SEA | RMI_ENTER_EMUL_MMIO, STEP_SEA);
    want("of its own exception level", ESR_EC(run->exit.gprs[0]), EC_DATA_ABORT_SAME);
    want("with the status of an external abort", ESR_FSC(run->exit.gprs[0]), FSC_EXTERNAL);
    want("and its address", run->exit.gprs[1], GUEST_DEVICE + 16);
}

static void memory(void)
{
    struct rmi_rec_run *run = &runs[0];
    u64 shared = pool_take(), desc = shared | SHARED_ATTRIBUTES;

    next_abort("RAM that is not there yet", 0, 0, DATA_ABORT(TRANSLATION(3)), 0, GUEST_LATE);
    run->enter.flags = RMI_ENTER_EMUL_MMIO;
    want("cannot be emulated", rec_enter(realm.recs[0], run), RMI_ERROR_REC);
    rmi_want("DATA_CREATE_UNKNOWN of a granule that is not delegated", RMI_ERROR_INPUT, RMI_DATA_CREATE_UNKNOWN, realm.rd, shared, GUEST_LATE);
    realm.late = unknown_data(GUEST_LATE);
    next("the Realm gets it", 0, 0, STEP_LATE);
    want("zero", run->exit.gprs[0], 0);
    want("and can write to it", run->exit.gprs[1], 0x1a7e);

    next_abort("shared memory that is not there", 0, 0, DATA_ABORT(TRANSLATION(START_LEVEL)) | ISV(3, 1, 0), 0, GUEST_SHARED);
    rmi_want("MAP_UNPROTECTED without a table", RTT(1), RMI_RTT_MAP_UNPROTECTED, realm.rd, GUEST_SHARED, 3, desc);
    realm.shared_tables[0] = make_table(GUEST_SHARED, 2);
    realm.shared_tables[1] = make_table(GUEST_SHARED, 3);
    rmi_want("MAP_UNPROTECTED at a Protected IPA", RMI_ERROR_INPUT, RMI_RTT_MAP_UNPROTECTED, realm.rd, GUEST_LATE, 3, desc);
    rmi_want("UNMAP_UNPROTECTED of nothing", RTT(3), RMI_RTT_UNMAP_UNPROTECTED, realm.rd, GUEST_SHARED, 3);
    rmi_want("MAP_UNPROTECTED", RMI_SUCCESS, RMI_RTT_MAP_UNPROTECTED, realm.rd, GUEST_SHARED, 3, desc);
    rmi_want("MAP_UNPROTECTED twice", RTT(3), RMI_RTT_MAP_UNPROTECTED, realm.rd, GUEST_SHARED, 3, desc);
    want_entry("READ_ENTRY of shared memory", GUEST_SHARED, 3, 3, RMI_ASSIGNED, desc, 0);
    *(volatile u64 *)shared = 0xcafe;
    next("the Realm shares", 0, 0, STEP_SHARED);
    want("it reads what the Host wrote", run->exit.gprs[0], 0xcafe);
    want("the Host reads what it wrote", ((volatile u64 *)shared)[1], 0x5ea1);
    rmi_want("UNMAP_UNPROTECTED", RMI_SUCCESS, RMI_RTT_UNMAP_UNPROTECTED, realm.rd, GUEST_SHARED, 3);
    next_abort("shared memory that is gone", 0, 0, DATA_ABORT(TRANSLATION(3)) | ISV(3, 1, 0), 0, GUEST_SHARED);
    run->enter.gprs[0] = 0xe301;
    next("it is emulated instead", 0, RMI_ENTER_EMUL_MMIO, STEP_UNSHARED);
    want("with the value of the Host", run->exit.gprs[0], 0xe301);

    enter("WFI is trapped when the Host wants it", 0, RMI_ENTER_TRAP_WFI, RMI_EXIT_SYNC);
    want("it is WFI", run->exit.esr, ESR_CLASS(EC_WFX));
    next("it is done", 0, 0, STEP_WFI);
}

// The Host handles a Realm's interrupts: its timers cause IRQ exits, and the Host answers by list registers.
static void interrupts(void)
{
    struct rmi_rec_run *run;

    gic_distributor_on();
    gic_pe_on();
    gic_enable(VIRTUAL_TIMER, 0x80);
    run = enter("its virtual timer fires", 0, 0, RMI_EXIT_IRQ);
    want("the exit shows it asserted", run->exit.cntv_ctl, CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    want("and no syndrome", run->exit.esr | run->exit.far | run->exit.hpfar, 0);
    run->enter.gicv3_lrs[0] = LR_PENDING | LR_HW | VIRTUAL_TIMER;
    want("REC_ENTER with a list register of a physical interrupt", rec_enter(realm.recs[0], run), RMI_ERROR_REC);
    run->enter.gicv3_lrs[0] = run->enter.gicv3_lrs[1] = LR_PENDING | VIRTUAL_TIMER;
    want("REC_ENTER with two of one interrupt", rec_enter(realm.recs[0], run), RMI_ERROR_REC);
    run->enter.gicv3_lrs[1] = 0;
    next("an interrupt that the Host knows of does not exit again", 0, 0, STEP_TIMER);
    want("the Realm sees its timer", run->exit.gprs[0], CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
    want("the list register comes back", run->exit.gicv3_lrs[0], LR_PENDING | VIRTUAL_TIMER);
    run->enter.gicv3_lrs[0] = 0;
    next("the Realm turns it off", 0, 0, STEP_TIMER);
    want("and it is off", run->exit.gprs[0], 0);
    want("for the Host, too", run->exit.cntv_ctl, 0);
}

// The Realm asked for [base, top) with a RIPAS.
static void want_request(u64 base, u64 value)
{
    struct rmi_rec_run *run = enter("the Realm wants to change a RIPAS", 0, 0, RMI_EXIT_RIPAS_CHANGE);

    detail("from its base", run->exit.ripas_base, base);
    detail("to its top", run->exit.ripas_top, GUEST_RIPAS + GUEST_RIPAS_PAGES * PAGE_SIZE);
    detail("to its value", run->exit.ripas_value & 0xff, value);
}

static void want_answer(u64 flags, u64 reached, u64 response)
{
    struct rmi_rec_run *run = next("the Realm hears", 0, flags, STEP_RIPAS);

    detail("success", run->exit.gprs[0], 0);
    detail("how far it went", run->exit.gprs[1], reached);
    detail("and whether it was accepted", run->exit.gprs[2], response);
}

static void ripas_change(void)
{
    const u64 half = GUEST_RIPAS + PAGE_SIZE, top = GUEST_RIPAS + GUEST_RIPAS_PAGES * PAGE_SIZE;
    struct rmi_rec_run *run = &runs[0];

    rmi_want("SET_RIPAS that nobody asked for", RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, realm.rd, realm.recs[0], GUEST_RIPAS, top);
    want_request(GUEST_RIPAS, RMI_EMPTY);
    rmi_want("SET_RIPAS of more than was asked for", RMI_ERROR_INPUT, RMI_RTT_SET_RIPAS, realm.rd, realm.recs[0], GUEST_RIPAS, top + PAGE_SIZE);
    rmi_want("SET_RIPAS, the first page", RMI_SUCCESS, RMI_RTT_SET_RIPAS, realm.rd, realm.recs[0], GUEST_RIPAS, half);
    want("SET_RIPAS did it", rmi_out[1], half);
    want_answer(RMI_ENTER_RIPAS_RESPONSE, half, 0);
    want_request(half, RMI_EMPTY);
    rmi_want("SET_RIPAS, the rest", RMI_SUCCESS, RMI_RTT_SET_RIPAS, realm.rd, realm.recs[0], half, top);
    want_entry("READ_ENTRY of what became EMPTY", GUEST_RIPAS, 3, 3, RMI_ASSIGNED, realm.ripas, RMI_EMPTY);
    rmi_want("DATA_DESTROY of what became EMPTY", RMI_SUCCESS, RMI_DATA_DESTROY, realm.rd, GUEST_RIPAS);
    want("DATA_DESTROY gives the page back", rmi_out[1], realm.ripas);
    pool_return(realm.ripas);
    want_answer(0, top, 0);
    next("a load from EMPTY memory does not come to the Host", 0, 0, STEP_EMPTY);
    want("it is a SEA", ESR_FSC(run->exit.gprs[0]), FSC_EXTERNAL);
    want("with its address", run->exit.gprs[1], GUEST_RIPAS);
    want_request(GUEST_RIPAS, RMI_RAM);
    want_answer(RMI_ENTER_RIPAS_RESPONSE, GUEST_RIPAS, 1);
    want_request(GUEST_RIPAS, RMI_RAM);
    rmi_want("SET_RIPAS, back to RAM", RMI_SUCCESS, RMI_RTT_SET_RIPAS, realm.rd, realm.recs[0], GUEST_RIPAS, top);
    want_answer(0, top, 0);
    next_abort("it is RAM again, and not there yet", 0, 0, DATA_ABORT(TRANSLATION(3)), 0, GUEST_RIPAS);
    realm.ripas = unknown_data(GUEST_RIPAS);
    next("the Realm gets it", 0, 0, STEP_LATE);
    want("zero, whatever was there before", run->exit.gprs[0], 0);
}

// -- pages that become a block, and pages again -------------------------------------------------------------------
static void block(void)
{
    struct rmi_rec_run *run = &runs[0];
    u64 last = GUEST_BLOCK + LEVEL_SIZE(2) - PAGE_SIZE;

    next("the Realm writes to each page of 2 MiB", 0, 0, STEP_BLOCK_WRITTEN);
    next("and reads them", 0, 0, STEP_BLOCK_READ);
    want("they are right as pages", run->exit.gprs[0], 512);
    rmi_want("RTT_DESTROY of a live table", RTT(3), RMI_RTT_DESTROY, realm.rd, GUEST_BLOCK, 3);
    rmi_want("RTT_FOLD of a table that says several things", RTT(3), RMI_RTT_FOLD, realm.rd, GUEST_CODE, 3);
    rmi_want("RTT_FOLD", RMI_SUCCESS, RMI_RTT_FOLD, realm.rd, GUEST_BLOCK, 3);
    want("RTT_FOLD gives the table back", rmi_out[1], realm.tables[2]);
    pool_return(realm.tables[2]);
    rmi_want("RTT_FOLD where there is no table", RTT(2), RMI_RTT_FOLD, realm.rd, GUEST_BLOCK, 3);
    want_entry("READ_ENTRY of a block", GUEST_BLOCK, 3, 2, RMI_ASSIGNED, BLOCK_PA, RMI_RAM);
    rmi_want("DATA_DESTROY of a page of it", RTT(2), RMI_DATA_DESTROY, realm.rd, last);
    next("the Realm goes on", 0, 0, STEP_BLOCK_READ);
    want("its words are right in a block", run->exit.gprs[0], 512);
    realm.tables[2] = make_table(GUEST_BLOCK, 3);
    want_entry("READ_ENTRY of a page of what was a block", last, 3, 3, RMI_ASSIGNED, BLOCK_PA + LEVEL_SIZE(2) - PAGE_SIZE, RMI_RAM);
    next("the Realm goes on", 0, 0, STEP_BLOCK_READ);
    want("its words are right as pages again", run->exit.gprs[0], 512);
}

// -- PSCI ---------------------------------------------------------------------------------------------------------
// The Realm makes a PSCI call about vCPU 1 (or none), which waits for PSCI_COMPLETE.
static void want_psci(const char *rule, u64 vcpu, u64 fid, u64 target)
{
    struct rmi_rec_run *run = enter(rule, vcpu, 0, RMI_EXIT_PSCI);

    detail("its function is told", run->exit.gprs[0], fid);
    detail("and its target", run->exit.gprs[1], target);
    detail("and nothing else", run->exit.gprs[2] | run->exit.gprs[3], 0);
}

static void complete(const char *rule, u64 status, u64 expected)
{
    rmi_want(rule, expected, RMI_PSCI_COMPLETE, realm.recs[0], realm.recs[1], status);
}

static void want_second(u64 context)
{
    struct rmi_rec_run *run = next("the second vCPU starts", 1, 0, STEP_SECOND);

    want("with the context of CPU_ON", run->exit.gprs[0], context);
    want("and its own MPIDR", run->exit.gprs[1], 0x80000001);
    want("and all other registers zero", run->exit.gprs[2], 0);
}

static void power(void)
{
    struct rmi_rec_run *run = &runs[0];

    complete("PSCI_COMPLETE that nobody waits for", 0, RMI_ERROR_INPUT);
    want_psci("the Realm turns its second vCPU on", 0, PSCI_CPU_ON_64, 1);
    want("REC_ENTER before PSCI_COMPLETE", rec_enter(realm.recs[0], run), RMI_ERROR_REC);
    complete("PSCI_COMPLETE with a status that does not exist", 5, RMI_ERROR_INPUT);
    rmi_want("PSCI_COMPLETE with the REC itself", RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, realm.recs[0], realm.recs[0], 0);
    complete("PSCI_COMPLETE, denied", PSCI_DENIED, RMI_SUCCESS);
    next("the Realm hears", 0, 0, STEP_DENIED);
    want("DENIED", run->exit.gprs[0], PSCI_DENIED);
    want("CPU_ON of itself does not come to the Host", run->exit.gprs[1], PSCI_ALREADY_ON);
    want("nor does CPU_ON of a vCPU that does not exist", run->exit.gprs[2], PSCI_INVALID_PARAMETERS);
    want("the second vCPU stays off", rec_enter(realm.recs[1], &runs[1]), RMI_ERROR_REC);

    want_psci("the Realm tries again", 0, PSCI_CPU_ON_64, 1);
    complete("PSCI_COMPLETE, granted", 0, RMI_SUCCESS);
    next("the Realm hears", 0, 0, STEP_ON);
    detail("success", run->exit.gprs[0], 0);
    want_psci("the Realm turns on what is on", 0, PSCI_CPU_ON_64, 1);
    complete("PSCI_COMPLETE, denied, of a vCPU that is on", PSCI_DENIED, RMI_ERROR_INPUT);
    complete("PSCI_COMPLETE, granted", 0, RMI_SUCCESS);
    next("the Realm hears", 0, 0, STEP_ON);
    want("ALREADY_ON", run->exit.gprs[0], PSCI_ALREADY_ON);
    want_psci("the Realm asks for its affinity", 0, PSCI_AFFINITY_INFO_64, 1);
    complete("PSCI_COMPLETE of AFFINITY_INFO", 0, RMI_SUCCESS);
    next("the Realm hears", 0, 0, STEP_AFFINITY);
    want("ON", run->exit.gprs[0], 0);

    want_second(CONTEXT_REPORTS);
    want_psci("the second vCPU turns itself off", 1, PSCI_CPU_OFF, 0);
    want("it cannot be entered", rec_enter(realm.recs[1], &runs[1]), RMI_ERROR_REC);
    want_psci("the Realm asks for its affinity", 0, PSCI_AFFINITY_INFO_64, 1);
    complete("PSCI_COMPLETE of AFFINITY_INFO, denied", PSCI_DENIED, RMI_ERROR_INPUT);
    complete("PSCI_COMPLETE of AFFINITY_INFO", 0, RMI_SUCCESS);
    next("the Realm hears", 0, 0, STEP_AFFINITY);
    want("OFF", run->exit.gprs[0], 1);
    want_psci("the Realm turns it on once more", 0, PSCI_CPU_ON_64, 1);
    complete("PSCI_COMPLETE, granted", 0, RMI_SUCCESS);
    next("the Realm hears", 0, 0, STEP_ON);
    detail("success", run->exit.gprs[0], 0);
    want_second(CONTEXT_TOUCHES);
}

void run_realm(void)
{
    host_call();
    device();
    memory();
    interrupts();
    ripas_change();
    block();
    power();
    run_together();
    want_psci("the Realm turns itself off", 0, PSCI_SYSTEM_OFF, 0);
    want("REC_ENTER after that", rec_enter(realm.recs[0], &runs[0]), STATUS(RMI_ERROR_REALM, 1));
    want("also of the other REC", rec_enter(realm.recs[1], &runs[1]), STATUS(RMI_ERROR_REALM, 1));
}
