// Builds, enters and destroys a Realm with raw RMI commands.
// SPDX-License-Identifier: BSD-3-Clause
#include "realm.h"
#include "guest_program.h"
#include "ns.h"
#include "platform.h"
#include "smc.h"

#define GRANULES 64ul                   // of the pool, for each Realm

// Makes a command that must succeed; records the first that does not.
static struct smc must(struct board_realm *realm, struct smc smc)
{
    u64 fid = smc.x[0];

    smc_call(&smc);
    if (smc.x[0] && !realm->failed)
        realm->failed = fid << 32 | smc.x[0];
    return smc;
}
#define MUST(...) must(realm, (struct smc){{__VA_ARGS__}})

static u64 take(struct board_realm *realm)
{
    u64 pa = realm->pool;

    realm->pool += PAGE_SIZE;
    MUST(RMI_GRANULE_DELEGATE, pa);
    return pa;
}

static void build_memory(struct board_realm *realm)
{
    for (u64 i = 0; i < ARRAY_SIZE(realm->tables); i++) {
        u64 level = START_LEVEL + 1 + i;

        realm->tables[i] = take(realm);
        MUST(RMI_RTT_CREATE, realm->rd, realm->tables[i], GUEST_CODE & -LEVEL_SIZE(level - 1), level);
    }
    MUST(RMI_RTT_INIT_RIPAS, realm->rd, GUEST_CODE, GUEST_CODE + GUEST_PAGES * PAGE_SIZE);
    for (u64 i = 0; i < GUEST_PAGES; i++) {
        u64 ipa = GUEST_CODE + i * PAGE_SIZE;

        realm->pages[i] = take(realm);
        if (i >= GUEST_CODE_PAGES) {
            MUST(RMI_DATA_CREATE_UNKNOWN, realm->rd, realm->pages[i], ipa);
            continue;
        }
        guest_page(realm->page, i);
        MUST(RMI_DATA_CREATE, realm->rd, realm->pages[i], ipa, (u64)realm->page, RMI_DATA_FLAG_MEASURE);
    }
}

static void build_recs(struct board_realm *realm, u64 role)
{
    struct rmi_rec_params *params = (struct rmi_rec_params *)realm->page;

    realm->num_aux = MUST(RMI_REC_AUX_COUNT, realm->rd).x[1];
    for (u64 i = 0; i < REALM_VCPUS; i++) {
        realm->recs[i] = take(realm);
        memset(realm->page, 0, PAGE_SIZE);
        params->flags = i ? 0 : RMI_REC_FLAG_RUNNABLE;
        params->mpidr = i;
        params->pc = GUEST_CODE;
        params->gprs[0] = IN_REALM | role;
        params->num_aux = realm->num_aux;
        for (u64 a = 0; a < realm->num_aux; a++)
            params->aux[a] = realm->aux[i][a] = take(realm);
        MUST(RMI_REC_CREATE, realm->rd, realm->recs[i], (u64)realm->page);
        memset(&realm->runs[i], 0, PAGE_SIZE);
    }
}

void realm_build(struct board_realm *realm, u64 vmid, u64 role)
{
    struct rmi_realm_params *params = (struct rmi_realm_params *)realm->page;

    realm->failed = 0;
    realm->pool = POOL + vmid * GRANULES * PAGE_SIZE;
    realm->rd = take(realm);
    realm->rtt_base = take(realm);
    memset(realm->page, 0, PAGE_SIZE);
    params->s2sz = GUEST_IPA_WIDTH;
    params->num_bps = params->num_wps = 1;
    params->vmid = vmid;
    params->rtt_base = realm->rtt_base;
    params->rtt_level_start = START_LEVEL;
    params->rtt_num_start = 1;
    MUST(RMI_REALM_CREATE, realm->rd, (u64)realm->page);
    build_memory(realm);
    build_recs(realm, role);
    MUST(RMI_REALM_ACTIVATE, realm->rd);
}

u64 realm_enter(struct board_realm *realm, u64 vcpu, u64 flags)
{
    realm->runs[vcpu].enter.flags = flags;
    return SMC(RMI_REC_ENTER, realm->recs[vcpu], (u64)&realm->runs[vcpu]).x[0];
}

u64 realm_complete(struct board_realm *realm, u64 vcpu, u64 target)
{
    return SMC(RMI_PSCI_COMPLETE, realm->recs[vcpu], realm->recs[target], 0).x[0];
}

void realm_destroy(struct board_realm *realm)
{
    for (u64 i = 0; i < REALM_VCPUS; i++) {
        MUST(RMI_REC_DESTROY, realm->recs[i]);
        MUST(RMI_GRANULE_UNDELEGATE, realm->recs[i]);
        for (u64 a = 0; a < realm->num_aux; a++)
            MUST(RMI_GRANULE_UNDELEGATE, realm->aux[i][a]);
    }
    for (u64 i = 0; i < GUEST_PAGES; i++) {
        MUST(RMI_DATA_DESTROY, realm->rd, GUEST_CODE + i * PAGE_SIZE);
        MUST(RMI_GRANULE_UNDELEGATE, realm->pages[i]);
    }
    for (u64 i = ARRAY_SIZE(realm->tables); i--;) {
        u64 level = START_LEVEL + 1 + i;

        MUST(RMI_RTT_DESTROY, realm->rd, GUEST_CODE & -LEVEL_SIZE(level - 1), level);
        MUST(RMI_GRANULE_UNDELEGATE, realm->tables[i]);
    }
    MUST(RMI_REALM_DESTROY, realm->rd);
    MUST(RMI_GRANULE_UNDELEGATE, realm->rtt_base);
    MUST(RMI_GRANULE_UNDELEGATE, realm->rd);
}
