// Flat stage 1 tables for Secure EL1. Devices and the payload's own memory are Secure, the image mapped by pages. Non-secure
// DRAM is mapped with NS = 1, because granule protection would refuse a Secure access to it.
// SPDX-License-Identifier: BSD-3-Clause
#include "platform.h"
#include "secure.h"
#include "stage1.h"

#define GIB (1ul << 30)
#define MIB2 0x200000ul

#define TCR_IPS_36 (1ul << TCR_IPS_SHIFT)

extern u8 __text_end[];
static u64 level1[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));

void mmu_tables(void)
{
    const u64 normal = ATTR_NORMAL | INNER_SHAREABLE | AF;

    level1[0] = BLOCK | ATTR_DEVICE | AF | XN | PXN;
    for (u64 at = DRAM; at < NS_DRAM_TOP; at += GIB)
        level1[at / GIB] = at | BLOCK | normal | XN | PXN | NS;
    level1[SECURE_MEMORY / GIB] = (u64)level2 | TABLE;
    level2[SECURE_MEMORY / MIB2 % 512] = (u64)level3 | TABLE;
    for (u64 i = 0; i < 512; i++) {
        u64 page = SECURE_MEMORY + i * PAGE_SIZE;

        level3[i] = page | PAGE | normal | (page < (u64)__text_end ? AP_RO : XN | PXN);
    }
}

void mmu_on(void)
{
    write_sysreg(mair_el1, MAIR);
    write_sysreg(tcr_el1, TCR_T0SZ_39 | TCR_WALKS | TCR_EPD1 | TCR_IPS_36);
    write_sysreg(ttbr0_el1, level1);
    dsb(ish);
    __asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
    write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_M | SCTLR_C_I);
    isb();
}
