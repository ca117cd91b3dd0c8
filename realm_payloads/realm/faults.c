// faults: touches what a Realm must not touch, and checks the syndrome and fault address in its own vectors: stage 1 faults,
// synchronous external aborts (SEA) that the RMM injects, undefined instructions, breakpoints. Accesses that the Host repairs
// or emulates must go on as if nothing had happened. Needs 16 MiB of memory and a UART.
// Prints one PASS or FAIL line per rule; exit status = number of failures.
// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"
#include "mmu.h"
#include "opcodes.h"
#include "rsi.h"
#include "runtime.h"
#include "uart.h"

#define WINDOW 0x10000000000ul          // where IPAs under test are mapped
#define FRESH 0x600000ul                // RAM behind the start of RAM that nobody has touched
#define ESR_SEA_MASK (ESR_EA | 0x3f)
#define TCR_IPS_36_BITS (1ul << 32)

static struct fault fault;
static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));

static void load(u64 va) { CATCH(fault) (void)*(volatile u64 *)va; }
static void store(u64 va) { CATCH(fault) *(volatile u64 *)va = 1; }
static void fetch(u64 va) { CATCH(fault) ((void (*)(void))va)(); }

static void expect(const char *rule, u64 ec, u64 mask, u64 status, u64 far)
{
    bool right = fault.taken && ESR_EC(fault.esr) == ec && (fault.esr & mask) == status && fault.far == far;

    check(rule, right);
    if (!right)
        printf("     ESR %lx FAR %lx ELR %lx%s\n", fault.esr, fault.far, fault.elr, fault.taken ? "" : " (no exception)");
}

static void expect_sea(const char *rule, u64 ec, u64 far)
{
    expect(rule, ec, ESR_SEA_MASK, ESR_EA | FSC_EXTERNAL, far);
}

static void set_tcr(u64 tcr)
{
    write_sysreg(tcr_el1, tcr);
    isb();
    __asm__ volatile("tlbi vmalle1" ::: "memory");
    dsb(nsh);
    isb();
}

// Maps the IPA at the window, so that the fault is one of stage 2.
static u64 window(u64 ipa, u64 attributes)
{
    mmu_map(WINDOW, ipa & ~(PAGE_SIZE - 1), PAGE_SIZE, attributes);
    return WINDOW | (ipa & (PAGE_SIZE - 1));
}

static void test_stage1(void)
{
    mmu_unmap(WINDOW, PAGE_SIZE);
    load(WINDOW + 8);
    expect("a load without a mapping: translation fault, level 3", EC_DATA_ABORT_SAME, ESR_WNR | 0x3f, FSC_TRANSLATION + 3, WINDOW + 8);
    store(WINDOW + 8);
    expect("a store without a mapping has WnR", EC_DATA_ABORT_SAME, ESR_WNR | 0x3f, ESR_WNR | (FSC_TRANSLATION + 3), WINDOW + 8);
    fetch(WINDOW);
    expect("a fetch without a mapping", EC_INSTRUCTION_ABORT_SAME, 0x3f, FSC_TRANSLATION + 3, WINDOW);
    load(WINDOW << 4);
    expect("a load without a table: level 0", EC_DATA_ABORT_SAME, 0x3f, FSC_TRANSLATION, WINDOW << 4);
    load(1ul << 52);
    expect("a load beyond the VA space: level 0", EC_DATA_ABORT_SAME, 0x3f, FSC_TRANSLATION, 1ul << 52);
    store((u64)test_stage1);
    expect("a store to code: permission fault", EC_DATA_ABORT_SAME, ESR_WNR | 0x3f, ESR_WNR | (FSC_PERMISSION + 3), (u64)test_stage1);
    fetch((u64)page);
    expect("a fetch from data: permission fault", EC_INSTRUCTION_ABORT_SAME, 0x3f, FSC_PERMISSION + 3, (u64)page);
    mmu_map(WINDOW, (u64)page, PAGE_SIZE, MAP_DATA & ~AF);
    load(WINDOW);
    expect("a load without the access flag", EC_DATA_ABORT_SAME, 0x3f, 0x08 + 3, WINDOW);
}

