// What a Secure payload does unless it says otherwise: no yielding calls, no interrupts, and a report of an exception.
// SPDX-License-Identifier: BSD-3-Clause
#include "platform.h"
#include "secure.h"

#define UNKNOWN (~0ul)

__attribute__((weak)) volatile u32 *const console = (volatile u32 *)SECURE_UART;

__attribute__((weak)) void secondary_main(u64 index)
{
    (void)index;
    mmu_on();
}

__attribute__((weak)) void fast_call(u64 x[8]) { x[1] = UNKNOWN; }

__attribute__((weak)) void yielding_call(u64 x[8]) { x[1] = UNKNOWN; }

__attribute__((weak)) void interrupt(void) {}

__attribute__((weak)) void pe_off(void) {}

__attribute__((weak)) void system_off(void) {}

__attribute__((weak)) void unexpected(u64 esr, u64 elr, u64 far)
{
    print_exception("unexpected exception at Secure EL1: ESR ", esr, elr, far);
    for (;;)
        ;
}
