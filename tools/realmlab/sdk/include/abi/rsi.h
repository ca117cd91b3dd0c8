// RSI 1.0 (DEN0137): what a Realm calls. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_RSI_H
#define ABI_RSI_H

#include "abi/number.h"

// Functions.
#define RSI_VERSION U64(0xc4000190)
#define RSI_FEATURES U64(0xc4000191)
#define RSI_MEASUREMENT_READ U64(0xc4000192)
#define RSI_MEASUREMENT_EXTEND U64(0xc4000193)
#define RSI_ATTESTATION_TOKEN_INIT U64(0xc4000194)
#define RSI_ATTESTATION_TOKEN_CONTINUE U64(0xc4000195)
#define RSI_REALM_CONFIG U64(0xc4000196)
#define RSI_IPA_STATE_SET U64(0xc4000197)
#define RSI_IPA_STATE_GET U64(0xc4000198)
#define RSI_HOST_CALL U64(0xc4000199)

// The interface that this is.
#define RSI_ABI_1_0 U64(0x10000)

// RsiInterfaceVersion.
#define RSI_VERSION_MINOR_SHIFT 0
#define RSI_VERSION_MINOR_MASK U64(0xffff)
#define RSI_VERSION_MINOR(word) (((word) >> 0) & 0xffff)
#define RSI_VERSION_MAJOR_SHIFT 16
#define RSI_VERSION_MAJOR_MASK U64(0x7fff0000)
#define RSI_VERSION_MAJOR(word) (((word) >> 16) & 0x7fff)

// RsiCommandReturnCode: X0 of every function.
#define RSI_SUCCESS 0
#define RSI_ERROR_INPUT 1
#define RSI_ERROR_STATE 2
#define RSI_INCOMPLETE 3
#define RSI_ERROR_UNKNOWN 4

// RsiHashAlgorithm.
#define RSI_HASH_SHA_256 0
#define RSI_HASH_SHA_512 1

// RsiRipas.
#define RSI_EMPTY 0
#define RSI_RAM 1
#define RSI_DESTROYED 2

// RsiResponse.
#define RSI_ACCEPT 0
#define RSI_REJECT 1

// RsiRipasChangeFlags.
#define RSI_CHANGE_DESTROYED U64(0x1)

// The same without a flag.
#define RSI_NO_CHANGE_DESTROYED 0

#ifndef __ASSEMBLER__

// RsiRealmConfig.
struct rsi_realm_config {
    u64 ipa_width;
    u8 hash_algo;
    u8 pad0[0x1f7];
    u8 rpv[64];
    u8 pad1[0xdc0];
} __attribute__((aligned(4096)));
_Static_assert(__builtin_offsetof(struct rsi_realm_config, ipa_width) == 0x0, "RsiRealmConfig.ipa_width");
_Static_assert(__builtin_offsetof(struct rsi_realm_config, hash_algo) == 0x8, "RsiRealmConfig.hash_algo");
_Static_assert(__builtin_offsetof(struct rsi_realm_config, rpv) == 0x200, "RsiRealmConfig.rpv");
_Static_assert(sizeof(struct rsi_realm_config) == 0x1000, "RsiRealmConfig");

// RsiHostCall.
struct rsi_host_call {
    u16 imm;
    u8 pad0[0x6];
    u64 gprs[31];
} __attribute__((aligned(256)));
_Static_assert(__builtin_offsetof(struct rsi_host_call, imm) == 0x0, "RsiHostCall.imm");
_Static_assert(__builtin_offsetof(struct rsi_host_call, gprs) == 0x8, "RsiHostCall.gprs");
_Static_assert(sizeof(struct rsi_host_call) == 0x100, "RsiHostCall");

#endif

#endif
