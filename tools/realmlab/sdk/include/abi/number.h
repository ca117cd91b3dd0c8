// Numbers for C and for assembly. Written by `make payloads` from the tables in the code.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef ABI_NUMBER_H
#define ABI_NUMBER_H

#ifdef __ASSEMBLER__
#define U64(number) number
#else
#include "types.h"
#define U64_(number) number##ul
#define U64(number) U64_(number)
#endif

#endif
