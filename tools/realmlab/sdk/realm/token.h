// The Realm's attestation token.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef TOKEN_H
#define TOKEN_H

#include "types.h"

#define CHALLENGE_SIZE 64
#define TOKEN_SIZE_MAX (4 * PAGE_SIZE)

// Gets a token for the challenge into whole pages of protected RAM; returns its size in bytes, 0 if the RMM refuses.
u64 token_get(const u8 challenge[CHALLENGE_SIZE], void *pages, u64 size);

// Prints it in hex between a BEGIN and an END line, as `realmlab attest verify -` reads it.
void token_print(const void *token, u64 size);

#endif
