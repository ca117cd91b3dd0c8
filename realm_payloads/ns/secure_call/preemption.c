// Suites `yielding` and `messages`: calls and FF-A messages that timer interrupts preempt.
// SPDX-License-Identifier: BSD-3-Clause
#include "secure_call.h"
#include "gic.h"
#include "pe.h"
#include "timer.h"

// -- yielding calls ---------------------------------------------------------------------------------------------------
void suite_yielding(void)
{
    struct pe *pe = this_pe();
    const u64 *r;
    u64 preempted = 0, wrong = 0;

    suite("yielding");
    r = call(SECURE_COMPUTE, 3, SEED, 0, 0);
    want("a short call is not preempted", r[0] == 0 && r[1] == computed(3, SEED), true);
    r = call(SECURE_COMPUTE | 1, 0, 0, 0, 0);
    want("a yielding function that the payload does not know", r[0], SECURE_UNKNOWN);
    irq_unmask();
    arm();
    r = call(SECURE_COMPUTE, ROUNDS, SEED, 0, 0);
    while (r[0] == SECURE_PREEMPTED) {
        preempted++;
        wrong += lost(r, 4) != 0;
        arm();
        r = call(SECURE_RESUME, 0, 0, 0, 0);
    }
    want("a long one is, more than once", preempted > 1, true);
    want("each time for an interrupt", pe->interrupts, preempted);
    want("and is right in the end", r[0] == 0 && r[1] == computed(ROUNDS, SEED), true);
    want("X4 to X30 are the caller's throughout", wrong + lost(r, 4), 0);
    arm();
    want("an interrupt preempts", call(SECURE_COMPUTE, ROUNDS, SEED, 0, 0)[0], SECURE_PREEMPTED);
    want("no other call meanwhile", call(SECURE_ADD, 1, 2, 0, 0)[0], SECURE_UNKNOWN);
    r = call(FFA_MSG_SEND_DIRECT_REQ, FFA_ID_PARTITION, 0, 0, 0);
    want("no message either", r[0] == FFA_ERROR && r[2] == FFA_BUSY, true);
    want("the call is given up", call(SECURE_ABORT, 0, 0, 0, 0)[0], 0);
    want("and cannot be resumed", call(SECURE_RESUME, 0, 0, 0, 0)[0], SECURE_UNKNOWN);
    want("another one can be made", call(SECURE_ADD, 1, 2, 0, 0)[1], 3);
    irq_mask();
    arm();
    r = call(SECURE_COMPUTE, ROUNDS, SEED, 0, 0);
    want("an interrupt that is masked here preempts, too", r[0], SECURE_PREEMPTED);
    r = call(SECURE_RESUME, 0, 0, 0, 0);
    want("at once, as long as it is pending", r[0], SECURE_PREEMPTED);
    timers[CNTHP].set_control(0);
    r = call(SECURE_RESUME, 0, 0, 0, 0);
    want("and then no more", r[0] == 0 && r[1] == computed(ROUNDS, SEED), true);
    arm();
    while (!gic_bit(GICD_ISPENDR, timers[CNTHP].intid))
        ;
    want("a fast call is not preempted", call(SECURE_ADD, 1, 2, 0, 0)[1], 3);
    timers[CNTHP].set_control(0);
}

// -- messages ---------------------------------------------------------------------------------------------------------
void suite_messages(void)
{
    const u64 *r;
    u64 preempted = 0;

    suite("messages");
    want("FFA_VERSION 1.1", call(FFA_VERSION, FFA_1_1, 0, 0, 0)[0], FFA_1_1);
    want("bit 31 of a version", (u32)call(FFA_VERSION, 1ul << 31, 0, 0, 0)[0], FFA_NOT_SUPPORTED);
    r = call(FFA_ID_GET, 0, 0, 0, 0);
    want("the ID of the Host is 0", r[0] == FFA_SUCCESS && r[2] == 0, true);
    r = call(FFA_SPM_ID_GET, 0, 0, 0, 0);
    want("the ID of the partition manager", r[0] == FFA_SUCCESS && r[2] == 0x8000, true);
    want("FFA_FEATURES of direct messages", call(FFA_FEATURES, FFA_MSG_SEND_DIRECT_REQ_64, 0, 0, 0)[0], FFA_SUCCESS);
    r = call(FFA_FEATURES, FFA_PARTITION_INFO_GET, 0, 0, 0);
    want("and of what needs buffers", r[0] == FFA_ERROR && r[2] == FFA_NOT_SUPPORTED, true);
    r = call(FFA_PARTITION_INFO_GET_REGS_64, 0, 0, 0, 0);
    want("one partition", r[0] == FFA_SUCCESS_64 && (r[2] & 0xffffffff) == 0 && (r[3] & 0xffff) == FFA_ID_PARTITION, true);
    r = call(FFA_MSG_SEND_DIRECT_REQ, FFA_ID_PARTITION, 0, 3, SEED);
    want("a message of 32-bit words", r[0] == FFA_MSG_SEND_DIRECT_RESP && r[1] == FFA_ID_PARTITION << 16 && r[3] == 3, true);
    want("is answered", r[4], (u32)computed(3, (u32)SEED));
    want("X8 to X30 are the caller's", lost(r, 8), 0);
    r = call(FFA_MSG_SEND_DIRECT_REQ_64, 5ul << 16 | FFA_ID_PARTITION, 0, 3, SEED);
    want("a message of 64-bit words", r[0] == FFA_MSG_SEND_DIRECT_RESP_64 && r[1] == (FFA_ID_PARTITION << 16 | 5), true);
    want("is answered", r[4], computed(3, SEED));
    r = call(FFA_MSG_SEND_DIRECT_REQ_64, 0x8002, 0, 0, 0);
    want("a message to nobody", r[0] == FFA_ERROR && r[2] == FFA_INVALID_PARAMETERS, true);
    r = call(FFA_MSG_SEND_DIRECT_REQ_64, 0x8002ul << 16 | FFA_ID_PARTITION, 0, 0, 0);
    want("a message from another Secure endpoint", r[0] == FFA_ERROR && r[2] == FFA_INVALID_PARAMETERS, true);
    r = call(FFA_MSG_SEND_DIRECT_RESP_64, FFA_ID_PARTITION, 0, 0, 0);
    want("a response from here", r[0] == FFA_ERROR && r[2] == FFA_NOT_SUPPORTED, true);
    r = call(FFA_RUN, FFA_ID_PARTITION << 16, 0, 0, 0);
    want("nothing to run", r[0] == FFA_ERROR && r[2] == FFA_DENIED, true);
    irq_unmask();
    arm();
    r = call(FFA_MSG_SEND_DIRECT_REQ_64, FFA_ID_PARTITION, 0, ROUNDS, SEED);
    while (r[0] == FFA_INTERRUPT && r[1] == FFA_ID_PARTITION << 16) {
        preempted++;
        r = call(FFA_RUN, r[1], 0, 0, 0);
    }
    irq_mask();
    want("an interrupt preempts a message", preempted, 1);
    want("FFA_RUN lets it go on", r[0] == FFA_MSG_SEND_DIRECT_RESP_64 && r[4] == computed(ROUNDS, SEED), true);
}
