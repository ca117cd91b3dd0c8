// The suites of `secure_call`, and what they share.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef SECURE_CALL_H
#define SECURE_CALL_H

#include "check.h"
#include "secure/services.h"
#include "types.h"

#define ROUNDS 50000ul                  // of a computation that takes several timer periods
#define SEED 0x123456789abcdeful
#define MARK(n) (0x5ec0000000000000ul + (n))

// Makes an SMC with X0..X4, zeros in X5..X7 and marks in X8..X30. Returns X0..X30, valid until the PE's next call.
const u64 *call(u64 fid, u64 a, u64 b, u64 c, u64 d);
u64 lost(const u64 *result, u64 from);  // counts the marks that are gone, from X<from> on
u64 computed(u64 rounds, u64 value);    // what SECURE_COMPUTE must give
void arm(void);                         // the timer interrupts after a period

void suite_fast(void);                  // calls.c
void suite_registers(void);             // calls.c
void suite_memory(void);                // memory.c
void suite_yielding(void);              // preemption.c
void suite_interrupts(void);            // calls.c
void suite_messages(void);              // preemption.c
void suite_pes(void);                   // calls.c

#endif
