// Suites `fast`, `registers`, `interrupts` and `pes`: fast calls, what survives them, and calls from two PEs.
// SPDX-License-Identifier: BSD-3-Clause
#include "secure_call.h"
#include "gic.h"
#include "pe.h"

#define ENTRY_DONE 0xf2000000ul         // only the Secure payload may call this

// -- fast calls -------------------------------------------------------------------------------------------------------
void suite_fast(void)
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

void suite_registers(void)
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

void suite_interrupts(void)
{
    u64 before = call(SECURE_CALLS, 0, 0, 0, 0)[3];

    suite("interrupts");
    want("the payload makes a Secure interrupt pending", call(SECURE_RAISE, 0, 0, 0, 0)[0], 0);
    want("and has had it when its caller goes on", call(SECURE_CALLS, 0, 0, 0, 0)[3], before + 1);
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

void suite_pes(void)
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
