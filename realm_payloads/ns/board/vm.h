// The plain VM of suite `vm`, which runs the guest on the first PE.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef VM_H
#define VM_H

#include "guest.h"
#include "pe.h"

extern struct guest guest;

void vm_create(u64 role);               // a new one, in memory as from the start
void vm_want_step(const char *rule, u64 number);        // it has to run up to this step
void vm_destroy(void);
void vm_interrupts(void);               // vm_interrupts.c, a part of the suite

#endif
