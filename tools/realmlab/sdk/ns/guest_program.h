// The guest inside a payload: the objects named *_guest.o, as the linker script collects them.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GUEST_PROGRAM_H
#define GUEST_PROGRAM_H

#include "types.h"

u64 guest_size(void);                   // in bytes
void guest_page(void *to, u64 index);   // copies a page of the program; zeros follow its end

#endif
