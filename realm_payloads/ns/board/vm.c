// Suite `vm`: a plain VM at EL1 under Non-secure stage 2, and what EL2 traps and refuses. vm_interrupts.c continues the suite.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "vm.h"
#include "gic.h"
#include "guest_program.h"
#include "ich.h"
#include "platform.h"

#define VMID (5ul << 48)
#define VMPIDR 0x80000000ul
#define MIDR 0x00cca000ul
#define S2_NORMAL (0xful << 2 | 3ul << 8 | 1ul << 10)
#define S2_READ (1ul << 6)
#define S2_WRITE (2ul << 6)
#define VTCR_T0SZ (64 - GUEST_IPA_WIDTH)
#define VTCR_SL0_1 (1ul << 6)
#define VTCR_WRITE_BACK (1ul << 8 | 1ul << 10 | 3ul << 12)
#define VTCR_PS_40 (2ul << 16)
#define VTCR_RES1 (1ul << 31)

#define CNTHCTL_EL1PCTEN 1ul
#define CNTHCTL_EL1PCEN 2ul
#define S1PTW (1ul << 7)

static u8 memory[GUEST_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static u64 level1[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));
struct guest guest;

// Makes a new VM with this role: fresh memory, tables and registers.
void vm_create(u64 role)
{
    detail("the program of the guest fits", guest_size() <= GUEST_CODE_PAGES * PAGE_SIZE, true);
    for (u64 i = 0; i < GUEST_PAGES; i++)
        guest_page(memory[i], i);
    level1[GUEST_CODE >> 30] = (u64)level2 | TABLE;
    level2[0] = (u64)level3 | TABLE;
    for (u64 i = 0; i < GUEST_PAGES; i++)
        level3[i] = (u64)memory[i] | PAGE | S2_NORMAL | S2_READ | (GUEST_CODE + i * PAGE_SIZE < GUEST_READ_ONLY ? S2_WRITE : 0);
    write_sysreg(vtcr_el2, VTCR_RES1 | VTCR_PS_40 | VTCR_WRITE_BACK | VTCR_SL0_1 | VTCR_T0SZ);
    write_sysreg(vttbr_el2, (u64)level1 | VMID);
    write_sysreg(vmpidr_el2, VMPIDR);
    write_sysreg(vpidr_el2, MIDR);
    write_sysreg(sctlr_el1, 0x30d00800);
    write_sysreg(cntvoff_el2, 0);
    write_sysreg(cnthctl_el2, CNTHCTL_EL1PCTEN | CNTHCTL_EL1PCEN);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC);
    code_written(memory, sizeof(memory));
    __asm__ volatile("tlbi vmalls12e1is\n\tdsb ish\n\tisb" ::: "memory");
    guest.pc = GUEST_CODE;
    guest.pstate = PSTATE_EL1H;
    guest.x[0] = role;
    for (size_t i = 1; i < ARRAY_SIZE(guest.x); i++)
        guest.x[i] = 0;
}

void vm_destroy(void)
{
    write_sysreg(ich_hcr_el2, 0);
    write_sysreg(ich_lr0_el2, 0);
    write_sysreg(ich_lr1_el2, 0);
    write_sysreg(ich_vmcr_el2, 0);
    write_sysreg(ich_ap1r0_el2, 0);
    write_sysreg(cntv_ctl_el0, 0);
    write_sysreg(hcr_el2, HCR_HOST);
    isb();
}

// Runs the guest until it takes this step.
void vm_want_step(const char *rule, u64 number)
{
    want(rule, guest_run(&guest), VECTOR_LOWER_SYNC);
    detail("it is the step that comes next", read_sysreg(esr_el2), ESR(EC_HVC, number));
}

static void hello(void)
{
    vm_create(ROLE_HELLO);
    vm_want_step("a guest runs", STEP_HELLO);
    want("at EL1", guest.x[0], 1 << 2);
    want("with the MPIDR of VMPIDR_EL2", guest.x[1], VMPIDR);
    want("and the MIDR of VPIDR_EL2", guest.x[2], MIDR);
    want("SPSR_EL2 says where it was", guest.pstate & 0xf, 5);
    vm_destroy();
}

// An EL0 program under TGE, without stage 1 and stage 2.
void user(void);
__asm__(".section .text\n\t.balign 4\nuser:\n\tsvc #34\n\tudf #0\n");

static void el0(void)
{
    vm_create(ROLE_EL0);
    vm_want_step("SVC of EL0 goes to EL1", STEP_FROM_EL0);
    want("with its immediate", guest.x[9], ESR(EC_SVC, 33));
    write_sysreg(hcr_el2, HCR_HOST | HCR_TGE);
    isb();
    guest.pc = (u64)user;
    guest.pstate = PSTATE_EL0;
    want("with TGE an SVC of EL0 comes to EL2", (guest_run(&guest), read_sysreg(esr_el2)), ESR(EC_SVC, 34));
    want("ELR is after it", guest.pc, (u64)user + 4);
    want("an undefined instruction does, too", (guest_run(&guest), read_sysreg(esr_el2)), ESR(EC_UNKNOWN, 0));
    vm_destroy();
}

