// ns_rmi: calls RMI_VERSION 1000 times, bare-metal at Non-secure EL2; each SMC goes through EL3 to the RMM and back. Prints how
// many answers were wrong to UART0; ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "ns.h"
#include "rmi.h"
#include "smc.h"

#define TIMES 1000

int main(void)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < TIMES; i++)
        wrong += SMC(RMI_VERSION, RMI_ABI_1_0).x[0] != 0;
    print("ns_rmi: ");
    print_number(TIMES, 10);
    print(" calls of RMI_VERSION, ");
    print_number(wrong, 10);
    print(" wrong\n");
    return 0;
}
