// What the parts of `rmi` share: the Realm's granules, the three acts of the script, and the aborts they expect.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef REALM_H
#define REALM_H

#include "esr.h"
#include "ns.h"
#include "platform.h"
#include "rmi_host.h"
#include "guest.h"

#define START_LEVEL 1
#define BLOCK_PA (POOL + 0x400000)       // 2 MiB, aligned: what GUEST_BLOCK maps

struct realm {
    u64 rd, rtt_base;
    u64 tables[3];                      // level 2 of GUEST_CODE, level 3 of GUEST_CODE and of GUEST_BLOCK
    u64 shared_tables[2];               // levels 2 and 3 of GUEST_SHARED
    u64 code[GUEST_CODE_PAGES], stacks[2], late, ripas, destroyed;
    u64 recs[2], aux[2][16], num_aux;
};
extern struct realm realm;
extern struct rmi_rec_run runs[2];

void build_realm(void);                 // build.c
void run_realm(void);                   // run.c
void run_together(void);                // smp.c, called by run_realm()
void destroy_realm(void);               // rmi.c

// A stage 2 data abort as the Host sees it.
#define TRANSLATION(level) (4ul + (level))
#define DATA_ABORT(fsc) (ESR_CLASS(EC_DATA_ABORT) | (fsc))
#define HPFAR(ipa) ((ipa) >> 12 << 4)

// Create a table at a level; a page of unknown content.
u64 make_table(u64 ipa, int level);
u64 unknown_data(u64 ipa);
// RTT_READ_ENTRY must find this.
void want_entry(const char *rule, u64 ipa, u64 level, u64 found_level, u64 state, u64 desc, u64 ripas);

#endif
