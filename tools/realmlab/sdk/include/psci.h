// PSCI 1.1 (DEN0022), as both the firmware and the RMM offer it: abi/psci.h, and a call.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef PSCI_H
#define PSCI_H

#include "abi/psci.h"
#include "smc.h"

static inline u64 psci(u64 fid, u64 a, u64 b, u64 c) { return SMC(fid, a, b, c).x[0]; }

#endif
