// Shares pages with the Host: RIPAS EMPTY for the pages themselves, and a mapping of their unprotected alias.
// SPDX-License-Identifier: BSD-3-Clause
#include "share.h"
#include "mmu.h"
#include "rsi.h"
#include "runtime.h"

static void check_pages(const void *pages, u64 size)
{
    if (!size || ((u64)pages | size) % PAGE_SIZE)
        panic("only whole pages can be shared, not %lx bytes at %p", size, pages);
}

volatile void *share_pages(void *pages, u64 size)
{
    u64 ipa = (u64)pages, alias = ipa | realm_shared_bit();

    check_pages(pages, size);
    if (!realm_set_ripas(ipa, ipa + size, RSI_EMPTY, RSI_NO_CHANGE_DESTROYED))
        return NULL;
    mmu_map(alias, alias, size, MAP_DATA);
    return (volatile void *)alias;
}

bool unshare_pages(void *pages, u64 size)
{
    u64 ipa = (u64)pages;

    check_pages(pages, size);
    mmu_unmap(ipa | realm_shared_bit(), size);
    return realm_set_ripas(ipa, ipa + size, RSI_RAM, RSI_CHANGE_DESTROYED);
}
