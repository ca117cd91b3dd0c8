// rmi: a complete Host, bare-metal at Non-secure EL2 on two PEs, with stage 1 on. It builds a Realm around the program in
// guest.c, runs it, answers every kind of REC exit, and takes the Realm apart again. On the way, each of the 23 RMI commands
// succeeds and (FEATURES excepted, which cannot) fails. It checks every result, and that REC_ENTER preserves the Host's
// registers. Prints PASS and FAIL lines to UART0, then the totals; ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "realm.h"

#define NO_SUCH_PA 0x1000ul             // not in DRAM

// -- before there is a Realm --------------------------------------------------------------------------------------
static void versions(void)
{
    rmi_want("VERSION 1.0 is supported", RMI_SUCCESS, RMI_VERSION, RMI_ABI_1_0);
    want("the lower version is 1.0", rmi_out[1], RMI_ABI_1_0);
    want("the higher version is 1.0", rmi_out[2], RMI_ABI_1_0);
    rmi_want("VERSION 2.0 is not", RMI_ERROR_INPUT, RMI_VERSION, 2 * RMI_ABI_1_0);
    want("and what there is is told", rmi_out[1] == RMI_ABI_1_0 && rmi_out[2] == RMI_ABI_1_0, true);
    rmi_want("FEATURES 0 is there", RMI_SUCCESS, RMI_FEATURES, 0);
    want("the widest IPA space has 32 bits or more", (rmi_out[1] & 0xff) >= 32, true);
    want("SHA-256 is there", rmi_out[1] >> 32 & 1, true);
    want("LPA2 and SVE are not", rmi_out[1] >> 8 & 3, 0);
    rmi_want("FEATURES 1 is there", RMI_SUCCESS, RMI_FEATURES, 1);
    want("and zero", rmi_out[1], 0);
}

static void granules(void)
{
    u64 pa = pool_take();

    rmi_want("DELEGATE of no granule", RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, pa + 8);
    rmi_want("DELEGATE of what is no DRAM", RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, NO_SUCH_PA);
    rmi_want("DELEGATE of Secure memory", RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, SECURE_MEMORY);
    rmi_want("UNDELEGATE of an NS granule", RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, pa);
    want("the granule can be read", probe_load(pa), 0);
    rmi_want("DELEGATE", RMI_SUCCESS, RMI_GRANULE_DELEGATE, pa);
    want("a load from it is a GPF", ESR_FSC(probe_load(pa)), FSC_GPF);
    want("a store to it is a GPF", ESR_FSC(probe_store(pa)), FSC_GPF);
    rmi_want("DELEGATE twice", RMI_ERROR_INPUT, RMI_GRANULE_DELEGATE, pa);
    rmi_want("UNDELEGATE of no granule", RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, pa + 0x10);
    rmi_want("UNDELEGATE", RMI_SUCCESS, RMI_GRANULE_UNDELEGATE, pa);
    want("the granule can be read again", probe_load(pa), 0);
    want("and is zero", *(volatile u64 *)pa | *(volatile u64 *)(pa + 0xff8), 0);
}

// -- the Realm is taken apart -------------------------------------------------------------------------------------
static void destroy_data(u64 ipa, u64 data)
{
    rmi_want("DATA_DESTROY", RMI_SUCCESS, RMI_DATA_DESTROY, realm.rd, ipa);
    detail("DATA_DESTROY gives the page back", rmi_out[1], data);
    pool_return(data);
}

static void destroy_block(void)
{
    const u64 block = LEVEL_SIZE(2);
    u64 wrong = 0;

    for (u64 at = 0; at < block; at += PAGE_SIZE) {
        u64 next = at + PAGE_SIZE == block ? GUEST_BLOCK + block : GUEST_BLOCK + at + PAGE_SIZE;

        wrong += RMI(RMI_DATA_DESTROY, realm.rd, GUEST_BLOCK + at) || rmi_out[1] != BLOCK_PA + at || rmi_out[2] != next;
        wrong += RMI(RMI_GRANULE_UNDELEGATE, BLOCK_PA + at) || *(volatile u64 *)(BLOCK_PA + at + at / PAGE_SIZE * 8);
    }
    want("the 512 pages of the block come back, zero", wrong, 0);
}

