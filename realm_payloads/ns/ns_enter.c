// ns_enter: builds the smallest Realm and enters its REC as often as the word at ENTRIES says; the Realm calls the Host each
// time. `realmlab bench` uses it to measure Realm exits to real code at NS-EL2. Ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "ns.h"
#include "platform.h"
#include "rmi_host.h"

#define ENTRIES (DRAM + 0x14000000ul)
#define WIDTH 33ul
#define CODE 0x80000000ul
#define CALL 0x80001000ul               // RsiHostCall
#define RAM_TOP 0x80002000ul
#define START_LEVEL 1ul

// X0 = RSI_HOST_CALL, X1 = CALL, for ever.
static const u32 guest[] = {
    0xd2803320,                         // mov x0, #0x199
    0xf2b88000,                         // movk x0, #0xc400, lsl #16
    0xd2820001,                         // mov x1, #0x1000
    0xf2b00001,                         // movk x1, #0x8000, lsl #16
    0xd4000003,                         // smc #0
    0x17fffffb,                         // b
};
static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));
static struct rmi_rec_run run __attribute__((aligned(4096)));

static u64 make_realm(void)
{
    struct rmi_realm_params *params = (struct rmi_realm_params *)page;
    u64 rd = pool_delegated(), start = pool_delegated();

    memset(page, 0, sizeof(page));
    params->s2sz = WIDTH;
    params->num_bps = params->num_wps = 1;
    params->vmid = 1;
    params->rtt_base = start;
    params->rtt_level_start = START_LEVEL;
    params->rtt_num_start = 1;
    rmi_want("REALM_CREATE", RMI_SUCCESS, RMI_REALM_CREATE, rd, (u64)page);
    rmi_want("RTT_CREATE at level 2", RMI_SUCCESS, RMI_RTT_CREATE, rd, pool_delegated(), CODE, 2);
    rmi_want("RTT_CREATE at level 3", RMI_SUCCESS, RMI_RTT_CREATE, rd, pool_delegated(), CODE, 3);
    rmi_want("RTT_INIT_RIPAS", RMI_SUCCESS, RMI_RTT_INIT_RIPAS, rd, CODE, RAM_TOP);
    memset(page, 0, sizeof(page));
    rmi_want("DATA_CREATE", RMI_SUCCESS, RMI_DATA_CREATE, rd, pool_delegated(), CALL, (u64)page, 0);
    memcpy(page, guest, sizeof(guest));
    rmi_want("DATA_CREATE of code", RMI_SUCCESS, RMI_DATA_CREATE, rd, pool_delegated(), CODE, (u64)page, 0);
    return rd;
}

static u64 make_rec(u64 rd)
{
    struct rmi_rec_params *params = (struct rmi_rec_params *)page;
    u64 rec = pool_delegated();

    rmi_want("REC_AUX_COUNT", RMI_SUCCESS, RMI_REC_AUX_COUNT, rd);
    memset(page, 0, sizeof(page));
    params->flags = RMI_REC_FLAG_RUNNABLE;
    params->pc = CODE;
    params->num_aux = rmi_out[1];
    for (u64 i = 0; i < params->num_aux; i++)
        params->aux[i] = pool_delegated();
    rmi_want("REC_CREATE", RMI_SUCCESS, RMI_REC_CREATE, rd, rec, (u64)page);
    rmi_want("REALM_ACTIVATE", RMI_SUCCESS, RMI_REALM_ACTIVATE, rd);
    return rec;
}

int main(void)
{
    u64 rec = make_rec(make_realm()), wrong = 0;

    for (u64 left = *(volatile u64 *)ENTRIES; left; left--)
        wrong += RMI(RMI_REC_ENTER, rec, (u64)&run) != RMI_SUCCESS || run.exit.exit_reason != RMI_EXIT_HOST_CALL;
    want("every entry ends with the call of the Realm", wrong, 0);
    return (int)checks_failed;
}
