// Numbers in words, for messages. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_WORDS_H
#define ABI_WORDS_H

// Exception classes.
#define EC_WORDS(X) \
    X(0x00, "undefined instruction") \
    X(0x01, "trapped WFI or WFE") \
    X(0x07, "FP or SIMD instruction while it is turned off") \
    X(0x09, "trapped pointer authentication") \
    X(0x0e, "illegal execution state") \
    X(0x15, "SVC") \
    X(0x16, "HVC") \
    X(0x17, "SMC") \
    X(0x18, "trapped system register access") \
    X(0x19, "SVE instruction while it is turned off") \
    X(0x1a, "trapped ERET") \
    X(0x1d, "SME instruction while it is turned off") \
    X(0x1e, "granule protection check") \
    X(0x20, "instruction abort from a lower level") \
    X(0x21, "instruction abort") \
    X(0x22, "PC that is not aligned") \
    X(0x24, "data abort from a lower level") \
    X(0x25, "data abort") \
    X(0x26, "SP that is not aligned") \
    X(0x2f, "SError") \
    X(0x30, "breakpoint from a lower level") \
    X(0x31, "breakpoint") \
    X(0x32, "software step from a lower level") \
    X(0x33, "software step") \
    X(0x34, "watchpoint from a lower level") \
    X(0x35, "watchpoint") \
    X(0x3c, "BRK")

// Fault status codes.
#define FSC_WORDS(X) \
    X(0x00, "address size fault, level 0") \
    X(0x01, "address size fault, level 1") \
    X(0x02, "address size fault, level 2") \
    X(0x03, "address size fault, level 3") \
    X(0x04, "translation fault, level 0") \
    X(0x05, "translation fault, level 1") \
    X(0x06, "translation fault, level 2") \
    X(0x07, "translation fault, level 3") \
    X(0x08, "access flag fault, level 0") \
    X(0x09, "access flag fault, level 1") \
    X(0x0a, "access flag fault, level 2") \
    X(0x0b, "access flag fault, level 3") \
    X(0x0c, "permission fault, level 0") \
    X(0x0d, "permission fault, level 1") \
    X(0x0e, "permission fault, level 2") \
    X(0x0f, "permission fault, level 3") \
    X(0x10, "external abort") \
    X(0x11, "asynchronous error") \
    X(0x14, "external abort on a table walk, level 0") \
    X(0x15, "external abort on a table walk, level 1") \
    X(0x16, "external abort on a table walk, level 2") \
    X(0x17, "external abort on a table walk, level 3") \
    X(0x21, "alignment fault") \
    X(0x22, "debug exception") \
    X(0x24, "granule protection fault on a table walk, level 0") \
    X(0x25, "granule protection fault on a table walk, level 1") \
    X(0x26, "granule protection fault on a table walk, level 2") \
    X(0x27, "granule protection fault on a table walk, level 3") \
    X(0x28, "granule protection fault") \
    X(0x35, "exclusive or atomic access that the memory does not support")

#endif
