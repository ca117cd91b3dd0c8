// The program of the Realm in rmi.c: EL1, MMU off. It is copied into the Realm as it is, and uses PC-relative addresses only.
// SPDX-License-Identifier: BSD-3-Clause
#include "psci.h"
#include "guest.h"
#include "types.h"

enum { RSI_IPA_STATE_SET = 0xc4000197, RSI_HOST_CALL = 0xc4000199 };
enum { RSI_EMPTY, RSI_RAM };

struct host_call {
    u64 imm, gprs[31];
};

// Entry of both vCPUs: X0 is the parameter; everything else must be zero, and X1 says what is not. The index of the vCPU chooses
// the stack. A synchronous exception skips the instruction, with ESR_EL1 in X9 and FAR_EL1 in X10.
__asm__(
    ".arch_extension simd\n"
    ".section .text.guest_start, \"ax\"\n"
    "guest_vectors:\n"
    "   b       guest_start\n"
    "   .org    guest_vectors + 0x200\n"
    "   mrs     x9, esr_el1\n"
    "   mrs     x10, elr_el1\n"
    "   add     x10, x10, #4\n"
    "   msr     elr_el1, x10\n"
    "   mrs     x10, far_el1\n"
    "   eret\n"
    "guest_start:\n"
    "   .irp    n, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
    "   orr     x1, x1, x\\n\n"
    "   .endr\n"
    "   .irp    name, sp_el0,tpidr_el0,tpidrro_el0,tpidr_el1,vbar_el1,ttbr0_el1,ttbr1_el1,elr_el1,esr_el1,far_el1,cpacr_el1\n"
    "   mrs     x2, \\name\n"
    "   orr     x1, x1, x2\n"
    "   .endr\n"
    "   mov     x2, sp\n"
    "   orr     x1, x1, x2\n"
    "   mov     x2, #3 << 20\n"            // CPACR_EL1.FPEN
    "   msr     cpacr_el1, x2\n"
    "   isb\n"
    "   .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "   orr     v0.16b, v0.16b, v\\n\\().16b\n"
    "   .endr\n"
    "   .irp    half, 0,1\n"
    "   mov     x2, v0.d[\\half]\n"
    "   orr     x1, x1, x2\n"
    "   .endr\n"
    "   .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "   movi    v\\n\\().16b, #0x6e\n"     // the Host must never see these
    "   .endr\n"
    "   adr     x3, guest_vectors\n"
    "   msr     vbar_el1, x3\n"
    "   mrs     x2, mpidr_el1\n"
    "   and     x2, x2, #15\n"
    "   add     x3, x3, #0x3000\n"         // GUEST_STACK + a page
    "   add     x3, x3, x2, lsl #12\n"
    "   mov     sp, x3\n"
    "   isb\n"
    "   b       guest_main\n");

static u64 smc(u64 fid, u64 a, u64 b, u64 c, u64 d, u64 *x1, u64 *x2)
{
    register u64 r0 __asm__("x0") = fid;
    register u64 r1 __asm__("x1") = a;
    register u64 r2 __asm__("x2") = b;
    register u64 r3 __asm__("x3") = c;
    register u64 r4 __asm__("x4") = d;

    __asm__ volatile("smc #0" : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4) : : "x5", "x6", "x7", "memory");
    if (x1)
        *x1 = r1;
    if (x2)
        *x2 = r2;
    return r0;
}

static struct host_call *call_of(u64 vcpu) { return (struct host_call *)(GUEST_STACK + vcpu * PAGE_SIZE); }

static void step(struct host_call *call, u64 number, u64 a, u64 b, u64 c)
{
    call->imm = number;
    call->gprs[0] = a;
    call->gprs[1] = b;
    call->gprs[2] = c;
    smc(RSI_HOST_CALL, (u64)call, 0, 0, 0, NULL, NULL);
}

#define STORE(op, width, offset, value) \
    __asm__ volatile(op " %" width "0, [%1]" ::"r"((u64)(value)), "r"(GUEST_DEVICE + (offset)) : "memory")
#define LOAD(op, width, offset) \
    ({ u64 v_; __asm__ volatile(op " %" width "0, [%1]" : "=r"(v_) : "r"(GUEST_DEVICE + (offset)) : "memory"); v_; })

// The ESR_EL1 of a load that is refused, 0 when it is not.
static u64 load_fault(u64 address, u64 *far)
{
    register u64 esr __asm__("x9") = 0;
    register u64 at __asm__("x10") = address;

    __asm__ volatile("ldr x11, [x10]" : "+r"(esr), "+r"(at) : : "x11", "memory");
    *far = at;
    return esr;
}

static void device(struct host_call *call)
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

static void memory(struct host_call *call)
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
    __asm__ volatile("wfi" ::: "memory");
    step(call, STEP_WFI, 0, 0, 0);
}

static void timer(struct host_call *call)
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

static void ripas(struct host_call *call)
{
    const u64 top = GUEST_RIPAS + GUEST_RIPAS_PAGES * PAGE_SIZE;
    u64 reached = 0, response, far;

    ((volatile u64 *)GUEST_RIPAS)[0] = 0xdead;
    for (u64 request = 0; request < RIPAS_REQUESTS; request++) {
        u64 wish = request < 2 ? RSI_EMPTY : RSI_RAM, base = request == 1 ? reached : GUEST_RIPAS;
        u64 x0 = smc(RSI_IPA_STATE_SET, base, top, wish, 0, &reached, &response);

        step(call, STEP_RIPAS, x0, reached, response);
        if (request == 1) {
            u64 esr = load_fault(GUEST_RIPAS, &far);

            step(call, STEP_EMPTY, esr, far, 0);
        }
    }
    step(call, STEP_LATE, ((volatile u64 *)GUEST_RIPAS)[0], 0, 0);
}

static void block(struct host_call *call)
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

static u64 cpu_on(u64 vcpu, u64 context) { return smc(PSCI_CPU_ON, vcpu, GUEST_CODE, context, 0, NULL, NULL); }

static void power(struct host_call *call)
{
    u64 denied = cpu_on(1, CONTEXT_REPORTS), itself = cpu_on(0, 0), nobody = cpu_on(2, 0);

    step(call, STEP_DENIED, denied, itself, nobody);
    step(call, STEP_ON, cpu_on(1, CONTEXT_REPORTS), 0, 0);
    step(call, STEP_ON, cpu_on(1, CONTEXT_REPORTS), 0, 0);
    step(call, STEP_AFFINITY, smc(PSCI_AFFINITY_INFO, 1, 0, 0, 0, NULL, NULL), 0, 0);
    step(call, STEP_AFFINITY, smc(PSCI_AFFINITY_INFO, 1, 0, 0, 0, NULL, NULL), 0, 0);
    step(call, STEP_ON, cpu_on(1, CONTEXT_TOUCHES), 0, 0);
}

// Values of its own in the registers that the Host has, too.
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
    struct host_call *call = call_of(vcpu);

    if (vcpu) {
        step(call, STEP_SECOND, parameter, read_sysreg(mpidr_el1), parameter == CONTEXT_REPORTS ? leaked : 0);
        while (parameter == CONTEXT_TOUCHES)
            load_fault(GUEST_DESTROYED, &far);
        smc(PSCI_CPU_OFF, 0, 0, 0, 0, NULL, NULL);
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
        smc(PSCI_SYSTEM_OFF, 0, 0, 0, 0, NULL, NULL);
}
