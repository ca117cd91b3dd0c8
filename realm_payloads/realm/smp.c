// smp: starts every other vCPU by PSCI CPU_ON. All add to one counter under a spin lock (LDAXR/STXR, WFE/SEV) and meet at
// barriers. Then the others turn themselves off by CPU_OFF, and the first one watches that by AFFINITY_INFO. It turns one of
// them on again and asks about it while it runs. If the Host denies a vCPU, the payload reports it and goes on without.
// Runs on 1 to 8 vCPUs. Ends with SYSTEM_OFF; exit status 1 if something is wrong.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"

#define TIMES 1000

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
        wfe();
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

static u64 everyone;            // 0 until the first vCPU knows
static u64 released;            // the vCPU that came back may go

static u64 wait_for(const u64 *from)
{
    u64 now;

    for (;;) {
        now = load_acquire(from);
        if (now)
            return now;
        wfe();
    }
}

static void secondary(u64 argument)
{
    (void)argument;
    work(wait_for(&everyone));
}

static void back_again(u64 argument)
{
    lock_take(&lock);
    counter = counter + argument;
    lock_drop(&lock);
    wait_for(&released);
}

static void wait_until_off(u64 index)
{
    while (psci_affinity_info(index, 0) != PSCI_AFFINITY_OFF)
        ;
}

// Turns a vCPU on again; returns how many PSCI calls about it answered wrongly.
static unsigned turn_on_again(u64 index)
{
    unsigned wrong = cpu_start(index, back_again, 1) != 0;

    wrong += psci_affinity_info(index, 0) != PSCI_AFFINITY_ON;
    wrong += psci_cpu_on(index, 0x80000000, 0) != PSCI_ALREADY_ON;
    publish(&released, 1);
    wait_until_off(index);
    printf("smp: vCPU %lu came back\n", index);
    return wrong;
}

int main(void)
{
    u64 started = 1, count = 1, wrong = 0, on[MAX_CPUS];

    // The first index that PSCI does not know tells how many there are.
    for (; count < MAX_CPUS; count++) {
        s64 answer = cpu_start(count, secondary, 0);

        if (answer == PSCI_INVALID_PARAMETERS)
            break;
        if (!answer)
            on[started++] = count;
        else if (answer == PSCI_DENIED)
            printf("smp: vCPU %lu is denied\n", count);
        else
            wrong++;
    }
    publish(&everyone, started);
    work(started);
    for (u64 i = 1; i < started; i++) {
        wait_until_off(on[i]);
        wrong += seen[on[i]] != on[i];
    }
    wrong += counter != started * TIMES;
    printf("smp: %lu vCPUs counted to %lu\n", started, counter);
    if (started > 1) {
        wrong += turn_on_again(on[1]);
        wrong += counter != started * TIMES + 1;
    }
    if (wrong)
        return 1;
    psci_system_off();
    return 1;
}
