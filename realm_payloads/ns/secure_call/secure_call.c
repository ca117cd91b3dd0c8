// secure_call: uses every service of the payload `secure` at S-EL1, bare-metal at Non-secure EL2 on two PEs: fast calls,
// yielding calls that timer interrupts preempt, and FF-A messages. It checks that its registers survive and that Secure memory
// stays out of reach. Prints PASS and FAIL lines to UART0, then the totals; ends with PSCI SYSTEM_OFF.
// SPDX-License-Identifier: BSD-3-Clause
#include "secure/services.h"
#include "call.h"
#include "gic.h"
#include "ns.h"
#include "check.h"
#include "pe.h"
#include "platform.h"
#include "psci.h"
#include "rmi.h"
#include "smc.h"
#include "timer.h"

#define ENTRY_DONE 0xf2000000ul         // only the Secure payload may call this
#define PERIOD 20000ul                  // ticks from one interrupt to the next
#define ROUNDS 50000ul
#define SEED 0x123456789abcdeful
#define MARK(n) (0x5ec0000000000000ul + (n))
#define TEXT "what Non-secure software wants to have signed"

// Makes an SMC with X0..X4, zeros in X5..X7 and marks in X8..X30. Returns X0..X30, valid until the PE's next call.
static __attribute__((noinline)) const u64 *call(u64 fid, u64 a, u64 b, u64 c, u64 d)
{
    static u64 results[PES][31];
    u64 x[5] = {fid, a, b, c, d}, before[31];
    u64 *after = results[this_pe()->index];

    for (u64 n = 0; n < 31; n++)
        before[n] = n < 8 ? 0 : MARK(n);
    smc_watched(x, before, after);
    for (u64 n = 0; n < 5; n++)
        after[n] = x[n];
    return after;
}

// Counts the marks that are gone.
static u64 lost(const u64 *result, u64 from)
{
    u64 wrong = 0;

    for (u64 n = from; n < 31; n++)
        wrong += result[n] != (n < 8 ? 0 : MARK(n));
    return wrong;
}

static u64 computed(u64 rounds, u64 value)
{
    while (rounds--)
        value = compute_round(value);
    return value;
}

// -- fast calls -------------------------------------------------------------------------------------------------------
static void suite_fast(void)
{
    const u64 *r;

    suite("fast");
    r = call(SECURE_VERSION, 0, 0, 0, 0);
    want("version 1.0", r[0] << 32 | r[1], 1ul << 32);
    r = call(SECURE_ADD, 5, 6, 0, 0);
    want("5 and 6", r[0] == 0 && r[1] == 11, true);
    r = call(SECURE_ECHO, MARK(1), MARK(2), MARK(3), MARK(4));
    want("arguments arrive, results return", r[0] == 0 && r[1] == MARK(1) && r[2] == MARK(2) && r[3] == MARK(3), true);
    want("X4 is the caller's", r[4], MARK(4));
    want("X5 to X30 are the caller's", lost(r, 5), 0);
    r = call(SECURE_UID, 0, 0, 0, 0);
    want("an UUID in W0 to W3", r[0] == 0x52b8ed5e && r[3] == 0x6e0f7d31, true);
    r = call(0xb2002fff, 0, 0, 0, 0);
    want("a function that the payload does not know", r[0], SECURE_UNKNOWN);
    r = call(0xb1002000, 1, 2, 3, 4);
    want("an owner that is no Trusted OS", r[0] == SECURE_UNKNOWN && r[1] == 1 && r[4] == 4, true);
    r = call(ENTRY_DONE, 0, 0, 0, 0);
    want("what only the payload may say", r[0], SECURE_UNKNOWN);
    r = call(SECURE_RESUME, 0, 0, 0, 0);
    want("nothing to resume", r[0], SECURE_UNKNOWN);
    r = call(SECURE_ABORT, 0, 0, 0, 0);
    want("nothing to abort", r[0], SECURE_UNKNOWN);
}

#define ALL "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

// A fast call between a load of V0..V31 and a store of them.
static void call_between(const u64 before[64], u64 after[64])
{
    register const u64 *from __asm__("x19") = before;
    register u64 *to __asm__("x20") = after;
    register u64 fid __asm__("x0") = SECURE_ADD;

    __asm__ volatile(".arch_extension simd\n\t"
                     ".irp n, " ALL "\n\tldr q\\n, [x19, #16 * \\n]\n\t.endr\n\t"
                     "smc #0\n\t"
                     ".irp n, " ALL "\n\tstr q\\n, [x20, #16 * \\n]\n\t.endr"
                     : "+r"(fid), "+r"(from), "+r"(to) : : "x1", "x2", "x3", "memory",
                     "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
                     "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
                     "v31");
}

