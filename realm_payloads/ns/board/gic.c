// Suite `gic`: the distributor, the redistributors and the CPU interface, tested by taking interrupts at EL2.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "devices.h"
#include "gic.h"
#include "platform.h"

#define PPI 22u                         // wired to nothing on either board
#define SPI 90u
#define OTHER_SPI 91u
#define HIGH 0x40
#define MIDDLE 0x90
#define LOW 0xa0
#define IDLE 0xff
#define ISR_I (1ul << 7)

static struct pe *const self = &pes[0];

// Takes all interrupts that are due; returns how many.
static u64 take(void)
{
    self->interrupts = 0;
    irq_unmask();
    for (volatile unsigned i = 0; i < 50; i++)
        ;
    irq_mask();
    return self->interrupts;
}

static void want_taken(const char *rule, u32 intid)
{
    want(rule, take(), 1);
    detail("it is the right one", self->intids[0], intid);
}

// -- what there is ----------------------------------------------------------------------------------------------------
static void discovery(void)
{
    u64 found = 0, last = 0;

    want("the distributor is a GICv3", read32(GICD + GICD_PIDR2) >> 4 & 0xf, 3);
    want("it has SPIs enough", GICD_TYPER_LINES(read32(GICD + GICD_TYPER)) * 32 > OTHER_SPI, true);
    want("and takes messages for SPIs", read32(GICD + GICD_TYPER) >> 16 & 1, 1);
    want("with two Security states", read32(GICD + GICD_TYPER) >> 10 & 1, 1);
    gic_distributor_on();
    want("affinity routing is on", read32(GICD + GICD_CTLR) & GICD_CTLR_ARE_NS, GICD_CTLR_ARE_NS);
    want("Group 1 is on", read32(GICD + GICD_CTLR) & GICD_CTLR_ENABLEGRP1A, GICD_CTLR_ENABLEGRP1A);
    for (u64 i = 0; i < PES; i++) {
        u64 at = gic_redistributor(MPIDR_OF(i));

        found += at == GICR + i * GICR_STRIDE;
        want("a redistributor is a GICv3", read32(at + GICD_PIDR2) >> 4 & 0xf, 3);
        last += !!(read64(at + GICR_TYPER) & GICR_TYPER_LAST);
    }
    want("each PE has one, by its affinity", found, PES);
    want("none of them is the last", last, 0);
    want("nobody has one of another affinity", gic_redistributor(0xff0000), 0);
    gic_pe_on();
    want("the CPU interface is system registers", read_sysreg(icc_sre_el1) & 7, 7);
    want("at EL2, too", read_sysreg(icc_sre_el2) & 0xf, 0xf);
    want("the mask admits every priority", read_sysreg(icc_pmr_el1) >= 0xf0, true);
    want("the binary point has its minimum", read_sysreg(icc_bpr1_el1), 8 - ((read_sysreg(icc_ctlr_el1) >> 8 & 7) + 1));
    want("Group 1 is enabled", read_sysreg(icc_igrpen1_el1), 1);
    want("no interrupt is active", gic_running(), IDLE);
    want("there is none to acknowledge", gic_acknowledge(), INTID_SPURIOUS);
    want("ISENABLER of the SGIs is writable", (gic_set(GICD_ISENABLER, 3), gic_bit(GICD_ISENABLER, 3)), true);
    want("ICENABLER takes it back", (gic_set(GICD_ICENABLER, 3), gic_bit(GICD_ISENABLER, 3)), false);
    write32(GICD + GICD_IPRIORITYR + SPI / 4 * 4, 0xf0e0d0c0);
    want("priorities are bytes", read8(GICD + GICD_IPRIORITYR + SPI / 4 * 4 + 1), 0xd0);
    gic_route(SPI, MPIDR_OF(2));
    want("a route is an affinity", read64(GICD + GICD_IROUTER + 8 * SPI), MPIDR_OF(2));
    want("the distributor has no PPIs", read32(GICD + GICD_ISENABLER), 0);
}

