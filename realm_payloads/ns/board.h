// The suites of board.c. Each one starts and ends with its PE as main() has set it up, and all other PEs off.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef BOARD_H
#define BOARD_H

#include "ns.h"
#include "ns_check.h"
#include "pe.h"

void suite_mmu(void);                   // board_mmu.c
void suite_pes(void);                   // board_pes.c
void suite_gic(void);                   // board_gic.c, which leaves the GIC on
void suite_timers(void);                // board_timers.c
void suite_vm(void);                    // board_vm.c
void suite_realms(void);                // board_realms.c
void suite_devices(void);               // board_devices.c
void suite_watchdog(void);              // board_watchdog.c
void suite_reset(void);                 // board_lives.c, in each life but the first

#endif
