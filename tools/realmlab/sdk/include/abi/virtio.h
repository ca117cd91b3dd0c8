// Virtio 1.2: device types, status, split virtqueues, the MMIO transport, block devices. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_VIRTIO_H
#define ABI_VIRTIO_H

#include "abi/number.h"

// Device types.
#define VIRTIO_ID_NETWORK 1
#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_NINE_P 9
#define VIRTIO_ID_SOCKET 19
#define VIRTIO_ID_FILE_SYSTEM 26

// The device status.
#define VIRTIO_STATUS_ACKNOWLEDGE U64(0x1)
#define VIRTIO_STATUS_DRIVER U64(0x2)
#define VIRTIO_STATUS_DRIVER_OK U64(0x4)
#define VIRTIO_STATUS_FEATURES_OK U64(0x8)
#define VIRTIO_STATUS_NEEDS_RESET U64(0x40)
#define VIRTIO_STATUS_FAILED U64(0x80)

// Bit numbers of the features of every device.
#define VIRTIO_F_NOTIFY_ON_EMPTY 24
#define VIRTIO_F_ANY_LAYOUT 27
#define VIRTIO_F_RING_INDIRECT_DESC 28
#define VIRTIO_F_RING_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED 34
#define VIRTIO_F_IN_ORDER 35
#define VIRTIO_F_ORDER_PLATFORM 36
#define VIRTIO_F_SR_IOV 37
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#define VIRTIO_F_RING_RESET 40

// The interrupt status.
#define VIRTIO_INTERRUPT_USED U64(0x1)
#define VIRTIO_INTERRUPT_CONFIGURATION U64(0x2)

// What the first registers read.
#define VIRTIO_MMIO_MAGIC U64(0x74726976)
#define VIRTIO_MMIO_VERSION_2 2

// Bytes of a frame.
#define VIRTIO_MMIO_FRAME_SIZE U64(0x200)

// Registers of the MMIO transport.
#define VIRTIO_MMIO_MAGIC_VALUE 0
#define VIRTIO_MMIO_VERSION 4
#define VIRTIO_MMIO_DEVICE_ID 8
#define VIRTIO_MMIO_VENDOR_ID 12
#define VIRTIO_MMIO_DEVICE_FEATURES 16
#define VIRTIO_MMIO_DEVICE_FEATURES_SEL 20
#define VIRTIO_MMIO_DRIVER_FEATURES 32
#define VIRTIO_MMIO_DRIVER_FEATURES_SEL 36
#define VIRTIO_MMIO_QUEUE_SEL 48
#define VIRTIO_MMIO_QUEUE_NUM_MAX 52
#define VIRTIO_MMIO_QUEUE_NUM 56
#define VIRTIO_MMIO_QUEUE_READY 68
#define VIRTIO_MMIO_QUEUE_NOTIFY 80
#define VIRTIO_MMIO_INTERRUPT_STATUS 96
#define VIRTIO_MMIO_INTERRUPT_ACK 100
#define VIRTIO_MMIO_STATUS 112
#define VIRTIO_MMIO_QUEUE_DESC_LOW 128
#define VIRTIO_MMIO_QUEUE_DESC_HIGH 132
#define VIRTIO_MMIO_QUEUE_DRIVER_LOW 144
#define VIRTIO_MMIO_QUEUE_DRIVER_HIGH 148
#define VIRTIO_MMIO_QUEUE_DEVICE_LOW 160
#define VIRTIO_MMIO_QUEUE_DEVICE_HIGH 164
#define VIRTIO_MMIO_SHM_SEL 172
#define VIRTIO_MMIO_SHM_LEN_LOW 176
#define VIRTIO_MMIO_SHM_LEN_HIGH 180
#define VIRTIO_MMIO_SHM_BASE_LOW 184
#define VIRTIO_MMIO_SHM_BASE_HIGH 188
#define VIRTIO_MMIO_QUEUE_RESET 192
#define VIRTIO_MMIO_CONFIG_GENERATION 252
#define VIRTIO_MMIO_CONFIG U64(0x100)

// VirtqDesc.flags.
#define VIRTQ_DESC_NEXT U64(0x1)
#define VIRTQ_DESC_WRITE U64(0x2)
#define VIRTQ_DESC_INDIRECT U64(0x4)

// VirtioBlkReq.type.
#define VIRTIO_BLK_T_IN 0
#define VIRTIO_BLK_T_OUT 1
#define VIRTIO_BLK_T_FLUSH 4
#define VIRTIO_BLK_T_GET_ID 8
#define VIRTIO_BLK_T_GET_LIFETIME 10
#define VIRTIO_BLK_T_DISCARD 11
#define VIRTIO_BLK_T_WRITE_ZEROES 13
#define VIRTIO_BLK_T_SECURE_ERASE 14

// The last byte of a request.
#define VIRTIO_BLK_S_OK 0
#define VIRTIO_BLK_S_IOERR 1
#define VIRTIO_BLK_S_UNSUPP 2

// Bytes of a sector.
#define VIRTIO_BLK_SECTOR U64(0x200)

#ifndef __ASSEMBLER__

// VirtqDesc.
struct virtq_desc {
    u64 addr;
    u32 len;
    u16 flags;
    u16 next;
} __attribute__((aligned(8)));
_Static_assert(__builtin_offsetof(struct virtq_desc, addr) == 0x0, "VirtqDesc.addr");
_Static_assert(__builtin_offsetof(struct virtq_desc, len) == 0x8, "VirtqDesc.len");
_Static_assert(__builtin_offsetof(struct virtq_desc, flags) == 0xc, "VirtqDesc.flags");
_Static_assert(__builtin_offsetof(struct virtq_desc, next) == 0xe, "VirtqDesc.next");
_Static_assert(sizeof(struct virtq_desc) == 0x10, "VirtqDesc");

// VirtqUsedElem.
struct virtq_used_elem {
    u32 id;
    u32 len;
} __attribute__((aligned(8)));
_Static_assert(__builtin_offsetof(struct virtq_used_elem, id) == 0x0, "VirtqUsedElem.id");
_Static_assert(__builtin_offsetof(struct virtq_used_elem, len) == 0x4, "VirtqUsedElem.len");
_Static_assert(sizeof(struct virtq_used_elem) == 0x8, "VirtqUsedElem");

// VirtioBlkReq.
struct virtio_blk_req {
    u32 type;
    u8 pad0[0x4];
    u64 sector;
} __attribute__((aligned(8)));
_Static_assert(__builtin_offsetof(struct virtio_blk_req, type) == 0x0, "VirtioBlkReq.type");
_Static_assert(__builtin_offsetof(struct virtio_blk_req, sector) == 0x8, "VirtioBlkReq.sector");
_Static_assert(sizeof(struct virtio_blk_req) == 0x10, "VirtioBlkReq");

// VirtioBalloonConfig.
struct virtio_balloon_config {
    u32 num_pages;
    u32 actual;
} __attribute__((aligned(8)));
_Static_assert(__builtin_offsetof(struct virtio_balloon_config, num_pages) == 0x0, "VirtioBalloonConfig.num_pages");
_Static_assert(__builtin_offsetof(struct virtio_balloon_config, actual) == 0x4, "VirtioBalloonConfig.actual");
_Static_assert(sizeof(struct virtio_balloon_config) == 0x8, "VirtioBalloonConfig");

#endif

#endif
