// PSCI 1.1 (DEN0022), of the firmware and of Realms.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef PSCI_H
#define PSCI_H

#include "smc.h"

enum {
    PSCI_VERSION = 0x84000000, PSCI_CPU_SUSPEND = 0xc4000001, PSCI_CPU_OFF = 0x84000002, PSCI_CPU_ON = 0xc4000003,
    PSCI_AFFINITY_INFO = 0xc4000004,
    PSCI_SYSTEM_OFF = 0x84000008, PSCI_SYSTEM_RESET = 0x84000009, PSCI_FEATURES = 0x8400000a,
};

#define PSCI_NOT_SUPPORTED ((u64)-1)
#define PSCI_INVALID_PARAMETERS ((u64)-2)
#define PSCI_DENIED ((u64)-3)
#define PSCI_ALREADY_ON ((u64)-4)
#define PSCI_INVALID_ADDRESS ((u64)-9)

enum { AFFINITY_ON, AFFINITY_OFF, AFFINITY_ON_PENDING };

static inline u64 psci(u64 fid, u64 a, u64 b, u64 c) { return SMC(fid, a, b, c).x[0]; }

#endif
