// Realmlab's host: its functions behind RSI_HOST_CALL, and its map of a Realm. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_HOST_H
#define ABI_HOST_H

#include "abi/number.h"

// The immediate.
#define HOST_CALL_IMM U64(0x524c)

// gprs[0]; the result comes back there.
#define HOST_CONSOLE_WRITE 1
#define HOST_EXIT 2
#define HOST_GET_TICKS 3
#define HOST_GIVE_UP 4

// The most bytes of a CONSOLE_WRITE.
#define HOST_CONSOLE_MAX 232

// IPAs. Devices are in the shared half: set the highest bit of the IPA width.
#define REALM_RAM U64(0x80000000)
#define REALM_UART U64(0x1000000)
#define REALM_RTC U64(0x1010000)
#define REALM_GICD U64(0x3fff0000)

// Interrupts of the devices: INTIDs.
#define REALM_UART_INTID 32
#define REALM_RTC_INTID 33

#endif
