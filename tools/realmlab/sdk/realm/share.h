// Memory that the Realm shares with its Host.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef SHARE_H
#define SHARE_H

#include "types.h"

// Gives up whole pages of RAM and maps their shared alias: the same IPA with realm_shared_bit() set. Returns the alias, whose
// contents are the Host's and may change at any time; NULL if the Host refuses. What was in the pages is lost.
volatile void *share_pages(void *pages, u64 size);

// Makes them RAM of the Realm again, with unknown contents. False if the Host refuses.
bool unshare_pages(void *pages, u64 size);

#endif
