// The virtual timer of this vCPU. It raises INTID_TIMER from the time that was set until it is stopped or set anew.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef TIMER_H
#define TIMER_H

#include "abi/gic.h"
#include "abi/sysreg.h"
#include "types.h"

#define INTID_TIMER INTID_CNTV

static inline u64 timer_now(void)
{
    isb();
    return read_sysreg(cntvct_el0);
}
static inline u64 timer_frequency(void) { return read_sysreg(cntfrq_el0); }     // ticks a second
static inline void timer_start(u64 ticks)       // fires once, when so many ticks have passed
{
    write_sysreg(cntv_cval_el0, timer_now() + ticks);
    write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);         // and not IMASK
    isb();
}
static inline void timer_stop(void)
{
    write_sysreg(cntv_ctl_el0, 0);
    isb();
}

#endif
