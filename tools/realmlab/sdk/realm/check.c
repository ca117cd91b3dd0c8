// Counts and prints checks.
// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"
#include "runtime.h"

#define MOST 125

static unsigned passed, failed;

void check(const char *rule, bool holds)
{
    *(holds ? &passed : &failed) += 1;
    printf("%s %s\n", holds ? "PASS" : "FAIL", rule);
}

void check_equal(const char *rule, u64 value, u64 expected)
{
    if (value == expected) {
        check(rule, true);
        return;
    }
    failed++;
    printf("FAIL %s: must be %lx, not %lx\n", rule, expected, value);
}

int check_failures(void)
{
    printf("%u passed, %u failed\n", passed, failed);
    return failed > MOST ? MOST : (int)failed;
}
