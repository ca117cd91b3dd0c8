// The guest of `board`: runs at EL1 with its MMU off. The host copies it to any page, so it uses PC-relative addresses only.
// SPDX-License-Identifier: BSD-3-Clause
#include "guest.h"
#include "guest_smc.h"
#include "psci.h"
#include "abi/rsi.h"
#include "types.h"

#define VIRTUAL_TIMER 27u
#define SGI 5u
#define TICKS 20000ul

struct vcpu {
    struct rsi_host_call call;
    u64 in_realm, keep;
    volatile u64 interrupts, intid, running;
};

_Static_assert(GUEST_VCPU + PAGE_SIZE == GUEST_CODE + GUEST_STACKS_END, "each stack is the rest of a page");

static struct vcpu *this_vcpu(void) { return (struct vcpu *)(GUEST_VCPU + (read_sysreg(mpidr_el1) & 15) * PAGE_SIZE); }

#define HVC(number) \
    case number: \
        __asm__ volatile("hvc %0" ::"i"(number), "r"(r0), "r"(r1), "r"(r2) : "memory"); \
        break

static void step(struct vcpu *vcpu, u64 number, u64 a, u64 b, u64 c)
{
    register u64 r0 __asm__("x0") = a;
    register u64 r1 __asm__("x1") = b;
    register u64 r2 __asm__("x2") = c;

    if (vcpu->in_realm) {
        vcpu->call.imm = (u16)number;
        vcpu->call.gprs[0] = a;
        vcpu->call.gprs[1] = b;
        vcpu->call.gprs[2] = c;
        guest_smc(RSI_HOST_CALL, (u64)&vcpu->call, 0, 0, 0);
        return;
    }
    switch (number) {
        HVC(STEP_HELLO);
        HVC(STEP_READY);
        HVC(STEP_TOOK);
        HVC(STEP_KEPT);
        HVC(STEP_ENDED);
        HVC(STEP_SPURIOUS);
        HVC(STEP_STAGE1);
        HVC(STEP_READ);
        HVC(STEP_DONE);
    }
}

// -- interrupts -------------------------------------------------------------------------------------------------------
void guest_interrupt(void)
{
    struct vcpu *vcpu = this_vcpu();
    u64 intid = read_sysreg(icc_iar1_el1);

    if (intid >= 1020) {
        step(vcpu, STEP_SPURIOUS, intid, 0, 0);
        return;
    }
    vcpu->intid = intid;
    vcpu->running = read_sysreg(icc_rpr_el1);
    vcpu->interrupts++;
    if (intid == VIRTUAL_TIMER)
        write_sysreg(cntv_ctl_el0, 0);
    isb();
    if (!vcpu->keep)
        write_sysreg(icc_eoir1_el1, intid);
    isb();
}

static void interrupts_on(void)
{
    write_sysreg(icc_sre_el1, 7);
    isb();
    write_sysreg(icc_pmr_el1, GUEST_PRIORITY_MASK);
    write_sysreg(icc_igrpen1_el1, 1);
    __asm__ volatile("isb\n\tmsr daifclr, #2\n\tisb" ::: "memory");
}

// Waits until the vCPU has taken `count` interrupts.
static void await(struct vcpu *vcpu, u64 count)
{
    while (vcpu->interrupts < count)
        ;
}

static void interrupts(struct vcpu *vcpu)
{
    step(vcpu, STEP_READY, 0, 0, 0);
    interrupts_on();
    await(vcpu, 1);
    step(vcpu, STEP_TOOK, vcpu->interrupts, vcpu->intid, vcpu->running);
    await(vcpu, 3);                     // two at once
    vcpu->keep = true;
    step(vcpu, STEP_TOOK, vcpu->interrupts, vcpu->intid, vcpu->running);
    await(vcpu, 4);
    step(vcpu, STEP_KEPT, vcpu->interrupts, vcpu->intid, read_sysreg(icc_rpr_el1));
    write_sysreg(icc_eoir1_el1, vcpu->intid);
    isb();
    step(vcpu, STEP_ENDED, read_sysreg(icc_rpr_el1), 0, 0);
    await(vcpu, 5);
    step(vcpu, STEP_KEPT, vcpu->interrupts, vcpu->intid, 0);
    write_sysreg(icc_eoir1_el1, vcpu->intid);   // the Host has emptied its list register
    isb();
    vcpu->keep = false;
    step(vcpu, STEP_ENDED, read_sysreg(icc_rpr_el1), 0, 0);
    step(vcpu, STEP_DONE, vcpu->interrupts, 0, 0);
}

