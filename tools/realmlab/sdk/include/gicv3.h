// GICv3 (IHI 0069): interrupt IDs, and the registers of the distributor and the redistributors.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef GICV3_H
#define GICV3_H

#define INTID_SPI 32u
#define INTID_SPECIAL 1020u
#define INTID_SPURIOUS 1023u
#define SGI1R_IRM (1ul << 40)           // to all PEs but this one

#define GICD_CTLR 0x0000
#define GICD_TYPER 0x0004
#define GICD_TYPER_LINES(typer) (((typer) & 0x1f) + 1)           // of 32 interrupts each
#define GICD_SETSPI_NSR 0x0040
#define GICD_CLRSPI_NSR 0x0048
#define GICD_IGROUPR 0x0080
#define GICD_ISENABLER 0x0100
#define GICD_ICENABLER 0x0180
#define GICD_ISPENDR 0x0200
#define GICD_ICPENDR 0x0280
#define GICD_ISACTIVER 0x0300
#define GICD_ICACTIVER 0x0380
#define GICD_IPRIORITYR 0x0400
#define GICD_ICFGR 0x0c00
#define GICD_IROUTER 0x6000
#define GIC_PIDR2 0xffe8
#define GICD_CTLR_RWP (1u << 31)
#define GICD_CTLR_ARE_NS (1u << 4)
#define GICD_CTLR_ENABLE_G1A (1u << 1)

#define GICR_TYPER 0x0008
#define GICR_WAKER 0x0014
#define GICR_SGI 0x10000                // the frame of SGIs and PPIs, with the register map of the distributor
#define GICR_STRIDE 0x20000
#define GICR_TYPER_LAST (1ul << 4)
#define GICR_WAKER_SLEEP (1u << 1)
#define GICR_WAKER_ASLEEP (1u << 2)

#endif
