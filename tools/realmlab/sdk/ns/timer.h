// The four generic timers of Non-secure EL2 (DDI 0487, D12).
// SPDX-License-Identifier: BSD-3-Clause
#ifndef TIMER_H
#define TIMER_H

#include "abi/sysreg.h"
#include "types.h"

struct timer {
    const char *name;
    u32 intid;
    u64 (*now)(void);                   // what it compares with
    u64 (*control)(void);
    u64 (*compare)(void);
    u64 (*value)(void);
    void (*set_control)(u64 value);
    void (*set_compare)(u64 value);
    void (*set_value)(u64 value);
};
enum { CNTHP, CNTP, CNTV, CNTHV, TIMERS };
extern const struct timer timers[TIMERS];

u64 now(void);                          // CNTPCT_EL0

#endif