#define SYSTEM(access)                                                                                                          \
    access(sp_el1) access(elr_el1) access(spsr_el1) access(vbar_el1) access(ttbr0_el1) access(tpidr_el1) access(tpidr_el0)       \
    access(mair_el1) access(esr_el1) access(far_el1) access(contextidr_el1) access(tpidr_el2) access(vttbr_el2)
#define SET(name) write_sysreg(name, 0x1000ul * ++number);
#define CHECK(name) number++, wrong += read_sysreg(name) != 0x1000ul * number;

static void suite_registers(void)
{
    static u64 before[64], after[64];
    u64 hcr = read_sysreg(hcr_el2), wrong = 0, number = 0;

    suite("registers");
    for (u64 n = 0; n < 64; n++)
        before[n] = MARK(n);
    SYSTEM(SET)
    write_sysreg(hcr_el2, hcr | HCR_TWI);
    call_between(before, after);
    number = 0;
    SYSTEM(CHECK)
    want("system registers of EL1 and EL2", wrong, 0);
    want("HCR_EL2", read_sysreg(hcr_el2), hcr | HCR_TWI);
    wrong = 0;
    for (u64 n = 0; n < 64; n++)
        wrong += after[n] != before[n];
    want("V0 to V31", wrong, 0);
    write_sysreg(hcr_el2, hcr);
    isb();
}

