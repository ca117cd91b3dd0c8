// Counted RMI commands, a pool of granules, and REC_ENTER with every Host register under watch.
// SPDX-License-Identifier: BSD-3-Clause
#include "rmi_host.h"
#include "call.h"
#include "ns.h"
#include "platform.h"

#define POOL_PAGES 1024
#define PATTERN 0xa5a5a5a5a5a5a5a5ul
#define SLOTS (RMI_RTT_SET_RIPAS - RMI_VERSION + 1)

u64 rmi_out[5];
static unsigned succeeded_calls[SLOTS], failed_calls[SLOTS];

// -- commands -----------------------------------------------------------------------------------------------------
static const struct { u32 fid; const char *name; } commands[] = {
#define NAME(name) {RMI_##name, #name}
    NAME(VERSION), NAME(FEATURES), NAME(GRANULE_DELEGATE), NAME(GRANULE_UNDELEGATE), NAME(REALM_CREATE), NAME(REALM_ACTIVATE),
    NAME(REALM_DESTROY), NAME(REC_AUX_COUNT), NAME(REC_CREATE), NAME(REC_DESTROY), NAME(REC_ENTER), NAME(RTT_CREATE),
    NAME(RTT_DESTROY), NAME(RTT_FOLD), NAME(RTT_READ_ENTRY), NAME(RTT_INIT_RIPAS), NAME(RTT_SET_RIPAS),
    NAME(RTT_MAP_UNPROTECTED), NAME(RTT_UNMAP_UNPROTECTED), NAME(DATA_CREATE), NAME(DATA_CREATE_UNKNOWN), NAME(DATA_DESTROY),
    NAME(PSCI_COMPLETE),
};
_Static_assert(ARRAY_SIZE(commands) == 23, "RMI 1.0 has 23 commands");

static void count(u64 fid)
{
    (rmi_out[0] ? failed_calls : succeeded_calls)[fid - RMI_VERSION]++;
}

u64 rmi_call(struct smc smc)
{
    u64 fid = smc.x[0];

    smc_call(&smc);
    for (size_t i = 0; i < ARRAY_SIZE(rmi_out); i++)
        rmi_out[i] = smc.x[i];
    count(fid);
    return rmi_out[0];
}

unsigned rmi_summary(void)
{
    unsigned both = 0;

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        u32 slot = commands[i].fid - RMI_VERSION;
        bool can_fail = commands[i].fid != RMI_FEATURES;

        if (succeeded_calls[slot] && (failed_calls[slot] || !can_fail)) {
            both++;
            continue;
        }
        print("FAIL RMI_");
        print(commands[i].name);
        print(succeeded_calls[slot] ? " never failed\n" : " never succeeded\n");
        checks_failed++;
    }
    print("rmi: ");
    print_number(both, 10);
    print(" commands, ");
    print_number(checks_passed, 10);
    print(" passed, ");
    print_number(checks_failed, 10);
    print(" failed\n");
    return checks_failed;
}

// -- granules -----------------------------------------------------------------------------------------------------
static u64 taken;
static bool is_delegated[POOL_PAGES];

u64 pool_take(void)
{
    u64 pa = POOL + taken++ * PAGE_SIZE;

    for (u64 at = pa; at < pa + PAGE_SIZE; at += 8)
        *(volatile u64 *)at = PATTERN;
    return pa;
}

u64 pool_delegated(void)
{
    u64 pa = pool_take();

    if (RMI(RMI_GRANULE_DELEGATE, pa))
        want("a granule of the pool is delegated", rmi_out[0], RMI_SUCCESS);
    is_delegated[(pa - POOL) / PAGE_SIZE] = true;
    return pa;
}

// Counts words that are not zero; a granule that comes back must be all zero.
static u64 dirty_words(u64 pa)
{
    u64 wrong = 0;

    for (u64 at = pa; at < pa + PAGE_SIZE; at += 8)
        wrong += *(volatile u64 *)at != 0;
    return wrong;
}

void pool_return(u64 pa)
{
    if (RMI(RMI_GRANULE_UNDELEGATE, pa) || dirty_words(pa)) {
        want("a granule of the pool comes back", rmi_out[0], RMI_SUCCESS);
        want("and is zero", dirty_words(pa), 0);
    }
    is_delegated[(pa - POOL) / PAGE_SIZE] = false;
}

void pool_end(void)
{
    u64 left = 0;

    for (u64 i = 0; i < taken; i++)
        left += is_delegated[i];
    want("every granule came back, zero", left, 0);
}

