// Plain text output for the worlds that print on a PL011: Non-secure EL2 and Secure EL1.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef PRINT_H
#define PRINT_H

#include "types.h"

extern volatile u32 *const console;     // the data register; each world defines it

void print(const char *text);
void print_number(u64 value, unsigned base);
void print_hex(const char *label, u64 value);
void print_exception(const char *what, u64 esr, u64 elr, u64 far);      // a line: what, ESR, ELR, FAR, and the words for it

#endif
