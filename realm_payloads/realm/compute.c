// compute: arithmetic without memory traffic, for benchmarks. Argument: the number of rounds (default 100). A round is 10,000
// steps of a xorshift-multiply generator, then SHA-256 of 4 KiB. Prints a checksum; exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

#define ROUNDS 100
#define STEPS 10000

static u64 mix(u64 x)
{
    for (int i = 0; i < STEPS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x = x * 0x2545f4914f6cdd1dul + (x >> 32);
    }
    return x;
}

int main(void)
{
    static u64 block[512];
    u64 rounds = boot_number(ROUNDS), x = 0x9e3779b97f4a7c15ul, digest[4] = {0};

    for (u64 i = 0; i < rounds; i++) {
        x = mix(x ^ digest[0]);
        block[i % ARRAY_SIZE(block)] = x;
        sha256(block, sizeof(block), (u8 *)digest);
    }
    printf("compute: %lu rounds, checksum %016lx\n", rounds, x ^ digest[0]);
    return 0;
}
