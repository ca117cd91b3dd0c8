// GICv3 (IHI 0069) as an operating system uses it at Non-secure EL2: Group 1, affinity routing. Groups are for a GIC with one
// Security state; with two, Non-secure software cannot write them.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GIC_H
#define GIC_H

#include "types.h"

#define INTID_SPI 32u
#define INTID_SPECIAL 1020u
#define INTID_SPURIOUS 1023u

#define GICD_CTLR 0x0000
#define GICD_TYPER 0x0004
#define GICD_TYPER_LINES(typer) (((typer) & 0x1f) + 1)           // of 32 interrupts each
#define GICD_SETSPI_NSR 0x0040
#define GICD_CLRSPI_NSR 0x0048
#define GICD_IGROUPR 0x0080
#define GICD_ISENABLER 0x0100
#define GICD_ICENABLER 0x0180
#define GICD_ISPENDR 0x0200
#define GICD_ICPENDR 0x0280
#define GICD_ISACTIVER 0x0300
#define GICD_ICACTIVER 0x0380
#define GICD_IPRIORITYR 0x0400
#define GICD_ICFGR 0x0c00
#define GICD_IROUTER 0x6000
#define GIC_PIDR2 0xffe8
#define GICD_CTLR_RWP (1u << 31)
#define GICD_CTLR_ARE_NS (1u << 4)
#define GICD_CTLR_ENABLE_G1A (1u << 1)

#define GICR_TYPER 0x0008
#define GICR_WAKER 0x0014
#define GICR_SGI 0x10000                // the frame of SGIs and PPIs, with the register map of the distributor
#define GICR_STRIDE 0x20000
#define GICR_TYPER_LAST (1ul << 4)
#define GICR_WAKER_SLEEP (1u << 1)
#define GICR_WAKER_ASLEEP (1u << 2)

u32 read32(u64 address);
u64 read64(u64 address);
void write8(u64 address, u8 value);
void write32(u64 address, u32 value);
void write64(u64 address, u64 value);
u8 read8(u64 address);

u64 gic_redistributor(u64 affinity);    // its address, 0 when there is none
void gic_distributor_on(void);
void gic_pe_on(void);                   // redistributor awake, CPU interface on, every priority admitted

// For an INTID of this PE (SGI, PPI) or an SPI. A bit array is named by its offset in the distributor's register map.
bool gic_bit(u32 array, u32 intid);
void gic_set(u32 array, u32 intid);
void gic_priority(u32 intid, u8 priority);
void gic_edge(u32 intid, bool edge);
void gic_route(u32 intid, u64 affinity);
void gic_enable(u32 intid, u8 priority);        // pending state cleared
void gic_disable(u32 intid);                    // pending and active state cleared, too

u32 gic_acknowledge(void);
void gic_end(u32 intid);                // priority drop, and deactivation unless EOImode is 1
void gic_deactivate(u32 intid);
void gic_mode(bool two_steps);
void gic_mask(u64 priority);            // ICC_PMR_EL1
u64 gic_running(void);
void gic_sgi(u32 intid, u64 affinity);
void gic_sgi_others(u32 intid);

#endif
