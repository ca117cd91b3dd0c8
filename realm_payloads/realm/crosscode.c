// crosscode: one vCPU writes 100 versions of a function and another one runs them, with the cache maintenance and context
// synchronisation that the architecture requires. Needs 2 vCPUs. Exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "mmu.h"
#include "opcodes.h"
#include "runtime.h"

#define VERSIONS 100
#define WINDOW 0x10000000000ul

static u32 code[1024] __attribute__((aligned(4096)));
static u64 written, done, result;       // versions, ordered by release and acquire

static void wait_for(u64 *from, u64 value)
{
    u64 now;

    for (;;) {
        now = load_acquire(from);
        if (now == value)
            return;
        wfe();
    }
}

static void runner(u64 argument)
{
    (void)argument;
    for (u64 version = 1; version <= VERSIONS; version++) {
        wait_for(&written, version);
        isb();
        result = ((u64 (*)(void))WINDOW)();
        publish(&done, version);
    }
}

int main(void)
{
    volatile u32 *window = (volatile u32 *)WINDOW;
    unsigned wrong = 0;

    mmu_map(WINDOW, (u64)code, sizeof(code), MAP_WRITE_EXECUTE);
    if (cpu_start(1, runner, 0))
        panic("crosscode needs 2 vCPUs");
    for (u64 version = 1; version <= VERSIONS; version++) {
        window[0] = MOVZ_X0(version);
        window[1] = RET;
        code_written((const void *)WINDOW, 8);
        publish(&written, version);
        wait_for(&done, version);
        wrong += result != version;
    }
    printf("crosscode: %u versions, %u wrong\n", VERSIONS, wrong);
    return wrong != 0;
}
