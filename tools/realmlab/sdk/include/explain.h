// Exception syndromes in words.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include "types.h"

const char *explain_class(u64 esr);     // "data abort"
const char *explain_fault(u64 esr);     // of an abort: "translation fault, level 3"; else ""

#endif
