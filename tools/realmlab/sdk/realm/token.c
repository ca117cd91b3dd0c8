// Gets and prints an attestation token.
// SPDX-License-Identifier: BSD-3-Clause
#include "token.h"
#include "rsi.h"
#include "runtime.h"

#define LINE 32

// The loop of the Linux driver: one page at a time, from offset 0, until the RMM reports the end.
u64 token_get(const u8 challenge[CHALLENGE_SIZE], void *pages, u64 size)
{
    struct smc part = rsi_attestation_token_init(challenge);
    u64 at = 0;

    if (part.x[0] != RSI_SUCCESS)
        return 0;
    do {
        u64 offset = 0;

        if (at + PAGE_SIZE > size)
            return 0;
        do {
            part = rsi_attestation_token_continue((u64)pages + at, offset, PAGE_SIZE - offset);
            offset += part.x[1];
        } while (part.x[0] == RSI_INCOMPLETE && offset < PAGE_SIZE);
        at += offset;
    } while (part.x[0] == RSI_INCOMPLETE);
    return part.x[0] == RSI_SUCCESS ? at : 0;
}

void token_print(const void *token, u64 size)
{
    static const char digits[] = "0123456789abcdef";
    const u8 *bytes = token;

    printf("-----BEGIN CCA TOKEN-----\n");
    for (u64 at = 0; at < size; at += LINE) {
        char line[2 * LINE + 1];
        u64 count = size - at < LINE ? size - at : LINE;

        for (u64 i = 0; i < count; i++) {
            line[2 * i] = digits[bytes[at + i] >> 4];
            line[2 * i + 1] = digits[bytes[at + i] & 15];
        }
        line[2 * count] = '\n';
        console_write(line, 2 * count + 1);
    }
    printf("-----END CCA TOKEN-----\n");
}
