// FF-A 1.1 (DEN0077A). Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_FFA_H
#define ABI_FFA_H

#include "abi/number.h"

// Functions.
#define FFA_ERROR U64(0x84000060)
#define FFA_SUCCESS U64(0x84000061)
#define FFA_INTERRUPT U64(0x84000062)
#define FFA_VERSION U64(0x84000063)
#define FFA_FEATURES U64(0x84000064)
#define FFA_PARTITION_INFO_GET U64(0x84000068)
#define FFA_ID_GET U64(0x84000069)
#define FFA_MSG_WAIT U64(0x8400006b)
#define FFA_RUN U64(0x8400006d)
#define FFA_MSG_SEND_DIRECT_REQ U64(0x8400006f)
#define FFA_MSG_SEND_DIRECT_RESP U64(0x84000070)
#define FFA_SPM_ID_GET U64(0x84000085)
#define FFA_SUCCESS_64 U64(0xc4000061)
#define FFA_MSG_SEND_DIRECT_REQ_64 U64(0xc400006f)
#define FFA_MSG_SEND_DIRECT_RESP_64 U64(0xc4000070)
#define FFA_PARTITION_INFO_GET_REGS_64 U64(0xc400008b)

// The interface that this is.
#define FFA_1_1 U64(0x10001)

// W2 of FFA_ERROR.
#define FFA_NOT_SUPPORTED U64(0xffffffff)
#define FFA_INVALID_PARAMETERS U64(0xfffffffe)
#define FFA_NO_MEMORY U64(0xfffffffd)
#define FFA_BUSY U64(0xfffffffc)
#define FFA_INTERRUPTED U64(0xfffffffb)
#define FFA_DENIED U64(0xfffffffa)
#define FFA_RETRY U64(0xfffffff9)
#define FFA_ABORTED U64(0xfffffff8)

// The partition manager, and the Secure payload.
#define FFA_ID_SPMC U64(0x8000)
#define FFA_ID_PARTITION U64(0x8001)

#endif