static void destroy_table(u64 ipa, int level, u64 table, u64 top)
{
    rmi_want("RTT_DESTROY", RMI_SUCCESS, RMI_RTT_DESTROY, realm.rd, ipa & -LEVEL_SIZE(level - 1), (u64)level);
    detail("RTT_DESTROY gives the table back", rmi_out[1], table);
    detail("RTT_DESTROY says how far there is nothing", rmi_out[2], top);
    pool_return(table);
}

void destroy_realm(void)
{
    rmi_want("REALM_DESTROY with RECs", RMI_ERROR_REALM, RMI_REALM_DESTROY, realm.rd);
    for (u64 i = 0; i < ARRAY_SIZE(realm.recs); i++) {
        rmi_want("REC_DESTROY", RMI_SUCCESS, RMI_REC_DESTROY, realm.recs[i]);
        rmi_want("REC_DESTROY twice", RMI_ERROR_INPUT, RMI_REC_DESTROY, realm.recs[i]);
        pool_return(realm.recs[i]);
        for (u64 a = 0; a < realm.num_aux; a++)
            pool_return(realm.aux[i][a]);
    }
    rmi_want("REALM_DESTROY with tables", RMI_ERROR_REALM, RMI_REALM_DESTROY, realm.rd);
    rmi_want("UNDELEGATE of a page of a Realm", RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, realm.code[0]);
    for (u64 i = 0; i < GUEST_CODE_PAGES; i++)
        destroy_data(GUEST_CODE + i * PAGE_SIZE, realm.code[i]);
    for (u64 i = 0; i < ARRAY_SIZE(realm.stacks); i++)
        destroy_data(GUEST_STACK + i * PAGE_SIZE, realm.stacks[i]);
    destroy_data(GUEST_LATE, realm.late);
    destroy_data(GUEST_RIPAS, realm.ripas);
    destroy_data(GUEST_DESTROYED, realm.destroyed);
    rmi_want("DATA_DESTROY of nothing", RTT(3), RMI_DATA_DESTROY, realm.rd, GUEST_CODE);
    want("DATA_DESTROY says how far there is nothing", rmi_out[2], GUEST_CODE + LEVEL_SIZE(2));
    destroy_block();
    destroy_table(GUEST_BLOCK, 3, realm.tables[2], (GUEST_CODE & -LEVEL_SIZE(1)) + LEVEL_SIZE(1));
    destroy_table(GUEST_CODE, 3, realm.tables[1], (GUEST_CODE & -LEVEL_SIZE(1)) + LEVEL_SIZE(1));
    destroy_table(GUEST_CODE, 2, realm.tables[0], GUEST_SHARED & -LEVEL_SIZE(1));
    destroy_table(GUEST_SHARED, 3, realm.shared_tables[1], (GUEST_SHARED & -LEVEL_SIZE(1)) + LEVEL_SIZE(1));
    destroy_table(GUEST_SHARED, 2, realm.shared_tables[0], LEVEL_SIZE(0));
    rmi_want("REALM_DESTROY", RMI_SUCCESS, RMI_REALM_DESTROY, realm.rd);
    rmi_want("REALM_DESTROY twice", RMI_ERROR_INPUT, RMI_REALM_DESTROY, realm.rd);
    pool_return(realm.rtt_base);
    pool_return(realm.rd);
    pool_end();
}

int main(void)
{
    mmu_tables();
    mmu_on();
    versions();
    granules();
    build_realm();
    run_realm();
    destroy_realm();
    registers_summary();
    return (int)rmi_summary();
}
