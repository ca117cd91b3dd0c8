// uart: prints through the emulated 16550 UART, whose registers are in unprotected IPA space; each byte is an MMIO exit to the
// VMM.
// Expects "Hello through the UART"; exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "mmu.h"
#include "rsi.h"
#include "runtime.h"
#include "uart.h"

int main(void)
{
    u64 uart = UART | realm_shared_bit();

    mmu_map(uart, uart, PAGE_SIZE, MAP_DEVICE);
    console_use_uart(uart);
    printf("Hello through the UART\n");
    return 0;
}