// -- what stage 2 refuses -----------------------------------------------------------------------------------------------
#define ISV(size, sse, srt, sf, ar) \
    (ESR_ISV | (u64)(size) << 22 | (u64)(sse) << 21 | (u64)(srt) << 16 | (u64)(sf) << 15 | (u64)(ar) << 14)

static void stage2(void)
{
    static const struct { const char *rule; u64 iss, far, ipa; } aborts[] = {
        {"STRB", ISV(0, 0, 3, 0, 0) | ESR_WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"STRH", ISV(1, 0, 4, 0, 0) | ESR_WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE + 2, GUEST_DEVICE},
        {"STR of a word", ISV(2, 0, 5, 0, 0) | ESR_WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE + 4, GUEST_DEVICE},
        {"STR", ISV(3, 0, 6, 1, 0) | ESR_WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE + 8, GUEST_DEVICE},
        {"STR of XZR", ISV(3, 0, 31, 1, 0) | ESR_WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"LDRB", ISV(0, 0, 3, 0, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 1, GUEST_DEVICE},
        {"LDRSB", ISV(0, 1, 4, 1, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 1, GUEST_DEVICE},
        {"LDRSH of a word", ISV(1, 1, 5, 0, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 2, GUEST_DEVICE},
        {"LDRSW", ISV(2, 1, 6, 1, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 4, GUEST_DEVICE},
        {"LDR of a word", ISV(2, 0, 7, 0, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 4, GUEST_DEVICE},
        {"LDR", ISV(3, 0, 8, 1, 0) | (FSC_TRANSLATION + 1), GUEST_DEVICE + 8, GUEST_DEVICE},
        {"LDAR", ISV(2, 0, 9, 0, 1) | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"STLR", ISV(3, 0, 10, 1, 1) | ESR_WNR | (FSC_TRANSLATION + 1), GUEST_DEVICE, GUEST_DEVICE},
        {"LDP has no valid syndrome", FSC_TRANSLATION + 1, GUEST_DEVICE, GUEST_DEVICE},
        {"nor has a load with writeback", FSC_TRANSLATION + 1, GUEST_DEVICE, GUEST_DEVICE},
        {"a store to what stage 2 makes read-only", ISV(2, 0, 14, 0, 0) | ESR_WNR | (FSC_PERMISSION + 3), GUEST_READ_ONLY + 16,
         GUEST_READ_ONLY},
        {"a load across a page", ISV(3, 0, 15, 1, 0) | (FSC_TRANSLATION + 3), GUEST_TOP, GUEST_TOP},
    };

    vm_create(ROLE_ABORTS);
    for (size_t i = 0; i < ARRAY_SIZE(aborts); i++) {
        detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
        want(aborts[i].rule, read_sysreg(esr_el2), ESR(EC_DATA_ABORT, aborts[i].iss));
        detail("FAR is its address", read_sysreg(far_el2), aborts[i].far);
        detail("HPFAR is the page", read_sysreg(hpfar_el2), aborts[i].ipa >> 12 << 4);
        guest.pc += 4;
    }
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want("a fetch from nothing", read_sysreg(esr_el2), ESR(EC_INSTRUCTION_ABORT, FSC_TRANSLATION + 3));
    detail("FAR is its address", read_sysreg(far_el2), GUEST_TOP + 0x10);
    detail("HPFAR is the page", read_sysreg(hpfar_el2), GUEST_TOP >> 12 << 4);
    guest.pc = guest.x[30];
    vm_want_step("the guest goes on after all that", STEP_HELLO);
    level3[GUEST_PAGES - 1] = 0;
    dsb(ishst);
    __asm__ volatile("tlbi ipas2e1is, %0\n\tdsb ish\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::"r"(GUEST_READ_ONLY >> 12) : "memory");
    vm_destroy();
}

// FAR holds the address that the guest used, HPFAR the IPA that its own tables gave.
static void want_abort(const char *rule, u64 iss, u64 far, u64 ipa)
{
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want(rule, read_sysreg(esr_el2), ESR(EC_DATA_ABORT, iss));
    detail("FAR is its address", read_sysreg(far_el2), far);
    detail("HPFAR is the page", read_sysreg(hpfar_el2), ipa >> 12 << 4);
    guest.pc += 4;
}

static void both_stages(void)
{
    const u64 read_only = GUEST_ALIAS + GUEST_READ_ONLY - GUEST_CODE, top = GUEST_ALIAS + GUEST_TOP - GUEST_CODE;

    vm_create(ROLE_STAGE1);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM);           // DC would turn stage 1 off
    isb();
    vm_want_step("a guest turns its own stage 1 on", STEP_STAGE1);
    want("its own fault is its own", guest.x[0], ESR(EC_DATA_ABORT_SAME, FSC_TRANSLATION + 1));
    want("with its address", guest.x[1], 0x1008);
    want("it reads through both stages", guest.x[2], GUEST_CODE | 0x701);
    want_abort("stage 2 has nothing at the IPA", ISV(2, 0, 3, 0, 0) | (FSC_TRANSLATION + 3), top + 0x20, GUEST_TOP);
    want_abort("it forbids the write", ISV(3, 0, 4, 1, 0) | ESR_WNR | (FSC_PERMISSION + 3), read_only + 0x40, GUEST_READ_ONLY);
    want_abort("it has no table for the walk of stage 1", S1PTW | (FSC_TRANSLATION + 3), GUEST_NO_TABLE + 0x5008, GUEST_TOP);
    vm_want_step("the guest goes on", STEP_DONE);
    vm_destroy();
}

// A page of the guest belongs to another world: EL2 takes the fault if it asks for that (HCR_EL2.GPF).
static void protection(void)
{
    vm_create(ROLE_HELLO);
    vm_want_step("a guest runs", STEP_HELLO);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_GPF);
    level3[0] = REALM_MEMORY | PAGE | S2_NORMAL | S2_READ | S2_WRITE;
    dsb(ishst);
    __asm__ volatile("tlbi vmalls12e1is\n\tdsb ish\n\tisb" ::: "memory");
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want("code in Realm memory is a granule protection fault", read_sysreg(esr_el2), ESR(EC_INSTRUCTION_ABORT, FSC_GPF));
    detail("at its address", read_sysreg(far_el2), guest.pc);
    vm_destroy();
}

// -- what EL2 traps -----------------------------------------------------------------------------------------------------
#define SYSREG(op0, op1, crn, crm, op2, rt, read)                                                                               \
    ESR(EC_SYSREG, (u64)(op0) << 20 | (u64)(op2) << 17 | (u64)(op1) << 14 | (u64)(crn) << 10 | (u64)(rt) << 5 |                 \
                       (u64)(crm) << 1 | (read))

static void want_trap(const char *rule, u64 esr)
{
    detail("it is an exception", guest_run(&guest), VECTOR_LOWER_SYNC);
    want(rule, read_sysreg(esr_el2), esr);
    guest.pc += 4;
}

static void traps(void)
{
    vm_create(ROLE_TRAPS);
    write_sysreg(cnthctl_el2, 0);
    write_sysreg(hcr_el2, HCR_HOST | HCR_VM | HCR_DC | HCR_TID3 | HCR_TWI | HCR_TSC);
    write_sysreg(ich_hcr_el2, ICH_EN | ICH_TALL1);
    isb();
    want_trap("CNTPCT without EL1PCTEN", SYSREG(3, 3, 14, 0, 1, 3, 1));
    want_trap("CNTP_CTL without EL1PCEN", SYSREG(3, 3, 14, 2, 1, 4, 1));
    want_trap("CNTP_CVAL, too", SYSREG(3, 3, 14, 2, 2, 5, 0));
    want_trap("an ID register with TID3", SYSREG(3, 0, 0, 4, 0, 7, 1));
    want_trap("IAR1 with TALL1", SYSREG(3, 0, 12, 12, 0, 8, 1));
    want_trap("SGI1R with IMO", SYSREG(3, 0, 12, 11, 5, 9, 0));
    want_trap("WFI with TWI", ESR(EC_WFX, 1ul << 24 | 0xeul << 20));
    want_trap("SMC with TSC", ESR(EC_SMC, 0));
    guest.pc -= 4;
    want("ELR is the SMC itself", *(u32 *)((u8 *)memory + (guest.pc - GUEST_CODE)), 0xd4000003);
    guest.pc += 4;
    want_trap("HVC with its immediate", ESR(EC_HVC, 0x1234));
    vm_create(ROLE_TRAPS);
    write_sysreg(ich_hcr_el2, ICH_EN);
    isb();
    want_trap("without those controls SGI1R is the first trap", SYSREG(3, 0, 12, 11, 5, 9, 0));
    want("IAR1 gave no interrupt", guest.x[8], INTID_SPURIOUS);
    want("the counter was read", guest.x[6] - guest.x[3] < 1000, true);
    vm_destroy();
}

void suite_vm(void)
{
    suite("vm");
    hello();
    el0();
    stage2();
    both_stages();
    protection();
    traps();
    vm_interrupts();
}
