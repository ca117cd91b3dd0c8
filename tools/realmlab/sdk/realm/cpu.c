// Starts other vCPUs; a spin lock; cache maintenance for new code.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

#define CACHE_LINE 64

extern u8 __stacks[], __stacks_end[];
void secondary_start(void);

static u64 mpidr_of(u64 index) { return (index & 15) | (index >> 4) << 8; }

// Called by start.S on the new vCPU, MMU on.
void secondary_main(struct cpu *cpu)
{
    cpu->entry(cpu->argument);
    psci_cpu_off();
}

int cpu_start(u64 index, void (*entry)(u64 argument), u64 argument)
{
    const struct cpu *self = this_cpu();
    struct cpu *cpu = &cpus[index];

    *cpu = (struct cpu){
        .index = index,
        .stack = (u64)__stacks + (index + 1) * ((u64)(__stacks_end - __stacks) / MAX_CPUS),
        .ttbr = self->ttbr, .tcr = self->tcr, .mair = self->mair, .sctlr = self->sctlr,
        .entry = entry, .argument = argument,
    };
    for (u64 line = (u64)cpu; line < (u64)(cpu + 1); line += CACHE_LINE)
        __asm__ volatile("dc civac, %0" ::"r"(line) : "memory");        // the new vCPU starts with its MMU off
    dsb(sy);
    return (int)psci_cpu_on(mpidr_of(index), (u64)secondary_start, (u64)cpu);
}

void lock_take(struct lock *lock)
{
    u32 old, failed;

    __asm__ volatile(
        "1: ldaxr %w0, [%2]\n\t"
        "cbz %w0, 2f\n\t"
        "wfe\n\t"
        "b 1b\n"
        "2: stxr %w1, %w3, [%2]\n\t"
        "cbnz %w1, 1b"
        : "=&r"(old), "=&r"(failed)
        : "r"(&lock->taken), "r"(1)
        : "memory");
}

void lock_drop(struct lock *lock)
{
    __asm__ volatile("stlr wzr, [%0]\n\tsev" ::"r"(&lock->taken) : "memory");
}

void code_written(const void *start, size_t size)
{
    u64 first = (u64)start & ~(CACHE_LINE - 1ul), end = (u64)start + size;

    for (u64 line = first; line < end; line += CACHE_LINE)
        __asm__ volatile("dc cvau, %0" ::"r"(line) : "memory");
    dsb(ish);
    for (u64 line = first; line < end; line += CACHE_LINE)
        __asm__ volatile("ic ivau, %0" ::"r"(line) : "memory");
    dsb(ish);
    isb();
}
