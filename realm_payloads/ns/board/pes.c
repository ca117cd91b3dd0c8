// Suite `pes`: PSCI, and several PEs working together.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "platform.h"
#include "psci.h"

#define TIMES 400
#define MESSAGES 100

static struct {
    u64 lock, guarded, exclusive, arrived, order, woken;
    u64 data[4], full;
    u64 echo[4], empty;
} shared __attribute__((aligned(64)));

// -- one PE -----------------------------------------------------------------------------------------------------------
static void report(struct pe *pe, u64 argument)
{
    store_release(&shared.arrived, argument + read_sysreg(mpidr_el1) % 0x1000000);
    while (!load_acquire(&shared.order))
        wfe();
    (void)pe;
}

static void off_on(void)
{
    const u64 entry = IMAGE;

    want("PSCI is version 1.1", psci(PSCI_VERSION, 0, 0, 0), PSCI_1_1);
    want("CPU_ON is a feature", psci(PSCI_FEATURES, PSCI_CPU_ON_64, 0, 0), 0);
    want("a function that does not exist is none", psci(PSCI_FEATURES, 0xc40000ff, 0, 0), PSCI_NOT_SUPPORTED);
    want("this PE is on", psci(PSCI_AFFINITY_INFO_64, MPIDR_OF(0), 0, 0), PSCI_AFFINITY_ON);
    for (u64 i = 1; i < PES; i++)
        want("another one is off", psci(PSCI_AFFINITY_INFO_64, MPIDR_OF(i), 0, 0), PSCI_AFFINITY_OFF);
    want("CPU_ON of no PE", psci(PSCI_CPU_ON_64, 0xff000000, entry, 0), PSCI_INVALID_PARAMETERS);
    want("CPU_ON of this PE", psci(PSCI_CPU_ON_64, MPIDR_OF(0), entry, 0), PSCI_ALREADY_ON);
    want("CPU_ON into Secure memory", psci(PSCI_CPU_ON_64, MPIDR_OF(1), SECURE_MEMORY, 0), PSCI_INVALID_ADDRESS);
    for (u64 i = 1; i < PES; i++) {
        shared.arrived = shared.order = 0;
        want("CPU_ON", pe_start(i, report, 0x1000000), 0);
        while (!load_acquire(&shared.arrived))
            ;
        want("CPU_ON of a PE that is on", psci(PSCI_CPU_ON_64, MPIDR_OF(i), entry, 0), PSCI_ALREADY_ON);
        want("its affinity is on", psci(PSCI_AFFINITY_INFO_64, MPIDR_OF(i), 0, 0), PSCI_AFFINITY_ON);
        store_release(&shared.order, 1);
        sev();
        pe_wait(i);
        want("it ran, and has its own MPIDR", load_acquire(&shared.arrived), 0x1000000 + MPIDR_OF(i));
        want("its X0 was the context", pes[i].entry_context, pes[i].context);
        want("its MMU was off", pes[i].entry_sctlr & 1, 0);
    }
    want("CPU_ON once more", pe_start(1, report, 0x2000000), 0);
    pe_wait(1);
    want("it ran again", load_acquire(&shared.arrived), 0x2000000 + MPIDR_OF(1));
}

// -- all of them ------------------------------------------------------------------------------------------------------
static void lock(u64 *at)
{
    u64 seen;
    u32 failed;

    __asm__ volatile("\tsevl\n1:\twfe\n2:\tldaxr %0, [%2]\n\tcbnz %0, 1b\n\tstxr %w1, %3, [%2]\n\tcbnz %w1, 2b"
                     : "=&r"(seen), "=&r"(failed) : "r"(at), "r"(1ul) : "memory");
}

static void count(struct pe *pe, u64 argument)
{
    add_exclusive(&shared.arrived, 1);
    while (load_acquire(&shared.arrived) != PES)
        ;
    for (u64 i = 0; i < TIMES; i++) {
        lock(&shared.lock);
        *(volatile u64 *)&shared.guarded += 1;
        store_release(&shared.lock, 0);
        add_exclusive(&shared.exclusive, argument);
    }
    add_exclusive(&shared.order, 1ul << 8 * pe->index);
}

static void together(void)
{
    shared.arrived = shared.order = 0;
    for (u64 i = 1; i < PES; i++)
        pe_start(i, count, i);
    count(&pes[0], 0);
    for (u64 i = 1; i < PES; i++)
        pe_wait(i);
    want("four PEs were there", load_acquire(&shared.order), 0x01010101);
    want("what a spinlock guards is not lost", shared.guarded, PES * TIMES);
    want("nor what exclusives add", shared.exclusive, (1 + 2 + 3) * TIMES);
}

// -- two of them ------------------------------------------------------------------------------------------------------
// Receives `argument` messages and sends each one back inverted.
static void echo(struct pe *pe, u64 argument)
{
    (void)pe;
    for (u64 i = 1; i <= argument; i++) {
        while (load_acquire(&shared.full) != i)
            wfe();
        for (u64 at = 0; at < ARRAY_SIZE(shared.data); at++)
            shared.echo[at] = ~((volatile u64 *)shared.data)[at];
        store_release(&shared.empty, i);
        sev();
    }
}

static void messages(void)
{
    u64 wrong = 0;

    pe_start(1, echo, MESSAGES);
    for (u64 i = 1; i <= MESSAGES; i++) {
        for (u64 at = 0; at < ARRAY_SIZE(shared.data); at++)
            shared.data[at] = i * 0x10001 + at;
        store_release(&shared.full, i);
        sev();
        while (load_acquire(&shared.empty) != i)
            wfe();
        for (u64 at = 0; at < ARRAY_SIZE(shared.data); at++)
            wrong += ((volatile u64 *)shared.echo)[at] != ~(i * 0x10001 + at);
    }
    pe_wait(1);
    want("messages by release and acquire arrive whole", wrong, 0);
}

static void sleep(struct pe *pe, u64 argument)
{
    (void)pe;
    __asm__ volatile("sevl\n\twfe");    // the event register is set, so WFE falls through
    store_release(&shared.arrived, argument);
    while (!load_acquire(&shared.order))
        wfe();
    store_release(&shared.woken, argument);
}

static void events(void)
{
    shared.arrived = shared.order = 0;
    pe_start(2, sleep, 7);
    while (load_acquire(&shared.arrived) != 7)
        ;
    want("WFE after SEVL goes on", shared.arrived, 7);
    store_release(&shared.order, 1);
    sev();
    pe_wait(2);
    want("SEV wakes a PE in WFE", load_acquire(&shared.woken), 7);
}

void suite_pes(void)
{
    suite("pes");
    off_on();
    together();
    messages();
    events();
}
