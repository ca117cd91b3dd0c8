// The 16550 UART that the Host emulates: its IPA without the bit that makes it unprotected, and its registers.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef UART_H
#define UART_H

#include "abi/host.h"

#define UART REALM_UART
#define UART_THR 0
#define UART_LSR 5
#define UART_LSR_THRE 0x20
#define UART_SCR 7

#endif
