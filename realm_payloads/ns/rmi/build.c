// Builds the Realm of `rmi`: descriptor, tables, memory, RECs.
// SPDX-License-Identifier: BSD-3-Clause
#include "realm.h"
#include "guest_program.h"

#define VMID 7

struct realm realm;
struct rmi_rec_run runs[2] __attribute__((aligned(4096)));
static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));

static void create_realm(void)
{
    struct rmi_realm_params *params = (struct rmi_realm_params *)page;
    u64 spare;

    realm.rd = pool_delegated();
    realm.rtt_base = pool_delegated();
    spare = pool_delegated();
    pool_delegated();                   // spare + PAGE_SIZE
    memset(page, 0, PAGE_SIZE);
    params->s2sz = 64;
    params->num_bps = params->num_wps = 1;
    params->vmid = VMID;
    params->rtt_base = realm.rtt_base;
    params->rtt_level_start = START_LEVEL;
    params->rtt_num_start = 1;
    rmi_want("REALM_CREATE with an IPA space that is too wide", RMI_ERROR_INPUT, RMI_REALM_CREATE, realm.rd, (u64)page);
    params->s2sz = GUEST_IPA_WIDTH;
    params->rtt_num_start = 2;
    rmi_want("REALM_CREATE with too many starting tables", RMI_ERROR_INPUT, RMI_REALM_CREATE, realm.rd, (u64)page);
    params->rtt_num_start = 1;
    rmi_want("REALM_CREATE with parameters out of Realm memory", RMI_ERROR_INPUT, RMI_REALM_CREATE, realm.rd, realm.rtt_base);
    rmi_want("REALM_CREATE", RMI_SUCCESS, RMI_REALM_CREATE, realm.rd, (u64)page);
    rmi_want("REALM_CREATE on the same RD", RMI_ERROR_INPUT, RMI_REALM_CREATE, realm.rd, (u64)page);
    params->rtt_base = spare;
    rmi_want("REALM_CREATE with a VMID that is in use", RMI_ERROR_INPUT, RMI_REALM_CREATE, spare + PAGE_SIZE, (u64)page);
    pool_return(spare + PAGE_SIZE);
    pool_return(spare);
    rmi_want("UNDELEGATE of an RD", RMI_ERROR_INPUT, RMI_GRANULE_UNDELEGATE, realm.rd);
}

u64 make_table(u64 ipa, int level)
{
    u64 table = pool_delegated();

    rmi_want("RTT_CREATE", RMI_SUCCESS, RMI_RTT_CREATE, realm.rd, table, ipa & -LEVEL_SIZE(level - 1), (u64)level);
    return table;
}

void want_entry(const char *rule, u64 ipa, u64 level, u64 found_level, u64 state, u64 desc, u64 ripas_value)
{
    rmi_want(rule, RMI_SUCCESS, RMI_RTT_READ_ENTRY, realm.rd, ipa, level);
    detail("READ_ENTRY gives the level", rmi_out[1], found_level);
    detail("READ_ENTRY gives the state", rmi_out[2] & 0xff, state);
    detail("READ_ENTRY gives the descriptor", rmi_out[3], desc);
    detail("READ_ENTRY gives the RIPAS", rmi_out[4] & 0xff, ripas_value);
}

static void create_tables(void)
{
    u64 spare = pool_delegated();

    rmi_want("RTT_CREATE where a table is missing", RTT(1), RMI_RTT_CREATE, realm.rd, spare, GUEST_CODE, 3);
    rmi_want("RTT_CREATE of the starting level", RMI_ERROR_INPUT, RMI_RTT_CREATE, realm.rd, spare, 0, START_LEVEL);
    want_entry("READ_ENTRY of an entry that nobody touched", GUEST_CODE, 3, 1, RMI_UNASSIGNED, 0, RMI_EMPTY);
    realm.tables[0] = make_table(GUEST_CODE, 2);
    realm.tables[1] = make_table(GUEST_CODE, 3);
    realm.tables[2] = make_table(GUEST_BLOCK, 3);
    rmi_want("RTT_CREATE where there is a table", RTT(2), RMI_RTT_CREATE, realm.rd, spare, GUEST_CODE, 3);
    want_entry("READ_ENTRY of a table", GUEST_CODE, 2, 2, RMI_TABLE, realm.tables[1], 0);
    rmi_want("READ_ENTRY of an address that its level does not have", RMI_ERROR_INPUT, RMI_RTT_READ_ENTRY, realm.rd, 0x1000, 2);
    pool_return(spare);

    rmi_want("INIT_RIPAS of nothing", RMI_ERROR_INPUT, RMI_RTT_INIT_RIPAS, realm.rd, GUEST_CODE, GUEST_CODE);
    rmi_want("INIT_RIPAS that its table has no entries for", RTT(1), RMI_RTT_INIT_RIPAS, realm.rd, 0, 0x1000);
    rmi_want("INIT_RIPAS", RMI_SUCCESS, RMI_RTT_INIT_RIPAS, realm.rd, GUEST_CODE, GUEST_RAM_TOP);
    want("INIT_RIPAS does it all", rmi_out[1], GUEST_RAM_TOP);
    rmi_want("INIT_RIPAS of a whole table", RMI_SUCCESS, RMI_RTT_INIT_RIPAS, realm.rd, GUEST_BLOCK, GUEST_BLOCK + LEVEL_SIZE(2) + 0x1000);
    want("INIT_RIPAS ends with the table", rmi_out[1], GUEST_BLOCK + LEVEL_SIZE(2));
    want_entry("READ_ENTRY of RAM", GUEST_LATE, 3, 3, RMI_UNASSIGNED, 0, RMI_RAM);
}

