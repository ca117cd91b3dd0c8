// sealing: a secret outlives its Realm. The Host keeps it, sealed by a key that only this Realm gets, on this platform.
// It reads one line from the UART, which no measurement has: arguments would change the RIM, and with it the key.
//   seal TEXT    seals a text of at most 64 characters, and prints the blob in hex: "sealed HEX"
//   open HEX     opens a blob of an earlier life: "opened TEXT", or "refused" with exit status 1
//   nothing      prints the keys that the RMM gives for each choice of what they depend on
// Needs --extension sealing; exit status 0.
// A blob is 16 bytes of a nonce, the text xor SHA-256(key, nonce, number of the block), and SHA-256(key, 0, SHA-256(key,
// 1, what is before it)): a key is 32 bytes for one purpose, told by its label.
// SPDX-License-Identifier: BSD-3-Clause
#include "abi/sealing.h"
#include "mmu.h"
#include "rsi.h"
#include "runtime.h"
#include "uart.h"

#define KEY 32
#define NONCE 16
#define TEXT_MAX 64
#define BLOB_MAX (NONCE + TEXT_MAX + KEY)
#define LABEL_STREAM 1
#define LABEL_TAG 2
#define UART_RBR 0
#define UART_LSR_DR 1

struct key {
    u8 bytes[KEY];
};

static struct key sealing_key(u64 flags, u64 label)
{
    struct smc answer = SMC(SEALING_KEY, flags, label);
    struct key key;

    if (answer.x[0] != RSI_SUCCESS)
        panic("SEALING_KEY(%lx, %lx) answers %lx: give --extension sealing", flags, label, answer.x[0]);
    memcpy(key.bytes, &answer.x[1], KEY);
    return key;
}

// -- the line ----------------------------------------------------------------------------------------------------------
static char line[2 * BLOB_MAX + 16];

static void read_line(void)
{
    u64 uart = UART | realm_shared_bit();
    size_t at = 0;

    mmu_map(uart, uart, PAGE_SIZE, MAP_DEVICE);
    while (at + 1 < sizeof(line) && *(volatile u8 *)(uart + UART_LSR) & UART_LSR_DR) {
        char c = (char)*(volatile u8 *)(uart + UART_RBR);

        if (c == '\n')
            break;
        line[at++] = c;
    }
    line[at] = 0;
}

static const char *after(const char *word)
{
    size_t size = strlen(word);

    return strlen(line) >= size && memcmp(line, word, size) == 0 ? line + size : 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void print_hex(const char *word, const u8 *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * BLOB_MAX + 1];

    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = 0;
    printf("%s %s\n", word, text);
}

// -- blobs -------------------------------------------------------------------------------------------------------------
static void crypt(const u8 *nonce, u8 *text, size_t size)
{
    struct key key = sealing_key(SEALING_KEY_RIM, LABEL_STREAM);
    u8 input[KEY + NONCE + 1], block[KEY];

    memcpy(input, key.bytes, KEY);
    memcpy(input + KEY, nonce, NONCE);
    for (size_t i = 0; i < size; i++) {
        if (i % KEY == 0) {
            input[KEY + NONCE] = (u8)(i / KEY);
            sha256(input, sizeof(input), block);
        }
        text[i] ^= block[i % KEY];
    }
}

static void tag_of(const u8 *blob, size_t size, u8 tag[KEY])
{
    struct key key = sealing_key(SEALING_KEY_RIM, LABEL_TAG);
    u8 input[KEY + 1 + BLOB_MAX];

    memcpy(input, key.bytes, KEY);
    input[KEY] = 1;
    memcpy(input + KEY + 1, blob, size);
    sha256(input, KEY + 1 + size, tag);
    input[KEY] = 0;
    memcpy(input + KEY + 1, tag, KEY);
    sha256(input, KEY + 1 + KEY, tag);
}

static int seal(const char *text)
{
    static u8 blob[BLOB_MAX];
    size_t size = strlen(text);
    u64 now = read_sysreg(cntvct_el0);

    if (size > TEXT_MAX)
        panic("a text must have at most %d characters", TEXT_MAX);
    memcpy(blob, &now, sizeof(now));            // there is no source of randomness here: a nonce must only differ
    memcpy(blob + NONCE, text, size);
    sha256(blob, NONCE + size, blob + NONCE + TEXT_MAX);
    memcpy(blob, blob + NONCE + TEXT_MAX, NONCE);
    crypt(blob, blob + NONCE, size);
    tag_of(blob, NONCE + size, blob + NONCE + size);
    print_hex("sealed", blob, NONCE + size + KEY);
    return 0;
}

static int refuse(void)
{
    printf("refused: this is no blob of this Realm\n");
    return 1;
}

static int open(const char *hex)
{
    static u8 blob[BLOB_MAX + 1];
    u8 tag[KEY], differ = 0;
    size_t size = 0;

    while (digit(hex[0]) >= 0 && digit(hex[1]) >= 0 && size < BLOB_MAX) {
        blob[size++] = (u8)(digit(hex[0]) << 4 | digit(hex[1]));
        hex += 2;
    }
    if (*hex || size < NONCE + KEY)
        return refuse();
    size -= KEY;
    tag_of(blob, size, tag);
    for (size_t i = 0; i < KEY; i++)
        differ |= (u8)(tag[i] ^ blob[size + i]);
    if (differ)
        return refuse();
    crypt(blob, blob + NONCE, size - NONCE);
    blob[size] = 0;
    printf("opened %s\n", (const char *)blob + NONCE);
    return 0;
}

static int keys(void)
{
    for (u64 more = 0; more <= SEALING_KEY_IMAGES >> 1; more = more ? more << 1 : 1) {
        u64 flags = SEALING_KEY_RIM | more << 1;
        struct key key = sealing_key(flags, 0);

        printf("flags %lx ", flags);
        print_hex("key", key.bytes, KEY);
    }
    return 0;
}

int main(void)
{
    const char *rest;

    read_line();
    if ((rest = after("seal ")))
        return seal(rest);
    if ((rest = after("open ")))
        return open(rest);
    if (!*line)
        return keys();
    panic("the UART must give \"seal TEXT\", \"open HEX\" or nothing");
}
