// Finds the GIC of a Realm in the device tree, and sets it up for a vCPU.
// SPDX-License-Identifier: BSD-3-Clause
#include "gic.h"
#include "mmu.h"
#include "rsi.h"

u64 distributor, redistributors;

void gic_find(void)
{
    u32 length = 0;
    u64 shared = realm_shared_bit();
    const void *reg = fdt_property(device_tree, "intc", "reg", &length);

    if (!reg || length != 32)
        panic("the device tree has no GICv3");
    distributor = fdt_cells(reg, 0, 2) | shared;
    redistributors = fdt_cells(reg, 4, 2) | shared;
    mmu_map(distributor, distributor, fdt_cells(reg, 2, 2), MAP_DEVICE);
    mmu_map(redistributors, redistributors, fdt_cells(reg, 6, 2), MAP_DEVICE);
    write32(distributor + GICD_CTLR, GICD_CTLR_ARE_NS | GICD_CTLR_ENABLEGRP1A);
}

void gic_cpu_up(void)
{
    u64 frame = own_frame();

    write32(frame + GICR_WAKER, 0);
    for (u64 intid = 0; intid < 32; intid++)
        write8(frame + GICR_SGI + GICD_IPRIORITYR + intid, 0xa0);
    write32(frame + GICR_SGI + GICD_ISENABLER, ~0u);
    write_sysreg(icc_pmr_el1, 0xf0);
    write_sysreg(icc_ctlr_el1, 0);
    write_sysreg(icc_igrpen1_el1, 1);
    isb();
}
