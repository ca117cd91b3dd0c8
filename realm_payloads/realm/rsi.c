// rsi: makes each RSI and PSCI call of RMM 1.0 from inside a Realm, and provokes each failure condition. It tests attestation
// only if the RMM supports it. Prints one PASS or FAIL line per rule; exit status = number of failures.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "check.h"
#include "mmu.h"
#include "runtime.h"

#define ABI_2_0 0x20000ul
#define SVE_HINT (1ul << 16)
#define FAR_OFF_MPIDR 0xff00ul
#define MEASUREMENT_WORDS 8

static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));
static struct rsi_realm_config config;
static u64 shared;              // the first unprotected IPA

static void test_version(void)
{
    struct smc good = rsi_version(RSI_ABI_1_0), bad = rsi_version(ABI_2_0);

    check_equal("RSI_VERSION(1.0) succeeds", good.x[0], RSI_SUCCESS);
    check_equal("RSI_VERSION(1.0) lower is 1.0", good.x[1], RSI_ABI_1_0);
    check("RSI_VERSION(1.0) higher is at least 1.0", good.x[2] >= RSI_ABI_1_0);
    check_equal("RSI_VERSION(2.0) is an input error", bad.x[0], RSI_ERROR_INPUT);
    check("RSI_VERSION(2.0) still names versions", bad.x[1] == good.x[1] && bad.x[2] == good.x[2]);
}

static void test_features(void)
{
    check_equal("RSI_FEATURES(0) succeeds", rsi_features(0).x[0], RSI_SUCCESS);
    check_equal("RSI_FEATURES(0) is 0", rsi_features(0).x[1], 0);
    check_equal("RSI_FEATURES(last) is 0", rsi_features(~0ul).x[1], 0);
}

static void test_realm_config(void)
{
    check_equal("RSI_REALM_CONFIG succeeds", rsi_realm_config((u64)&config), RSI_SUCCESS);
    check("the IPA width is 32 to 48 bits", config.ipa_width >= 32 && config.ipa_width <= 48);
    check("the hash algorithm is SHA-256 or SHA-512", config.hash_algo <= RSI_HASH_SHA_512);
    shared = 1ul << (config.ipa_width - 1);
    check_equal("RSI_REALM_CONFIG at an unaligned IPA", rsi_realm_config((u64)page + 256), RSI_ERROR_INPUT);
    check_equal("RSI_REALM_CONFIG at an unprotected IPA", rsi_realm_config(shared), RSI_ERROR_INPUT);
    check_equal("RSI_REALM_CONFIG outside the IPA space", rsi_realm_config(shared * 2), RSI_ERROR_INPUT);
    check_equal("RSI_REALM_CONFIG at an EMPTY IPA", rsi_realm_config(0), RSI_ERROR_INPUT);
}

static bool words_are(const u64 *words, unsigned first, u64 value)
{
    for (unsigned i = first; i < MEASUREMENT_WORDS; i++)
        if (words[i] != value)
            return false;
    return true;
}

