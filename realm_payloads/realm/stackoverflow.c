// stackoverflow: recurses without end until it hits the unmapped half of its stack slot. The runtime reports that on a separate
// stack: "panic: stack overflow", exit status 3.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

static __attribute__((noinline)) u64 descend(volatile u64 *above)
{
    volatile u64 here[16];

    if (*above == ~0ul)         // never, but the compiler cannot know
        return 0;
    here[0] = *above + 1;
    return descend(here) + here[0];
}

int main(void)
{
    volatile u64 start = 0;

    return (int)descend(&start);
}