// -- one interrupt ----------------------------------------------------------------------------------------------------
static bool was_active, was_pending;
static u64 was_running;

static void look(struct pe *pe, u32 intid)
{
    (void)pe;
    was_active = gic_bit(GICD_ISACTIVER, intid);
    was_pending = gic_bit(GICD_ISPENDR, intid);
    was_running = gic_running();
}

static void sgi(void)
{
    self->on_irq = look;
    gic_enable(1, MIDDLE);
    gic_sgi(1, MPIDR_OF(0));
    want("an SGI is pending", gic_bit(GICD_ISPENDR, 1), true);
    want("it shows in ISR_EL1", read_sysreg(isr_el1) & ISR_I, ISR_I);
    want("and in HPPIR1", read_sysreg(icc_hppir1_el1), 1);
    want_taken("it is taken when it is unmasked", 1);
    want("it was active then", was_active, true);
    want("and not pending", was_pending, false);
    want("its priority was the running one", was_running, MIDDLE);
    want("it is not active afterwards", gic_bit(GICD_ISACTIVER, 1), false);
    want("nothing is running", gic_running(), IDLE);
    want("and nothing is left", take(), 0);
    gic_set(GICD_ISPENDR, 1);
    want_taken("ISPENDR makes an SGI pending, too", 1);
    write_sysreg(hcr_el2, HCR_RW);
    isb();
    gic_sgi(1, MPIDR_OF(0));
    want("without IMO, EL2 does not take it", take(), 0);
    write_sysreg(hcr_el2, HCR_HOST);
    isb();
    want_taken("with IMO it does", 1);
}

static void masks(void)
{
    gic_sgi(1, MPIDR_OF(0));
    gic_mask(MIDDLE);
    want("the mask keeps its own priority out", take(), 0);
    want("that is none in HPPIR1", read_sysreg(icc_hppir1_el1) == 1 || read_sysreg(icc_hppir1_el1) == INTID_SPURIOUS, true);
    want("nor is it acknowledged", gic_acknowledge(), INTID_SPURIOUS);
    gic_mask(LOW);
    want_taken("a lower mask lets it in", 1);
    gic_mask(0xff);
    gic_sgi(1, MPIDR_OF(0));
    write_sysreg(icc_igrpen1_el1, 0);
    isb();
    want("nothing comes while Group 1 is off", take(), 0);
    write_sysreg(icc_igrpen1_el1, 1);
    isb();
    want_taken("and it comes when it is on", 1);
    gic_set(GICD_ICENABLER, 1);
    gic_sgi(1, MPIDR_OF(0));
    want("what is disabled is not taken", take(), 0);
    want("but pending", gic_bit(GICD_ISPENDR, 1), true);
    gic_set(GICD_ISENABLER, 1);
    want_taken("until it is enabled", 1);
    gic_sgi(1, MPIDR_OF(0));
    gic_set(GICD_ICPENDR, 1);
    want("what ICPENDR clears does not come", take(), 0);
    write32(GICD + GICD_CTLR, GICD_CTLR_ARE_NS);
    gic_sgi(1, MPIDR_OF(0));
    want("nothing comes while the distributor is off", take(), 0);
    gic_distributor_on();
    want_taken("and it comes when it is on", 1);
}

static void priorities(void)
{
    gic_enable(2, HIGH);
    gic_enable(3, LOW);
    gic_sgi(3, MPIDR_OF(0));
    gic_sgi(1, MPIDR_OF(0));
    gic_sgi(2, MPIDR_OF(0));
    want("three are taken", take(), 3);
    want("by their priorities", self->intids[0] == 2 && self->intids[1] == 1 && self->intids[2] == 3, true);
}

// The handler of SGI 1 raises another SGI and unmasks interrupts.
static u32 second;
static u64 nested, running_inside, running_after;

