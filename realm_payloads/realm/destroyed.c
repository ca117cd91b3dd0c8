// destroyed: writes to two pages and asks the Host to destroy them ("destroy ADDRESS ADDRESS"). The Realm then sees RIPAS
// DESTROYED, and gets the first page back as zeroed RAM only once it allows that change. Finally it touches the second page in
// the way its argument names (default: load); no Host can repair that, so the run ends with status 3. If the Host destroys
// nothing, the payload says so and exits with status 0.
// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"
#include "mmu.h"
#include "opcodes.h"
#include "rsi.h"
#include "runtime.h"

#define WINDOW 0x10000000000ul
#define TCR_TTBR1_39 (25ul << 16 | 2ul << 30)   // a table of level 1, 4 KiB granule
#define UPPER_HALF 0xffffff8000000000ul

static u64 pages[2][512] __attribute__((aligned(4096)));
static u64 *const kept = pages[0], *const lost = pages[1];

static void load(void) { (void)*(volatile u64 *)lost; }
static void store(void) { *(volatile u64 *)lost = 1; }
static void pair(void) { __asm__ volatile("ldp x9, x10, [%0]" ::"r"(lost) : "x9", "x10", "memory"); }
static void exclusive(void) { __asm__ volatile("ldaxr x9, [%0]" ::"r"(lost) : "x9", "memory"); }
static void fetch(void) { ((void (*)(void))WINDOW)(); }
static void config(void) { (void)rsi_realm_config((u64)lost); }
static void call(void) { (void)rsi_host_call((u64)lost); }

// A walk of stage 1: the second page becomes the table of the upper half.
static void walk(void)
{
    write_sysreg(ttbr1_el1, lost);
    write_sysreg(tcr_el1, (read_sysreg(tcr_el1) & ~TCR_EPD1) | TCR_TTBR1_39);
    isb();
    (void)*(volatile u64 *)UPPER_HALF;
}

static const struct { const char *name; void (*touch)(void); } ways[] = {
    {"load", load}, {"store", store}, {"pair", pair}, {"exclusive", exclusive},
    {"fetch", fetch}, {"walk", walk}, {"config", config}, {"call", call},
};

static u64 ripas_of(const u64 *page)
{
    struct smc answer = rsi_ipa_state_get((u64)page, (u64)page + PAGE_SIZE);

    return answer.x[0] == RSI_SUCCESS ? answer.x[2] : NOT_SUPPORTED;
}

static void (*chosen(void))(void)
{
    const char *name = boot_arguments();

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
        if (strlen(name) == strlen(ways[i].name) && !memcmp(name, ways[i].name, strlen(name)))
            return ways[i].touch;
    return load;
}

int main(void)
{
    void (*touch)(void) = chosen();
    const u64 base = (u64)kept, top = base + PAGE_SIZE;
    struct smc answer;

    kept[0] = 0x5ec2e7;
    *(u32 *)lost = RET;
    code_written(lost, sizeof(u32));
    mmu_map(WINDOW, (u64)lost, PAGE_SIZE, MAP_WRITE_EXECUTE);
    fetch();                            // now every TLB holds the page
    check_equal("RAM is RAM", ripas_of(kept), RSI_RAM);
    printf("destroy %lx %lx\n", (u64)kept, (u64)lost);
    if (ripas_of(kept) != RSI_DESTROYED || ripas_of(lost) != RSI_DESTROYED) {
        printf("nobody destroyed anything\n");
        return check_failures();
    }
    answer = rsi_ipa_state_set(base, top, RSI_RAM, RSI_NO_CHANGE_DESTROYED);
    check("what is DESTROYED stays so", answer.x[0] == RSI_SUCCESS && answer.x[1] == base && ripas_of(kept) == RSI_DESTROYED);
    answer = rsi_ipa_state_set(base, top, RSI_RAM, RSI_CHANGE_DESTROYED);
    check("unless the Realm says that it may change", answer.x[0] == RSI_SUCCESS && answer.x[1] == top && answer.x[2] == RSI_ACCEPT);
    check_equal("then it is RAM", ripas_of(kept), RSI_RAM);
    check_equal("and zero", *(volatile u64 *)kept, 0);
    printf("touching\n");
    touch();
    check("nobody survives that", false);
    return check_failures();
}
