// The Realm of `rmi`: its memory map, and the steps of its program. A step is a host call whose immediate is its number.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GUEST_H
#define GUEST_H

#define GUEST_STACKS_END 0x3000         // from GUEST_CODE: where the stack of vCPU 0 ends; start_guest.S uses it as well

#ifndef __ASSEMBLER__

#define GUEST_IPA_WIDTH 33ul
#define GUEST_SHARED_BIT (1ul << (GUEST_IPA_WIDTH - 1))

#define GUEST_CODE 0x80000000ul         // two pages, measured
#define GUEST_CODE_PAGES 2ul
#define GUEST_STACK 0x80002000ul        // two pages, one for each vCPU; a host call structure at the bottom of each
#define GUEST_LATE 0x80004000ul         // RAM that the Host provides on first touch
#define GUEST_RIPAS 0x80005000ul        // three pages whose RIPAS the Realm changes
#define GUEST_RIPAS_PAGES 3ul
#define GUEST_DESTROYED 0x80008000ul    // RAM that the Host takes away
#define GUEST_RAM_TOP 0x80009000ul
#define GUEST_BLOCK 0x80200000ul        // 2 MiB by pages, then by a block, then by pages again
#define GUEST_SHARED (GUEST_SHARED_BIT | 0x80009000ul)
#define GUEST_DEVICE (GUEST_SHARED_BIT | 0x1000000ul)

enum {
    STEP_START = 1,     // gprs 1..30 = 0x100 + their number; the Host answers 0x200 + it in all
    STEP_ANSWERED,      // gprs[0] = how many of the answers arrived, gprs[1] = what the registers held at the start, ORed
    STEP_WROTE,         // after the stores to the device
    STEP_READ,          // gprs 0..4 = what the loads from the device gave
    STEP_SEA,           // gprs 0..1 = ESR_EL1 and FAR_EL1 of the load that the Host answered by a SEA
    STEP_LATE,          // gprs[0] = what the late page held, gprs[1] = what the Realm wrote there
    STEP_SHARED,        // gprs[0] = what the shared page held
    STEP_UNSHARED,      // gprs[0] = what it held when it was touched again
    STEP_WFI,           // after WFI
    STEP_TIMER,         // gprs[0] = CNTV_CTL_EL0 after its virtual timer fired
    STEP_RIPAS,         // gprs 0..2 = X0..X2 of RSI_IPA_STATE_SET, once for each of the four requests
    STEP_EMPTY,         // gprs[0] = ESR_EL1 of a load from an EMPTY page
    STEP_BLOCK_WRITTEN, // a word in each page of the block
    STEP_BLOCK_READ,    // gprs[0] = how many of them were right, three times
    STEP_DENIED,        // gprs[0] = X0 of CPU_ON, gprs 1..2 = X0 of CPU_ON of itself and of a vCPU that does not exist
    STEP_ON,            // gprs[0] = X0 of CPU_ON
    STEP_AFFINITY,      // gprs[0] = X0 of AFFINITY_INFO
    STEP_SECOND,        // on the second vCPU: gprs 0..2 = X0 at its entry, its MPIDR, what the registers held the first time
};

// RIPAS requests, in order: half way to EMPTY, the rest of the way, back to RAM refused, back to RAM.
#define RIPAS_REQUESTS 4

#define CONTEXT_REPORTS 0x1111ul        // context_id of CPU_ON: report, then CPU_OFF
#define CONTEXT_TOUCHES 0x2222ul        // report, then touch GUEST_DESTROYED for ever

#endif

#endif
