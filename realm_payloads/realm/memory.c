// memory: loads and stores, for benchmarks. Argument: the number of rounds (default 4). A round streams over 4 MiB (read, add,
// write), copies 2 MiB, and follows a chain of 65,536 pointers. Works in RAM from 4 MiB above its start, so it needs at least
// 16 MiB.
// Prints a checksum; exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

#define ROUNDS 4
#define OFFSET 0x400000ul
#define STREAM_WORDS (0x400000ul / 8)
#define LINKS 65536ul
#define STRIDE 40503ul          // odd: the chain visits every link

static void stream(u64 *words, u64 add)
{
    for (u64 i = 0; i < STREAM_WORDS; i++)
        words[i] += add + i;
}

static void chain(u64 **links)
{
    for (u64 i = 0; i < LINKS; i++)
        links[i * STRIDE % LINKS] = (u64 *)&links[(i + 1) * STRIDE % LINKS];
}

static u64 follow(u64 **links)
{
    u64 *at = (u64 *)links;

    for (u64 i = 0; i < LINKS - 1; i++)
        at = (u64 *)*at;
    return (u64)((u64 **)at - links);
}

int main(void)
{
    u64 rounds = boot_number(ROUNDS), base, size, sum = 0;
    u64 *words;

    memory_range(&base, &size);
    if (size < 4 * OFFSET)
        panic("memory must be at least 16 MiB, not %lu MiB", size >> 20);
    words = (u64 *)(base + OFFSET);
    memset(words, 0, STREAM_WORDS * 8);
    chain((u64 **)(words + STREAM_WORDS));
    for (u64 i = 0; i < rounds; i++) {
        stream(words, i);
        memcpy(words + STREAM_WORDS / 2, words, STREAM_WORDS * 4);
        sum += words[STREAM_WORDS - 1] + follow((u64 **)(words + STREAM_WORDS));
    }
    printf("memory: %lu rounds, checksum %016lx\n", rounds, sum);
    return 0;
}
