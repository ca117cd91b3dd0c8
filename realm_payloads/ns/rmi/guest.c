// The Realm's program in `rmi`: runs at EL1 with its MMU off. The Host copies it to any page, so it uses PC-relative addresses
// only.
// SPDX-License-Identifier: BSD-3-Clause
#include "guest.h"
#include "guest_smc.h"
#include "psci.h"
#include "abi/rsi.h"
#include "types.h"

_Static_assert(GUEST_STACK + PAGE_SIZE == GUEST_CODE + GUEST_STACKS_END, "each stack is a page");

static struct rsi_host_call *call_of(u64 vcpu) { return (struct rsi_host_call *)(GUEST_STACK + vcpu * PAGE_SIZE); }

static void step(struct rsi_host_call *call, u64 number, u64 a, u64 b, u64 c)
{
    call->imm = (u16)number;
    call->gprs[0] = a;
    call->gprs[1] = b;
    call->gprs[2] = c;
    guest_smc(RSI_HOST_CALL, (u64)call, 0, 0, 0);
}

#define STORE(op, width, offset, value) \
    __asm__ volatile(op " %" width "0, [%1]" ::"r"((u64)(value)), "r"(GUEST_DEVICE + (offset)) : "memory")
#define LOAD(op, width, offset) \
    ({ u64 v_; __asm__ volatile(op " %" width "0, [%1]" : "=r"(v_) : "r"(GUEST_DEVICE + (offset)) : "memory"); v_; })

// ESR_EL1 of a load that faults, 0 if it does not.
static u64 load_fault(u64 address, u64 *far)
{
    register u64 esr __asm__("x9") = 0;
    register u64 at __asm__("x10") = address;

    __asm__ volatile("ldr x11, [x10]" : "+r"(esr), "+r"(at) : : "x11", "memory");
    *far = at;
    return esr;
}

static void device(struct rsi_host_call *call)
{
    u64 byte, signed_byte, signed_half, far, esr;

    STORE("strb", "w", 1, 0x11223344556677f1);
    STORE("strh", "w", 2, 0x11223344556677f1);
    STORE("str", "w", 4, 0x11223344556677f1);
    STORE("str", "x", 8, 0x11223344556677f1);
    __asm__ volatile("str xzr, [%0]" ::"r"(GUEST_DEVICE) : "memory");
    step(call, STEP_WROTE, 0, 0, 0);
    byte = LOAD("ldrb", "w", 1);
    signed_byte = LOAD("ldrsb", "x", 1);
    signed_half = LOAD("ldrsh", "w", 2);
    call->gprs[3] = LOAD("ldr", "w", 4);
    call->gprs[4] = LOAD("ldr", "x", 8);
    step(call, STEP_READ, byte, signed_byte, signed_half);
    esr = load_fault(GUEST_DEVICE + 16, &far);
    step(call, STEP_SEA, esr, far, 0);
}

static void memory(struct rsi_host_call *call)
{
    volatile u64 *late = (volatile u64 *)GUEST_LATE, *shared = (volatile u64 *)GUEST_SHARED;
    u64 seen = late[0];

    late[1] = 0x1a7e;
    step(call, STEP_LATE, seen, late[1], 0);
    seen = shared[0];
    shared[1] = 0x5ea1;
    step(call, STEP_SHARED, seen, 0, 0);
    seen = shared[0];
    step(call, STEP_UNSHARED, seen, 0, 0);
    wfi();
    step(call, STEP_WFI, 0, 0, 0);
}

static void timer(struct rsi_host_call *call)
{
    u64 control;

    write_sysreg(cntv_cval_el0, read_sysreg(cntvct_el0) + 5000);
    write_sysreg(cntv_ctl_el0, 1);
    do
        control = read_sysreg(cntv_ctl_el0);
    while (!(control & 4));
    step(call, STEP_TIMER, control, 0, 0);
    write_sysreg(cntv_ctl_el0, 0);
    step(call, STEP_TIMER, read_sysreg(cntv_ctl_el0), 0, 0);
}