static void timer(struct vcpu *vcpu)
{
    interrupts_on();
    for (u64 i = 1; i <= 2; i++) {
        write_sysreg(cntv_cval_el0, read_sysreg(cntvct_el0) + TICKS);
        write_sysreg(cntv_ctl_el0, 1);
        isb();
        await(vcpu, i);
        step(vcpu, STEP_TOOK, vcpu->interrupts, vcpu->intid, read_sysreg(cntv_ctl_el0));
    }
    step(vcpu, STEP_DONE, 0, 0, 0);
}

// A virtual FIQ, and a virtual SError if the Host raises one.
static void group0(struct vcpu *vcpu)
{
    u64 intid, running, count;

    step(vcpu, STEP_READY, 0, 0, 0);
    write_sysreg(icc_pmr_el1, GUEST_PRIORITY_MASK);
    write_sysreg(icc_igrpen0_el1, 1);
    __asm__ volatile(
        "   mov     x22, #0\n"
        "   isb\n"
        "   msr     daifclr, #5\n"     // SError and FIQ
        "1: cbz     x22, 1b\n"
        "   msr     daifset, #1\n"
        "   mov     %0, x20\n"
        "   mov     %1, x21\n"
        "   mov     %2, x22\n"
        : "=&r"(intid), "=&r"(running), "=&r"(count)
        :
        : "x9", "x20", "x21", "x22", "memory");
    step(vcpu, STEP_TOOK, count, intid, running);
    step(vcpu, STEP_DONE, 0, 0, 0);
}

static void spin(struct vcpu *vcpu)
{
    step(vcpu, STEP_READY, 0, 0, 0);
    interrupts_on();
    await(vcpu, 1);
    step(vcpu, STEP_TOOK, vcpu->interrupts, vcpu->intid, 0);
}

// -- what stage 2 and EL2 refuse ----------------------------------------------------------------------------------------
static void aborts(void)
{
    register u64 device __asm__("x1") = GUEST_DEVICE;
    register u64 page __asm__("x2") = GUEST_READ_ONLY;

    __asm__ volatile(
        "   strb    w3, [x1]\n"
        "   strh    w4, [x1, #2]\n"
        "   str     w5, [x1, #4]\n"
        "   str     x6, [x1, #8]\n"
        "   str     xzr, [x1]\n"
        "   ldrb    w3, [x1, #1]\n"
        "   ldrsb   x4, [x1, #1]\n"
        "   ldrsh   w5, [x1, #2]\n"
        "   ldrsw   x6, [x1, #4]\n"
        "   ldr     w7, [x1, #4]\n"
        "   ldr     x8, [x1, #8]\n"
        "   ldar    w9, [x1]\n"
        "   stlr    x10, [x1]\n"
        "   ldp     x11, x12, [x1]\n"   // no syndrome of the access
        "   ldr     x13, [x1], #8\n"    // nor here
        "   str     w14, [x2, #16]\n"
        "   mov     x3, #0xffc\n"
        "   ldr     x15, [x2, x3]\n"    // into the next page
        "   mov     x3, #0x1010\n"
        "   add     x3, x2, x3\n"
        "   blr     x3\n"               // the Host resumes after it
        : "+r"(device), "+r"(page)
        :
        : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x30", "memory");
}

// Its stage 1 table is in the page that vCPUs share.
static void stage1(struct vcpu *vcpu)
{
    const u64 block = 1ul << 10 | 3ul << 8 | 1, table = 3;      // AF, Inner Shareable, attribute 0
    volatile u64 *level1 = (volatile u64 *)GUEST_SHARED;
    register u64 esr __asm__("x9") = 0;
    register u64 far __asm__("x10") = 0x1008;           // nothing is mapped there
    u64 seen;

    level1[0] = 0;
    level1[1] = level1[2] = GUEST_CODE | block;
    level1[3] = GUEST_TOP | table;
    write_sysreg(mair_el1, 0xff);
    write_sysreg(tcr_el1, 32ul | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 23 | 2ul << 32);
    write_sysreg(ttbr0_el1, GUEST_SHARED);
    dsb(ish);
    __asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
    write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | 1);
    isb();
    __asm__ volatile("ldr x11, [x10]" : "+r"(esr), "+r"(far) : : "x11", "memory");
    seen = *(volatile u64 *)(GUEST_ALIAS + GUEST_SHARED - GUEST_CODE + 8);
    step(vcpu, STEP_STAGE1, esr, far, seen);
    __asm__ volatile(
        "   ldr     w3, [%0]\n"                // stage 2 has nothing
        "   str     x4, [%1]\n"                // it makes this read-only
        "   ldr     x5, [%2]\n"                // nor a table here
        :
        : "r"(GUEST_ALIAS + GUEST_TOP - GUEST_CODE + 0x20), "r"(GUEST_ALIAS + GUEST_READ_ONLY - GUEST_CODE + 0x40),
          "r"(GUEST_NO_TABLE + 0x5008)
        : "x3", "x5", "memory");
    step(vcpu, STEP_DONE, 0, 0, 0);
}

