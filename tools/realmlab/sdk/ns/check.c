// Counts and prints checks.
// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"
#include "ns.h"

unsigned checks_passed, checks_failed;
static const char *suite_name;
static unsigned number;

void suite(const char *name)
{
    suite_name = name;
    number = 0;
}

static void verdict(const char *word, const char *rule)
{
    print(word);
    if (suite_name) {
        print(suite_name);
        print(" ");
        print_number(number, 10);
        print(": ");
    }
    print(rule);
}

void detail(const char *rule, u64 value, u64 expected)
{
    if (value == expected) {
        checks_passed++;
        return;
    }
    checks_failed++;
    verdict("FAIL ", rule);
    print_hex(": must be ", expected);
    print_hex(", not ", value);
    print("\n");
}

void want(const char *rule, u64 value, u64 expected)
{
    number++;
    if (value == expected) {
        verdict("PASS ", rule);
        print("\n");
    }
    detail(rule, value, expected);
}
