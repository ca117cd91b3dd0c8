// smp: starts every other vCPU by PSCI CPU_ON. All of them add to one counter under a spin lock (LDAXR/STXR, WFE/SEV) and
// meet at barriers; then the others turn themselves off and the first one sees that by PSCI AFFINITY_INFO.
// Expects: 1 to 8 vCPUs. Exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

#define TIMES 1000
#define AFFINITY_OFF 1

static struct lock lock;
static u64 counter;             // under the lock
static u64 arrived;             // under the lock
static u64 seen[MAX_CPUS];      // each vCPU's MPIDR

static u64 read_locked(const volatile u64 *value)
{
    u64 now;

    lock_take(&lock);
    now = *value;
    lock_drop(&lock);
    return now;
}

static void barrier(u64 until)
{
    lock_take(&lock);
    arrived++;
    lock_drop(&lock);
    while (read_locked(&arrived) < until)
        __asm__ volatile("wfe");
}

static void work(u64 vcpus)
{
    barrier(vcpus);
    for (int i = 0; i < TIMES; i++) {
        lock_take(&lock);
        counter = counter + 1;
        lock_drop(&lock);
    }
    seen[this_cpu()->index] = read_sysreg(mpidr_el1) & 0xff00fffffful;
    barrier(2 * vcpus);
}

static volatile u64 everyone;   // 0 until the first vCPU knows

static void secondary(u64 argument)
{
    (void)argument;
    while (!everyone)
        __asm__ volatile("wfe");
    work(everyone);
}

int main(void)
{
    u64 started = 1, wrong = 0;

    // The first index that PSCI does not know tells how many there are.
    while (started < MAX_CPUS && cpu_start(started, secondary, 0) == 0)
        started++;
    everyone = started;
    dsb(ish);
    __asm__ volatile("sev");
    work(started);
    for (u64 i = 1; i < started; i++) {
        while (psci_affinity_info(i, 0) != AFFINITY_OFF)
            ;
        wrong += seen[i] != i;
    }
    printf("smp: %lu vCPUs counted to %lu\n", started, counter);
    return counter != started * TIMES || wrong;
}
