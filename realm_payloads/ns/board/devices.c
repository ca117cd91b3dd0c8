// Suite `devices`: the devices that both boards have, and an address that no device claims.
// SPDX-License-Identifier: BSD-3-Clause
#include "board.h"
#include "devices.h"
#include "gic.h"
#include "platform.h"
#include "timer.h"

#define MIDDLE 0x80
#define BAUD_DIVISOR 13u                // 115,200 baud at 24 MHz
#define MILLISECOND 100000ul            // ticks
#define PCELL 0xb105f00du

static struct pe *const self = &pes[0];

u32 identity(u64 first)
{
    u32 value = 0;

    for (u32 n = 0; n < 4; n++)
        value |= (read32(first + 4 * n) & 0xff) << 8 * n;
    return value;
}

static void wait_ticks(u64 ticks)
{
    for (u64 start = now(); now() - start < ticks;)
        ;
}

// -- PL011 ------------------------------------------------------------------------------------------------------------
static void uart_registers(void)
{
    static const struct { u64 at; u32 value; } registers[] = {
        {UARTIBRD, BAUD_DIVISOR}, {UARTFBRD, 1}, {UARTLCR_H, LCR_H_FEN | LCR_H_8_BITS}, {UARTIFLS, 0x12},
        {UARTIMSC, UART_RX | UART_RT}, {UARTIMSC, 0}, {UARTCR, CR_UARTEN | CR_TXE | CR_RXE},
    };
    u64 wrong = 0;

    want("the UART is a PL011", identity(PERIPH_ID(UART, 0)) & 0xfffff, 0x41011);
    want("and a PrimeCell", identity(PCELL_ID(UART, 0)), PCELL);
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        write32(registers[i].at, registers[i].value);
        wrong += read32(registers[i].at) != registers[i].value;
    }
    want("its registers read back", wrong, 0);
    while (read32(UARTFR) & FR_BUSY)
        ;
    want("it has sent everything", read32(UARTFR) & (FR_TXFE | FR_TXFF), FR_TXFE);
    want("and received nothing", read32(UARTFR) & (FR_RXFE | FR_RXFF), FR_RXFE);
    write32(UARTICR, UART_ALL);
    want("ICR clears its interrupts", read32(UARTRIS) & (UART_RX | UART_RT), 0);
}

static u64 taken_mask, taken_bytes;

static void drain(struct pe *pe, u32 intid)
{
    (void)pe;
    (void)intid;
    taken_mask = read32(UARTMIS);
    while (!(read32(UARTFR) & FR_RXFE)) {
        taken_bytes = taken_bytes << 8 | (read32(UARTDR) & 0xff);
    }
    write32(UARTICR, UART_RX | UART_RT);
}

// Prints nothing while the UART is in loopback.
static void uart_loop(void)
{
    u32 empty, one, raw_one, raw_two;
    u64 early, late, first_mask, first_bytes;

    self->on_irq = drain;
    gic_route(UART_INTID, MPIDR_OF(0));
    gic_edge(UART_INTID, false);
    write32(UARTIFLS, 0);               // interrupt at 2 of 16 bytes
    write32(UARTIMSC, UART_RX | UART_RT);
    write32(UARTCR, CR_UARTEN | CR_TXE | CR_RXE | CR_LBE);
    gic_enable(UART_INTID, MIDDLE);
    self->interrupts = taken_bytes = 0;
    irq_unmask();
    empty = read32(UARTFR) & FR_RXFE;
    write32(UARTDR, 'R');
    one = read32(UARTFR) & FR_RXFE;
    raw_one = read32(UARTRIS) & UART_RX;
    early = self->interrupts;
    wait_ticks(MILLISECOND);            // more than 32 bits
    late = self->interrupts;
    first_mask = taken_mask;
    first_bytes = taken_bytes;
    irq_mask();
    write32(UARTDR, 'M');
    write32(UARTDR, 'E');
    raw_two = read32(UARTRIS) & UART_RX;
    irq_unmask();
    wait_ticks(100);
    irq_mask();
    gic_disable(UART_INTID);
    write32(UARTIMSC, 0);
    write32(UARTCR, CR_UARTEN | CR_TXE | CR_RXE);
    self->on_irq = NULL;

    want("in loopback, a byte that is sent is received", empty && !one, true);
    want("one is below the level of the FIFO", raw_one, 0);
    want("so there is no interrupt yet", early, 0);
    want("but after 32 bits of silence", late, 1);
    want("it is the timeout's", first_mask, UART_RT);
    want("and finds the byte", first_bytes, 'R');
    want("two reach the level", raw_two, UART_RX);
    want("and interrupt", self->interrupts, 2);
    want("with the UART's INTID", self->intids[1], UART_INTID);
    want("for both bytes", taken_bytes & 0xffff, 'M' << 8 | 'E');
}