static void nest(struct pe *pe, u32 intid)
{
    if (intid != 1) {
        running_inside = gic_running();
        return;
    }
    u64 before = pe->interrupts;

    gic_sgi(second, MPIDR_OF(0));
    irq_unmask();
    for (volatile unsigned i = 0; i < 50; i++)
        ;
    irq_mask();
    nested = pe->interrupts - before;
    running_after = gic_running();
}

static void want_nested(const char *rule, u32 other, u64 expected, u64 running)
{
    second = other;
    gic_sgi(1, MPIDR_OF(0));
    want(rule, (take(), nested), expected);
    detail("both were taken", self->interrupts, 2);
    detail("the first one goes on", running_after, running);
}

static void preemption(void)
{
    self->on_irq = nest;
    want_nested("a higher priority preempts", 2, 1, MIDDLE);
    want("and is the running one", running_inside, HIGH);
    want_nested("a lower one does not", 3, 0, MIDDLE);
    want("it runs afterwards", running_inside, LOW);
    gic_priority(3, MIDDLE);
    want_nested("nor does the same", 3, 0, MIDDLE);
    gic_priority(3, MIDDLE - 0x10);
    want_nested("the next higher one does", 3, 1, MIDDLE);
    write_sysreg(icc_bpr1_el1, 7);
    isb();
    want_nested("but not when the binary point makes them one group, whose priority is 0", 3, 0, 0);
    write_sysreg(icc_bpr1_el1, 0);
    isb();
    self->on_irq = look;
}

static void two_steps(void)
{
    gic_mode(true);
    gic_sgi(1, MPIDR_OF(0));
    want_taken("with EOImode 1 an interrupt is taken", 1);
    want("its priority is dropped", gic_running(), IDLE);
    want("and it stays active", gic_bit(GICD_ISACTIVER, 1), true);
    gic_sgi(1, MPIDR_OF(0));
    want("it does not come again meanwhile", take(), 0);
    want("it is active and pending", gic_bit(GICD_ISACTIVER, 1) && gic_bit(GICD_ISPENDR, 1), true);
    gic_sgi(3, MPIDR_OF(0));
    want_taken("others do", 3);
    gic_deactivate(3);
    gic_deactivate(1);
    want("DIR deactivates it", gic_bit(GICD_ISACTIVER, 1), false);
    want_taken("then it comes", 1);
    gic_set(GICD_ICACTIVER, 1);
    want("ICACTIVER deactivates, too", gic_bit(GICD_ISACTIVER, 1), false);
    gic_mode(false);
}

// -- PPIs and SPIs ----------------------------------------------------------------------------------------------------
static u64 left;

static void uart_clears(struct pe *pe, u32 intid)
{
    look(pe, intid);
    if (!--left) {
        write32(UARTICR, UART_ALL);
        dsb(sy);
    }
}

static void shared_interrupts(void)
{
    gic_enable(PPI, MIDDLE);
    gic_set(GICD_ISPENDR, PPI);
    want_taken("a PPI is taken", PPI);
    want("once", take(), 0);
    gic_disable(PPI);

    gic_route(SPI, MPIDR_OF(0));
    gic_edge(SPI, true);
    want("an SPI can be edge-triggered", read32(GICD + GICD_ICFGR + SPI / 16 * 4) >> SPI % 16 * 2 & 2, 2);
    gic_enable(SPI, MIDDLE);
    gic_set(GICD_ISPENDR, SPI);
    want("an SPI is pending", gic_bit(GICD_ISPENDR, SPI), true);
    want_taken("it is taken", SPI);
    want("it was active then", was_active, true);
    want("and not pending", was_pending, false);
    want("it is neither afterwards", gic_bit(GICD_ISACTIVER, SPI) || gic_bit(GICD_ISPENDR, SPI), false);
    write32(GICD + GICD_SETSPI_NSR, SPI);
    want_taken("a message makes it pending", SPI);
    write32(GICD + GICD_SETSPI_NSR, SPI);
    gic_set(GICD_ICPENDR, SPI);
    want("what ICPENDR clears does not come", take(), 0);
    gic_disable(SPI);
}

