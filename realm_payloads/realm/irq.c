// irq: takes virtual interrupts. Finds the GIC in the device tree, sets it up through emulated MMIO, and checks SGIs, timers,
// priorities, more interrupts than list registers, an SPI, split EOI, and SGIs between vCPUs, as many as the GIC has
// redistributors. Expects PASS lines only; exit status = number of failures.
// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"
#include "gic.h"
#include "rsi.h"
#include "runtime.h"

#define GICR_LAST (1ul << 4)                     // of GICR_TYPER
#define GICR_ICENABLER (GICR_SGI + GICD_ICENABLER)
#define GICR_ISPENDR (GICR_SGI + GICD_ISPENDR)
#define GICR_ICPENDR (GICR_SGI + GICD_ICPENDR)
#define GICR_ISACTIVER (GICR_SGI + GICD_ISACTIVER)
#define GICR_IPRIORITYR (GICR_SGI + GICD_IPRIORITYR)

#define TIMER_ON 1
#define TIMER_FIRES 5

enum { SGI_PING = 1, SGI_PONG = 2, SGI_LOW = 3, SGI_HIGH = 4, SGI_FIRST = 5, SGI_COUNT = 7, SGI_OFF = 12 };
enum { PPI_VIRTUAL = 27, PPI_PHYSICAL = 30, SPI = 40 };

static u64 taken[8];                    // of the first vCPU: INTIDs in the order in which they came
static volatile u64 count;
static volatile u64 repeats;            // how often the virtual timer fires again before it is turned off
static volatile u64 pongs;              // SGIs sent back by other vCPUs
static volatile bool split;             // EOImode

static void generate(u64 sgi, u64 target)
{
    dsb(ish);
    write_sysreg(icc_sgi1r_el1, sgi << 24 | 1ul << target);
    isb();
}

static void end(u64 intid)
{
    write_sysreg(icc_eoir1_el1, intid);
    if (split)
        write_sysreg(icc_dir_el1, intid);
    isb();
}

void interrupt(void)
{
    u64 intid = read_sysreg(icc_iar1_el1);

    if (intid == INTID_SPURIOUS)
        return;
    if (intid == SGI_PING) {
        end(intid);
        if (this_cpu()->index)
            generate(SGI_PONG, 0);
        else
            taken[count++ % ARRAY_SIZE(taken)] = intid;
        return;
    }
    if (intid == SGI_PONG)
        pongs++;
    else
        taken[count++ % ARRAY_SIZE(taken)] = intid;
    if (intid == SGI_LOW) {             // the handler of a less urgent interrupt is interrupted
        generate(SGI_HIGH, 0);
        irq_on();
        for (int i = 0; i < 100 && taken[1] != SGI_HIGH; i++)
            isb();
        irq_off();
    }
    if (intid == PPI_VIRTUAL && !repeats--)
        write_sysreg(cntv_ctl_el0, 0);
    if (intid == PPI_PHYSICAL)
        write_sysreg(cntp_ctl_el0, 0);
    end(intid);
}

static void wait_for(volatile u64 *what, u64 value)
{
    irq_off();
    while (*what < value) {
        wfi();
        irq_on();
        isb();
        irq_off();
    }
}

static void forget(void)
{
    count = 0;
    memset(taken, 0, sizeof(taken));
}

// This vCPU, with one SGI that is off.
static void cpu_up(void)
{
    gic_cpu_up();
    write32(own_frame() + GICR_ICENABLER, 1u << SGI_OFF);
}

static u64 find(void)
{
    gic_find();
    check_equal("GICD_PIDR2.ArchRev is 3", read32(distributor + GICD_PIDR2) >> 4 & 15, 3);
    check("GICD_TYPER has SPIs", (read32(distributor + GICD_TYPER) & 31) >= 1);
    u64 vcpus = 0;
    bool last;

    do {
        u64 typer = read64(redistributors + vcpus * GICR_STRIDE + GICR_TYPER);

        last = typer & GICR_LAST;
        check_equal("GICR_TYPER has affinity and number", typer & ~GICR_LAST, vcpus << 32 | vcpus << 8);
        vcpus++;
    } while (!last);
    return vcpus;
}

