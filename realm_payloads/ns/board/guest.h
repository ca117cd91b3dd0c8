// The guest of `board`, which runs both as a plain VM under Non-secure stage 2 and as a Realm: its memory map, its roles (X0 at
// entry), and its steps. A step reports to the host: by HVC #number in a VM, by a host call with that immediate in a Realm.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GUEST_H
#define GUEST_H

// start_guest.S uses these as well.
#define GUEST_STACKS_END 0x4000         // from GUEST_CODE: where the stack of vCPU 0 ends
#define HVC_FROM_EL0 7
#define HVC_SERROR 8

#ifndef __ASSEMBLER__

#define GUEST_IPA_WIDTH 33ul
#define GUEST_CODE 0x80000000ul
#define GUEST_CODE_PAGES 3ul
#define GUEST_VCPU 0x80003000ul         // two pages, one for each vCPU: its state from the bottom, its stack from the top
#define GUEST_VCPUS 2ul
#define GUEST_SHARED 0x80005000ul       // a page that both vCPUs use
#define GUEST_READ_ONLY 0x80006000ul    // in a VM; nothing is above it
#define GUEST_PAGES 7ul
#define GUEST_TOP 0x80007000ul
#define GUEST_DEVICE (1ul << (GUEST_IPA_WIDTH - 1) | 0x1000000ul)      // nothing is there; not protected in a Realm

// The role is in bits 7:0 of X0; bit 8 says that it is in a Realm.
#define IN_REALM 0x100ul
enum {
    ROLE_HELLO,         // STEP_HELLO, for ever
    ROLE_ABORTS,        // accesses that stage 2 refuses; the host steps over them; VM only
    ROLE_TRAPS,         // instructions that EL2 can trap; the host steps over them; VM only
    ROLE_EL0,           // SVC #33 from EL0, whose ESR_EL1 is then in X9 at STEP_FROM_EL0; VM only
    ROLE_STAGE1,        // its own stage 1 tables, and what they and stage 2 refuse; VM only
    ROLE_GROUP0,        // a virtual interrupt of Group 0, by FIQ; then one SError; VM only
    ROLE_INTERRUPTS,    // virtual interrupts that the Host makes
    ROLE_TIMER,         // its virtual timer
    ROLE_SPIN,          // runs and counts, with interrupts let in
    ROLE_MMIO,          // loads and stores that the Host emulates
    ROLE_FIRST,         // of two vCPUs: turns the second one on and takes turns with it
    ROLE_SECOND,        // of two vCPUs: the role that the first one passes in the context of CPU_ON
};

enum {
    STEP_HELLO = 1,     // CurrentEL, MPIDR_EL1, MIDR_EL1
    STEP_READY,         // with interrupts still off
    STEP_TOOK,          // how many interrupts it took in all, the last INTID, the running priority in its handler
    STEP_KEPT,          // the same, with the last one still active
    STEP_ENDED,         // after the end of that interrupt
    STEP_SPURIOUS,      // from its handler: there was nothing to acknowledge
    STEP_FROM_EL0 = HVC_FROM_EL0,
    STEP_SERROR = HVC_SERROR,   // X9 is its ESR_EL1
    STEP_STAGE1,        // ESR_EL1 and FAR_EL1 of its own abort, what it read through its tables
    STEP_READ,          // what the loads gave
    STEP_ON,            // X0 of CPU_ON
    STEP_PLAYED,        // how many times the turn came, the number of the vCPU
    STEP_SGI,           // how many SGIs the vCPU took
    STEP_DONE,
};

// Its stage 1: 32 bits of VA, the GiB of GUEST_CODE mapped flat and once more here; the next GiB has a table where nothing is.
#define GUEST_ALIAS 0x40000000ul
#define GUEST_NO_TABLE 0xc0000000ul

#define TURNS 40ul                      // of each vCPU
#define GUEST_MMIO_OUT 0x0123456789abcdeful
#define GUEST_PRIORITY_MASK 0xf0ul

#endif

#endif
