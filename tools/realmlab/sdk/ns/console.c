// The console of Non-secure EL2 (the board's first PL011), and the report of an unexpected exception.
// SPDX-License-Identifier: BSD-3-Clause
#include "ns.h"
#include "platform.h"

volatile u32 *const console = (volatile u32 *)UART;

void unexpected(u64 esr, u64 elr, u64 far)
{
    print_exception("FAIL exception: ESR ", esr, elr, far);
}
