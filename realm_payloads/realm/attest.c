// attest: gets a CCA attestation token from the RMM, as Linux does, and prints it in hex between a BEGIN and an END line.
// Argument: challenge=HEX, up to 64 bytes, padded with zeros (default: bytes 00 to 3f).
//   realmlab run attest -q | realmlab attest verify -
// Exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

#define CHALLENGE_SIZE 64
#define MAX_PAGES 4
#define LINE 32

static u8 buffer[MAX_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
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

// The loop of the Linux driver: one page at a time, from offset 0, until the RMM reports the end.
static u64 get_token(u64 max_size)
{
    struct smc part;
    u64 size = 0;

    do {
        u64 offset = 0;

        if (size + PAGE_SIZE > sizeof(buffer) || size > max_size)
            panic("the token does not end at its maximum size of %lu bytes", max_size);
        do {
            part = rsi_attestation_token_continue((u64)buffer + size, offset, PAGE_SIZE - offset);
            offset += part.x[1];
        } while (part.x[0] == RSI_INCOMPLETE && offset < PAGE_SIZE);
        size += offset;
    } while (part.x[0] == RSI_INCOMPLETE);
    if (part.x[0] != RSI_SUCCESS)
        panic("RSI_ATTESTATION_TOKEN_CONTINUE answers %lx", part.x[0]);
    return size;
}

int main(void)
{
    static const char digits[] = "0123456789abcdef";
    struct smc init;
    u64 size;

    read_challenge();
    init = rsi_attestation_token_init(challenge);
    if (init.x[0] != RSI_SUCCESS)
        panic("RSI_ATTESTATION_TOKEN_INIT answers %lx", init.x[0]);
    size = get_token(init.x[1]);
    printf("-----BEGIN CCA TOKEN-----\n");
    for (u64 at = 0; at < size; at += LINE) {
        char line[2 * LINE + 1];
        u64 count = size - at < LINE ? size - at : LINE;

        for (u64 i = 0; i < count; i++) {
            line[2 * i] = digits[buffer[at + i] >> 4];
            line[2 * i + 1] = digits[buffer[at + i] & 15];
        }
        line[2 * count] = '\n';
        console_write(line, 2 * count + 1);
    }
    printf("-----END CCA TOKEN-----\n");
    return 0;
}