// -- PL031 ------------------------------------------------------------------------------------------------------------
static void alarm_off(struct pe *pe, u32 intid)
{
    (void)pe;
    (void)intid;
    write32(RTCICR, 1);
}

static void clock(void)
{
    const u64 second = read_sysreg(cntfrq_el0);
    u32 start;
    u64 ticks;

    want("the RTC is a PL031", identity(PERIPH_ID(RTC, 0)) & 0xfffff, 0x41031);
    want("and a PrimeCell", identity(PCELL_ID(RTC, 0)), PCELL);
    want("it runs", read32(RTCCR) & 1, 1);
    start = read32(RTCDR);
    want("it is after 2020", start > 1577836800, true);
    self->on_irq = alarm_off;
    self->interrupts = 0;
    gic_route(RTC_INTID, MPIDR_OF(0));
    gic_edge(RTC_INTID, false);
    write32(RTCICR, 1);
    write32(RTCMR, start + 2);
    write32(RTCIMSC, 1);
    gic_enable(RTC_INTID, MIDDLE);
    ticks = now();
    pe_wait_interrupts(self, 1);
    ticks = now() - ticks;
    want("its alarm interrupts", self->intids[0], RTC_INTID);
    want("at its second", read32(RTCDR), start + 2);
    want("which is one or two of the counter's", ticks > second && ticks < 2 * second + MILLISECOND, true);
    want("ICR ended it", read32(RTCRIS) | read32(RTCMIS), 0);
    write32(RTCIMSC, 0);
    gic_disable(RTC_INTID);
    self->on_irq = NULL;
}

// -- flash ------------------------------------------------------------------------------------------------------------
// Two chips of 16 bits get each command together.
static void command(u64 offset, u32 value)
{
    write32(FLASH + offset, value << 16 | value);
}

static void flash(void)
{
    u32 query[3];

    command(0x55 * 4, FLASH_QUERY);
    for (u32 n = 0; n < 3; n++)
        query[n] = read32(FLASH + 4 * (0x10 + n));
    command(0, FLASH_ARRAY);
    want("the flash answers a query", query[0] == 0x510051 && query[1] == 0x520052 && query[2] == 0x590059, true);
    command(FLASH_BLOCK, FLASH_ERASE);
    command(FLASH_BLOCK, FLASH_CONFIRM);
    want("it erases a block", read32(FLASH + FLASH_BLOCK), 0x800080);
    command(0, FLASH_ARRAY);
    want("which is all ones then", read64(FLASH + FLASH_BLOCK + 0x100), ~0ul);
    for (u32 n = 0; n < 2; n++) {
        command(FLASH_BLOCK + 0x100, FLASH_PROGRAM);
        write32(FLASH + FLASH_BLOCK + 0x100, n ? 0xffff5678 : 0x1234ffff);
        want(n ? "and once more" : "it programs a word", read32(FLASH), 0x800080);
    }
    command(0, FLASH_ARRAY);
    want("programming clears bits", read32(FLASH + FLASH_BLOCK + 0x100), 0x12345678);
    want("of that word alone", read32(FLASH + FLASH_BLOCK + 0x104), 0xffffffff);
}

// -- the rest ---------------------------------------------------------------------------------------------------------
static void want_external(const char *rule, const struct fault *fault, u64 iss)
{
    const u64 external_abort_type = 1ul << 9;           // IMPLEMENTATION DEFINED

    want(rule, fault->esr & ~external_abort_type, ESR(EC_DATA_ABORT_SAME, iss));
    detail("FAR is its address", fault->far, UNCLAIMED + 0x10);
}

static void empty(void)
{
    struct fault fault;

    want("a PCIe function that is not there reads all ones", read32(ECAM), 0xffffffff);
    want("by halves", *(volatile u16 *)(ECAM + 0x8000), 0xffff);
    want("and bytes", read8(ECAM + 0x100003), 0xff);
    write32(ECAM + 4, 0);
    want("and keeps nothing", read32(ECAM + 4), 0xffffffff);
    want("a virtio transport is there", read32(VIRTIO), 0x74726976);
    want("without a device", read32(VIRTIO + 8), 0);
    CATCH(fault)
        read32(UNCLAIMED + 0x10);
    want_external("a load from an address that nobody claims is an external abort", &fault, FSC_EXTERNAL);
    CATCH(fault)
        write32(UNCLAIMED + 0x10, 0);
    want_external("so is a store", &fault, ESR_WNR | FSC_EXTERNAL);
}

void suite_devices(void)
{
    suite("devices");
    uart_registers();
    uart_loop();
    clock();
    flash();
    empty();
}
