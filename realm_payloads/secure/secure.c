// secure: a service at S-EL1 for Non-secure software. It keeps a secret that leaves Secure memory only inside a hash, counts
// its calls, runs long computations that Non-secure interrupts may preempt, and answers FF-A messages.
// SPDX-License-Identifier: BSD-3-Clause
#include "gicv3.h"
#include "platform.h"
#include "secure.h"
#include "services.h"
#include "sha256.h"
#include "smc.h"

#define FAST_FUNCTIONS 7ul
#define VERSION_MAJOR 1ul
#define VERSION_MINOR 0ul
#define INTID_OWN 9ul                   // an SGI of Secure Group 1
#define SECRET_SIZE 32

volatile u32 *const console = (volatile u32 *)SECURE_UART;

static u8 secret[SECRET_SIZE] = "Secure memory alone may hold it";
static u64 calls[PES], interrupts;

// -- start and end ----------------------------------------------------------------------------------------------------
static void line(const char *what, u64 number, const char *unit)
{
    print("secure: ");
    print(what);
    print_number(number, 10);
    print(unit);
    print("\n");
}

static void pe_on(u64 index)
{
    mmu_on();
    write_sysreg(s3_0_c12_c12_7, 1);    // ICC_IGRPEN1_EL1: Secure Group 1
    isb();
    calls[index] = 0;
}

void primary_main(u64 index, u64 base, u64 size)
{
    (void)base;
    mmu_tables();
    pe_on(index);
    (void)SMC(FFA_VERSION, FFA_1_1);            // the payload takes part in FF-A
    line("ready, ", size >> 20, " MiB of memory");
}

void secondary_main(u64 index)
{
    pe_on(index);
    line("PE ", index, " on");
}

static u64 this_pe(void) { return read_sysreg(tpidr_el0); }

void pe_off(void) { line("PE ", this_pe(), " off"); }

static u64 all_calls(void)
{
    u64 sum = 0;

    for (size_t i = 0; i < PES; i++)
        sum += calls[i];
    return sum;
}

void system_off(void) { line("off after ", all_calls(), " fast calls"); }

void unexpected(u64 esr, u64 elr, u64 far)
{
    print_hex("secure: unexpected exception, ESR ", esr);
    print_hex(", ELR ", elr);
    print_hex(", FAR ", far);
    print("\n");
    for (;;)
        ;
}

void interrupt(void)
{
    u64 intid = read_sysreg(s3_0_c12_c12_0);    // ICC_IAR1_EL1

    if (intid >= INTID_SPECIAL)
        return;
    interrupts++;
    write_sysreg(s3_0_c12_c12_1, intid);        // ICC_EOIR1_EL1
    isb();
}

// -- services ---------------------------------------------------------------------------------------------------------
static bool is_ns(u64 pa, u64 size) { return pa >= DRAM && pa < NS_DRAM_TOP && size <= NS_DRAM_TOP - pa; }

// Copies the message first: Non-secure memory may change at any time, and may stop being Non-secure.
static u64 mac(u64 from, u64 size, u64 to)
{
    static struct {
        u8 secret[SECRET_SIZE], message[SECURE_MAC_MOST];
    } inputs[PES];
    u8 digest[SECURE_MAC_SIZE];
    u64 pe = this_pe();

    if (size > SECURE_MAC_MOST || !is_ns(from, size) || !is_ns(to, sizeof(digest)))
        return SECURE_FAULT;
    memcpy(inputs[pe].secret, secret, sizeof(secret));
    if (ns_copy(inputs[pe].message, (const void *)from, size))
        return SECURE_FAULT;
    sha256(&inputs[pe], sizeof(secret) + size, digest);
    return ns_copy((void *)to, digest, sizeof(digest)) ? SECURE_FAULT : 0;
}

static void raise(void)
{
    u64 mpidr = read_sysreg(mpidr_el1);
    u64 cluster = (mpidr >> 8 & 0xff) << 16 | (mpidr >> 16 & 0xff) << 32;

    write_sysreg(s3_0_c12_c11_5, INTID_OWN << 24 | cluster | 1ul << (mpidr & 0xf));     // ICC_SGI1R_EL1
    isb();
}

static u64 compute(u64 rounds, u64 value)
{
    while (rounds--) {
        value = compute_round(value);
        __asm__ volatile("" : "+r"(value));
    }
    return value;
}

// Answers a direct message: X3 rounds of computation on the seed in X4; the result goes to X4, other words come back as sent.
static void message(u64 x[8])
{
    x[0] = x[0] == FFA_MSG_SEND_DIRECT_REQ_64 ? FFA_MSG_SEND_DIRECT_RESP_64 : FFA_MSG_SEND_DIRECT_RESP;
    x[1] = x[1] >> 16 | FFA_ID_PARTITION << 16;
    x[2] = 0;
    x[4] = compute(x[3], x[4]);
}

// X1..X4 become X0..X3 of the caller.
void fast_call(u64 x[8])
{
    if (x[0] == FFA_MSG_SEND_DIRECT_REQ || x[0] == FFA_MSG_SEND_DIRECT_REQ_64) {
        message(x);
        return;
    }
    calls[this_pe()]++;
    switch (x[0]) {
    case SECURE_COUNT:
        x[1] = FAST_FUNCTIONS;
        break;
    case SECURE_VERSION:
        x[1] = VERSION_MAJOR;
        x[2] = VERSION_MINOR;
        break;
    case SECURE_ADD:
        x[2] += x[1];
        x[1] = 0;
        break;
    case SECURE_ECHO:
        x[4] = x[3];
        x[3] = x[2];
        x[2] = x[1];
        x[1] = 0;
        break;
    case SECURE_MAC:
        x[1] = mac(x[1], x[2], x[3]);
        break;
    case SECURE_CALLS:
        x[1] = 0;
        x[2] = calls[this_pe()];
        x[3] = all_calls();
        x[4] = interrupts;
        break;
    case SECURE_RAISE:
        raise();
        x[1] = 0;
        break;
    default:
        x[1] = SECURE_UNKNOWN;
    }
}

void yielding_call(u64 x[8])
{
    if (x[0] == SECURE_COMPUTE) {
        x[2] = compute(x[1], x[2]);
        x[1] = 0;
    } else {
        x[1] = SECURE_UNKNOWN;
    }
}
