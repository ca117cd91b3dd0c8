// smcstorm: makes one call over and over. Arguments: the call (version, host or unknown; default: all three in turn) and how
// often (default 1000). Exit status 0 if every answer was right.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

#define TIMES 1000
#define UNKNOWN_FID 0xc400ffff

static u64 call_version(void) { return rsi_version(RSI_ABI_1_0).x[0] != RSI_SUCCESS; }
static u64 call_unknown(void) { return SMC(UNKNOWN_FID).x[0] != NOT_SUPPORTED; }
static u64 call_host(void)
{
    static struct rsi_host_call call;

    call.imm = HOST_CALL_IMM;
    call.gprs[0] = HOST_GET_TICKS;
    return rsi_host_call((u64)&call) != RSI_SUCCESS;
}

static const struct { const char *name; u64 (*call)(void); } storms[] = {
    {"version", call_version}, {"host", call_host}, {"unknown", call_unknown},
};

static bool contains(const char *text, const char *word)
{
    for (; *text; text++)
        if (strlen(text) >= strlen(word) && memcmp(text, word, strlen(word)) == 0)
            return true;
    return false;
}

int main(void)
{
    const char *arguments = boot_arguments();
    u64 times = boot_number(TIMES), wrong = 0;
    bool all = true;

    for (size_t i = 0; i < ARRAY_SIZE(storms); i++)
        all = all && !contains(arguments, storms[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(storms); i++) {
        if (!all && !contains(arguments, storms[i].name))
            continue;
        for (u64 n = 0; n < times; n++)
            wrong += storms[i].call();
        printf("smcstorm: %s, %lu calls, %lu wrong\n", storms[i].name, times, wrong);
    }
    return wrong != 0;
}
