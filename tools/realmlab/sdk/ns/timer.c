// Accessors of the timers. CNTHV_* registers are named by encoding, because the assembler knows them only with FEAT_VHE.
// SPDX-License-Identifier: BSD-3-Clause
#include "timer.h"

u64 now(void)
{
    isb();
    return read_sysreg(cntpct_el0);
}

static u64 virtual_now(void)
{
    isb();
    return read_sysreg(cntvct_el0);
}

#define REGISTERS(name, ctl, cval, tval)                                                                                        \
    static u64 name##_control(void) { isb(); return read_sysreg(ctl); }                                                         \
    static u64 name##_compare(void) { return read_sysreg(cval); }                                                               \
    static u64 name##_value(void) { isb(); return read_sysreg(tval); }                                                          \
    static void name##_set_control(u64 value) { write_sysreg(ctl, value); isb(); }                                              \
    static void name##_set_compare(u64 value) { write_sysreg(cval, value); isb(); }                                             \
    static void name##_set_value(u64 value) { write_sysreg(tval, value); isb(); }

REGISTERS(cnthp, cnthp_ctl_el2, cnthp_cval_el2, cnthp_tval_el2)
REGISTERS(cntp, cntp_ctl_el0, cntp_cval_el0, cntp_tval_el0)
REGISTERS(cntv, cntv_ctl_el0, cntv_cval_el0, cntv_tval_el0)
REGISTERS(cnthv, s3_4_c14_c3_1, s3_4_c14_c3_2, s3_4_c14_c3_0)

#define TIMER(index, name, intid, clock)                                                                                        \
    [index] = {#index, intid, clock, name##_control, name##_compare, name##_value, name##_set_control, name##_set_compare,       \
               name##_set_value}

const struct timer timers[TIMERS] = {
    TIMER(CNTHP, cnthp, 26, now), TIMER(CNTP, cntp, 30, now), TIMER(CNTV, cntv, 27, virtual_now), TIMER(CNTHV, cnthv, 28, now),
};
