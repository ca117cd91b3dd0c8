// pmu: counts with the performance monitors of a Realm (`realmlab run pmu --pmu`). Checks that counts are exact: of cycles and
// instructions, at EL1, with calls of the Host in between, by software, in pairs of counters; and takes the overflow interrupt
// at the vCPU. Without --pmu it checks that there is nothing. Expects PASS lines only; exit status = number of failures.
// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"
#include "gic.h"
#include "rsi.h"

#define PMCR_E 1
#define PMCR_P 2
#define PMCR_C 4
#define CYCLES (1ul << 31)
#define ALL (CYCLES | 0x7ffffffful)

enum { SW_INCR = 0x00, INST_RETIRED = 0x08, CPU_CYCLES = 0x11, CHAIN = 0x1e, PPI_PMU = 23 };
#define EXCLUDE_EL1 (1ul << 31)

static volatile u64 interrupts, last, overflown, at_interrupt;

void interrupt(void)
{
    u64 intid = read_sysreg(icc_iar1_el1);

    if (intid == INTID_SPURIOUS)
        return;
    interrupts++;
    last = intid;
    at_interrupt = read_sysreg(pmevcntr0_el0);
    overflown = read_sysreg(pmovsclr_el0);
    write_sysreg(pmovsclr_el0, overflown);
    isb();
    write_sysreg(icc_eoir1_el1, intid);
}

// Everything off and zero.
static void reset(void)
{
    write_sysreg(pmcr_el0, PMCR_P | PMCR_C);
    write_sysreg(pmcntenclr_el0, ALL);
    write_sysreg(pmintenclr_el1, ALL);
    write_sysreg(pmovsclr_el0, ALL);
    write_sysreg(pmccfiltr_el0, 0);
    isb();
}

// PMCR_EL0.E on, 2 * rounds + 1 instructions, off again.
static void run(u64 rounds)
{
    __asm__ volatile("msr pmcr_el0, %0\n\t"
                     "mov x9, %1\n\t"
                     "1: subs x9, x9, #1\n\t"
                     "b.ne 1b\n\t"
                     "msr pmcr_el0, xzr" ::"r"((u64)PMCR_E), "r"(rounds) : "x9", "cc", "memory");
    isb();
}

static void exact(void)
{
    for (u64 rounds = 1; rounds <= 100000; rounds *= 10) {
        reset();
        write_sysreg(pmevtyper0_el0, INST_RETIRED);
        write_sysreg(pmcntenset_el0, CYCLES | 1);
        run(rounds);
        // MOV, the loop, and the MSR that turns the counters off
        check_equal("instructions are exact", read_sysreg(pmevcntr0_el0), 2 * rounds + 2);
        check_equal("cycles are, too", read_sysreg(pmccntr_el0), 2 * rounds + 2);
    }
    reset();
    write_sysreg(pmevtyper0_el0, INST_RETIRED | EXCLUDE_EL1);
    write_sysreg(pmcntenset_el0, 1);
    run(100);
    check_equal("a counter without EL1 counts nothing here", read_sysreg(pmevcntr0_el0), 0);
}

static void calls(void)
{
    u64 rmm, once, twice;

    host_function(HOST_GET_TICKS, NULL, 0, 0);          // the first one sets itself up
    reset();
    write_sysreg(pmevtyper0_el0, INST_RETIRED);
    write_sysreg(pmcntenset_el0, 1);
    write_sysreg(pmcr_el0, PMCR_E);
    (void)rsi_version(0x10000);
    rmm = read_sysreg(pmevcntr0_el0);
    write_sysreg(pmevcntr0_el0, 0);
    host_function(HOST_GET_TICKS, NULL, 0, 0);
    once = read_sysreg(pmevcntr0_el0);
    write_sysreg(pmevcntr0_el0, 0);
    host_function(HOST_GET_TICKS, NULL, 0, 0);
    twice = read_sysreg(pmevcntr0_el0);
    write_sysreg(pmcr_el0, 0);
    check("a call of the RMM costs its own instructions only", rmm < 100);
    check_equal("a call of the Host the same each time", twice, once);
}

static void counters(void)
{
    reset();
    write_sysreg(pmevtyper0_el0, SW_INCR);
    write_sysreg(pmevtyper1_el0, CHAIN);
    write_sysreg(pmevcntr0_el0, 0xffffffff);
    write_sysreg(pmcntenset_el0, 3);
    write_sysreg(pmcr_el0, PMCR_E);
    write_sysreg(pmswinc_el0, 1);
    write_sysreg(pmswinc_el0, 1);
    write_sysreg(pmcr_el0, 0);
    check_equal("software counts", read_sysreg(pmevcntr0_el0) & 0xffffffff, 1);
    check_equal("an overflow is flagged", read_sysreg(pmovsset_el0), 1);
    check_equal("and counts on the counter above", read_sysreg(pmevcntr1_el0), 1);
}

static void overflow(void)
{
    reset();
    write_sysreg(pmevtyper0_el0, INST_RETIRED);
    write_sysreg(pmevcntr0_el0, 0xffffffff - 999);
    write_sysreg(pmintenset_el1, 1);
    write_sysreg(pmcntenset_el0, 1);
    irq_on();
    run(10000);
    irq_off();
    check_equal("an overflow interrupts, once", interrupts, 1);
    check_equal("by PPI 23", last, PPI_PMU);
    check_equal("with its flag", overflown, 1);
    check("some instructions after it", (at_interrupt & 0xffffffff) < 200);
    check_equal("and is gone with it", read32(own_frame() + GICR_SGI + GICD_ISPENDR), 0);

    reset();
    write_sysreg(pmintenset_el1, CYCLES);
    write_sysreg(pmcntenset_el0, CYCLES);
    write_sysreg(pmccntr_el0, ~0ul - 5000);
    interrupts = 0;
    irq_on();
    run(10000);
    irq_off();
    check("the cycle counter's, too", interrupts == 1 && overflown == CYCLES);
}

int main(void)
{
    u64 version = read_sysreg(id_aa64dfr0_el1) >> 8 & 15;

    if (!version) {
        write_sysreg(pmcntenset_el0, ALL);
        check_equal("without a PMU its registers read as zero", read_sysreg(pmcntenset_el0) | read_sysreg(pmcr_el0), 0);
        return check_failures();
    }
    printf("PMU version %lu, %lu counters\n", version, read_sysreg(pmcr_el0) >> 11 & 31);
    exact();
    calls();
    if ((read_sysreg(pmcr_el0) >> 11 & 31) > 1)
        counters();
    gic_find();
    gic_cpu_up();
    overflow();
    return check_failures();
}