static void test_empty(void)
{
    u64 va = window(0x40000010, MAP_NORMAL);

    load(va);
    expect_sea("a load from EMPTY: SEA", EC_DATA_ABORT_SAME, va);
    check_equal("the SEA is a load", fault.esr & ESR_WNR, 0);
    store(va);
    expect_sea("a store to EMPTY: SEA", EC_DATA_ABORT_SAME, va);
    check_equal("the SEA is a store", fault.esr & ESR_WNR, ESR_WNR);
    fetch(va);
    expect_sea("a fetch from EMPTY: SEA", EC_INSTRUCTION_ABORT_SAME, va);
    check_equal("the SEA returns to the instruction", fault.elr, va);

    realm_set_ripas((u64)page, (u64)page + PAGE_SIZE, RSI_EMPTY, RSI_NO_CHANGE_DESTROYED);
    load((u64)page);
    expect_sea("a load from a page that was given back: SEA", EC_DATA_ABORT_SAME, (u64)page);
    realm_set_ripas((u64)page, (u64)page + PAGE_SIZE, RSI_RAM, RSI_NO_CHANGE_DESTROYED);
    load((u64)page);
    check("a page that was taken again can be read", !fault.taken);
}

static void test_fresh(u64 ram)
{
    u64 va;

    load(ram + FRESH);
    check("RAM without content: the Host provides a page", !fault.taken);
    check_equal("and that page is zero", *(volatile u64 *)(ram + FRESH), 0);
    store(ram + FRESH + PAGE_SIZE);
    check_equal("the same for a store", fault.taken ? 0 : *(volatile u64 *)(ram + FRESH + PAGE_SIZE), 1);
    va = window(ram + FRESH + 2 * PAGE_SIZE, MAP_TEXT);
    fetch(va);
    expect("a fetch from RAM without content: it runs zeros, which are undefined", EC_UNKNOWN, ~0ul, ESR_IL, fault.far);
    check_equal("at the right instruction", fault.elr, va);
}

static void test_unprotected(u64 ram, u64 shared)
{
    u64 va = window((ram + FRESH) | shared, MAP_DATA);

    store(va);
    check("a store to unprotected RAM", !fault.taken);
    load(va);
    check_equal("it reads back", fault.taken ? 0 : *(volatile u64 *)va, 1);
    check_equal("it is not the protected page of that address", *(volatile u64 *)(ram + FRESH), 0);
    *(volatile u32 *)va = RET;
    va = window((ram + FRESH) | shared, MAP_TEXT);
    fetch(va);
    expect_sea("a fetch from unprotected RAM: SEA", EC_INSTRUCTION_ABORT_SAME, va);
    va = window(UART | shared, MAP_NORMAL | XN);
    fetch(va);
    expect_sea("a fetch from an emulated device: SEA", EC_INSTRUCTION_ABORT_SAME, va);
}

static void test_mmio(u64 shared)
{
    u64 uart = window(UART | shared, MAP_DEVICE), value = ~0ul;

    CATCH(fault) {
        __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(uart + UART_LSR) : "memory");
    }
    check("an emulated load gives the device's register", !fault.taken && (value & 0x60) == 0x60);
    CATCH(fault) {
        __asm__ volatile("strb %w0, [%1]" ::"r"(0x5a), "r"(uart + UART_SCR) : "memory");
    }
    check("an emulated store is done", !fault.taken);
    CATCH(fault) {
        __asm__ volatile("ldrsb %0, [%1]" : "=r"(value) : "r"(uart + UART_SCR) : "memory");
    }
    check_equal("it can be read back", value, 0x5a);
    CATCH(fault) {
        __asm__ volatile("strb wzr, [%0]" ::"r"(uart + UART_SCR) : "memory");
        __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(uart + UART_SCR) : "memory");
    }
    check_equal("a store of WZR stores zero", value, 0);
    CATCH(fault) {
        __asm__ volatile("strb %w0, [%1]" ::"r"(0x85), "r"(uart + UART_SCR) : "memory");
        __asm__ volatile("ldrsb %0, [%1]" : "=r"(value) : "r"(uart + UART_SCR) : "memory");
    }
    check_equal("an emulated load extends the sign", value, 0xffffffffffffff85);
}

