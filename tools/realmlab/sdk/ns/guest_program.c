// Copies the program of a guest, page by page.
// SPDX-License-Identifier: BSD-3-Clause
#include "guest_program.h"

extern u8 __guest_start[], __guest_end[];

u64 guest_size(void) { return (u64)(__guest_end - __guest_start); }

void guest_page(void *to, u64 index)
{
    u64 from = index * PAGE_SIZE, size = guest_size(), left = from < size ? size - from : 0;

    if (left > PAGE_SIZE)
        left = PAGE_SIZE;
    memcpy(to, __guest_start + from, left);
    memset((u8 *)to + left, 0, PAGE_SIZE - left);
}
