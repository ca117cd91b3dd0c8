// A Realm that runs the guest of `board`: its granules, and what the Host sees of its vCPUs.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef REALM_H
#define REALM_H

#include "guest.h"
#include "rmi.h"

#define REALM_VCPUS 2
#define START_LEVEL 1ul

struct board_realm {
    struct rmi_rec_run runs[REALM_VCPUS];
    u8 page[PAGE_SIZE];                 // for parameters
    u64 pool;                           // the next granule
    u64 failed;                         // the first RMI command that failed: function << 32 | status; 0 = none
    u64 rd, rtt_base, tables[2], pages[GUEST_PAGES], recs[REALM_VCPUS], aux[REALM_VCPUS][16], num_aux;
} __attribute__((aligned(4096)));

// These functions print nothing and share nothing: several PEs may call them at once, each with a Realm of its own.
void realm_build(struct board_realm *realm, u64 vmid, u64 role);        // REC 0 is runnable, with this role
u64 realm_enter(struct board_realm *realm, u64 vcpu, u64 flags);        // X0 of REC_ENTER
u64 realm_complete(struct board_realm *realm, u64 vcpu, u64 target);    // PSCI_COMPLETE with success
void realm_destroy(struct board_realm *realm);

#endif
