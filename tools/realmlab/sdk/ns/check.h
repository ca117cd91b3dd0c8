// Checks with names; each prints one PASS or FAIL line.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef CHECK_H
#define CHECK_H

#include "types.h"

extern unsigned checks_passed, checks_failed;

void suite(const char *name);           // its checks are numbered from 1, and named "NAME NUMBER: rule"
void want(const char *rule, u64 value, u64 expected);
void detail(const char *rule, u64 value, u64 expected);         // belongs to the line before; prints only a failure

#endif
