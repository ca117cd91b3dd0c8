// The calls of a Secure payload to EL3, which are those of TF-A's dispatcher for its test payload. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_TSP_H
#define ABI_TSP_H

#include "abi/number.h"

// Functions: what has been done.
#define TSP_ENTRY_DONE U64(0xf2000000)
#define TSP_ON_DONE U64(0xf2000001)
#define TSP_OFF_DONE U64(0xf2000002)
#define TSP_SUSPEND_DONE U64(0xf2000003)
#define TSP_RESUME_DONE U64(0xf2000004)
#define TSP_PREEMPTED U64(0xf2000005)
#define TSP_HANDLED_S_EL1_INTR U64(0xf2000006)
#define TSP_ABORT_DONE U64(0xf2000007)
#define TSP_SYSTEM_OFF_DONE U64(0xf2000008)
#define TSP_SYSTEM_RESET_DONE U64(0xf2000009)
#define TSP_GET_ARGS U64(0xf2001000)

// Calls of Non-secure software about a preempted call, and what they return.
#define TSP_RESUME U64(0x32003000)
#define TSP_ABORT U64(0xb2003001)
#define TSP_IS_PREEMPTED (-2)

#endif
