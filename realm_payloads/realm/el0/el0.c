// el0: an EL1 kernel that runs an EL0 application under both stages of translation and serves its SVCs. The application runs
// once well-behaved, then once for each thing it must not do; the kernel kills it with a report each time and goes on.
// Expects: "application exited with 7", one "killed" line per misdeed, exit status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "el0.h"
#include "mmu.h"
#include "rsi.h"
#include "runtime.h"

#define KILLED (~0ul)
#define SVC_IMM(esr) ((esr) & 0xffff)

extern u8 __rodata_end[], __user_data_end[];

static u8 kernel_secret[64] = "the kernel's own";

// What EL0 may hand to the kernel: memory of its own, the whole of it.
static bool user_range(u64 start, u64 size)
{
    u64 low = (u64)__rodata_end, high = (u64)__user_data_end;

    return start >= low && start <= high && size <= high - start;
}

static u64 serve(u64 number, u64 first, u64 second)
{
    switch (number) {
    case SVC_WRITE:
        if (!user_range(first, second))
            return KILLED;
        console_write((const char *)first, second);
        return second;
    case SVC_TICKS:
        return host_function(HOST_GET_TICKS, NULL, 0, 0);
    case SVC_EXIT:
        user_exit(first);
    default:
        return KILLED;
    }
}

static _Noreturn void kill(u64 esr, u64 far)
{
    bool data = ESR_EC(esr) == EC_DATA_ABORT;

    if (data || ESR_EC(esr) == EC_INSTRUCTION_ABORT)
        printf("killed: %s, fault status %lx, %s\n", !data ? "fetch" : esr & ESR_WNR ? "write" : "read", ESR_FSC(esr),
               far == (u64)kernel_secret ? "in the kernel" : "in the application");
    else
        printf("killed: %s\n", ESR_EC(esr) == EC_UNKNOWN ? "undefined instruction" : "trap");
    user_exit(KILLED);
}

void user_trap(struct frame *frame, u64 esr, u64 far)
{
    if (ESR_EC(esr) != EC_SVC || SVC_IMM(esr) != 0)
        kill(esr, far);
    frame->x[0] = serve(frame->x[8], frame->x[0], frame->x[1]);
}

int main(void)
{
    static const char *const titles[] = {"well-behaved", "reads the kernel", "writes the kernel", "jumps into the kernel",
                                         "writes its own code", "executes SMC", "executes HVC", "writes VBAR_EL1"};
    unsigned wrong = 0;

    for (u64 deed = 0; deed < ARRAY_SIZE(titles); deed++) {
        u64 status;

        printf("application that %s%s\n", deed ? "" : "is ", titles[deed]);
        status = user_run((u64)application, (u64)application_stack_end, deed << 48 | (u64)kernel_secret);
        if (status != KILLED)
            printf("application exited with %lu\n", status);
        wrong += status != (deed ? KILLED : 7);
    }
    wrong += memcmp(kernel_secret, "the kernel's own", 16) != 0;
    printf("%s\n", wrong ? "the kernel was not protected" : "the kernel is whole");
    return (int)wrong;
}
