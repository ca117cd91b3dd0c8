// The RMI side of a Host: commands that are counted, a pool of granules, and REC entries that are watched.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef RMI_HOST_H
#define RMI_HOST_H

#include "check.h"
#include "rmi.h"
#include "smc.h"

// A command with its inputs; its outputs X1..X4 are in rmi_out[1..4], and X0 in rmi_out[0], until the next one.
extern u64 rmi_out[5];
u64 rmi_call(struct smc smc);
#define RMI(...) rmi_call((struct smc){{__VA_ARGS__}})

// A command has to answer with this X0; its outputs are checked by want().
#define rmi_want(rule, expected, ...) want(rule, RMI(__VA_ARGS__), expected)
unsigned rmi_summary(void);             // counts, and which commands never failed or never succeeded; the number of FAILs

// Granules of the pool, delegated one by one; pool_end() wants all of them back, NS and zero.
u64 pool_take(void);                    // still Non-secure, filled with a pattern
u64 pool_delegated(void);
void pool_return(u64 pa);               // RMI_GRANULE_UNDELEGATE
void pool_end(void);

// REC_ENTER with patterns in every register that is the Host's; says which of them did not come back.
u64 rec_enter(u64 rec, struct rmi_rec_run *run);
void registers_summary(void);

#endif
