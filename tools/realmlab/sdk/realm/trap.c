// Handles exceptions at EL1: those a CATCH block expects, SVCs from EL0, interrupts; everything else is a panic.
// SPDX-License-Identifier: BSD-3-Clause
#include "explain.h"
#include "mmu.h"
#include "runtime.h"

#define VECTOR_CURRENT_SYNC 4
#define VECTOR_CURRENT_IRQ 5
#define VECTOR_LOWER_SYNC 8

struct cpu cpus[MAX_CPUS];

static _Noreturn void die(const struct frame *frame, u64 vector, u64 esr, u64 far)
{
    const char *fault = explain_fault(esr);

    printf("panic: %s at vector %lu, ESR %lx FAR %lx ELR %lx%s%s\n", explain_class(esr), vector, esr, far, frame->elr,
           *fault ? ": " : "", fault);
    give_up();
}

bool catch_begin(struct fault *fault)
{
    fault->taken = false;
    fault->esr = fault->far = fault->elr = 0;
    this_cpu()->catching = fault;
    return true;
}

void catch_end(struct fault *fault)
{
    (void)fault;
    this_cpu()->catching = NULL;
}

__attribute__((weak)) void user_trap(struct frame *frame, u64 esr, u64 far)
{
    die(frame, VECTOR_LOWER_SYNC, esr, far);
}

__attribute__((weak)) void interrupt(void)
{
    panic("an interrupt that nobody waits for");
}

void trap(struct frame *frame, u64 vector)
{
    u64 esr = read_sysreg(esr_el1), far = read_sysreg(far_el1);
    struct fault *fault = this_cpu()->catching;

    if (vector == VECTOR_CURRENT_IRQ) {
        interrupt();
        return;
    }
    if (vector == VECTOR_LOWER_SYNC) {
        user_trap(frame, esr, far);
        return;
    }
    if (vector != VECTOR_CURRENT_SYNC || !fault)
        die(frame, vector, esr, far);
    fault->taken = true;
    fault->esr = esr;
    fault->far = far;
    fault->elr = frame->elr;
    this_cpu()->catching = NULL;
    write_sysreg(elr_el1, 0);           // handled, without a return: no report takes it for what the run ends with
    context_resume(&fault->context);
}

_Noreturn void stack_overflow(void)
{
    printf("panic: stack overflow, FAR %lx ELR %lx\n", read_sysreg(far_el1), read_sysreg(elr_el1));
    give_up();
}

void user_enter(u64 entry, u64 sp, u64 argument);

u64 user_run(u64 entry, u64 sp, u64 argument)
{
    if (context_save(&this_cpu()->user) == 0)
        user_enter(entry, sp, argument);
    return this_cpu()->user_status;
}

void user_exit(u64 status)
{
    this_cpu()->user_status = status;
    context_resume(&this_cpu()->user);
}

// Called by start.S with the MMU off.
void runtime_init(const void *fdt)
{
    u64 base, size;

    device_tree = fdt_valid(fdt) ? fdt : NULL;
    memory_range(&base, &size);
    mmu_init(base, size);
}
