// selfmod: writes, runs and rewrites a function a thousand times, with the cache maintenance that the architecture requires (DC
// CVAU, DSB, IC IVAU, DSB, ISB). Each version returns another constant. Exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "mmu.h"
#include "opcodes.h"
#include "runtime.h"

#define VERSIONS 1000
#define WINDOW 0x10000000000ul

static u32 code[1024] __attribute__((aligned(4096)));

int main(void)
{
    volatile u32 *window = (volatile u32 *)WINDOW;
    unsigned wrong = 0;

    mmu_map(WINDOW, (u64)code, sizeof(code), MAP_WRITE_EXECUTE);
    for (u64 version = 0; version < VERSIONS; version++) {
        window[0] = MOVZ_X0(version);
        window[1] = RET;
        code_written((const void *)WINDOW, 8);
        wrong += ((u64 (*)(void))WINDOW)() != version;
    }
    printf("selfmod: %u versions, %u wrong\n", VERSIONS, wrong);
    return wrong != 0;
}
