// RSI 1.0 (DEN0137): functions, results and structures. Realm payloads use it, and the guests inside Non-secure payloads.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef RSI_ABI_H
#define RSI_ABI_H

#include "types.h"

enum {
    RSI_VERSION = 0xc4000190, RSI_FEATURES = 0xc4000191, RSI_MEASUREMENT_READ = 0xc4000192,
    RSI_MEASUREMENT_EXTEND = 0xc4000193, RSI_ATTESTATION_TOKEN_INIT = 0xc4000194,
    RSI_ATTESTATION_TOKEN_CONTINUE = 0xc4000195, RSI_REALM_CONFIG = 0xc4000196, RSI_IPA_STATE_SET = 0xc4000197,
    RSI_IPA_STATE_GET = 0xc4000198, RSI_HOST_CALL = 0xc4000199,
};

enum { RSI_SUCCESS, RSI_ERROR_INPUT, RSI_ERROR_STATE, RSI_INCOMPLETE, RSI_ERROR_UNKNOWN };
enum { RSI_EMPTY, RSI_RAM, RSI_DESTROYED };
enum { RSI_ACCEPT, RSI_REJECT };
enum { RSI_HASH_SHA_256, RSI_HASH_SHA_512 };
#define RSI_ABI_1_0 0x10000ul
#define RSI_NO_CHANGE_DESTROYED 0ul
#define RSI_CHANGE_DESTROYED 1ul

struct rsi_realm_config {
    u64 ipa_width, hash_algo;
    u8 pad0[0x1f0];
    u8 rpv[64];
    u8 pad1[0xdc0];
} __attribute__((aligned(4096)));
_Static_assert(sizeof(struct rsi_realm_config) == 4096, "RsiRealmConfig is one page");

struct rsi_host_call {
    u16 imm;
    u8 pad[6];
    u64 gprs[31];
} __attribute__((aligned(256)));
_Static_assert(sizeof(struct rsi_host_call) == 256, "RsiHostCall is 256 bytes");

#endif
