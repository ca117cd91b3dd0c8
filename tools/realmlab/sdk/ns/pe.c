// Handles exceptions and interrupts taken from EL2 itself, and starts other PEs by PSCI.
// SPDX-License-Identifier: BSD-3-Clause
#include "pe.h"
#include "gic.h"
#include "ns.h"
#include "platform.h"
#include "psci.h"

#define STACK 0x4000

struct pe pes[PES];
static u8 stacks[PES][STACK] __attribute__((aligned(16)));

void second_main(u64 context);

struct pe *this_pe(void)
{
    u64 affinity = read_sysreg(mpidr_el1) & MPIDR_AFFINITY;

    for (u64 i = 0; i < PES; i++)
        if (affinity == MPIDR_OF(i))
            return &pes[i];
    return NULL;
}

bool catch_begin(struct fault *fault)
{
    fault->taken = fault->esr = fault->far = fault->elr = 0;
    this_pe()->catching = fault;
    return true;
}

bool catch_end(void)
{
    this_pe()->catching = NULL;
    return false;
}

static void caught(struct fault *fault, struct frame *frame)
{
    fault->taken++;
    fault->esr = read_sysreg(esr_el2);
    fault->far = read_sysreg(far_el2);
    fault->elr = frame->elr;
    if (ESR_EC(fault->esr) == EC_INSTRUCTION_ABORT_SAME || ESR_EC(fault->esr) == EC_PC_ALIGNMENT)
        frame->elr = frame->x[30];
    else if (ESR_EC(fault->esr) != EC_HVC && ESR_EC(fault->esr) != EC_SVC)
        frame->elr += 4;
}

static void interrupt(struct pe *pe)
{
    u32 intid = gic_acknowledge();

    if (pe->interrupts < INTERRUPTS_KEPT)
        pe->intids[pe->interrupts] = intid;
    pe->interrupts++;
    if (intid >= INTID_SPECIAL)
        return;
    if (pe->on_irq)
        pe->on_irq(pe, intid);
    gic_end(intid);
}

// Wait for ever, if no other PE goes on: the run ends here, as one that failed, and its report explains the exception.
static _Noreturn void give_up(void)
{
    for (u64 i = 0; i < PES; i++)
        if (pes[i].job)
            power_off();
    write_sysreg(icc_igrpen1_el1, 0);
    for (;;)
        __asm__ volatile("wfi");
}

void exception(struct frame *frame, u64 vector)
{
    struct pe *pe = this_pe();

    if (vector == VECTOR_SYNC && pe->catching) {
        caught(pe->catching, frame);
    } else if (vector == VECTOR_IRQ) {
        interrupt(pe);
    } else {
        print_hex("FAIL vector ", vector);
        print("\n");
        unexpected(read_sysreg(esr_el2), frame->elr, read_sysreg(far_el2));
        give_up();
    }
}

void pe_setup(struct pe *pe)
{
    pe->index = (u64)(pe - pes);
    write_sysreg(hcr_el2, HCR_HOST);
    isb();
}

void second_main(u64 context)
{
    struct pe *pe = this_pe();

    pe->entry_context = context;
    pe->entry_sctlr = read_sysreg(sctlr_el2);
    mmu_on();
    pe_setup(pe);
    pe->job(pe, pe->argument);
}

u64 pe_start(u64 index, void (*job)(struct pe *pe, u64 argument), u64 argument)
{
    pes[index].job = job;
    pes[index].argument = argument;
    pes[index].context = (u64)stacks[index] + STACK;
    return psci(PSCI_CPU_ON_64, MPIDR_OF(index), (u64)second_start, pes[index].context);
}

void pe_wait_interrupts(struct pe *pe, u64 count)
{
    while (pe->interrupts < count) {    // masked: none can slip in before WFI, which still wakes
        __asm__ volatile("wfi");
        irq_unmask();
        irq_mask();
    }
}

void code_written(const void *at, u64 size)
{
    for (u64 line = (u64)at & -16ul; line < (u64)at + size; line += 16)         // no cache line is shorter
        __asm__ volatile("dc cvau, %0" ::"r"(line) : "memory");
    dsb(ish);
    __asm__ volatile("ic ialluis\n\tdsb ish\n\tisb" ::: "memory");
}

u64 add_exclusive(u64 *at, u64 value)
{
    u64 old, sum;
    u32 failed;

    __asm__ volatile("1:\tldxr %0, [%3]\n\tadd %1, %0, %4\n\tstxr %w2, %1, [%3]\n\tcbnz %w2, 1b"
                     : "=&r"(old), "=&r"(sum), "=&r"(failed) : "r"(at), "r"(value) : "memory");
    return old;
}

void pe_wait(u64 index)
{
    while (psci(PSCI_AFFINITY_INFO_64, MPIDR_OF(index), 0, 0) != PSCI_AFFINITY_OFF)
        ;
}
