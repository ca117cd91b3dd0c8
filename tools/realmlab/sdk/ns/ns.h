// The basics of a payload at Non-secure EL2: probes of physical addresses, and plain text output.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef NS_H
#define NS_H

#include "mmu.h"
#include "print.h"
#include "types.h"

u64 probe_load(u64 pa);                 // ESR_EL2 of the abort, 0 if the access succeeds
u64 probe_store(u64 pa);
u64 probe_fetch(u64 pa);

void power_off(void);                   // start.S: PSCI SYSTEM_OFF
void second_start(void);                // start.S: the entry of another PE, X0 = its stack; calls second_main()
void unexpected(u64 esr, u64 elr, u64 far);     // reports an exception that no probe expects; the payload ends

#endif
