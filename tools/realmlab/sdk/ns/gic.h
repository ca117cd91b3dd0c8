// The GIC as an operating system drives it at Non-secure EL2: Group 1, affinity routing. It writes group registers for the sake
// of a GIC with one Security state; a GIC with two ignores Non-secure writes to them.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GIC_H
#define GIC_H

#include "gicv3.h"
#include "types.h"

u32 read32(u64 address);
u64 read64(u64 address);
void write8(u64 address, u8 value);
void write32(u64 address, u32 value);
void write64(u64 address, u64 value);
u8 read8(u64 address);

u64 gic_redistributor(u64 affinity);    // its address; 0 if there is none
void gic_distributor_on(void);
void gic_pe_on(void);                   // redistributor awake, CPU interface on, every priority admitted

// For an INTID of this PE (SGI, PPI) or an SPI. A bit array is named by its offset in the distributor's register map.
bool gic_bit(u32 array, u32 intid);
void gic_set(u32 array, u32 intid);
void gic_priority(u32 intid, u8 priority);
void gic_edge(u32 intid, bool edge);
void gic_route(u32 intid, u64 affinity);
void gic_enable(u32 intid, u8 priority);        // clears pending state
void gic_disable(u32 intid);                    // clears pending and active state

u32 gic_acknowledge(void);
void gic_end(u32 intid);                // priority drop, and deactivation unless EOImode is 1
void gic_deactivate(u32 intid);
void gic_mode(bool two_steps);
void gic_mask(u64 priority);            // ICC_PMR_EL1
u64 gic_running(void);
void gic_sgi(u32 intid, u64 affinity);
void gic_sgi_others(u32 intid);

#endif