static void alone(void)
{
    u64 frame = own_frame();

    generate(SGI_PING, 0);
    wait_for(&count, 1);
    check_equal("an SGI to itself is taken", taken[0], SGI_PING);
    check_equal("it has come to its end", read32(frame + GICR_ISACTIVER) | read_sysreg(icc_iar1_el1), INTID_SPURIOUS);

    forget();
    repeats = 2;
    write_sysreg(cntv_tval_el0, 2000);
    write_sysreg(cntv_ctl_el0, TIMER_ON);
    wait_for(&count, 1);
    wait_for(&count, 3);
    check("the virtual timer comes until it is quiet", count == 3 && taken[0] == PPI_VIRTUAL && taken[2] == PPI_VIRTUAL);
    irq_on();
    isb();
    irq_off();
    check_equal("and then no more", count, 3);

    forget();
    write_sysreg(cntp_tval_el0, 2000);
    write_sysreg(cntp_ctl_el0, TIMER_ON);
    wait_for(&count, 1);
    check_equal("the physical timer is taken", taken[0], PPI_PHYSICAL);

    forget();
    write_sysreg(cntv_tval_el0, 100);
    write_sysreg(cntv_ctl_el0, TIMER_ON);
    while (!(read_sysreg(cntv_ctl_el0) & 4))
        isb();
    check_equal("a timer that fires shows ENABLE and ISTATUS", read_sysreg(cntv_ctl_el0), TIMER_FIRES);
    check_equal("and is pending at the redistributor", read32(frame + GICR_ISPENDR), 1u << PPI_VIRTUAL);
    write_sysreg(cntv_ctl_el0, 0);
    check_equal("until it is turned off", read32(frame + GICR_ISPENDR), 0);
    irq_on();
    isb();
    irq_off();
    check_equal("nobody has taken it", count, 0);
}

static void priorities(void)
{
    u64 frame = own_frame();
    bool ordered = true;

    forget();
    write8(frame + GICR_IPRIORITYR + SGI_HIGH, 0x40);
    generate(SGI_LOW, 0);
    wait_for(&count, 2);
    check("a more urgent interrupt interrupts the handler", taken[0] == SGI_LOW && taken[1] == SGI_HIGH);
    check_equal("nothing is running any more", read_sysreg(icc_rpr_el1), 0xff);

    forget();
    for (u64 at = 0; at < SGI_COUNT; at++) {
        write8(frame + GICR_IPRIORITYR + SGI_FIRST + at, 0xe0 - 0x10 * (u32)at);
        generate(SGI_FIRST + at, 0);
    }
    wait_for(&count, SGI_COUNT);
    for (u64 at = 0; at < SGI_COUNT; at++)
        ordered = ordered && taken[at] == SGI_FIRST + SGI_COUNT - 1 - at;
    check("more interrupts than list registers, by priority", ordered);

    forget();
    generate(SGI_OFF, 0);
    irq_on();
    isb();
    irq_off();
    check("an interrupt that is not enabled stays pending", count == 0 && read32(frame + GICR_ISPENDR) == 1u << SGI_OFF);
    write32(frame + GICR_ICPENDR, 1u << SGI_OFF);
    check_equal("until somebody clears it", read32(frame + GICR_ISPENDR), 0);
}

static void shared(void)
{
    forget();
    write8(distributor + GICD_IPRIORITYR + SPI, 0x80);
    write32(distributor + GICD_ICFGR + 4 * (SPI / 16), 2u << 2 * (SPI % 16));
    write64(distributor + GICD_IROUTER + 8 * SPI, 0);
    write32(distributor + GICD_ISENABLER + 4 * (SPI / 32), 1u << SPI % 32);
    write32(distributor + GICD_ISPENDR + 4 * (SPI / 32), 1u << SPI % 32);
    wait_for(&count, 1);
    check_equal("an SPI is taken", taken[0], SPI);

    forget();
    split = true;
    write_sysreg(icc_ctlr_el1, 2);
    generate(SGI_PING, 0);
    wait_for(&count, 1);
    split = false;
    write_sysreg(icc_ctlr_el1, 0);
    isb();
    generate(SGI_PING, 0);
    wait_for(&count, 2);
    check("with EOImode 1 ICC_DIR ends an interrupt", taken[0] == SGI_PING && taken[1] == SGI_PING);
}

static void other(u64 argument)
{
    (void)argument;
    cpu_up();
    for (;;) {
        wfi();
        irq_on();
        isb();
        irq_off();
    }
}

static void together(u64 vcpus)
{
    for (u64 index = 1; index < vcpus; index++)
        if (cpu_start(index, other, 0))
            panic("vCPU %lu does not start", index);
    for (u64 index = 1; index < vcpus; index++) {
        generate(SGI_PING, index);
        wait_for(&pongs, index);
    }
    check_equal("every vCPU answers its SGI", pongs, vcpus - 1);
    for (u64 round = 1; round <= 3; round++) {
        dsb(ish);
        write_sysreg(icc_sgi1r_el1, ICC_SGI1R_IRM | (u64)SGI_PING << 24);
        isb();
        // SGIs of the same INTID merge while one is pending: each round ends when somebody has answered
        wait_for(&pongs, vcpus - 1 + round);
    }
    check("an SGI to all others reaches them", pongs >= vcpus - 1 + 3);
}

int main(void)
{
    u64 vcpus = find();

    cpu_up();
    alone();
    priorities();
    shared();
    if (vcpus > 1)
        together(vcpus);
    return check_failures();
}
