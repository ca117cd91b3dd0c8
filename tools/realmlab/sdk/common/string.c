// The C library functions that the compiler may call. -fno-builtin keeps it from compiling these loops into calls of
// themselves.
// SPDX-License-Identifier: BSD-3-Clause
#include "types.h"

void *memcpy(void *to, const void *from, size_t size)
{
    u8 *t = to;
    const u8 *f = from;

    if ((((u64)t | (u64)f) & 7) == 0)
        for (; size >= 8; size -= 8, t += 8, f += 8)
            *(u64 *)t = *(const u64 *)f;
    while (size--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t size)
{
    u8 *t = to;

    if (((u64)t & 7) == 0)
        for (u64 word = (u8)value * 0x0101010101010101ul; size >= 8; size -= 8, t += 8)
            *(u64 *)t = word;
    while (size--)
        *t++ = (u8)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const u8 *x = a, *y = b;

    for (; size; size--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (((const volatile char *)text)[length])
        length++;
    return length;
}
