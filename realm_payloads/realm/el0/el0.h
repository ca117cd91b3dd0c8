// System calls of `el0`: SVC #0, number in X8, arguments in X0 and X1, result in X0.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef EL0_H
#define EL0_H

#include "types.h"

enum { SVC_WRITE = 1, SVC_EXIT = 2, SVC_TICKS = 3 };
enum { DEED_NONE, DEED_READ, DEED_WRITE, DEED_JUMP, DEED_CODE, DEED_SMC, DEED_HVC, DEED_SYSREG };

extern u8 application_stack_end[];
void application(u64 argument); // deed << 48 | address in the kernel

#endif
