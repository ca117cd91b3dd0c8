// Suite `mmu`: the state of EL2 at entry, its stage 1 tables, and every kind of fault that EL2 takes to itself.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "devices.h"
#include "opcodes.h"
#include "platform.h"

#define WINDOW 0x1000000000ul           // 64 GiB: pages of the table `pages` from here on
#define NORMAL (PAGE | ATTR_NORMAL | INNER_SHAREABLE | AF)
#define TCR_PS_SHIFT 16
#define SCTLR_RES1 0x30c50830ul

enum { RW, READ_ONLY, NO_ACCESS_FLAG, EXECUTE_NEVER, EXECUTABLE, DEVICE, INVALID, TOO_FAR, MOVED, WORLD };
#define AT(page) (WINDOW + (page) * PAGE_SIZE)

static u64 directory[512] __attribute__((aligned(4096)));
static u64 pages[512] __attribute__((aligned(4096)));
static u64 level0[512] __attribute__((aligned(4096)));
static u64 high[512] __attribute__((aligned(4096)));
static u64 data[3][512] __attribute__((aligned(4096)));
static u32 code[1024] __attribute__((aligned(4096)));

static u64 load(u64 va, u64 *pc)
{
    u64 value = 0;

    __asm__ volatile("adr %1, 1f\n1:\tldr %0, [%2]" : "+&r"(value), "=&r"(*pc) : "r"(va) : "memory");
    return value;
}

static void store(u64 va, u64 value, u64 *pc)
{
    __asm__ volatile("adr %0, 1f\n1:\tstr %1, [%2]" : "=&r"(*pc) : "r"(value), "r"(va) : "memory");
}

static void want_fault(const char *rule, const struct fault *fault, u64 esr, u64 far, u64 elr)
{
    want(rule, fault->esr, esr);
    detail("it is taken once", fault->taken, 1);
    detail("FAR is its address", fault->far, far);
    detail("ELR is its instruction", fault->elr, elr);
}

static void want_load_fault(const char *rule, u64 va, u64 fsc)
{
    struct fault fault;
    u64 pc = 0;

    CATCH(fault)
        load(va, &pc);
    want_fault(rule, &fault, ESR(EC_DATA_ABORT_SAME, fsc), va, pc);
}

static void want_store_fault(const char *rule, u64 va, u64 fsc)
{
    struct fault fault;
    u64 pc = 0;

    CATCH(fault)
        store(va, 0, &pc);
    want_fault(rule, &fault, ESR(EC_DATA_ABORT_SAME, ESR_WNR | fsc), va, pc);
}

static void want_fetch_fault(const char *rule, u64 va, u64 esr)
{
    struct fault fault;

    CATCH(fault)
        ((void (*)(void))va)();
    want_fault(rule, &fault, esr, va, va);
}

static void entry(void)
{
    want("entry is at EL2", read_sysreg(currentel) >> 2 & 3, 2);
    want("with its own stack pointer", read_sysreg(spsel), 1);
    want("with DAIF masked", read_sysreg(daif), 0x3c0);
    want("with the MMU and the caches off", pes[0].entry_sctlr & (SCTLR_M | SCTLR_C_I), 0);
    want("with the RES1 bits of SCTLR_EL2", pes[0].entry_sctlr & SCTLR_RES1, SCTLR_RES1);
    want("the affinity is the first PE's", this_pe() == &pes[0], true);
    want("the MT bit is the board's", read_sysreg(mpidr_el1) >> 24 & 0x81, MPIDR_OF(1) == 1 ? 0x80 : 0x81);
}

static void map(void)
{
    static const u64 attributes[] = {
        [RW] = NORMAL | XN, [READ_ONLY] = NORMAL | AP_RO | XN, [NO_ACCESS_FLAG] = (NORMAL & ~AF) | XN,
        [EXECUTE_NEVER] = NORMAL | XN, [EXECUTABLE] = NORMAL | AP_RO, [TOO_FAR] = NORMAL | XN | 1ul << 32,
    };

    for (size_t page = 0; page < ARRAY_SIZE(attributes); page++)
        pages[page] = attributes[page] ? (u64)data[0] | attributes[page] : 0;
    pages[EXECUTABLE] = (u64)code | attributes[EXECUTABLE];
    pages[DEVICE] = UART | PAGE | ATTR_DEVICE | AF | XN;
    code[0] = RET;
    code_written(code, sizeof(code));
    directory[0] = (u64)pages | TABLE;
    mmu_level1[WINDOW >> 30] = (u64)directory | TABLE;
    dsb(ishst);
    isb();
}

