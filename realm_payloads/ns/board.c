// board: bare-metal code at Non-secure EL2 that does what a host's test suite does, suite by suite. Prints PASS and FAIL lines to
// UART0 and then the totals; ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"

static void (*const suites[])(void) = {suite_mmu, suite_pes, suite_gic, suite_timers, suite_vm, suite_realms};

int main(void)
{
    pes[0].entry_sctlr = read_sysreg(sctlr_el2);
    mmu_tables();
    mmu_on();
    pe_setup(&pes[0]);
    for (size_t i = 0; i < ARRAY_SIZE(suites); i++)
        suites[i]();
    print("board: ");
    print_number(ARRAY_SIZE(suites), 10);
    print(" suites, ");
    print_number(checks_passed, 10);
    print(" passed, ");
    print_number(checks_failed, 10);
    print(" failed\n");
    return 0;
}
