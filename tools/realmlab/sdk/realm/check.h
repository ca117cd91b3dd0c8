// Checks: one PASS or FAIL line each. main() returns check_failures().
// SPDX-License-Identifier: BSD-3-Clause
#ifndef CHECK_H
#define CHECK_H

#include "types.h"

void check(const char *rule, bool holds);
void check_equal(const char *rule, u64 value, u64 expected);
int check_failures(void);       // prints the totals; at most 125, so that it fits an exit status

#endif
