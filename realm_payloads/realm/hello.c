// hello: a first Realm. Prints the RSI version, the Realm's configuration, its arguments and a greeting.
// Needs the console by RSI host calls and a device tree in X0. Exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

int main(void)
{
    static struct rsi_realm_config config;
    struct smc version = rsi_version(RSI_ABI_1_0);
    u64 base, size;

    if (version.x[0] != RSI_SUCCESS)
        panic("RSI_VERSION answers %lx", version.x[0]);
    if (rsi_realm_config((u64)&config) != RSI_SUCCESS)
        panic("RSI_REALM_CONFIG failed");
    memory_range(&base, &size);
    printf("RSI %lu.%lu, PSCI %lu.%lu\n", version.x[1] >> 16, version.x[1] & 0xffff, psci_version() >> 16, psci_version() & 0xffff);
    printf("IPA width %lu bits, measured with %s\n", config.ipa_width, config.hash_algo == RSI_HASH_SHA_512 ? "SHA-512" : "SHA-256");
    printf("memory %lu MiB at %p\n", size >> 20, (void *)base);
    printf("arguments \"%s\"\n", boot_arguments());
    printf("Hello from Realm EL%lu\n", read_sysreg(CurrentEL) >> 2);
    return 0;
}
