// SMCs for guests. Inline, because a guest runs as a copy and cannot call code outside it.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GUEST_SMC_H
#define GUEST_SMC_H

#include "types.h"

struct answer {
    u64 x[3];
};

static inline struct answer guest_smc(u64 fid, u64 a, u64 b, u64 c, u64 d)
{
    register u64 r0 __asm__("x0") = fid;
    register u64 r1 __asm__("x1") = a;
    register u64 r2 __asm__("x2") = b;
    register u64 r3 __asm__("x3") = c;
    register u64 r4 __asm__("x4") = d;

    __asm__ volatile("smc #0" : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4) : : "x5", "x6", "x7", "memory");
    return (struct answer){{r0, r1, r2}};
}

#endif