// -- memory -----------------------------------------------------------------------------------------------------------
static u8 buffer[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 granule[PAGE_SIZE] __attribute__((aligned(4096)));
static u64 macs[3][SECURE_MAC_SIZE / 8];

static void fault_on(const char *how, u64 ec, struct fault *fault)
{
    want(how, fault->taken == 1 && ESR_EC(fault->esr) == ec && ESR_FSC(fault->esr) == FSC_GPF, true);
}

static void suite_memory(void)
{
    const u64 size = sizeof(TEXT) - 1;
    struct fault fault;

    suite("memory");
    CATCH(fault)
        (void)*(volatile u64 *)SECURE_MEMORY;
    fault_on("a load from Secure memory is a GPF", EC_DABT, &fault);
    CATCH(fault)
        *(volatile u64 *)SECURE_MEMORY = 0;
    fault_on("a store to it is a GPF", EC_DABT, &fault);
    CATCH(fault)
        ((void (*)(void))SECURE_MEMORY)();
    fault_on("a fetch from it is a GPF", EC_IABT, &fault);
    for (u64 i = 0; i < size; i++)
        buffer[i] = (u8)TEXT[i];
    want("a MAC of Non-secure memory", call(SECURE_MAC, (u64)buffer, size, (u64)macs[0], 0)[0], 0);
    want("another one", call(SECURE_MAC, (u64)buffer, size, (u64)macs[1], 0)[0], 0);
    want("is the same", macs[0][0] == macs[1][0] && macs[0][3] == macs[1][3], true);
    want("of a byte less", call(SECURE_MAC, (u64)buffer, size - 1, (u64)macs[2], 0)[0], 0);
    want("is not", macs[0][0] == macs[2][0], false);
    want("a MAC of Secure memory", call(SECURE_MAC, SECURE_MEMORY, size, (u64)macs[2], 0)[0], SECURE_FAULT);
    want("a MAC into it", call(SECURE_MAC, (u64)buffer, size, SECURE_MEMORY, 0)[0], SECURE_FAULT);
    want("a granule becomes Realm", SMC(RMI_GRANULE_DELEGATE, (u64)granule).x[0], 0);
    want("a MAC of Realm memory", call(SECURE_MAC, (u64)granule, size, (u64)macs[2], 0)[0], SECURE_FAULT);
    want("a MAC into it", call(SECURE_MAC, (u64)buffer, size, (u64)granule, 0)[0], SECURE_FAULT);
    want("the granule comes back", SMC(RMI_GRANULE_UNDELEGATE, (u64)granule).x[0], 0);
    want("and serves again", call(SECURE_MAC, (u64)granule, size, (u64)macs[2], 0)[0], 0);
    want("Secure memory cannot be delegated", SMC(RMI_GRANULE_DELEGATE, SECURE_MEMORY).x[0] & 0xff, 1);
}

// -- yielding calls ---------------------------------------------------------------------------------------------------
static void tick(struct pe *pe, u32 intid)
{
    (void)pe;
    (void)intid;
    timers[CNTHP].set_control(0);
}

static void arm(void)
{
    timers[CNTHP].set_compare(now() + PERIOD);
    timers[CNTHP].set_control(TIMER_ENABLE);
}

static void suite_yielding(void)
{
    struct pe *pe = this_pe();
    const u64 *r;
    u64 preempted = 0, wrong = 0;

    suite("yielding");
    r = call(SECURE_COMPUTE, 3, SEED, 0, 0);
    want("a short call is not preempted", r[0] == 0 && r[1] == computed(3, SEED), true);
    r = call(SECURE_COMPUTE | 1, 0, 0, 0, 0);
    want("a yielding function that the payload does not know", r[0], SECURE_UNKNOWN);
    irq_unmask();
    arm();
    r = call(SECURE_COMPUTE, ROUNDS, SEED, 0, 0);
    while (r[0] == SECURE_PREEMPTED) {
        preempted++;
        wrong += lost(r, 4) != 0;
        arm();
        r = call(SECURE_RESUME, 0, 0, 0, 0);
    }
    want("a long one is, more than once", preempted > 1, true);
    want("each time for an interrupt", pe->interrupts, preempted);
    want("and is right in the end", r[0] == 0 && r[1] == computed(ROUNDS, SEED), true);
    want("X4 to X30 are the caller's throughout", wrong + lost(r, 4), 0);
    arm();
    want("an interrupt preempts", call(SECURE_COMPUTE, ROUNDS, SEED, 0, 0)[0], SECURE_PREEMPTED);
    want("no other call meanwhile", call(SECURE_ADD, 1, 2, 0, 0)[0], SECURE_UNKNOWN);
    r = call(FFA_REQUEST, FFA_PARTITION, 0, 0, 0);
    want("no message either", r[0] == FFA_ERROR && r[2] == FFA_BUSY, true);
    want("the call is given up", call(SECURE_ABORT, 0, 0, 0, 0)[0], 0);
    want("and cannot be resumed", call(SECURE_RESUME, 0, 0, 0, 0)[0], SECURE_UNKNOWN);
    want("another one can be made", call(SECURE_ADD, 1, 2, 0, 0)[1], 3);
    irq_mask();
    arm();
    r = call(SECURE_COMPUTE, ROUNDS, SEED, 0, 0);
    want("an interrupt that is masked here preempts, too", r[0], SECURE_PREEMPTED);
    r = call(SECURE_RESUME, 0, 0, 0, 0);
    want("at once, as long as it is pending", r[0], SECURE_PREEMPTED);
    timers[CNTHP].set_control(0);
    r = call(SECURE_RESUME, 0, 0, 0, 0);
    want("and then no more", r[0] == 0 && r[1] == computed(ROUNDS, SEED), true);
    arm();
    while (!gic_bit(GICD_ISPENDR, timers[CNTHP].intid))
        ;
    want("a fast call is not preempted", call(SECURE_ADD, 1, 2, 0, 0)[1], 3);
    timers[CNTHP].set_control(0);
}

static void suite_interrupts(void)
{
    u64 before = call(SECURE_CALLS, 0, 0, 0, 0)[3];

    suite("interrupts");
    want("the payload makes a Secure interrupt pending", call(SECURE_RAISE, 0, 0, 0, 0)[0], 0);
    want("and has had it when its caller goes on", call(SECURE_CALLS, 0, 0, 0, 0)[3], before + 1);
}

// -- messages ---------------------------------------------------------------------------------------------------------
static void suite_messages(void)
{
    const u64 *r;
    u64 preempted = 0;

    suite("messages");
    want("FFA_VERSION 1.1", call(FFA_VERSION, FFA_VERSION_1_1, 0, 0, 0)[0], FFA_VERSION_1_1);
    want("bit 31 of a version", (u32)call(FFA_VERSION, 1ul << 31, 0, 0, 0)[0], FFA_NOT_SUPPORTED);
    r = call(FFA_ID_GET, 0, 0, 0, 0);
    want("the ID of the Host is 0", r[0] == FFA_SUCCESS && r[2] == 0, true);
    r = call(FFA_SPM_ID_GET, 0, 0, 0, 0);
    want("the ID of the partition manager", r[0] == FFA_SUCCESS && r[2] == 0x8000, true);
    want("FFA_FEATURES of direct messages", call(FFA_FEATURES, FFA_REQUEST_64, 0, 0, 0)[0], FFA_SUCCESS);
    r = call(FFA_FEATURES, FFA_PARTITION_INFO_GET, 0, 0, 0);
    want("and of what needs buffers", r[0] == FFA_ERROR && r[2] == FFA_NOT_SUPPORTED, true);
    r = call(FFA_PARTITION_INFO_GET_REGS, 0, 0, 0, 0);
    want("one partition", r[0] == FFA_SUCCESS_64 && (r[2] & 0xffffffff) == 0 && (r[3] & 0xffff) == FFA_PARTITION, true);
    r = call(FFA_REQUEST, FFA_PARTITION, 0, 3, SEED);
    want("a message of 32-bit words", r[0] == FFA_RESPONSE && r[1] == FFA_PARTITION << 16 && r[3] == 3, true);
    want("is answered", r[4], (u32)computed(3, (u32)SEED));
    want("X8 to X30 are the caller's", lost(r, 8), 0);
    r = call(FFA_REQUEST_64, 5ul << 16 | FFA_PARTITION, 0, 3, SEED);
    want("a message of 64-bit words", r[0] == FFA_RESPONSE_64 && r[1] == (FFA_PARTITION << 16 | 5), true);
    want("is answered", r[4], computed(3, SEED));
    r = call(FFA_REQUEST_64, 0x8002, 0, 0, 0);
    want("a message to nobody", r[0] == FFA_ERROR && r[2] == FFA_INVALID_PARAMETERS, true);
    r = call(FFA_REQUEST_64, 0x8002ul << 16 | FFA_PARTITION, 0, 0, 0);
    want("a message from another Secure endpoint", r[0] == FFA_ERROR && r[2] == FFA_INVALID_PARAMETERS, true);
    r = call(FFA_RESPONSE_64, FFA_PARTITION, 0, 0, 0);
    want("a response from here", r[0] == FFA_ERROR && r[2] == FFA_NOT_SUPPORTED, true);
    r = call(FFA_RUN, FFA_PARTITION << 16, 0, 0, 0);
    want("nothing to run", r[0] == FFA_ERROR && r[2] == FFA_DENIED, true);
    irq_unmask();
    arm();
    r = call(FFA_REQUEST_64, FFA_PARTITION, 0, ROUNDS, SEED);
    while (r[0] == FFA_INTERRUPT && r[1] == FFA_PARTITION << 16) {
        preempted++;
        r = call(FFA_RUN, r[1], 0, 0, 0);
    }
    irq_mask();
    want("an interrupt preempts a message", preempted, 1);
    want("FFA_RUN lets it go on", r[0] == FFA_RESPONSE_64 && r[4] == computed(ROUNDS, SEED), true);
}

// -- several PEs ------------------------------------------------------------------------------------------------------
static u64 second_sum, second_answer;

static void second(struct pe *pe, u64 argument)
{
    (void)pe;
    gic_pe_on();
    for (u64 i = 0; i < argument; i++)
        second_sum = call(SECURE_ADD, second_sum, i, 0, 0)[1];
    second_answer = call(SECURE_COMPUTE, ROUNDS, SEED, 0, 0)[1];
}

static void suite_pes(void)
{
    const u64 *r;
    u64 before = call(SECURE_CALLS, 0, 0, 0, 0)[2], sum = 0;

    suite("pes");
    want("a second PE starts", pe_start(1, second, 10), 0);
    for (u64 i = 0; i < 10; i++)
        sum = call(SECURE_ADD, sum, i, 0, 0)[1];
    pe_wait(1);
    want("both have called", sum == 45 && second_sum == 45, true);
    want("and computed", second_answer, computed(ROUNDS, SEED));
    r = call(SECURE_CALLS, 0, 0, 0, 0);
    want("the payload has counted all fast calls", r[2], before + 21);
    want("it starts again", pe_start(1, second, 0), 0);
    pe_wait(1);
    want("with a count of its own", call(SECURE_CALLS, 0, 0, 0, 0)[2], before + 12);
}

int main(void)
{
    mmu_tables();
    mmu_level1[SECURE_MEMORY >> 30] = (SECURE_MEMORY & -(1ul << 30)) | BLOCK | ATTR_NORMAL | INNER_SHAREABLE | AF;
    mmu_on();
    pe_setup(&pes[0]);
    gic_distributor_on();
    gic_pe_on();
    pes[0].on_irq = tick;
    gic_enable(timers[CNTHP].intid, 0x80);
    suite_fast();
    suite_registers();
    suite_memory();
    suite_yielding();
    suite_interrupts();
    suite_messages();
    suite_pes();
    print("secure_call: 7 suites, ");
    print_number(checks_passed, 10);
    print(" passed, ");
    print_number(checks_failed, 10);
    print(" failed\n");
    return 0;
}
