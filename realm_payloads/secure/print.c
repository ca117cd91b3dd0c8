// The PL011 of the Secure payload: always ready, so only its data register matters.
// SPDX-License-Identifier: BSD-3-Clause
#include "secure.h"

void print(const char *text)
{
    while (*text)
        *(volatile u32 *)UART = (u8)*text++;
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