// -- REC_ENTER under watch ----------------------------------------------------------------------------------------
// EL2 registers keep their values, EL1 and EL0 registers get patterns. What they read as before the entry they must read as
// after it.
#define EL2_REGISTERS(X)                                                                                                        \
    X(vbar_el2) X(sctlr_el2) X(ttbr0_el2) X(tcr_el2) X(mair_el2) X(hcr_el2) X(vttbr_el2) X(vtcr_el2) X(tpidr_el2) X(elr_el2)     \
    X(spsr_el2) X(esr_el2) X(far_el2) X(vmpidr_el2) X(vpidr_el2) X(cptr_el2) X(cntvoff_el2)
#define EL1_REGISTERS(X)                                                                                                        \
    X(sp_el0, 0x1001) X(sp_el1, 0x1002) X(vbar_el1, 0x1003800) X(tpidr_el0, 0x1004) X(tpidrro_el0, 0x1005) X(tpidr_el1, 0x1006) \
    X(ttbr0_el1, 0x1007000) X(ttbr1_el1, 0x1008000) X(tcr_el1, 0x100019) X(mair_el1, 0xff44) X(sctlr_el1, 0x30d00802)          \
    X(elr_el1, 0x1009) X(spsr_el1, 0x3c4) X(esr_el1, 0x100a) X(far_el1, 0x100b) X(contextidr_el1, 0x100c) X(cpacr_el1, 0x300000) \
    X(par_el1, 0x800) X(afsr0_el1, 0) X(amair_el1, 0) X(cntkctl_el1, 0x3)

#define ONE(...) +1
enum { WATCHED = 0 EL2_REGISTERS(ONE) EL1_REGISTERS(ONE), GPRS = 31, VECTORS = 64 };
#define NAME2(name) #name,
#define NAME1(name, pattern) #name,
static const char *const names[] = {EL2_REGISTERS(NAME2) EL1_REGISTERS(NAME1)};
static unsigned lost[WATCHED], lost_gprs, lost_vectors, entries;

static void read_registers(u64 *values)
{
#define READ2(name) *values++ = read_sysreg(name);
#define READ1(name, pattern) READ2(name)
    EL2_REGISTERS(READ2) EL1_REGISTERS(READ1)
}

static void write_patterns(void)
{
    write_sysreg(tpidr_el2, 0x2001);
    write_sysreg(vttbr_el2, 0x5a00002000000);
    write_sysreg(elr_el2, 0x2002);
    write_sysreg(spsr_el2, 0x3c5);
    write_sysreg(esr_el2, 0x2003);
    write_sysreg(far_el2, 0x2004);
#define WRITE1(name, pattern) write_sysreg(name, pattern);
    EL1_REGISTERS(WRITE1)
    isb();
}

u64 rec_enter(u64 rec, struct rmi_rec_run *run)
{
    u64 x[5] = {RMI_REC_ENTER, rec, (u64)run}, before[GPRS], after[GPRS], expected[WATCHED], found[WATCHED];
    u64 vectors[VECTORS];

    for (u64 i = 0; i < GPRS; i++)
        before[i] = 0x3000000000000000 + i * 0x0001000100010001;
    for (u64 i = 0; i < VECTORS; i++)
        vectors[i] = 0x4000000000000000 + i * 0x0001000100010001;
    write_patterns();
    read_registers(expected);
    vectors_load(vectors);
    smc_watched(x, before, after);
    vectors_store(vectors);
    read_registers(found);
    for (u64 i = 0; i < VECTORS; i++)
        lost_vectors += vectors[i] != 0x4000000000000000 + i * 0x0001000100010001;
    for (u64 i = 5; i < GPRS; i++)
        lost_gprs += before[i] != after[i];
    for (size_t i = 0; i < WATCHED; i++)
        lost[i] += expected[i] != found[i];
    entries++;
    for (size_t i = 0; i < ARRAY_SIZE(rmi_out); i++)
        rmi_out[i] = x[i];
    count(RMI_REC_ENTER);
    return rmi_out[0];
}

void registers_summary(void)
{
    unsigned changed = 0;

    for (size_t i = 0; i < WATCHED; i++)
        if (lost[i]) {
            print("FAIL ");
            print(names[i]);
            print(" did not survive an entry\n");
            changed++;
        }
    want("X5 to X30 survive every REC_ENTER", lost_gprs, 0);
    want("V0 to V31 do", lost_vectors, 0);
    want("the system registers of EL2, EL1 and EL0 do", changed, 0);
    want("more than 50 entries were watched", entries > 50, true);
}
