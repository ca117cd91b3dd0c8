// PSCI 1.1 (DEN0022), as both the firmware and the RMM offer it.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef PSCI_H
#define PSCI_H

#include "smc.h"

enum {
    PSCI_VERSION = 0x84000000, PSCI_CPU_SUSPEND = 0xc4000001, PSCI_CPU_OFF = 0x84000002, PSCI_CPU_ON = 0xc4000003,
    PSCI_AFFINITY_INFO = 0xc4000004, PSCI_MIGRATE_INFO_TYPE = 0x84000006, PSCI_SYSTEM_OFF = 0x84000008,
    PSCI_SYSTEM_RESET = 0x84000009, PSCI_FEATURES = 0x8400000a,
};
enum {
    PSCI_NOT_SUPPORTED = -1, PSCI_INVALID_PARAMETERS = -2, PSCI_DENIED = -3, PSCI_ALREADY_ON = -4,
    PSCI_INVALID_ADDRESS = -9,
};
enum { AFFINITY_ON, AFFINITY_OFF, AFFINITY_ON_PENDING };

static inline u64 psci(u64 fid, u64 a, u64 b, u64 c) { return SMC(fid, a, b, c).x[0]; }

#endif
