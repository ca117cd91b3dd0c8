// Drives the GIC from Non-secure EL2.
// SPDX-License-Identifier: BSD-3-Clause
#include "gic.h"
#include "platform.h"

#define SRE_EL2 0xful                   // Enable, DIB, DFB, SRE

u8 read8(u64 address) { return *(volatile u8 *)address; }
u32 read32(u64 address) { return *(volatile u32 *)address; }
u64 read64(u64 address) { return *(volatile u64 *)address; }
void write8(u64 address, u8 value) { *(volatile u8 *)address = value; }
void write32(u64 address, u32 value) { *(volatile u32 *)address = value; }
void write64(u64 address, u64 value) { *(volatile u64 *)address = value; }

// -- distributor and redistributors -----------------------------------------------------------------------------------
u64 gic_redistributor(u64 affinity)
{
    u64 wanted = (affinity & 0xffffff) | (affinity >> 32 & 0xff) << 24;

    for (u64 at = GICR;; at += GICR_STRIDE) {
        u64 type = read64(at + GICR_TYPER);

        if (type >> 32 == wanted)
            return at;
        if (type & GICR_TYPER_LAST)
            return 0;
    }
}

static void wait_writes(void)
{
    while (read32(GICD + GICD_CTLR) & GICD_CTLR_RWP)
        ;
}

void gic_distributor_on(void)
{
    write32(GICD + GICD_CTLR, 0);
    wait_writes();
    for (u64 line = 1; line < GICD_TYPER_LINES(read32(GICD + GICD_TYPER)); line++)
        write32(GICD + GICD_IGROUPR + 4 * line, 0xffffffff);
    write32(GICD + GICD_CTLR, GICD_CTLR_ARE_NS | GICD_CTLR_ENABLEGRP1A);
    wait_writes();
}

static u64 own_redistributor(void) { return gic_redistributor(read_sysreg(mpidr_el1) & MPIDR_AFFINITY); }

void gic_pe_on(void)
{
    u64 waker = own_redistributor() + GICR_WAKER;

    write32(waker, read32(waker) & ~GICR_WAKER_PROCESSORSLEEP);
    while (read32(waker) & GICR_WAKER_CHILDRENASLEEP)
        ;
    write32(own_redistributor() + GICR_SGI + GICD_IGROUPR, 0xffffffff);
    write_sysreg(icc_sre_el2, SRE_EL2);
    isb();
    gic_mode(false);
    write_sysreg(icc_bpr1_el1, 0);
    gic_mask(0xff);
    write_sysreg(icc_igrpen1_el1, 1);
    isb();
}

static u64 frame_of(u32 intid) { return intid < INTID_SPI ? own_redistributor() + GICR_SGI : GICD; }

bool gic_bit(u32 array, u32 intid) { return read32(frame_of(intid) + array + intid / 32 * 4) >> intid % 32 & 1; }

void gic_set(u32 array, u32 intid)
{
    write32(frame_of(intid) + array + intid / 32 * 4, 1u << intid % 32);
    dsb(sy);
}

void gic_priority(u32 intid, u8 priority) { write8(frame_of(intid) + GICD_IPRIORITYR + intid, priority); }

void gic_edge(u32 intid, bool edge)
{
    u64 at = frame_of(intid) + GICD_ICFGR + intid / 16 * 4;
    u32 bit = 2u << intid % 16 * 2;

    write32(at, (read32(at) & ~bit) | (edge ? bit : 0));
}

void gic_route(u32 intid, u64 affinity) { write64(GICD + GICD_IROUTER + 8ul * intid, affinity); }

void gic_enable(u32 intid, u8 priority)
{
    gic_set(GICD_ICPENDR, intid);
    gic_priority(intid, priority);
    gic_set(GICD_ISENABLER, intid);
}

void gic_disable(u32 intid)
{
    gic_set(GICD_ICENABLER, intid);
    gic_set(GICD_ICPENDR, intid);
    gic_set(GICD_ICACTIVER, intid);
}

// -- CPU interface ----------------------------------------------------------------------------------------------------
u32 gic_acknowledge(void)
{
    u32 intid = (u32)read_sysreg(icc_iar1_el1);

    dsb(sy);
    return intid;
}

void gic_end(u32 intid)
{
    write_sysreg(icc_eoir1_el1, intid);
    isb();
}

void gic_deactivate(u32 intid)
{
    write_sysreg(icc_dir_el1, intid);
    isb();
}

void gic_mode(bool two_steps)
{
    write_sysreg(icc_ctlr_el1, (u64)two_steps << 1);
    isb();
}

void gic_mask(u64 priority)
{
    write_sysreg(icc_pmr_el1, priority);
    isb();
}

u64 gic_running(void) { return read_sysreg(icc_rpr_el1); }

void gic_sgi(u32 intid, u64 affinity)
{
    u64 value = (affinity >> 32 & 0xff) << 48 | (affinity >> 16 & 0xff) << 32 | (affinity >> 8 & 0xff) << 16;

    dsb(ish);
    write_sysreg(icc_sgi1r_el1, value | (u64)intid << 24 | 1ul << (affinity & 0xf));
    isb();
}

void gic_sgi_others(u32 intid)
{
    dsb(ish);
    write_sysreg(icc_sgi1r_el1, ICC_SGI1R_IRM | (u64)intid << 24);
    isb();
}
