// Exception syndromes (DDI 0487, ESR_ELx): fields, exception classes and fault status codes.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ESR_H
#define ESR_H

#include "types.h"

#define ESR_EC(esr) (((esr) >> 26) & 0x3f)
#define ESR_FSC(esr) ((esr) & 0x3f)
#define ESR_IL (1ul << 25)
#define ESR_ISV (1ul << 24)
#define ESR_EA (1ul << 9)
#define ESR_WNR (1ul << 6)
#define ESR_CLASS(ec) ((u64)(ec) << 26)
#define ESR(ec, iss) (ESR_CLASS(ec) | ESR_IL | (iss))

enum {
    EC_UNKNOWN = 0x00, EC_WFX = 0x01, EC_SVC = 0x15, EC_HVC = 0x16, EC_SMC = 0x17, EC_SYSREG = 0x18, EC_IABT_LOWER = 0x20,
    EC_IABT = 0x21, EC_PC = 0x22, EC_DABT_LOWER = 0x24, EC_DABT = 0x25, EC_SERROR = 0x2f, EC_BRK = 0x3c,
};

// Fault status codes. Add the level to the first four and to FSC_GPF_WALK.
enum {
    FSC_ADDRESS_SIZE = 0x00, FSC_TRANSLATION = 0x04, FSC_ACCESS_FLAG = 0x08, FSC_PERMISSION = 0x0c, FSC_SEA = 0x10,
    FSC_ALIGNMENT = 0x21, FSC_GPF_WALK = 0x24, FSC_GPF = 0x28,
};

#endif
