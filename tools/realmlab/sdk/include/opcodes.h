// Instructions that payloads write to memory and then execute (DDI 0487).
// SPDX-License-Identifier: BSD-3-Clause
#ifndef OPCODES_H
#define OPCODES_H

#define RET 0xd65f03c0u
#define MOVZ_X0(value) (0xd2800000u | (u32)(value) << 5)

#endif
