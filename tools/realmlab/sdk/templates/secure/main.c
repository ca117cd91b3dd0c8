// @NAME@: a service at Secure EL1 for Non-secure software.
#include "secure.h"

#define ADD 0xb2002000ul        // a fast call of a Trusted OS owner (SMCCC): X0 = 0, X1 = X1 + X2

// Once, on the primary PE, before Non-secure software starts.
void primary_main(u64 index, u64 base, u64 size)
{
    (void)index;
    (void)base;
    (void)size;
    mmu_tables();
    mmu_on();
    print("Hello from Secure EL1\n");
}

// X0..X7 of a call. What is left in X1..X4 becomes X0..X3 of the caller.
void fast_call(u64 x[8])
{
    if (x[0] == ADD) {
        x[2] += x[1];
        x[1] = 0;
    } else {
        x[1] = ~0ul;    // an unknown function
    }
}
