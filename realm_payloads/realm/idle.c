// idle: waits for an interrupt that never comes. The VMM must notice and end the run with status 3.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

int main(void)
{
    printf("waiting for ever\n");
    for (;;)
        wfi();
}
