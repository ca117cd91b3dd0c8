// spin: an infinite loop. Prints one line and never ends: only an instruction limit or Ctrl-C stops it (status 4, 130).
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

int main(void)
{
    printf("spinning\n");
    for (;;)
        __asm__ volatile("" ::: "memory");
}
