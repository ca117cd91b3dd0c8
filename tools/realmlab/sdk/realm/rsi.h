// RSI, PSCI and SMCCC calls from a Realm, and the functions that Realmlab's host offers it.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef RSI_H
#define RSI_H

#include "abi/host.h"
#include "abi/rsi.h"
#include "abi/smccc.h"
#include "psci.h"
#include "smc.h"

#define NOT_SUPPORTED ((u64)SMCCC_NOT_SUPPORTED)

static inline struct smc rsi_version(u64 req) { return SMC(RSI_VERSION, req); }
static inline struct smc rsi_features(u64 index) { return SMC(RSI_FEATURES, index); }
static inline struct smc rsi_measurement_read(u64 index) { return SMC(RSI_MEASUREMENT_READ, index); }
struct smc rsi_measurement_extend(u64 index, const void *value, u64 size);      // size: at most 64 bytes are passed
struct smc rsi_attestation_token_init(const u8 challenge[64]);
static inline struct smc rsi_attestation_token_continue(u64 ipa, u64 offset, u64 size)
{
    return SMC(RSI_ATTESTATION_TOKEN_CONTINUE, ipa, offset, size);
}
static inline u64 rsi_realm_config(u64 ipa) { return SMC(RSI_REALM_CONFIG, ipa).x[0]; }
static inline struct smc rsi_ipa_state_set(u64 base, u64 top, u64 ripas, u64 flags)
{
    return SMC(RSI_IPA_STATE_SET, base, top, ripas, flags);
}
static inline struct smc rsi_ipa_state_get(u64 base, u64 top) { return SMC(RSI_IPA_STATE_GET, base, top); }
static inline u64 rsi_host_call(u64 ipa) { return SMC(RSI_HOST_CALL, ipa).x[0]; }

// RSI_IPA_STATE_SET over a whole range, however little the Host does at a time. True if all was accepted.
bool realm_set_ripas(u64 base, u64 top, u64 ripas, u64 flags);
bool in_realm(void);                    // false in a plain VM, where there is no RSI
u64 realm_shared_bit(void);             // the IPA bit that makes an address unprotected; 0 in a plain VM
u64 host_function(u64 function, const void *data, u64 size, u64 argument);      // gprs[0] of the answer
void hypercall(struct smc *smc);        // the same functions in X0 and X1, with data in X2..X17: of a plain VM

static inline u64 psci_version(void) { return SMC(PSCI_VERSION).x[0]; }
static inline s64 psci_features(u32 fid) { return (s64)SMC(PSCI_FEATURES, fid).x[0]; }
static inline s64 psci_cpu_on(u64 mpidr, u64 entry, u64 context) { return (s64)SMC(PSCI_CPU_ON_64, mpidr, entry, context).x[0]; }
static inline s64 psci_affinity_info(u64 mpidr, u64 level) { return (s64)SMC(PSCI_AFFINITY_INFO_64, mpidr, level).x[0]; }
static inline void psci_cpu_off(void) { (void)SMC(PSCI_CPU_OFF); }
static inline void psci_system_off(void) { (void)SMC(PSCI_SYSTEM_OFF); }
static inline u64 smccc_version(void) { return SMC(SMCCC_VERSION).x[0]; }

#endif
