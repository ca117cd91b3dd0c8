// idle: waits for an interrupt that nobody will ever send. The VMM has to notice (status 3).
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

int main(void)
{
    printf("waiting for ever\n");
    for (;;)
        wfi();
}
