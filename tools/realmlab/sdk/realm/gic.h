// The GIC of a Realm: found in the device tree, mapped, and set up for this vCPU. Accesses to its frames.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GIC_H
#define GIC_H

#include "gicv3.h"
#include "runtime.h"

extern u64 distributor, redistributors;         // their frames, once gic_find() has returned

void gic_find(void);                            // and turns the distributor on; once, on one vCPU
void gic_cpu_up(void);                          // redistributor and CPU interface of this vCPU; its PPIs and SGIs on
static inline u64 own_frame(void) { return redistributors + this_cpu()->index * GICR_STRIDE; }

static inline u32 read32(u64 at)
{
    u32 value;

    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
    return value;
}

static inline u64 read64(u64 at)
{
    u64 value;

    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
    return value;
}

static inline void write8(u64 at, u32 value) { __asm__ volatile("strb %w0, [%1]" ::"r"(value), "r"(at) : "memory"); }
static inline void write32(u64 at, u32 value) { __asm__ volatile("str %w0, [%1]" ::"r"(value), "r"(at) : "memory"); }
static inline void write64(u64 at, u64 value) { __asm__ volatile("str %0, [%1]" ::"r"(value), "r"(at) : "memory"); }
// An interrupt from its start to its end: interrupt() acknowledges it, does what it asks for, and ends it.
static inline u32 gic_acknowledge(void)         // its INTID; INTID_SPURIOUS if there is none any more
{
    u64 intid = read_sysreg(icc_iar1_el1);

    dsb(sy);
    return (u32)intid;
}
static inline void gic_end(u32 intid) { write_sysreg(icc_eoir1_el1, intid); isb(); }
static inline void gic_sgi(u32 intid, u64 index)        // to the vCPU with this index, of the first 16
{
    dsb(ish);
    write_sysreg(icc_sgi1r_el1, (u64)intid << 24 | 1ul << index);
    isb();
}

static inline void irq_on(void) { __asm__ volatile("msr daifclr, #2" ::: "memory"); }
static inline void irq_off(void) { __asm__ volatile("msr daifset, #2" ::: "memory"); }

#endif
