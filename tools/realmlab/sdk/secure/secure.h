// The Secure payload: the functions that its entry points call, and its view of memory.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef SECURE_H
#define SECURE_H

#include "print.h"
#include "types.h"

#define NS_DRAM_TOP 0xc0000000ul        // end of the Non-secure DRAM that is mapped

#define PES 8

// start.S calls these, with the stack of the PE.
void primary_main(u64 index, u64 base, u64 size);
void secondary_main(u64 index);
void fast_call(u64 x[8]);               // X0..X7 in and out; X0 stays, or becomes another FF-A function
void yielding_call(u64 x[8]);
void interrupt(void);
void pe_off(void);
void system_off(void);
_Noreturn void unexpected(u64 esr, u64 elr, u64 far);

u64 ns_copy(void *to, const void *from, u64 size);      // 0, or ESR_EL1 of the abort that ended it

void mmu_tables(void);                  // once; then mmu_on() on each PE
void mmu_on(void);

#endif
