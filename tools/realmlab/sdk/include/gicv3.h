// GICv3 (IHI 0069): abi/gic.h, and what is worked out from it.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GICV3_H
#define GICV3_H

#include "abi/gic.h"

#define GICD_TYPER_LINES(typer) (GICD_TYPER_ITLINESNUMBER(typer) + 1)            // of 32 interrupts each

#endif
