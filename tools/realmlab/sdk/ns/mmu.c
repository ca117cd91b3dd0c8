// Flat stage 1 tables for Non-secure EL2. Addresses below DRAM are device memory; the first GiB of DRAM is normal memory,
// mapped by blocks; the image is mapped by pages, its code read-only and all else not executable.
// SPDX-License-Identifier: BSD-3-Clause
#include "mmu.h"
#include "platform.h"

#define MIB2 0x200000ul

extern u8 __text_end[];
u64 mmu_level1[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));

void mmu_tables(void)
{
    const u64 normal = ATTR_NORMAL | INNER_SHAREABLE | AF;

    for (u64 gib = 0; gib < DRAM >> 30; gib++)
        mmu_level1[gib] = gib << 30 | BLOCK | ATTR_DEVICE | AF | XN;
    mmu_level1[DRAM >> 30] = (u64)level2 | TABLE;
    for (u64 i = 0; i < 512; i++) {
        u64 page = IMAGE + i * PAGE_SIZE;

        level2[i] = (DRAM + i * MIB2) | BLOCK | normal | XN;
        level3[i] = page | PAGE | normal | (page < (u64)__text_end ? AP_RO : XN);
    }
    level2[(IMAGE - DRAM) / MIB2] = (u64)level3 | TABLE;
}

void mmu_on(void)
{
    write_sysreg(mair_el2, MAIR);
    write_sysreg(tcr_el2, TCR_EL2_RES1 | TCR_T0SZ_39 | TCR_WALKS);
    write_sysreg(ttbr0_el2, mmu_level1);
    dsb(ish);
    __asm__ volatile("tlbi alle2\n\tdsb nsh\n\tisb" ::: "memory");
    write_sysreg(sctlr_el2, read_sysreg(sctlr_el2) | SCTLR_M | SCTLR_C_I);
    isb();
}