u64 unknown_data(u64 ipa)
{
    u64 data = pool_delegated();

    rmi_want("DATA_CREATE_UNKNOWN", RMI_SUCCESS, RMI_DATA_CREATE_UNKNOWN, realm.rd, data, ipa);
    return data;
}

static void create_data(void)
{
    want("the program of the Realm fits", guest_size() <= GUEST_CODE_PAGES * PAGE_SIZE, true);
    for (u64 i = 0; i < GUEST_CODE_PAGES; i++) {
        guest_page(page, i);
        realm.code[i] = pool_delegated();
        if (!i) {
            rmi_want("DATA_CREATE with flags that do not exist", RMI_ERROR_INPUT, RMI_DATA_CREATE, realm.rd, realm.code[i], GUEST_CODE, (u64)page, 2);
            rmi_want("DATA_CREATE from Realm memory", RMI_ERROR_INPUT, RMI_DATA_CREATE, realm.rd, realm.code[i], GUEST_CODE, realm.rd, 0);
            rmi_want("DATA_CREATE at an Unprotected IPA", RMI_ERROR_INPUT, RMI_DATA_CREATE, realm.rd, realm.code[i], GUEST_SHARED, (u64)page, 0);
            rmi_want("DATA_CREATE without a table", RTT(1), RMI_DATA_CREATE, realm.rd, realm.code[i], 0x1000, (u64)page, 0);
        }
        rmi_want("DATA_CREATE", RMI_SUCCESS, RMI_DATA_CREATE, realm.rd, realm.code[i], GUEST_CODE + i * PAGE_SIZE, (u64)page, RMI_DATA_FLAG_MEASURE);
    }
    want_entry("READ_ENTRY of a page", GUEST_CODE, 3, 3, RMI_ASSIGNED, realm.code[0], RMI_RAM);
    memset(page, 0, PAGE_SIZE);
    for (u64 i = 0; i < 2; i++) {
        realm.stacks[i] = pool_delegated();
        rmi_want("DATA_CREATE, not measured", RMI_SUCCESS, RMI_DATA_CREATE, realm.rd, realm.stacks[i], GUEST_STACK + i * PAGE_SIZE, (u64)page, 0);
    }
    realm.destroyed = unknown_data(GUEST_DESTROYED);
    realm.ripas = unknown_data(GUEST_RIPAS);
    for (u64 pa = BLOCK_PA; pa < BLOCK_PA + LEVEL_SIZE(2); pa += PAGE_SIZE)
        if (RMI(RMI_GRANULE_DELEGATE, pa) || RMI(RMI_DATA_CREATE_UNKNOWN, realm.rd, pa, GUEST_BLOCK + pa - BLOCK_PA))
            want("a page of the block", rmi_out[0], RMI_SUCCESS);
}

static void create_recs(void)
{
    struct rmi_rec_params *params = (struct rmi_rec_params *)page;

    rmi_want("REC_AUX_COUNT of what is no RD", RMI_ERROR_INPUT, RMI_REC_AUX_COUNT, realm.rtt_base);
    rmi_want("REC_AUX_COUNT", RMI_SUCCESS, RMI_REC_AUX_COUNT, realm.rd);
    realm.num_aux = rmi_out[1];
    want("a REC has 16 auxiliary granules at most", realm.num_aux <= 16, true);
    for (u64 i = 0; i < 2; i++) {
        realm.recs[i] = pool_delegated();
        memset(page, 0, PAGE_SIZE);
        params->flags = i ? 0 : RMI_REC_FLAG_RUNNABLE;
        params->mpidr = i + 1;
        params->pc = GUEST_CODE;
        params->gprs[0] = 0x4242;
        params->num_aux = realm.num_aux;
        for (u64 a = 0; a < realm.num_aux; a++)
            params->aux[a] = realm.aux[i][a] = pool_delegated();
        rmi_want("REC_CREATE with the next MPIDR but one", RMI_ERROR_INPUT, RMI_REC_CREATE, realm.rd, realm.recs[i], (u64)page);
        params->mpidr = i;
        rmi_want("REC_CREATE", RMI_SUCCESS, RMI_REC_CREATE, realm.rd, realm.recs[i], (u64)page);
    }
    rmi_want("REC_DESTROY of what is no REC", RMI_ERROR_INPUT, RMI_REC_DESTROY, realm.rd);
    want("REC_ENTER before the Realm is active", rec_enter(realm.recs[0], &runs[0]), STATUS(RMI_ERROR_REALM, 0));
    rmi_want("REALM_ACTIVATE", RMI_SUCCESS, RMI_REALM_ACTIVATE, realm.rd);
    rmi_want("REALM_ACTIVATE twice", RMI_ERROR_REALM, RMI_REALM_ACTIVATE, realm.rd);
    rmi_want("INIT_RIPAS in an active Realm", RMI_ERROR_REALM, RMI_RTT_INIT_RIPAS, realm.rd, GUEST_LATE, GUEST_RAM_TOP);
}

void build_realm(void)
{
    create_realm();
    create_tables();
    create_data();
    create_recs();
}