static void faults(void)
{
    struct fault fault;
    u64 pc;

    data[0][1] = 0x600d;
    want("a page has what its frame has", load(AT(RW) + 8, &pc), 0x600d);
    store(AT(RW) + 16, 0x77, &pc);
    want("and the frame what the page has", data[0][2], 0x77);
    want("a device page is the device", *(volatile u32 *)(AT(DEVICE) + UARTFR - UART) == *(volatile u32 *)UARTFR, true);
    want_load_fault("a load from nothing is a translation fault at level 3", AT(INVALID) + 0x123, FSC_TRANSLATION + 3);
    want_load_fault("at level 2", WINDOW + 0x200008, FSC_TRANSLATION + 2);
    want_load_fault("at level 1", WINDOW + (1ul << 30) + 0xff8, FSC_TRANSLATION + 1);
    want_load_fault("at level 0, beyond T0SZ", 1ul << 39, FSC_TRANSLATION + 0);
    want_store_fault("a store to nothing says that it is one", AT(INVALID) + 0xff8, FSC_TRANSLATION + 3);
    want_store_fault("a store to a read-only page is a permission fault", AT(READ_ONLY) + 0x40, FSC_PERMISSION + 3);
    want("a load from it is none", load(AT(READ_ONLY) + 8, &pc), 0x600d);
    want_load_fault("without AF it is an access flag fault", AT(NO_ACCESS_FLAG) + 4, FSC_ACCESS_FLAG + 3);
    want_load_fault("an output address beyond PS is an address size fault", AT(TOO_FAR) + 0x80, FSC_ADDRESS_SIZE + 3);
    want_fetch_fault("a fetch with XN is a permission fault", AT(EXECUTE_NEVER), ESR(EC_INSTRUCTION_ABORT_SAME, FSC_PERMISSION + 3));
    want_fetch_fault("a fetch from nothing is a translation fault", AT(INVALID) + 0x10, ESR(EC_INSTRUCTION_ABORT_SAME, FSC_TRANSLATION + 3));
    want_fetch_fault("a misaligned PC is a PC alignment fault", AT(EXECUTABLE) + 2, ESR(EC_PC_ALIGNMENT, 0));
    CATCH(fault)
        ((void (*)(void))AT(EXECUTABLE))();
    want("code in a page without XN runs", fault.taken, 0);
    CATCH(fault)
        __asm__ volatile("adr %0, 1f\n1:\tbrk #1234" : "=r"(pc));
    want("BRK comes with its immediate", fault.esr, ESR(EC_BRK, 1234));
    detail("ELR is its instruction", fault.elr, pc);
    CATCH(fault)
        __asm__ volatile("adr %0, 1f\n1:\tudf #0" : "=r"(pc));
    want("an undefined instruction has no syndrome", fault.esr, ESR(EC_UNKNOWN, 0));
    detail("ELR is its instruction", fault.elr, pc);
    CATCH(fault)
        __asm__ volatile("adr %0, 1f\n\tsvc #77\n1:" : "=r"(pc));
    want("SVC at EL2 stays at EL2", fault.esr, ESR(EC_SVC, 77));
    detail("ELR is after it", fault.elr, pc);
    CATCH(fault)
        __asm__ volatile("adr %0, 1f\n\thvc #78\n1:" : "=r"(pc));
    want("HVC at EL2 stays at EL2", fault.esr, ESR(EC_HVC, 78));
    detail("ELR is after it", fault.elr, pc);
}

static void invalidation(void)
{
    struct fault fault;
    u64 pc = 0;

    data[1][0] = 0x1111;
    data[2][0] = 0x2222;
    pages[MOVED] = (u64)data[1] | NORMAL | XN;
    dsb(ishst);
    want("a page that is new is there", load(AT(MOVED), &pc), 0x1111);
    pages[MOVED] = 0;
    dsb(ishst);
    __asm__ volatile("tlbi vae2is, %0\n\tdsb ish\n\tisb" ::"r"(AT(MOVED) >> 12) : "memory");
    CATCH(fault)
        load(AT(MOVED), &pc);
    want("it is gone after TLBI VAE2IS", fault.esr, ESR(EC_DATA_ABORT_SAME, FSC_TRANSLATION + 3));
    pages[MOVED] = (u64)data[2] | NORMAL | XN;
    dsb(ishst);
    want("and another one when the table says so", load(AT(MOVED), &pc), 0x2222);
}

