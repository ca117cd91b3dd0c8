// secure_call: uses every service of the payload `secure` at S-EL1, bare-metal at Non-secure EL2 on two PEs: fast calls,
// yielding calls that timer interrupts preempt, and FF-A messages. It checks that its registers survive and that Secure memory
// stays out of reach. Prints PASS and FAIL lines to UART0, then the totals; ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "secure_call.h"
#include "call.h"
#include "gic.h"
#include "ns.h"
#include "pe.h"
#include "platform.h"
#include "timer.h"

#define PERIOD 2000ul                   // ticks from one interrupt to the next

const u64 *call(u64 fid, u64 a, u64 b, u64 c, u64 d)
{
    static u64 results[PES][31];
    u64 x[5] = {fid, a, b, c, d}, before[31];
    u64 *after = results[this_pe()->index];

    for (u64 n = 0; n < 31; n++)
        before[n] = n < 8 ? 0 : MARK(n);
    smc_watched(x, before, after);
    for (u64 n = 0; n < 5; n++)
        after[n] = x[n];
    return after;
}

u64 lost(const u64 *result, u64 from)
{
    u64 wrong = 0;

    for (u64 n = from; n < 31; n++)
        wrong += result[n] != (n < 8 ? 0 : MARK(n));
    return wrong;
}

u64 computed(u64 rounds, u64 value)
{
    while (rounds--)
        value = compute_round(value);
    return value;
}

static void tick(struct pe *pe, u32 intid)
{
    (void)pe;
    (void)intid;
    timers[CNTHP].set_control(0);
}

void arm(void)
{
    timers[CNTHP].set_compare(now() + PERIOD);
    timers[CNTHP].set_control(CNT_CTL_ENABLE);
}

int main(void)
{
    mmu_tables();
    mmu_level1[SECURE_MEMORY >> 30] = (SECURE_MEMORY & -(1ul << 30)) | BLOCK | ATTR_NORMAL | INNER_SHAREABLE | AF;
    mmu_on();
    pe_setup(&pes[0]);
    gic_distributor_on();
    gic_pe_on();
    pes[0].on_irq = tick;
    gic_enable(timers[CNTHP].intid, 0x80);
    suite_fast();
    suite_registers();
    suite_memory();
    suite_yielding();
    suite_interrupts();
    suite_messages();
    suite_pes();
    print("secure_call: 7 suites, ");
    print_number(checks_passed, 10);
    print(" passed, ");
    print_number(checks_failed, 10);
    print(" failed\n");
    return 0;
}
