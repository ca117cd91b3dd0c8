// The first PL011 of the board: always ready, so only its data register matters.
// SPDX-License-Identifier: BSD-3-Clause
#include "ns.h"
#include "platform.h"

#define UART_DR ((volatile u32 *)UART)

void print(const char *text)
{
    while (*text)
        *UART_DR = (u8)*text++;
}

void print_number(u64 value, unsigned base)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;

    digits[at] = 0;
    do
        digits[--at] = "0123456789abcdef"[value % base];
    while (value /= base);
    print(digits + at);
}

void print_hex(const char *label, u64 value)
{
    print(label);
    print_number(value, 16);
}

void unexpected(u64 esr, u64 elr, u64 far)
{
    print_hex("FAIL exception: ESR ", esr);
    print_hex(", ELR ", elr);
    print_hex(", FAR ", far);
    print("\n");
}
