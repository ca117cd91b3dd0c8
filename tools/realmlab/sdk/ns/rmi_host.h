// The RMI side of a Host: commands that are counted, a pool of granules, and REC entries that are watched.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef RMI_HOST_H
#define RMI_HOST_H

#include "check.h"
#include "rmi.h"
#include "smc.h"

// Makes a command. rmi_out holds its X0..X4 until the next one.
extern u64 rmi_out[5];
u64 rmi_call(struct smc smc);
#define RMI(...) rmi_call((struct smc){{__VA_ARGS__}})

// Makes a command that must return this X0; want() checks its outputs.
#define rmi_want(rule, expected, ...) want(rule, RMI(__VA_ARGS__), expected)
// Prints totals, and the commands that never failed or never succeeded; returns the number of FAILs.
unsigned rmi_summary(void);

// A pool of granules, delegated one by one; pool_end() checks that all came back, Non-secure and zero.
u64 pool_take(void);                    // still Non-secure, filled with a pattern
u64 pool_delegated(void);
void pool_return(u64 pa);               // RMI_GRANULE_UNDELEGATE
void pool_end(void);

// REC_ENTER with patterns in every Host register; registers_summary() names those that did not survive.
u64 rec_enter(u64 rec, struct rmi_rec_run *run);
void registers_summary(void);

#endif
