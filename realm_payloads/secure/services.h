// What the Secure payload `secure` offers to Non-secure software by SMC, and the FF-A functions (DEN0077A) that both sides use.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef SERVICES_H
#define SERVICES_H

#include "types.h"

// Calls of the Trusted OS owners: arguments from X1 on, results from X0 on. X0 = 0 is success, -1 an unknown function.
#define SECURE_COUNT 0xbf00ff00ul       // X0: the number of functions
#define SECURE_UID 0xbf00ff01ul         // W0..W3: a UUID; EL3 answers this itself
#define SECURE_VERSION 0xbf00ff03ul     // X0, X1: major and minor version
#define SECURE_ADD 0xb2002000ul         // X1: X1 + X2
#define SECURE_ECHO 0xf2002010ul        // X1..X3: the same
#define SECURE_MAC 0xf2002011ul         // X1 PA of Non-secure memory, X2 bytes, X3 PA for the SHA-256 of the secret and them
#define SECURE_CALLS 0xf2002012ul       // X1: fast calls on this PE, X2: on all, X3: Secure interrupts
#define SECURE_RAISE 0xb2002013ul       // makes a Secure interrupt pending on this PE
#define SECURE_COMPUTE 0x72002100ul     // yielding. X1 rounds, X2 seed -> X1: result, see compute_round
#define SECURE_RESUME 0x32003000ul
#define SECURE_ABORT 0xb2003001ul

#define SECURE_PREEMPTED ((u64)-2)
#define SECURE_UNKNOWN ((u64)-1)
#define SECURE_FAULT ((u64)-3)          // the memory is not Non-secure
#define SECURE_MAC_MOST 4096ul
#define SECURE_MAC_SIZE 32ul

// One round of SECURE_COMPUTE; also of a direct message, with X3 = rounds, X4 = seed and the result in X4.
static inline u64 compute_round(u64 value) { return value * 6364136223846793005ul + 1442695040888963407ul; }

#define FFA_ERROR 0x84000060ul
#define FFA_SUCCESS 0x84000061ul
#define FFA_SUCCESS_64 0xc4000061ul
#define FFA_INTERRUPT 0x84000062ul
#define FFA_VERSION 0x84000063ul
#define FFA_FEATURES 0x84000064ul
#define FFA_PARTITION_INFO_GET 0x84000068ul
#define FFA_ID_GET 0x84000069ul
#define FFA_MSG_WAIT 0x8400006bul
#define FFA_RUN 0x8400006dul
#define FFA_REQUEST 0x8400006ful
#define FFA_REQUEST_64 0xc400006ful
#define FFA_RESPONSE 0x84000070ul
#define FFA_RESPONSE_64 0xc4000070ul
#define FFA_SPM_ID_GET 0x84000085ul
#define FFA_PARTITION_INFO_GET_REGS 0xc400008bul
#define FFA_VERSION_1_1 0x10001ul
#define FFA_NOT_SUPPORTED 0xfffffffful
#define FFA_INVALID_PARAMETERS 0xfffffffeul
#define FFA_BUSY 0xfffffffcul
#define FFA_DENIED 0xfffffffaul
#define FFA_PARTITION 0x8001ul          // the ID of `secure`

#endif