// Memory of another world: stage 1 maps it, granule protection refuses it, as data and as a table.
static void protection(void)
{
    static const struct { const char *name; u64 pa; } worlds[] = {
        {"Secure", SECURE_MEMORY}, {"Realm", REALM_MEMORY}, {"Root", ROOT_MEMORY},
    };

    for (size_t i = 0; i < ARRAY_SIZE(worlds); i++) {
        pages[WORLD] = worlds[i].pa | NORMAL | XN;
        directory[1] = worlds[i].pa | TABLE;
        dsb(ishst);
        __asm__ volatile("tlbi alle2\n\tdsb nsh\n\tisb" ::: "memory");
        print("# ");
        print(worlds[i].name);
        print(" memory\n");
        want_load_fault("a load from another world is a granule protection fault", AT(WORLD) + 0x88, FSC_GPF);
        want_store_fault("so is a store", AT(WORLD) + 0xff8, FSC_GPF);
        want_load_fault("and a table there, at its level", WINDOW + 0x200000 + 0x5010, FSC_GPF_WALK + 3);
        pages[WORLD] = worlds[i].pa | NORMAL | AP_RO;
        dsb(ishst);
        __asm__ volatile("tlbi alle2\n\tdsb nsh\n\tisb" ::: "memory");
        want_fetch_fault("and a fetch", AT(WORLD) + 4, ESR(EC_INSTRUCTION_ABORT_SAME, FSC_GPF));
    }
    pages[WORLD] = directory[1] = 0;
    dsb(ishst);
    __asm__ volatile("tlbi alle2\n\tdsb nsh\n\tisb" ::: "memory");
}

// PAR_EL1 of a stage 1 translation of EL2.
#define PAR(fsc) ((u64)(fsc) << 1 | 1)

static u64 translate_read(u64 va)
{
    __asm__ volatile("at s1e2r, %0\n\tisb" ::"r"(va) : "memory");
    return read_sysreg(par_el1);
}

static u64 translate_write(u64 va)
{
    __asm__ volatile("at s1e2w, %0\n\tisb" ::"r"(va) : "memory");
    return read_sysreg(par_el1);
}

static void address_translation(void)
{
    const u64 address = 0xfffffffff000;

    want("AT S1E2R gives the address", (translate_read(AT(RW) + 0x123) & (address | 1)), (u64)data[0]);
    want("AT S1E2W of a read-only page gives a permission fault", translate_write(AT(READ_ONLY)) & 0x7f, PAR(FSC_PERMISSION + 3));
    want("AT S1E2R of nothing gives a translation fault", translate_read(AT(INVALID)) & 0x7f, PAR(FSC_TRANSLATION + 3));
}

static void switch_tables(u64 tcr, u64 ttbr)
{
    write_sysreg(sctlr_el2, read_sysreg(sctlr_el2) & ~SCTLR_M);
    isb();
    write_sysreg(tcr_el2, tcr);
    write_sysreg(ttbr0_el2, ttbr);
    dsb(ish);
    __asm__ volatile("tlbi alle2\n\tdsb nsh\n\tisb" ::: "memory");
    write_sysreg(sctlr_el2, read_sysreg(sctlr_el2) | SCTLR_M);
    isb();
}

// All 48 bits of VA, and the whole physical address range that the PE reports.
static void wide(void)
{
    const u64 top = 0xfffffffff000, tcr = read_sysreg(tcr_el2), range = read_sysreg(id_aa64mmfr0_el1) & 0xf;
    u64 pc;

    level0[0] = (u64)mmu_level1 | TABLE;
    level0[511] = (u64)high | TABLE;
    high[511] = (u64)directory | TABLE;
    directory[511] = (u64)pages | TABLE;
    pages[511] = (u64)data[1] | NORMAL | XN;
    want("the PE has 4K pages", read_sysreg(id_aa64mmfr0_el1) >> 28 & 0xf, 0);
    want("and at least 40 bits of physical address", range >= 2 && range <= 6, true);
    switch_tables((tcr & ~0x3ful) | TCR_T0SZ_48 | range << TCR_PS_SHIFT, (u64)level0);
    want("48 bits of VA start at level 0", load(top, &pc), 0x1111);
    want_load_fault("a fault at level 0", 1ul << 40, FSC_TRANSLATION + 0);
    want_load_fault("a fault at level 1 below it", 0xff8000000008, FSC_TRANSLATION + 1);
    want_load_fault("with a larger PS an output address that was too far is on the bus", AT(TOO_FAR), FSC_EXTERNAL);
    switch_tables(tcr, (u64)mmu_level1);
    want("39 bits are back", load(AT(MOVED), &pc), 0x2222);
}

void suite_mmu(void)
{
    suite("mmu");
    entry();
    map();
    faults();
    invalidation();
    protection();
    address_translation();
    wide();
}
