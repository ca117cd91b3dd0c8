// The runtime of Realm payloads. It calls int main(void) with the MMU on; the result is the exit status.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef RUNTIME_H
#define RUNTIME_H

#include "abi/sysreg.h"
#include "esr.h"
#include "sha256.h"
#include "types.h"

#define MAX_CPUS 8
#define EXIT_PANIC 3            // exit status of a guest that panics

// Callee-saved registers, SP and return address: context_save() returns twice.
struct context {
    u64 regs[12];               // x19..x30
    u64 sp;
};
int context_save(struct context *context) __attribute__((returns_twice));
_Noreturn void context_resume(const struct context *context);

// A synchronous exception that a CATCH block expected.
struct fault {
    bool taken;
    u64 esr, far, elr;
    struct context context;
};

// Offsets of the first six fields are known to start.S.
struct cpu {
    u64 index, stack, ttbr, tcr, mair, sctlr;
    void (*entry)(u64 argument);
    u64 argument;
    struct fault *catching;
    struct context user;        // where user_run() returns to
    u64 user_status;
};
extern struct cpu cpus[MAX_CPUS];
static inline struct cpu *this_cpu(void) { return (struct cpu *)read_sysreg(tpidr_el1); }

// What an exception saved: layout known to start.S.
struct frame {
    u64 x[31], sp_el0, elr, spsr;
};

// CATCH(fault) { statements } runs the statements; an exception in them ends the block and fills the fault.
#define CATCH(fault)                                                                               \
    for (bool once_ = catch_begin(&(fault)) && context_save(&(fault).context) == 0; once_;         \
         once_ = false, catch_end(&(fault)))
bool catch_begin(struct fault *fault);
void catch_end(struct fault *fault);

// The console: RSI host calls by default, or the 16550 UART at its unprotected alias.
void console_write(const char *text, size_t length);
void console_use_uart(u64 base);
__attribute__((format(printf, 1, 2))) int printf(const char *format, ...);
_Noreturn void exit(int status);
_Noreturn void give_up(void);   // from the handler of an exception that nobody expects, which the run's report explains
_Noreturn __attribute__((format(printf, 1, 2))) void panic(const char *format, ...);

// The device tree.
extern const void *device_tree;
bool fdt_valid(const void *fdt);
const void *fdt_property(const void *fdt, const char *node, const char *name, u32 *length);
u64 fdt_cells(const void *property, unsigned first, unsigned count);
const char *boot_arguments(void);
u64 boot_number(u64 otherwise);         // first decimal number in the arguments
void memory_range(u64 *base, u64 *size);

// Called with IRQs masked when EL1 takes one. A payload that unmasks IRQs defines it.
void interrupt(void);

// Runs code at EL0 until it exits. A payload that does so defines user_trap().
u64 user_run(u64 entry, u64 sp, u64 argument);
_Noreturn void user_exit(u64 status);
void user_trap(struct frame *frame, u64 esr, u64 far);

// Other vCPUs, and what they share.
int cpu_start(u64 index, void (*entry)(u64 argument), u64 argument);
struct lock { u32 taken; };
void lock_take(struct lock *lock);
void lock_drop(struct lock *lock);
static inline void publish(u64 *to, u64 value)          // store with release, then wake waiters
{
    __asm__ volatile("stlr %0, [%1]\n\tsev" ::"r"(value), "r"(to) : "memory");
}
void code_written(const void *start, size_t size);      // makes stores visible to instruction fetch

// FP and SIMD on this vCPU, for the files named *_fp.c: the compiler uses no such register anywhere else, because
// exceptions do not save them.
static inline void fp_on(void)
{
    write_sysreg(cpacr_el1, read_sysreg(cpacr_el1) | CPACR_FPEN_MASK);
    isb();
}

#endif