static void test_measurements(void)
{
    unsigned words = config.hash_algo == RSI_HASH_SHA_512 ? 8 : 4;
    struct smc rim = rsi_measurement_read(0), before = rsi_measurement_read(1), after;
    u64 sum[4], input[5] = {0, 0, 0, 0, 0x6c6d6c616572};

    check_equal("RSI_MEASUREMENT_READ(RIM) succeeds", rim.x[0], RSI_SUCCESS);
    check("the RIM is not zero", !words_are(&rim.x[1], 0, 0));
    check("the RIM is zero past the hash size", words_are(&rim.x[1], words, 0));
    check("a REM starts as zero", before.x[0] == RSI_SUCCESS && words_are(&before.x[1], 0, 0));
    check_equal("RSI_MEASUREMENT_READ(5) is an input error", rsi_measurement_read(5).x[0], RSI_ERROR_INPUT);

    check_equal("RSI_MEASUREMENT_EXTEND(RIM) is an input error", rsi_measurement_extend(0, input, 8).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_MEASUREMENT_EXTEND(5) is an input error", rsi_measurement_extend(5, input, 8).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_MEASUREMENT_EXTEND of 65 bytes is an input error", rsi_measurement_extend(1, input, 65).x[0], RSI_ERROR_INPUT);
    check("a refused extension changes nothing", words_are(&rsi_measurement_read(1).x[1], 0, 0));
    check_equal("RSI_MEASUREMENT_EXTEND succeeds", rsi_measurement_extend(1, &input[4], 8).x[0], RSI_SUCCESS);
    after = rsi_measurement_read(1);
    check("an extension changes the REM", !words_are(&after.x[1], 0, 0));
    check("the REM is zero past the hash size", words_are(&after.x[1], words, 0));
    if (config.hash_algo == RSI_HASH_SHA_256) {
        sha256(input, sizeof(input), (u8 *)sum);
        check("REM = HASH(old REM, value)", memcmp(sum, &after.x[1], sizeof(sum)) == 0);
    }
    check_equal("RSI_MEASUREMENT_EXTEND of 0 bytes succeeds", rsi_measurement_extend(4, input, 0).x[0], RSI_SUCCESS);
    check("an extension by nothing hashes the old REM", !words_are(&rsi_measurement_read(4).x[1], 0, 0));
    check("other REMs stay", words_are(&rsi_measurement_read(2).x[1], 0, 0));
}

static void test_attestation(void)
{
    static const u8 challenge[64] = "a challenge";
    struct smc none = rsi_attestation_token_continue((u64)page, 0, PAGE_SIZE), init, part;
    u64 total = 0;

    if (none.x[0] == NOT_SUPPORTED) {
        printf("SKIP attestation: this RMM does not have it\n");
        return;
    }
    check_equal("RSI_ATTESTATION_TOKEN_CONTINUE without INIT", none.x[0], RSI_ERROR_STATE);
    init = rsi_attestation_token_init(challenge);
    check_equal("RSI_ATTESTATION_TOKEN_INIT succeeds", init.x[0], RSI_SUCCESS);
    check("the token has a maximum size", init.x[1] > 0);
    check_equal("CONTINUE at an unaligned IPA", rsi_attestation_token_continue((u64)page + 8, 0, 8).x[0], RSI_ERROR_INPUT);
    check_equal("CONTINUE at offset 4096", rsi_attestation_token_continue((u64)page, PAGE_SIZE, 0).x[0], RSI_ERROR_INPUT);
    check_equal("CONTINUE past the page", rsi_attestation_token_continue((u64)page, 1, PAGE_SIZE).x[0], RSI_ERROR_INPUT);
    check_equal("CONTINUE with a size that wraps", rsi_attestation_token_continue((u64)page, 8, ~0ul).x[0], RSI_ERROR_INPUT);
    check_equal("CONTINUE at an unprotected IPA", rsi_attestation_token_continue(shared, 0, 8).x[0], RSI_ERROR_INPUT);
    do {
        part = rsi_attestation_token_continue((u64)page, total, PAGE_SIZE - total);
        total += part.x[1];
    } while (part.x[0] == RSI_INCOMPLETE && total < PAGE_SIZE);
    check_equal("RSI_ATTESTATION_TOKEN_CONTINUE ends in success", part.x[0], RSI_SUCCESS);
    check("the token is a CCA token (CBOR tag 399)", page[0] == 0xd9 && page[1] == 0x01 && page[2] == 0x8f);
    check("the token fits its maximum size", total <= init.x[1]);
    check_equal("CONTINUE after the end", rsi_attestation_token_continue((u64)page, 0, 8).x[0], RSI_ERROR_STATE);
}

