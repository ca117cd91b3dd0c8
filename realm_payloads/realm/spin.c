// spin: prints one line, then loops for ever. Only an instruction limit (status 4) or Ctrl-C (status 130) stops it.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

int main(void)
{
    printf("spinning\n");
    for (;;)
        __asm__ volatile("" ::: "memory");
}
