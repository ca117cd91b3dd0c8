// The board virt: its memory map and its interrupts. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_BOARD_VIRT_H
#define ABI_BOARD_VIRT_H

#include "abi/number.h"

// DRAM, the start of Non-secure software in it, and the firmware's worlds.
#define BOARD_DRAM U64(0x40000000)
#define BOARD_NS_ENTRY U64(0x48000000)
#define BOARD_SECURE U64(0xfc000000)
#define BOARD_SECURE_SIZE U64(0x1c00000)
#define BOARD_REALM_IMAGE U64(0xfdc00000)
#define BOARD_REALM_IMAGE_SIZE U64(0x2000000)
#define BOARD_ROOT U64(0xffc00000)
#define BOARD_ROOT_SIZE U64(0x400000)

// The frames of the GIC.
#define BOARD_GICD U64(0x8000000)
#define BOARD_GICR U64(0x80a0000)

// Devices, and their interrupts.
#define BOARD_UART0 U64(0x9000000)
#define BOARD_UART0_INTID 33
#define BOARD_RTC U64(0x9010000)
#define BOARD_RTC_INTID 34
#define BOARD_SECURE_UART U64(0x9040000)
#define BOARD_SECURE_UART_INTID 40
#define BOARD_PCIE_ECAM U64(0x3f000000)
#define BOARD_FLASH0 0
#define BOARD_FLASH1 U64(0x4000000)
#define BOARD_FW_CFG U64(0x9020000)
#define BOARD_GPIO U64(0x9030000)
#define BOARD_GPIO_INTID 39
#define BOARD_SMMU U64(0x9050000)
#define BOARD_SMMU_INTID 106
#define BOARD_SMMU_ROOT U64(0x9100000)
#define BOARD_DMA U64(0x9110000)
#define BOARD_DMA_INTID 140
#define BOARD_SECURE_GPIO U64(0x90b0000)
#define BOARD_VIRTIO_MMIO U64(0xa000000)

#endif