// The UART's line: high from the first character sent until software clears the interrupt.
static void level(void)
{
    self->on_irq = uart_clears;
    gic_route(UART_INTID, MPIDR_OF(0));
    gic_edge(UART_INTID, false);
    write32(UARTIMSC, 0);
    write32(UARTICR, UART_ALL);
    gic_enable(UART_INTID, MIDDLE);
    want("a device that is quiet does not interrupt", take(), 0);
    write32(UARTIMSC, UART_TX);
    want("its line is high when it has sent", gic_bit(GICD_ISPENDR, UART_INTID), true);
    gic_set(GICD_ICPENDR, UART_INTID);
    want("ICPENDR does not change that", gic_bit(GICD_ISPENDR, UART_INTID), true);
    left = 3;
    want("it comes again and again until the device is served", take(), 3);
    want("it was active and pending meanwhile", was_active && was_pending, true);
    write32(UARTICR, UART_ALL);
    write32(UARTIMSC, 0);
    want("a line that was lowered leaves nothing", (gic_bit(GICD_ISPENDR, UART_INTID), take()), 0);
    gic_set(GICD_ISPENDR, UART_INTID);
    left = 9;
    want("ISPENDR of a level-sensitive one is good for one interrupt", take(), 1);
    gic_disable(UART_INTID);
    self->on_irq = look;
}

// -- other PEs --------------------------------------------------------------------------------------------------------
static u64 ready;

// Takes `argument` interrupts.
static void receive(struct pe *pe, u64 argument)
{
    gic_pe_on();
    for (u32 intid = 1; intid < 4; intid++)
        gic_enable(intid, MIDDLE);
    pe->interrupts = 0;
    pe->on_irq = NULL;
    add_exclusive(&ready, 1);
    pe_wait_interrupts(pe, argument);
    write_sysreg(icc_igrpen1_el1, 0);
    isb();
}

static void start_receivers(u64 count, u64 interrupts)
{
    ready = 0;
    for (u64 i = 1; i <= count; i++)
        pe_start(i, receive, interrupts);
    while (load_acquire(&ready) != count)
        ;
}

static void other_pes(void)
{
    start_receivers(1, 1);
    gic_sgi(2, MPIDR_OF(1));
    pe_wait(1);
    want("an SGI to another PE is taken there", pes[1].intids[0], 2);
    want("and not here", take(), 0);

    start_receivers(3, 2);
    gic_sgi_others(3);
    while (!pes[1].interrupts || !pes[2].interrupts || !pes[3].interrupts)
        ;
    want("an SGI to all others is not for this PE", take(), 0);
    for (u64 i = 1; i <= 3; i++)
        gic_sgi(1, MPIDR_OF(i));
    for (u64 i = 1; i <= 3; i++) {
        pe_wait(i);
        want("it is taken on each of them", pes[i].intids[0], 3);
        want("and what is sent to it alone, too", pes[i].intids[1], 1);
    }

    start_receivers(2, 1);
    gic_edge(SPI, true);
    gic_enable(SPI, MIDDLE);
    gic_route(SPI, MPIDR_OF(2));
    gic_set(GICD_ISPENDR, SPI);
    pe_wait(2);
    want("an SPI is taken where it is routed to", pes[2].intids[0], SPI);
    gic_set(GICD_ICENABLER, SPI);
    gic_set(GICD_ISPENDR, SPI);
    gic_route(SPI, MPIDR_OF(1));
    gic_set(GICD_ISENABLER, SPI);
    pe_wait(1);
    want("a pending one follows its route", pes[1].intids[0], SPI);
    want("nothing came here", take(), 0);
    gic_disable(SPI);
}

void suite_gic(void)
{
    suite("gic");
    discovery();
    sgi();
    masks();
    priorities();
    preemption();
    two_steps();
    shared_interrupts();
    level();
    other_pes();
    for (u32 intid = 1; intid < 4; intid++)
        gic_disable(intid);
    self->on_irq = NULL;
}
