// What the Secure payload `secure` offers to Non-secure software by SMC, besides messages of FF-A (DEN0077A).
// SPDX-License-Identifier: BSD-3-Clause
#ifndef SERVICES_H
#define SERVICES_H

#include "abi/ffa.h"
#include "abi/tsp.h"
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
#define SECURE_RESUME TSP_RESUME
#define SECURE_ABORT TSP_ABORT

#define SECURE_PREEMPTED ((u64)TSP_IS_PREEMPTED)
#define SECURE_UNKNOWN ((u64)-1)
#define SECURE_FAULT ((u64)-3)          // the memory is not Non-secure
#define SECURE_MAC_MOST 4096ul
#define SECURE_MAC_SIZE 32ul

// One round of SECURE_COMPUTE; also of a direct message, with X3 = rounds, X4 = seed and the result in X4.
static inline u64 compute_round(u64 value) { return value * 6364136223846793005ul + 1442695040888963407ul; }

#endif