// Outside the IPA space: an Address Size Fault of stage 1 if the PE sees it, and what the RMM makes of it otherwise.
static void test_outside(u64 shared)
{
    u64 tcr = read_sysreg(tcr_el1), va = window(shared * 2 + 0x80000000, MAP_NORMAL);
    bool size_fault, sea;

    load(va);
    size_fault = ESR_FSC(fault.esr) <= FSC_ADDRESS_SIZE + 3;
    sea = (fault.esr & ESR_SEA_MASK) == (ESR_EA | FSC_EXTERNAL);
    check("a load outside the IPA space: Address Size Fault or SEA",
          fault.taken && ESR_EC(fault.esr) == EC_DATA_ABORT_SAME && fault.far == va && (size_fault || sea));
    if (shared >> 36)
        return;
    va = window(1ul << 36, MAP_NORMAL);
    set_tcr((tcr & ~TCR_IPS_MASK) | TCR_IPS_36_BITS);
    load(va);
    expect("a load beyond TCR_EL1.IPS: Address Size Fault, level 3", EC_DATA_ABORT_SAME, 0x3f, FSC_ADDRESS_SIZE + 3, va);
    fetch(va);
    expect("a fetch beyond TCR_EL1.IPS: Address Size Fault, level 3", EC_INSTRUCTION_ABORT_SAME, 0x3f, FSC_ADDRESS_SIZE + 3, va);
    set_tcr(tcr);
}

static void test_instructions(void)
{
    CATCH(fault) __asm__ volatile("hvc #0" ::: "memory");
    expect("HVC is undefined", EC_UNKNOWN, ~0ul, ESR_IL, fault.far);
    CATCH(fault) __asm__ volatile("udf #7" ::: "memory");
    expect("UDF is undefined", EC_UNKNOWN, ~0ul, ESR_IL, fault.far);
    CATCH(fault) __asm__ volatile("brk #0x123" ::: "memory");
    expect("BRK has its immediate in the syndrome", EC_BRK, ESR_IL | 0xffff, ESR_IL | 0x123, fault.far);
    check_equal("BRK returns to itself", *(volatile u32 *)fault.elr, 0xd4200000 | 0x123 << 5);
    CATCH(fault) __asm__ volatile("svc #0x45" ::: "memory");
    expect("SVC from EL1 is taken to EL1", EC_SVC, 0xffff, 0x45, fault.far);
    CATCH(fault) __asm__ volatile("mrs x0, vbar_el2" ::: "x0", "memory");
    expect("a register of EL2 is undefined", EC_UNKNOWN, ~0ul, ESR_IL, fault.far);
    check_equal("an unknown SMC answers all ones", SMC(0xdeadbeef).x[0], NOT_SUPPORTED);
}

// Plain accesses may be unaligned in Normal memory, exclusive ones never.
static void test_alignment(void)
{
    u64 va = (u64)page + 1;

    load(va);
    check("an unaligned load from Normal memory", !fault.taken);
    CATCH(fault) __asm__ volatile("ldxr x0, [%0]" ::"r"(va) : "x0", "memory");
    expect("an unaligned exclusive load: alignment fault", EC_DATA_ABORT_SAME, 0x3f, FSC_ALIGNMENT, va);
}

int main(void)
{
    u64 shared = realm_shared_bit(), ram, size;

    memory_range(&ram, &size);
    test_stage1();
    test_empty();
    test_fresh(ram);
    test_unprotected(ram, shared);
    test_mmio(shared);
    test_outside(shared);
    test_instructions();
    test_alignment();
    return check_failures();
}
