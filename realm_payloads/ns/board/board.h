// The suites of `board`. A suite starts with the PE as main() sets it up and all other PEs off, and leaves them so.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef BOARD_H
#define BOARD_H

#include "ns.h"
#include "check.h"
#include "pe.h"

void suite_mmu(void);                   // mmu.c
void suite_pes(void);                   // pes.c
void suite_gic(void);                   // gic.c, which leaves the GIC on
void suite_timers(void);                // timers.c
void suite_vm(void);                    // vm.c
void suite_realms(void);                // realms.c
void suite_devices(void);               // devices.c
void suite_watchdog(void);              // watchdog.c
void suite_frames(void);                // frames.c
void suite_config(void);                // config.c
u32 identity(u64 first);                // devices.c: the number in four identification registers
void suite_reset(void);                 // lives.c, in each life but the first

#endif
