// The memory map of the board a payload is built for: -DBOARD_fvp or -DBOARD_virt.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef PLATFORM_H
#define PLATFORM_H

#include "abi/sysreg.h"

#if defined BOARD_fvp
#define DRAM 0x80000000ul
#define UART 0x1c090000ul
#define UART_INTID 37u
#define SECURE_UART 0x1c0b0000ul        // UART2
#define RTC 0x1c170000ul
#define RTC_INTID 36u
#define GICD 0x2f000000ul
#define GICR 0x2f100000ul
#define ECAM 0x40000000ul
#define UNCLAIMED 0x10000000ul          // nothing is there
#define MPIDR_OF(pe) ((u64)(pe) << 8)   // affinity of the first four PEs
#define WATCHDOG_REFRESH 0x2a450000ul   // NS generic watchdog
#define WATCHDOG_CONTROL 0x2a440000ul
#define WATCHDOG_INTID 59u
#define SP805 0x1c0f0000ul
#define SP805_INTID 32u
#define TIMER_CONTROL 0x2a810000ul      // generic timer frames
#define TIMER_FRAME 0x2a830000ul        // frame 1
#define TIMER_FRAME_INTID 58u
#define COUNTER_FRAME 0x2a800000ul
#define SP804 0x1c110000ul
#define SP804_INTID 34u
#define SP810 0x1c020000ul
#define POWER_CONTROLLER 0x1c100000ul
#define FLASH 0x0c000000ul
#define VIRTIO 0x1c130000ul
#elif defined BOARD_virt
#define DRAM 0x40000000ul
#define UART 0x09000000ul
#define UART_INTID 33u
#define SECURE_UART 0x09040000ul
#define RTC 0x09010000ul
#define RTC_INTID 34u
#define GICD 0x08000000ul
#define GICR 0x080a0000ul
#define ECAM 0x3f000000ul
#define UNCLAIMED 0x0b000000ul
#define GPIO 0x09030000ul
#define FW_CFG 0x09020000ul
#define FLASH 0x04000000ul
#define VIRTIO 0x0a000000ul
#define MPIDR_OF(pe) ((u64)(pe))
#else
#error "a board must be chosen: -DBOARD_fvp or -DBOARD_virt"
#endif



#define IMAGE (DRAM + 0x8000000ul)      // where the firmware enters Non-secure EL2
#define POOL (DRAM + 0x10000000ul)      // granules for Realms
#define NONVOLATILE (DRAM + 0x18000000ul)       // `board` keeps a page here over a reset
#define SECURE_MEMORY 0xfc000000ul      // the firmware's worlds, on both boards
#define REALM_MEMORY 0xfdc00000ul
#define ROOT_MEMORY 0xffc00000ul

#endif
