// Suites `reset N`: each life after the first. A page of nonvolatile memory records which life this is; everything else from
// the life before must be gone. Without that page, every life would be the first.
// SPDX-License-Identifier: BSD-3-Clause
#include "lives.h"
#include "board.h"
#include "realm.h"
#include "devices.h"
#include "gic.h"
#include "platform.h"
#include "psci.h"
#include "timer.h"

#define MAGIC 0x5245414c4d4c4142ul
#define VOLATILE (NONVOLATILE + 0x1000000)      // a page of DRAM like any other
#define SPI 90u
#define RUNNING 3                       // a PE that runs when the system is reset
#define MIDDLE 0x80

static struct board_realm realm;
static struct record {
    u64 magic, life, passed, failed, check;
} *const record = (struct record *)NONVOLATILE;

static u64 checksum(void) { return ~(record->magic ^ record->life << 32 ^ record->passed << 16 ^ record->failed); }

u64 life(void) { return record->magic == MAGIC && record->check == checksum() ? record->life : 0; }

// -- how a life ends --------------------------------------------------------------------------------------------------
#ifdef WATCHDOG_CONTROL
static void by_generic_watchdog(void)
{
    write32(WOR, 100000);
    write32(WCS, WCS_EN);
}

static void by_sp805(void)
{
    write32(WDOGLOCK, WDOG_KEY);
    write32(WDOGLOAD, 100);
    write32(WDOGCONTROL, WDOG_INTEN | WDOG_RESEN);
}
#endif

static void by_psci(void)
{
    psci(PSCI_SYSTEM_RESET, 0, 0, 0);
}

static const struct { const char *what; void (*end)(void); } ends[] = {
#ifdef WATCHDOG_CONTROL
    {"the generic watchdog", by_generic_watchdog},
    {"the SP805", by_sp805},
#endif
    {"PSCI", by_psci},
};

u64 lives(void) { return ARRAY_SIZE(ends) + 1; }

static void run_on(struct pe *pe, u64 argument)
{
    (void)pe;
    (void)argument;
    for (;;)
        wfi();
}

void end_life(void)
{
    u64 this = life();

    realm_build(&realm, 1, ROLE_HELLO);
    want("a Realm is left", realm.failed, 0);
    want("and a PE that runs", pe_start(RUNNING, run_on, 0), 0);
    gic_enable(SPI, MIDDLE);
    *(volatile u64 *)VOLATILE = MAGIC;
    *record = (struct record){.magic = MAGIC, .life = this + 1, .passed = checks_passed, .failed = checks_failed};
    record->check = checksum();
    print("# ");
    print(ends[this].what);
    print(" resets the system\n");
    ends[this].end();
    for (;;)
        wfi();
}

// -- how the next one starts ------------------------------------------------------------------------------------------
void suite_reset(void)
{
    const u64 granule = POOL + PAGE_SIZE;               // where the Realm was
    struct fault fault;

    checks_passed = (unsigned)record->passed;
    checks_failed = (unsigned)record->failed;
    suite("reset");
    want("a word in nonvolatile memory says that this is another life", life() > 0, true);
    want("other memory is lost", *(volatile u64 *)VOLATILE, 0);
    want("EL2 is entered with the MMU off", pes[0].entry_sctlr & 1, 0);
    want("the PE that ran is off", psci(PSCI_AFFINITY_INFO_64, MPIDR_OF(RUNNING), 0, 0), PSCI_AFFINITY_OFF);
    gic_distributor_on();
    gic_pe_on();
    want("no interrupt is enabled", gic_bit(GICD_ISENABLER, SPI), false);
#ifdef WATCHDOG_CONTROL
    want("the generic watchdog is off", read32(WCS), 0);
    want("the SP805 is off", read32(WDOGCONTROL), 0);
    want("and without an interrupt", read32(WDOGRIS), 0);
#endif
    for (u64 i = 0; i < TIMERS; i++)
        want("a timer is off", timers[i].control() & CNT_CTL_ENABLE, 0);
    CATCH(fault)
        want("what was a Realm's is Non-secure memory", *(volatile u64 *)(POOL + 64 * PAGE_SIZE), 0);
    want("without a fault", fault.taken, 0);
    want("the RMM is there", SMC(RMI_GRANULE_DELEGATE, granule).x[0], RMI_SUCCESS);
    (void)SMC(RMI_GRANULE_UNDELEGATE, granule);
    realm_build(&realm, 1, ROLE_HELLO);
    want("a Realm is built where there was one", realm.failed, 0);
    want("it runs", realm_enter(&realm, 0, 0), RMI_SUCCESS);
    want("from its start", realm.runs[0].exit.imm, STEP_HELLO);
    realm_destroy(&realm);
    want("and is destroyed", realm.failed, 0);
}
