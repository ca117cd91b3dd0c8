// Assembly macros that save and restore general registers; a frame holds X<n> at offset 8 * n. `registers_2_to_29 stp, sp`
// saves them, `registers_2_to_29 ldp, sp` restores them.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef REGISTERS_H
#define REGISTERS_H

        .macro  registers_2_to_17 move, frame
        \move   x2, x3, [\frame, #16]
        \move   x4, x5, [\frame, #32]
        \move   x6, x7, [\frame, #48]
        \move   x8, x9, [\frame, #64]
        \move   x10, x11, [\frame, #80]
        \move   x12, x13, [\frame, #96]
        \move   x14, x15, [\frame, #112]
        \move   x16, x17, [\frame, #128]
        .endm

        .macro  registers_2_to_29 move, frame
        registers_2_to_17 \move, \frame
        \move   x18, x19, [\frame, #144]
        \move   x20, x21, [\frame, #160]
        \move   x22, x23, [\frame, #176]
        \move   x24, x25, [\frame, #192]
        \move   x26, x27, [\frame, #208]
        \move   x28, x29, [\frame, #224]
        .endm

#endif
