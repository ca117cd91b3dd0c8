// For payloads that use several PEs: the current PE, expected exceptions, interrupts taken, guests, and work for other PEs.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef PE_H
#define PE_H

#include "abi/sysreg.h"
#include "esr.h"
#include "types.h"

#define PES 4                           // that the payload uses
#define INTERRUPTS_KEPT 16

struct frame {
    u64 x[31], elr, spsr, unused;
};

// An expected exception from EL2 itself. CATCH(fault) { ... } resumes after the instruction or, if the fetch failed, after the
// call.
struct fault {
    u64 taken, esr, far, elr;
};

struct pe {
    u64 index;
    struct fault *catching;
    void (*on_irq)(struct pe *pe, u32 intid);   // between acknowledge and end of interrupt; may be NULL
    bool two_steps;                     // EOImode 1: deactivation is separate
    volatile u64 interrupts;            // taken, spurious ones included
    volatile u32 intids[INTERRUPTS_KEPT];       // of the first ones
    void (*job)(struct pe *pe, u64 argument);
    u64 argument;
    u64 context;                        // X0 that pe_start() passes
    u64 entry_context, entry_sctlr;     // X0 and SCTLR_EL2 as the firmware left them
};
extern struct pe pes[PES];

struct pe *this_pe(void);
bool catch_begin(struct fault *fault);
bool catch_end(void);
#define CATCH(fault) for (bool catching_ = catch_begin(&(fault)); catching_; catching_ = catch_end())
void exception(struct frame *frame, u64 vector);

// A guest at EL1 or EL0; guest_run() returns the vector of the exception that ended it.
struct guest {
    u64 x[31], pc, pstate;
};
enum { VECTOR_SYNC = 4, VECTOR_IRQ = 5, VECTOR_LOWER_SYNC = 8, VECTOR_LOWER_IRQ = 9 };
u64 guest_run(struct guest *guest);

u64 pe_start(u64 index, void (*job)(struct pe *pe, u64 argument), u64 argument);        // X0 of CPU_ON
void pe_wait(u64 index);                // waits until it is off again
void pe_wait_interrupts(struct pe *pe, u64 count);      // unmasks until the PE has taken `count`; masked before and after
void code_written(const void *at, u64 size);            // after data stores by this PE
u64 add_exclusive(u64 *at, u64 value);  // returns the old value
void pe_setup(struct pe *pe);           // first thing on each PE; leaves the MMU alone

#define irq_unmask() __asm__ volatile("msr daifclr, #2\n\tisb" ::: "memory")
#define irq_mask() __asm__ volatile("msr daifset, #2\n\tisb" ::: "memory")

#define HCR_HOST (HCR_RW | HCR_FMO | HCR_IMO | HCR_AMO)

#define PSTATE_EL0 0x3c0ul              // DAIF masked
#define PSTATE_EL1H PSTATE_EL1H_MASKED

#endif
