// The lives of `board`: a life lasts from one system reset to the next.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef LIVES_H
#define LIVES_H

#include "types.h"

u64 life(void);                         // 0 is the first one
u64 lives(void);
_Noreturn void end_life(void);          // by a reset, another kind in each life

#endif
