// Stage 1 translation tables: the first 2 MiB, which hold the image, by pages; the rest of RAM by blocks.
// SPDX-License-Identifier: BSD-3-Clause
#include "mmu.h"
#include "runtime.h"

#define ADDRESS_MASK 0x0000fffffffff000ul
#define BLOCK_SIZE 0x200000ul

#define REALM_MAIR 0x44ff04ul   // 0: Device-nGnRE, 1: Normal Write-Back, 2: Normal Non-cacheable
#define SCTLR_ON 0x30d0181dul   // RES1, M, C, SA, SA0, I: EL0 may not use WFx, DC ZVA, CTR

extern u8 __text_start[], __text_end[], __rodata_end[], __user_text_end[], __user_data_end[], __data_end[];
extern u8 __stacks[], __stacks_end[], __tables[], __tables_end[];

static u64 *root;
static u8 *next_table;

static u64 *new_table(void)
{
    u8 *table = next_table;

    if (table == __tables_end)
        panic("stage 1 is out of tables");
    next_table += PAGE_SIZE;
    memset(table, 0, PAGE_SIZE);
    return (u64 *)table;
}

// The entry for va at the level (2 or 3); makes the tables above it.
static u64 *entry_of(u64 va, int level)
{
    u64 *table = root;

    for (int at = 0; at < level; at++) {
        u64 *entry = &table[(va >> (39 - 9 * at)) & 511];

        if (!(*entry & VALID))
            *entry = (u64)new_table() | TABLE;
        else if ((*entry & TABLE) != TABLE)
            panic("va %016lx is inside a block", va);
        table = (u64 *)(*entry & ADDRESS_MASK);
    }
    return &table[(va >> (39 - 9 * level)) & 511];
}

// Break before make: the old entry must leave the TLB before the new one is written.
static void set_entry(u64 *entry, u64 va, u64 value)
{
    if (*entry & VALID) {
        *entry = 0;
        dsb(ishst);
        __asm__ volatile("tlbi vaae1is, %0" ::"r"(va >> 12) : "memory");
        dsb(ish);
    }
    *entry = value;
    dsb(ishst);
    isb();
}

void mmu_map(u64 va, u64 ipa, u64 size, u64 attributes)
{
    while (size) {
        bool block = ((va | ipa) % BLOCK_SIZE == 0) && size >= BLOCK_SIZE;
        u64 step = block ? BLOCK_SIZE : PAGE_SIZE;

        set_entry(entry_of(va, block ? 2 : 3), va, ipa | attributes | (block ? BLOCK : PAGE));
        va += step;
        ipa += step;
        size -= step;
    }
}

void mmu_unmap(u64 va, u64 size)
{
    for (; size; va += PAGE_SIZE, size -= PAGE_SIZE)
        set_entry(entry_of(va, 3), va, 0);
}

static void map_flat(const u8 *start, const u8 *end, u64 attributes)
{
    mmu_map((u64)start, (u64)start, (u64)(end - start), attributes);
}

// Stacks: the upper half of each slot; the lower half stays unmapped and catches an overflow.
static void map_stacks(void)
{
    u64 slot = (u64)(__stacks_end - __stacks) / MAX_CPUS;

    for (u8 *stack = __stacks; stack < __stacks_end; stack += slot)
        map_flat(stack + slot / 2, stack + slot, MAP_DATA);
}

void mmu_init(u64 ram_base, u64 ram_size)
{
    u64 pa_range = read_sysreg(id_aa64mmfr0_el1) & 15;
    u64 image_end = ram_base + BLOCK_SIZE;
    struct cpu *cpu = this_cpu();

    next_table = __tables;
    root = new_table();
    map_flat(__text_start, __text_end, MAP_TEXT);
    map_flat(__text_end, __rodata_end, MAP_CONST);
    map_flat(__rodata_end, __user_text_end, MAP_USER_TEXT);
    map_flat(__user_text_end, __user_data_end, MAP_USER_DATA);
    map_flat(__user_data_end, __data_end, MAP_DATA);
    map_stacks();
    map_flat(__stacks_end, (u8 *)image_end, MAP_DATA);
    if (ram_size > BLOCK_SIZE)
        mmu_map(image_end, image_end, ram_size - BLOCK_SIZE, MAP_DATA);

    cpu->ttbr = (u64)root;
    cpu->tcr = TCR_T0SZ_48 | TCR_WALKS | TCR_EPD1 | (pa_range > 5 ? 5 : pa_range) << TCR_IPS_SHIFT;
    cpu->mair = REALM_MAIR;
    cpu->sctlr = SCTLR_ON;
    write_sysreg(mair_el1, cpu->mair);
    write_sysreg(tcr_el1, cpu->tcr);
    write_sysreg(ttbr0_el1, cpu->ttbr);
    dsb(ish);
    __asm__ volatile("tlbi vmalle1\n\tic iallu" ::: "memory");
    dsb(nsh);
    isb();
    write_sysreg(sctlr_el1, cpu->sctlr);
    isb();
}
