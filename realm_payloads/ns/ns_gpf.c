// ns_gpf: loads from, stores to and jumps into memory of the other three worlds, bare-metal at Non-secure EL2. Each try must
// end in a granule protection fault: FSC 0x28, EC 0x25 or 0x21. Prints one line per try to UART0, then how many went wrong;
// ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "esr.h"
#include "ns.h"
#include "platform.h"

static const struct { const char *name; u64 pa; } worlds[] = {
    {"Secure", SECURE_MEMORY}, {"Realm", REALM_MEMORY}, {"Root", ROOT_MEMORY},
};
static const struct { const char *name; u64 (*probe)(u64 pa); u64 ec; } tries[] = {
    {"load from", probe_load, EC_DATA_ABORT_SAME}, {"store to", probe_store, EC_DATA_ABORT_SAME}, {"fetch from", probe_fetch, EC_INSTRUCTION_ABORT_SAME},
};

int main(void)
{
    unsigned wrong = 0;

    for (size_t w = 0; w < ARRAY_SIZE(worlds); w++)
        for (size_t t = 0; t < ARRAY_SIZE(tries); t++) {
            u64 esr = tries[t].probe(worlds[w].pa);
            bool right = ESR_EC(esr) == tries[t].ec && ESR_FSC(esr) == FSC_GPF;

            print(right ? "GPF  " : "FAIL ");
            print(tries[t].name);
            print(" ");
            print(worlds[w].name);
            print(" memory");
            if (!right)
                print_hex(": ESR ", esr);
            print("\n");
            wrong += !right;
        }
    print("ns_gpf: ");
    print_number(wrong, 10);
    print(" wrong\n");
    return 0;
}