static void test_ipa_state_errors(void)
{
    u64 base = (u64)page, top = base + PAGE_SIZE;

    check_equal("RSI_IPA_STATE_SET to DESTROYED", rsi_ipa_state_set(base, top, RSI_DESTROYED, 0).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_SET from an unaligned base", rsi_ipa_state_set(base + 8, top, RSI_RAM, 0).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_SET to an unaligned top", rsi_ipa_state_set(base, top + 8, RSI_RAM, 0).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_SET of nothing", rsi_ipa_state_set(base, base, RSI_RAM, 0).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_SET backwards", rsi_ipa_state_set(top, base, RSI_RAM, 0).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_SET into unprotected space", rsi_ipa_state_set(base, shared + PAGE_SIZE, RSI_RAM, 0).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_GET from an unaligned base", rsi_ipa_state_get(base + 8, top).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_GET to an unaligned top", rsi_ipa_state_get(base, top + 8).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_GET of nothing", rsi_ipa_state_get(base, base).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_GET in unprotected space", rsi_ipa_state_get(shared, shared + PAGE_SIZE).x[0], RSI_ERROR_INPUT);
    check_equal("RSI_IPA_STATE_GET into unprotected space", rsi_ipa_state_get(base, shared + PAGE_SIZE).x[0], RSI_ERROR_INPUT);
}

static void test_ipa_state(void)
{
    u64 base = (u64)page, top = base + PAGE_SIZE;
    struct smc got = rsi_ipa_state_get(base, top);
    struct rsi_host_call *call = (struct rsi_host_call *)page;

    check("the image is RAM", got.x[0] == RSI_SUCCESS && got.x[1] == top && got.x[2] == RSI_RAM);
    got = rsi_ipa_state_get(0, PAGE_SIZE);
    check("below the RAM it is EMPTY", got.x[0] == RSI_SUCCESS && got.x[1] == PAGE_SIZE && got.x[2] == RSI_EMPTY);
    got = rsi_ipa_state_get(base, shared);
    check("a long range ends where the answer changes", got.x[0] == RSI_SUCCESS && got.x[1] > base && got.x[1] <= shared);

    *(volatile u64 *)page = 0x5ec2e7;
    check("a page can be given back", realm_set_ripas(base, top, RSI_EMPTY, RSI_NO_CHANGE_DESTROYED));
    got = rsi_ipa_state_get(base, top);
    check("then it is EMPTY", got.x[0] == RSI_SUCCESS && got.x[2] == RSI_EMPTY);
    check_equal("RSI_HOST_CALL at an EMPTY IPA", rsi_host_call((u64)call), RSI_ERROR_INPUT);
    check_equal("RSI_REALM_CONFIG at a page that was given back", rsi_realm_config(base), RSI_ERROR_INPUT);
    check("a page can be taken again", realm_set_ripas(base, top, RSI_RAM, RSI_NO_CHANGE_DESTROYED));
    got = rsi_ipa_state_get(base, top);
    check("then it is RAM", got.x[0] == RSI_SUCCESS && got.x[2] == RSI_RAM);
    check_equal("its old content is gone", *(volatile u64 *)page, 0);
    check("RAM can be made RAM", realm_set_ripas(base, top, RSI_RAM, RSI_NO_CHANGE_DESTROYED));
}

static void test_host_call(void)
{
    static struct rsi_host_call call = {.imm = HOST_CALL_IMM, .gprs = {HOST_GET_TICKS}};
    u64 before;

    check_equal("RSI_HOST_CALL succeeds", rsi_host_call((u64)&call), RSI_SUCCESS);
    before = call.gprs[0];
    call.gprs[0] = HOST_GET_TICKS;
    rsi_host_call((u64)&call);
    check("virtual time passes", call.gprs[0] > before);
    call.gprs[0] = 0xffff;
    rsi_host_call((u64)&call);
    check_equal("an unknown function of the host answers all ones", call.gprs[0], NOT_SUPPORTED);
    check_equal("RSI_HOST_CALL at an unaligned IPA", rsi_host_call((u64)&call + 8), RSI_ERROR_INPUT);
    check_equal("RSI_HOST_CALL at an unprotected IPA", rsi_host_call(shared), RSI_ERROR_INPUT);
    check_equal("RSI_HOST_CALL outside the IPA space", rsi_host_call(shared * 2), RSI_ERROR_INPUT);
    check_equal("RSI_HOST_CALL at an EMPTY IPA below RAM", rsi_host_call(0), RSI_ERROR_INPUT);
}

static void test_psci(void)
{
    static const u32 known[] = {
        PSCI_CPU_SUSPEND_64, PSCI_CPU_OFF, PSCI_CPU_ON_64, PSCI_AFFINITY_INFO_64, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET,
        PSCI_FEATURES, SMCCC_VERSION, 0x84000001, 0x84000003, 0x84000004,
    };
    u64 self = read_sysreg(mpidr_el1) & 0xff00fffffful;
    bool all = true;

    check_equal("PSCI_VERSION is 1.1", psci_version(), 0x10001);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        all = all && psci_features(known[i]) == 0;
    check("PSCI_FEATURES knows what there is", all);
    check("PSCI_FEATURES(MIGRATE_INFO_TYPE)", psci_features(PSCI_MIGRATE_INFO_TYPE) == PSCI_NOT_SUPPORTED);
    check("PSCI_FEATURES of an RSI call", psci_features(RSI_VERSION) == PSCI_NOT_SUPPORTED);
    check("PSCI_MIGRATE_INFO_TYPE is not supported", SMC(PSCI_MIGRATE_INFO_TYPE).x[0] == NOT_SUPPORTED);
    check("PSCI_CPU_ON_64 of oneself", psci_cpu_on(self, (u64)page, 0) == PSCI_ALREADY_ON);
    check("PSCI_CPU_ON_64 at an unprotected entry", psci_cpu_on(self, shared, 0) == PSCI_INVALID_ADDRESS);
    check("PSCI_CPU_ON_64 of a vCPU that does not exist", psci_cpu_on(FAR_OFF_MPIDR, (u64)page, 0) == PSCI_INVALID_PARAMETERS);
    check("PSCI_AFFINITY_INFO_64 of oneself is ON", psci_affinity_info(self, 0) == 0);
    check("PSCI_AFFINITY_INFO_64 at level 1", psci_affinity_info(self, 1) == PSCI_INVALID_PARAMETERS);
    check("PSCI_AFFINITY_INFO_64 of a vCPU that does not exist", psci_affinity_info(FAR_OFF_MPIDR, 0) == PSCI_INVALID_PARAMETERS);
}

static void test_smccc(void)
{
    struct smc smc;
    bool kept = true;

    check_equal("SMCCC_VERSION is 1.2", smccc_version(), 0x10002);
    check_equal("SMCCC_ARCH_FEATURES is not supported", SMC(SMCCC_ARCH_FEATURES, SMCCC_VERSION).x[0], NOT_SUPPORTED);
    check_equal("an RMI call from a Realm is not supported", SMC(0xc4000150, RSI_ABI_1_0).x[0], NOT_SUPPORTED);
    check_equal("TRNG_VERSION is not supported", SMC(0x84000050).x[0], NOT_SUPPORTED);
    check_equal("the SVE hint does not change the call", SMC(RSI_VERSION | SVE_HINT, RSI_ABI_1_0).x[0], RSI_SUCCESS);
    for (u64 i = 0; i < ARRAY_SIZE(smc.x); i++)
        smc.x[i] = 0x1111ul * i;
    smc.x[0] = 0xc400ffff;
    smc_call(&smc);
    check_equal("an unknown call is not supported", smc.x[0], NOT_SUPPORTED);
    for (u64 i = 4; i < ARRAY_SIZE(smc.x); i++)
        kept = kept && smc.x[i] == 0x1111ul * i;
    check("X4 to X17 are kept by a call that does not return them", kept);
}

int main(void)
{
    test_version();
    test_features();
    test_realm_config();
    test_measurements();
    test_attestation();
    test_ipa_state_errors();
    test_ipa_state();
    test_host_call();
    test_psci();
    test_smccc();
    return check_failures();
}
