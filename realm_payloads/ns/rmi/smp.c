// The Host of `rmi` on two PEs: what it can and cannot do to a vCPU that is running on the other PE.
// SPDX-License-Identifier: BSD-3-Clause
#include "psci.h"
#include "realm.h"

#define OTHER_PE MPIDR_OF(1)

static u8 stack[4096] __attribute__((aligned(4096)));
static u64 result;                      // of the other PE's REC_ENTER, plus one

// On the other PE: runs the second vCPU once.
void second_main(void)
{
    u64 status;

    mmu_on();
    status = SMC(RMI_REC_ENTER, realm.recs[1], (u64)&runs[1]).x[0];
    store_release(&result, status + 1);
}

static u64 wait_result(void)
{
    u64 now;

    do
        now = load_acquire(&result);
    while (!now);
    return now - 1;
}

// A running vCPU belongs to its PE. RTT_SET_RIPAS tells whether it runs, and changes nothing because no request is pending.
static void while_it_runs(void)
{
    const u64 rec = realm.recs[1], top = GUEST_LATE + PAGE_SIZE;

    while (RMI(RMI_RTT_SET_RIPAS, realm.rd, rec, GUEST_LATE, top) == RMI_ERROR_INPUT)
        ;
    want("SET_RIPAS of a REC that runs on another PE", rmi_out[0], RMI_ERROR_REC);
    rmi_want("REC_ENTER of it", RMI_ERROR_REC, RMI_REC_ENTER, rec, (u64)&runs[0]);
    rmi_want("REC_DESTROY of it", RMI_ERROR_REC, RMI_REC_DESTROY, rec);
    rmi_want("PSCI_COMPLETE for it", RMI_ERROR_INPUT, RMI_PSCI_COMPLETE, rec, realm.recs[0], 0);
    rmi_want("UNDELEGATE of it", RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, rec);
    rmi_want("REALM_DESTROY of its Realm", RMI_ERROR_REALM, RMI_REALM_DESTROY, realm.rd);
    want("it still runs", result, 0);
}

// The Host takes a page from under the running vCPU. The TLB of its PE must drop the page at once, not only when something else
// empties it (as UNDELEGATE would). Nothing that the Host does lets the vCPU go on.
void run_together(void)
{
    struct rmi_rec_run *run = &runs[1];

    run->enter.flags = 0;
    want("the second PE starts", psci(PSCI_CPU_ON_64, OTHER_PE, (u64)second_start, (u64)stack + sizeof(stack)), 0);
    while_it_runs();
    rmi_want("DATA_DESTROY of a page that it uses", RMI_SUCCESS, RMI_DATA_DESTROY, realm.rd, GUEST_DESTROYED);
    want("DATA_DESTROY gives the page back", rmi_out[1], realm.destroyed);
    want("it exits", wait_result(), RMI_SUCCESS);
    want("for the right reason", run->exit.exit_reason, RMI_EXIT_SYNC);
    want("a data abort", run->exit.esr, DATA_ABORT(TRANSLATION(3)));
    want("of that page", run->exit.hpfar, HPFAR(GUEST_DESTROYED));
    pool_return(realm.destroyed);
    while (psci(PSCI_AFFINITY_INFO_64, OTHER_PE, 0, 0) != PSCI_AFFINITY_OFF)
        ;
    want_entry("READ_ENTRY of what is DESTROYED", GUEST_DESTROYED, 3, 3, RMI_UNASSIGNED, 0, RMI_DESTROYED);
    realm.destroyed = unknown_data(GUEST_DESTROYED);
    want_entry("READ_ENTRY of another page there", GUEST_DESTROYED, 3, 3, RMI_ASSIGNED, realm.destroyed, RMI_DESTROYED);
    want("the vCPU that moved to this PE", rec_enter(realm.recs[1], run), RMI_SUCCESS);
    want("cannot be given another one", run->exit.esr == DATA_ABORT(TRANSLATION(3)) && run->exit.hpfar == HPFAR(GUEST_DESTROYED), true);
}
