// Suite `config`: fw_cfg and GPIO of QEMU's virt board. Empty for a board without them.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "devices.h"
#include "gic.h"
#include "platform.h"

#ifdef FW_CFG

#define PINS 0xffu

// What a transfer reads, in the order of the device's numbers.
static struct {
    u32 control;
    u32 length;
    u64 address;
} request __attribute__((aligned(16)));
static u32 buffer[2] __attribute__((aligned(16)));

static void select(u32 key)
{
    *(volatile u16 *)FW_CFG_SELECTOR = __builtin_bswap16((u16)key);
}

static u32 transfer(u32 control, u32 length)
{
    request.control = __builtin_bswap32(control);
    request.length = __builtin_bswap32(length);
    request.address = __builtin_bswap64((u64)buffer);
    __asm__ volatile("dsb sy" ::: "memory");
    write64(FW_CFG_DMA, __builtin_bswap64((u64)&request));
    __asm__ volatile("dsb sy" ::: "memory");
    return __builtin_bswap32(*(volatile u32 *)&request.control);
}

static void fw_cfg(void)
{
    select(FW_CFG_SIGNATURE);
    want("fw_cfg has its signature", read32(FW_CFG), 0x554d4551);
    want("and that of its DMA", __builtin_bswap64(read64(FW_CFG_DMA)), 0x51454d5520434647);
    select(FW_CFG_PES);
    want("bytes come one after another", read8(FW_CFG), 8);
    want("and zeros after the end", read32(FW_CFG), 0);
    want("DMA selects and reads", transfer(FW_CFG_DIRECTORY << 16 | FW_CFG_SELECT | FW_CFG_READ, 4), 0);
    want("the number of files", __builtin_bswap32(buffer[0]) >= 1, true);
    want("and the size of one", transfer(FW_CFG_READ, 8), 0);
    want("with its key", (__builtin_bswap32(buffer[1]) >> 16) >= 0x20, true);
    want("items cannot be written", transfer(FW_CFG_SIGNATURE << 16 | FW_CFG_SELECT | FW_CFG_WRITE, 4), FW_CFG_ERROR);
}

static void gpio(void)
{
    want("the GPIO is a PL061", identity(PERIPH_ID(GPIO, 0)) & 0xfffff, 0x41061);
    want("its pins are inputs", read32(GPIODIR), 0);
    write32(GPIODIR, 0xf0);
    write32(GPIODATA(PINS), 0xff);
    want("outputs show what is driven, inputs do not", read32(GPIODATA(PINS)), 0xf0);
    write32(GPIODATA(0x30), 0);
    want("an address names the pins that are written", read32(GPIODATA(PINS)), 0xc0);
    want("and those that are read", read32(GPIODATA(0x90)), 0x80);
    want("an output is no edge of an input", read32(GPIORIS), 0);
    write32(GPIODATA(PINS), 0);
    write32(GPIODIR, 0);
}

void suite_config(void)
{
    suite("config");
    fw_cfg();
    gpio();
}
#endif
