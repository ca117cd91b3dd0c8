// The memory map of the board a payload is built for, by what its devices are: -DBOARD_fvp or -DBOARD_virt.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef PLATFORM_H
#define PLATFORM_H

#include "abi/sysreg.h"

#if defined BOARD_fvp
#include "abi/board_fvp.h"
#define SECURE_UART BOARD_UART2
#define UNCLAIMED 0x10000000ul          // nothing is there
#define MPIDR_OF(pe) ((u64)(pe) << MPIDR_AFF1_SHIFT)    // affinity of the first four PEs
#define WATCHDOG_CONTROL BOARD_GENERIC_WATCHDOG         // NS generic watchdog
#define WATCHDOG_REFRESH (BOARD_GENERIC_WATCHDOG + 0x10000)
#define WATCHDOG_INTID BOARD_GENERIC_WATCHDOG_INTID
#define SP805 BOARD_WATCHDOG
#define SP805_INTID BOARD_WATCHDOG_INTID
#define TIMER_CONTROL BOARD_TIMER_CONTROL               // generic timer frames
#define TIMER_FRAME BOARD_TIMER_NS                      // frame 1
#define TIMER_FRAME_INTID BOARD_TIMER_NS_INTID
#define COUNTER_FRAME BOARD_COUNTER_READ
#define SP804 BOARD_DUAL_TIMER0
#define SP804_INTID BOARD_DUAL_TIMER0_INTID
#define SP810 BOARD_SYSTEM_CONTROLLER
#define POWER_CONTROLLER BOARD_POWER_CONTROLLER
#define VIRTIO BOARD_VIRTIO_BLOCK
#elif defined BOARD_virt
#include "abi/board_virt.h"
#define SECURE_UART BOARD_SECURE_UART
#define UNCLAIMED 0x0b000000ul
#define MPIDR_OF(pe) ((u64)(pe))
#define GPIO BOARD_GPIO
#define FW_CFG BOARD_FW_CFG
#define VIRTIO BOARD_VIRTIO_MMIO
#else
#error "a board must be chosen: -DBOARD_fvp or -DBOARD_virt"
#endif

#define DRAM BOARD_DRAM
#define UART BOARD_UART0
#define UART_INTID BOARD_UART0_INTID
#define RTC BOARD_RTC
#define RTC_INTID BOARD_RTC_INTID
#define GICD BOARD_GICD
#define GICR BOARD_GICR
#define ECAM BOARD_PCIE_ECAM
#define FLASH BOARD_FLASH1

#define IMAGE BOARD_NS_ENTRY            // where the firmware enters Non-secure EL2
#define POOL (DRAM + 0x10000000ul)      // granules for Realms
#define NONVOLATILE (DRAM + 0x18000000ul)       // `board` keeps a page here over a reset
#define SECURE_MEMORY BOARD_SECURE      // the firmware's worlds, on both boards
#define REALM_MEMORY BOARD_REALM_IMAGE
#define ROOT_MEMORY BOARD_ROOT

#endif
