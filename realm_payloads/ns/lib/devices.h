// Registers of the boards' devices: PL011 (DDI 0183), PL031 (DDI 0224), SP805 (DDI 0270), generic watchdog (DEN0094).
// SPDX-License-Identifier: BSD-3-Clause
#ifndef DEVICES_H
#define DEVICES_H

#define UARTDR (UART + 0x00)
#define UARTFR (UART + 0x18)
#define UARTIBRD (UART + 0x24)
#define UARTFBRD (UART + 0x28)
#define UARTLCR_H (UART + 0x2c)
#define UARTCR (UART + 0x30)
#define UARTIFLS (UART + 0x34)
#define UARTIMSC (UART + 0x38)
#define UARTRIS (UART + 0x3c)
#define UARTMIS (UART + 0x40)
#define UARTICR (UART + 0x44)
#define UART_ALL 0x7ffu                 // interrupts
enum { UART_RX = 1 << 4, UART_TX = 1 << 5, UART_RT = 1 << 6 };
enum { FR_BUSY = 1 << 3, FR_RXFE = 1 << 4, FR_TXFF = 1 << 5, FR_RXFF = 1 << 6, FR_TXFE = 1 << 7 };
enum { LCR_H_FEN = 1 << 4, LCR_H_8_BITS = 3 << 5 };
enum { CR_UARTEN = 1 << 0, CR_LBE = 1 << 7, CR_TXE = 1 << 8, CR_RXE = 1 << 9 };

#define RTCDR (RTC + 0x00)
#define RTCMR (RTC + 0x04)
#define RTCCR (RTC + 0x0c)
#define RTCIMSC (RTC + 0x10)
#define RTCRIS (RTC + 0x14)
#define RTCMIS (RTC + 0x18)
#define RTCICR (RTC + 0x1c)

#define WDOGLOAD (SP805 + 0x00)
#define WDOGVALUE (SP805 + 0x04)
#define WDOGCONTROL (SP805 + 0x08)
#define WDOGINTCLR (SP805 + 0x0c)
#define WDOGRIS (SP805 + 0x10)
#define WDOGMIS (SP805 + 0x14)
#define WDOGLOCK (SP805 + 0xc00)
#define WDOG_KEY 0x1acce551u
enum { WDOG_INTEN = 1, WDOG_RESEN = 2 };

#define WRR WATCHDOG_REFRESH
#define WCS WATCHDOG_CONTROL
#define WOR (WATCHDOG_CONTROL + 0x08)
#define WCV (WATCHDOG_CONTROL + 0x10)
#define W_IIDR (WATCHDOG_CONTROL + 0xfcc)
enum { WCS_EN = 1, WCS_WS0 = 2, WCS_WS1 = 4 };

#define PERIPH_ID(base, n) ((base) + 0xfe0 + 4 * (n))
#define PCELL_ID(base, n) ((base) + 0xff0 + 4 * (n))

#endif
