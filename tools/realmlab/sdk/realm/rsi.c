// RSI calls that take more than registers.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

struct smc rsi_measurement_extend(u64 index, const void *value, u64 size)
{
    struct smc smc = {{RSI_MEASUREMENT_EXTEND, index, size}};

    memcpy(&smc.x[3], value, size < 64 ? size : 64);
    smc_call(&smc);
    return smc;
}

struct smc rsi_attestation_token_init(const u8 challenge[64])
{
    struct smc smc = {{RSI_ATTESTATION_TOKEN_INIT}};

    memcpy(&smc.x[1], challenge, 64);
    smc_call(&smc);
    return smc;
}

bool realm_set_ripas(u64 base, u64 top, u64 ripas, u64 flags)
{
    while (base < top) {
        struct smc smc = rsi_ipa_state_set(base, top, ripas, flags);

        if (smc.x[0] != RSI_SUCCESS || smc.x[2] != RSI_ACCEPT || smc.x[1] <= base || smc.x[1] > top)
            return false;
        base = smc.x[1];
    }
    return true;
}

bool in_realm(void)
{
    return rsi_version(RSI_ABI_1_0).x[0] != NOT_SUPPORTED;
}

u64 realm_shared_bit(void)
{
    static struct rsi_realm_config config;

    if (!in_realm())
        return 0;
    if (!config.ipa_width && rsi_realm_config((u64)&config) != RSI_SUCCESS)
        panic("RSI_REALM_CONFIG failed");
    return 1ul << (config.ipa_width - 1);
}

// A plain VM has no RSI: its host takes the same functions by HVC, with as much data as there are registers.
static u64 plain_function(u64 function, const u8 *data, u64 size, u64 argument)
{
    struct smc smc;

    do {
        u64 most = sizeof(smc.x) - 2 * sizeof(u64), part = size < most ? size : most;

        smc = (struct smc){{function, size ? part : argument}};
        memcpy(&smc.x[2], data, part);
        hypercall(&smc);
        data += part;
        size -= part;
    } while (size);
    return smc.x[0];
}

u64 host_function(u64 function, const void *data, u64 size, u64 argument)
{
    static struct rsi_host_call call;
    static struct lock lock;
    u64 result;

    lock_take(&lock);
    call.imm = HOST_CALL_IMM;
    call.gprs[0] = function;
    call.gprs[1] = argument;
    memcpy(&call.gprs[2], data, size);
    result = rsi_host_call((u64)&call);
    if (result == RSI_SUCCESS)
        result = call.gprs[0];
    else if (result == NOT_SUPPORTED)
        result = plain_function(function, data, size, argument);
    lock_drop(&lock);
    return result;
}
