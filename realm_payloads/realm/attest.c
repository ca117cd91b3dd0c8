// attest: gets a CCA attestation token from the RMM, as Linux does, and prints it in hex between a BEGIN and an END line.
// Argument: challenge=HEX, up to 64 bytes, padded with zeros (default: bytes 00 to 3f).
//   realmlab run attest -q | realmlab attest verify -
// Exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"
#include "token.h"

static u8 buffer[TOKEN_SIZE_MAX] __attribute__((aligned(4096)));
static u8 challenge[CHALLENGE_SIZE];

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void read_challenge(void)
{
    static const char word[] = "challenge=";
    const char *text = boot_arguments();

    for (u64 i = 0; i < CHALLENGE_SIZE; i++)
        challenge[i] = (u8)i;
    while (*text && (strlen(text) < sizeof(word) || memcmp(text, word, sizeof(word) - 1) != 0))
        text++;
    if (!*text)
        return;
    memset(challenge, 0, CHALLENGE_SIZE);
    text += sizeof(word) - 1;
    for (u64 i = 0; digit(text[0]) >= 0; i++, text += 2) {
        if (i == CHALLENGE_SIZE || digit(text[1]) < 0)
            panic("challenge= must be at most 64 bytes in hex");
        challenge[i] = (u8)(digit(text[0]) << 4 | digit(text[1]));
    }
}

int main(void)
{
    u64 size;

    read_challenge();
    size = token_get(challenge, buffer, sizeof(buffer));
    if (!size)
        panic("the RMM refuses a token");
    token_print(buffer, size);
    return 0;
}
