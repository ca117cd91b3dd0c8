// hello: a first Realm. Prints the RSI version, the Realm's configuration, its arguments and a greeting; in a plain VM, that
// there is no RSI.
// Needs the console by RSI host calls and a device tree in X0. Exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

static void show_realm(void)
{
    static struct rsi_realm_config config;
    struct smc version = rsi_version(RSI_ABI_1_0);

    if (version.x[0] != RSI_SUCCESS)
        panic("RSI_VERSION answers %lx", version.x[0]);
    if (rsi_realm_config((u64)&config) != RSI_SUCCESS)
        panic("RSI_REALM_CONFIG failed");
    printf("RSI %lu.%lu, PSCI %lu.%lu\n", version.x[1] >> 16, version.x[1] & 0xffff, psci_version() >> 16, psci_version() & 0xffff);
    printf("IPA width %lu bits, measured with %s\n", config.ipa_width, config.hash_algo == RSI_HASH_SHA_512 ? "SHA-512" : "SHA-256");
}

int main(void)
{
    u64 base, size;

    if (in_realm())
        show_realm();
    else
        printf("No RSI: this is a plain VM. PSCI %lu.%lu\n", psci_version() >> 16, psci_version() & 0xffff);
    memory_range(&base, &size);
    printf("memory %lu MiB at %p\n", size >> 20, (void *)base);
    printf("arguments \"%s\"\n", boot_arguments());
    printf("Hello from %s EL%lu\n", in_realm() ? "Realm" : "Non-secure", read_sysreg(CurrentEL) >> 2);
    return 0;
}
