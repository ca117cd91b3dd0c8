// The plain VM of suite `vm`, which runs the guest on the first PE.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef VM_H
#define VM_H

#include "guest.h"
#include "pe.h"

extern struct guest guest;

void vm_create(u64 role);               // fresh registers and memory
void vm_want_step(const char *rule, u64 number);        // runs the guest up to this step
void vm_destroy(void);
void vm_interrupts(void);               // vm_interrupts.c, called by the suite

#endif
