// The EL0 application of `el0`. Only its code, constants and data are mapped for EL0, so it calls nothing outside this file.
// SPDX-License-Identifier: BSD-3-Clause
#include "el0.h"

static u8 stack[4096] __attribute__((aligned(16), used));
__asm__(".globl application_stack_end\napplication_stack_end = stack + 4096");

static u64 svc(u64 number, u64 first, u64 second)
{
    register u64 x8 __asm__("x8") = number;
    register u64 x0 __asm__("x0") = first;
    register u64 x1 __asm__("x1") = second;

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    return x0;
}

static void say(const char *text)
{
    u64 length = 0;

    while (((const volatile char *)text)[length])
        length++;
    svc(SVC_WRITE, (u64)text, length);
}

void application(u64 argument)
{
    u64 kernel = argument & 0xffffffffffff;
    u64 before, after;

    switch (argument >> 48) {
    case DEED_READ:
        (void)*(volatile u64 *)kernel;
        break;
    case DEED_WRITE:
        *(volatile u64 *)kernel = 0;
        break;
    case DEED_JUMP:
        ((void (*)(void))kernel)();
        break;
    case DEED_CODE:
        *(volatile u32 *)(u64)application = 0;
        break;
    case DEED_SMC:
        __asm__ volatile("smc #0");
        break;
    case DEED_HVC:
        __asm__ volatile("hvc #0");
        break;
    case DEED_SYSREG:
        __asm__ volatile("msr vbar_el1, xzr");
        break;
    default:
        say("Hello from Realm EL0\n");
        before = svc(SVC_TICKS, 0, 0);
        after = svc(SVC_TICKS, 0, 0);
        say(after > before ? "time passes\n" : "time stands still\n");
        svc(SVC_EXIT, 7, 0);
    }
    say("still alive\n");
    svc(SVC_EXIT, 1, 0);
}
