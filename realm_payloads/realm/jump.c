// jump: calls an address that no table maps. Ends with "panic: instruction abort", exit status 3.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

#define NOWHERE 0x123456789000ul

int main(void)
{
    printf("jumping to %p\n", (void *)NOWHERE);
    ((void (*)(void))NOWHERE)();
    return 0;
}