static void traps(void)
{
    __asm__ volatile(
        "   mrs     x3, cntpct_el0\n"
        "   mrs     x4, cntp_ctl_el0\n"
        "   msr     cntp_cval_el0, x5\n"
        "   mrs     x6, cntvct_el0\n"
        "   mrs     x7, id_aa64pfr0_el1\n"
        "   mrs     x8, icc_iar1_el1\n"
        "   msr     icc_sgi1r_el1, x9\n"
        "   wfi\n"
        "   smc     #0\n"
        "   hvc     #0x1234\n" ::: "x0", "x1", "x2", "x3", "x4", "x6", "x7", "x8", "memory");
}

static void el0(void)
{
    __asm__ volatile(
        "   adr     x3, 1f\n"
        "   msr     elr_el1, x3\n"
        "   mov     x3, #0x3c0\n"
        "   msr     spsr_el1, x3\n"
        "   eret\n"
        "1: svc     #33\n" ::: "x3", "memory");
}

// -- devices ----------------------------------------------------------------------------------------------------------
static void mmio(struct vcpu *vcpu)
{
    u64 byte, half, word;

    *(volatile u64 *)(GUEST_DEVICE + 8) = GUEST_MMIO_OUT;
    *(volatile u16 *)(GUEST_DEVICE + 2) = (u16)GUEST_MMIO_OUT;
    byte = *(volatile u8 *)(GUEST_DEVICE + 1);
    __asm__ volatile("ldrsh %0, [%1]" : "=r"(half) : "r"(GUEST_DEVICE + 6) : "memory");
    word = *(volatile u32 *)(GUEST_DEVICE + 4);
    step(vcpu, STEP_READ, byte, half, word);
}

// -- two vCPUs --------------------------------------------------------------------------------------------------------
// Waits for its turn and passes it on, TURNS times; returns how often the turn came.
static u64 play(u64 number)
{
    u64 *turn = (u64 *)GUEST_SHARED, came, seen;

    for (came = 0; came < TURNS; came++) {
        do
            seen = load_acquire(turn);
        while (seen % GUEST_VCPUS != number);
        store_release(turn, seen + 1);
    }
    return came;
}

static void first(struct vcpu *vcpu)
{
    *(volatile u64 *)GUEST_SHARED = 0;
    step(vcpu, STEP_ON, guest_smc(PSCI_CPU_ON_64, 1, GUEST_CODE, IN_REALM | ROLE_SECOND, 0).x[0], 0, 0);
    step(vcpu, STEP_PLAYED, play(0), 0, *(volatile u64 *)GUEST_SHARED >= 2 * TURNS - 1);
    write_sysreg(icc_sgi1r_el1, (u64)SGI << 24 | 2);    // to the second vCPU
    interrupts_on();
    await(vcpu, 1);                     // its answer
    step(vcpu, STEP_SGI, vcpu->interrupts, vcpu->intid, 0);
    guest_smc(PSCI_SYSTEM_OFF, 0, 0, 0, 0);
}

static void second(struct vcpu *vcpu)
{
    step(vcpu, STEP_PLAYED, play(1), 1, 0);
    interrupts_on();
    await(vcpu, 1);
    step(vcpu, STEP_SGI, vcpu->interrupts, vcpu->intid, 0);
    write_sysreg(icc_sgi1r_el1, (u64)SGI << 24 | 1);
    guest_smc(PSCI_CPU_OFF, 0, 0, 0, 0);
}

void guest_main(u64 role)
{
    struct vcpu *vcpu = this_vcpu();

    vcpu->in_realm = role & IN_REALM;
    vcpu->keep = vcpu->interrupts = 0;
    switch (role & 0xff) {
    case ROLE_ABORTS: aborts(); break;
    case ROLE_TRAPS: traps(); break;
    case ROLE_EL0: el0(); break;
    case ROLE_STAGE1: stage1(vcpu); break;
    case ROLE_GROUP0: group0(vcpu); break;
    case ROLE_INTERRUPTS: interrupts(vcpu); break;
    case ROLE_TIMER: timer(vcpu); break;
    case ROLE_SPIN: spin(vcpu); break;
    case ROLE_MMIO: mmio(vcpu); break;
    case ROLE_FIRST: first(vcpu); break;
    case ROLE_SECOND: second(vcpu); break;
    }
    for (;;)
        step(vcpu, STEP_HELLO, read_sysreg(currentel), read_sysreg(mpidr_el1), read_sysreg(midr_el1));
}