static void ripas(struct rsi_host_call *call)
{
    const u64 top = GUEST_RIPAS + GUEST_RIPAS_PAGES * PAGE_SIZE;
    u64 reached = 0, far;

    ((volatile u64 *)GUEST_RIPAS)[0] = 0xdead;
    for (u64 request = 0; request < RIPAS_REQUESTS; request++) {
        u64 wish = request < 2 ? RSI_EMPTY : RSI_RAM, base = request == 1 ? reached : GUEST_RIPAS;
        struct answer answer = guest_smc(RSI_IPA_STATE_SET, base, top, wish, 0);

        reached = answer.x[1];
        step(call, STEP_RIPAS, answer.x[0], reached, answer.x[2]);
        if (request == 1) {
            u64 esr = load_fault(GUEST_RIPAS, &far);

            step(call, STEP_EMPTY, esr, far, 0);
        }
    }
    step(call, STEP_LATE, ((volatile u64 *)GUEST_RIPAS)[0], 0, 0);
}

static void block(struct rsi_host_call *call)
{
    volatile u64 *page = (volatile u64 *)GUEST_BLOCK;

    for (u64 i = 0; i < 512; i++)
        page[i * 513] = GUEST_BLOCK + i;        // word i of page i
    step(call, STEP_BLOCK_WRITTEN, 0, 0, 0);
    for (u64 times = 0; times < 3; times++) {
        u64 right = 0;

        for (u64 i = 0; i < 512; i++)
            right += page[i * 513] == GUEST_BLOCK + i;
        step(call, STEP_BLOCK_READ, right, 0, 0);
    }
}

static u64 cpu_on(u64 vcpu, u64 context) { return guest_smc(PSCI_CPU_ON_64, vcpu, GUEST_CODE, context, 0).x[0]; }

static void power(struct rsi_host_call *call)
{
    u64 denied = cpu_on(1, CONTEXT_REPORTS), itself = cpu_on(0, 0), nobody = cpu_on(2, 0);

    step(call, STEP_DENIED, denied, itself, nobody);
    step(call, STEP_ON, cpu_on(1, CONTEXT_REPORTS), 0, 0);
    step(call, STEP_ON, cpu_on(1, CONTEXT_REPORTS), 0, 0);
    step(call, STEP_AFFINITY, guest_smc(PSCI_AFFINITY_INFO_64, 1, 0, 0, 0).x[0], 0, 0);
    step(call, STEP_AFFINITY, guest_smc(PSCI_AFFINITY_INFO_64, 1, 0, 0, 0).x[0], 0, 0);
    step(call, STEP_ON, cpu_on(1, CONTEXT_TOUCHES), 0, 0);
}

// Puts the Realm's own values into registers that the Host uses too.
static void claim_registers(void)
{
    write_sysreg(tpidr_el0, 0x6e57a0);
    write_sysreg(tpidrro_el0, 0x6e57a1);
    write_sysreg(tpidr_el1, 0x6e57a2);
    write_sysreg(sp_el0, 0x6e57a3);
    write_sysreg(ttbr0_el1, 0x6e5000);
    write_sysreg(ttbr1_el1, 0x6e6000);
    write_sysreg(tcr_el1, 0x100010);
    write_sysreg(mair_el1, 0x44ff);
    write_sysreg(elr_el1, 0x6e57a4);
    write_sysreg(spsr_el1, 0x3c5);
    write_sysreg(esr_el1, 0x6e57a5);
    write_sysreg(far_el1, 0x6e57a6);
    write_sysreg(contextidr_el1, 0x6e57a7);
    write_sysreg(cntv_cval_el0, 0x6e57a8000000);
    write_sysreg(cntv_ctl_el0, 3);
    write_sysreg(cntp_cval_el0, 0x6e57a9000000);
    write_sysreg(cntp_ctl_el0, 3);
}

void guest_main(u64 parameter, u64 leaked)
{
    u64 vcpu = read_sysreg(mpidr_el1) & 15, far;
    struct rsi_host_call *call = call_of(vcpu);

    if (vcpu) {
        step(call, STEP_SECOND, parameter, read_sysreg(mpidr_el1), parameter == CONTEXT_REPORTS ? leaked : 0);
        while (parameter == CONTEXT_TOUCHES)
            load_fault(GUEST_DESTROYED, &far);
        guest_smc(PSCI_CPU_OFF, 0, 0, 0, 0);
    }
    claim_registers();
    for (u64 i = 3; i < 31; i++)
        call->gprs[i] = 0x100 + i;
    step(call, STEP_START, parameter, 0x101, 0x102);
    u64 arrived = 0;
    for (u64 i = 0; i < 31; i++)
        arrived += call->gprs[i] == 0x200 + i;
    step(call, STEP_ANSWERED, arrived, leaked, 0);
    device(call);
    memory(call);
    timer(call);
    ripas(call);
    block(call);
    power(call);
    for (;;)
        guest_smc(PSCI_SYSTEM_OFF, 0, 0, 0, 0);
}
