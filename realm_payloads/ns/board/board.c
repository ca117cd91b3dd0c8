// board: the test suite that a host would run on its board, bare-metal at Non-secure EL2. It runs the suites one by one, then
// resets the system in each way the board offers. It keeps its progress in a page of memory that survives a reset:
//   realmlab run --world ns-el2 board --nonvolatile 0x98000000:0x1000
//   realmlab run --world ns-el2 board_virt --board virt --nonvolatile 0x58000000:0x1000
// Prints a PASS or FAIL line to UART0 for each check and the totals in its last life; ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "lives.h"
#include "platform.h"

static void (*const suites[])(void) = {
    suite_mmu, suite_pes, suite_gic, suite_timers, suite_vm, suite_realms, suite_devices,
#ifdef WATCHDOG_CONTROL
    suite_watchdog, suite_frames,
#endif
#ifdef FW_CFG
    suite_config,
#endif
};

int main(void)
{
    pes[0].entry_sctlr = read_sysreg(sctlr_el2);
    mmu_tables();
    mmu_on();
    pe_setup(&pes[0]);
    if (life())
        suite_reset();
    else
        for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
            suites[i]();
    if (life() + 1 < lives())
        end_life();
    print("board: ");
    print_number(ARRAY_SIZE(suites), 10);
    print(" suites, ");
    print_number(lives(), 10);
    print(" lives, ");
    print_number(checks_passed, 10);
    print(" passed, ");
    print_number(checks_failed, 10);
    print(" failed\n");
    return 0;
}
