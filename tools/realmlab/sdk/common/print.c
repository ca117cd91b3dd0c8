// Prints text and numbers on a PL011. The model is always ready to send, so only its data register matters.
// SPDX-License-Identifier: BSD-3-Clause
#include "print.h"

void print(const char *text)
{
    while (*text)
        *console = (u8)*text++;
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
