// Stage 1 of Non-secure EL2, flat: the first GiB is device memory, DRAM from 2 GiB on is normal memory by blocks, and the
// image by pages, code not writable and everything else not executable.
// SPDX-License-Identifier: BSD-3-Clause
#include "ns.h"
#include "platform.h"

#define MIB2 0x200000ul

#define TABLE 3ul
#define PAGE 3ul
#define BLOCK 1ul
#define ATTR_DEVICE (0ul << 2)
#define ATTR_NORMAL (1ul << 2)
#define AP_RO (1ul << 7)
#define INNER_SHAREABLE (3ul << 8)
#define AF (1ul << 10)
#define XN (1ul << 54)

#define MAIR 0xff00ul                   // attribute 0: Device-nGnRnE, 1: Normal Write-Back
#define TCR_T0SZ_39 25ul
#define TCR_WRITE_BACK (1ul << 8 | 1ul << 10 | 3ul << 12)
#define TCR_RES1 (1ul << 31 | 1ul << 23)
#define SCTLR_M_C_I (1ul | 1ul << 2 | 1ul << 12)

extern u8 __text_end[];
static u64 level1[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));

void mmu_tables(void)
{
    const u64 normal = ATTR_NORMAL | INNER_SHAREABLE | AF;

    level1[0] = BLOCK | ATTR_DEVICE | AF | XN;
    level1[DRAM >> 30] = (u64)level2 | TABLE;
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
    write_sysreg(tcr_el2, TCR_RES1 | TCR_T0SZ_39 | TCR_WRITE_BACK);
    write_sysreg(ttbr0_el2, level1);
    dsb(ish);
    __asm__ volatile("tlbi alle2\n\tdsb nsh\n\tisb" ::: "memory");
    write_sysreg(sctlr_el2, read_sysreg(sctlr_el2) | SCTLR_M_C_I);
    isb();
}
