// Registers of the boards' devices: PL011 (DDI 0183), PL031 (DDI 0224), PL061 (DDI 0190), SP804 (DDI 0271), SP805 (DDI 0270),
// SP810 (DDI 0254), generic watchdog (DEN0094), generic timer frames (DDI 0487, I2), flash with Intel's commands, fw_cfg.
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

#define CNTNSAR (TIMER_CONTROL + 0x04)
#define CNTTIDR (TIMER_CONTROL + 0x08)
#define FRAME_CNTPCT (TIMER_FRAME + 0x00)
#define FRAME_CNTFRQ (TIMER_FRAME + 0x10)
#define FRAME_CVAL (TIMER_FRAME + 0x20)
#define FRAME_TVAL (TIMER_FRAME + 0x28)
#define FRAME_CTL (TIMER_FRAME + 0x2c)

#define SP804_LOAD (SP804 + 0x00)
#define SP804_VALUE (SP804 + 0x04)
#define SP804_CONTROL (SP804 + 0x08)
#define SP804_INTCLR (SP804 + 0x0c)
#define SP804_MIS (SP804 + 0x14)
enum { SP804_32_BITS = 1 << 1, SP804_INTEN = 1 << 5, SP804_PERIODIC = 1 << 6, SP804_EN = 1 << 7 };
#define SCCTRL (SP810 + 0x00)
enum { SCCTRL_TIMER0_1MHZ = 1 << 15 };

#define PSYSR (POWER_CONTROLLER + 0x10)
#define PSYSR_L0 (1u << 29)
#define PSYSR_L1 (1u << 30)

#define GPIODATA(pins) (GPIO + 4 * (pins))
#define GPIODIR (GPIO + 0x400)
#define GPIORIS (GPIO + 0x414)

#define FW_CFG_SELECTOR (FW_CFG + 0x08)
#define FW_CFG_DMA (FW_CFG + 0x10)
enum { FW_CFG_SIGNATURE = 0x00, FW_CFG_PES = 0x05, FW_CFG_DIRECTORY = 0x19 };
enum { FW_CFG_ERROR = 1, FW_CFG_READ = 2, FW_CFG_SELECT = 8, FW_CFG_WRITE = 16 };

#define FLASH_BLOCK 0x40000ul
enum { FLASH_ERASE = 0x20, FLASH_PROGRAM = 0x40, FLASH_QUERY = 0x98, FLASH_CONFIRM = 0xd0, FLASH_ARRAY = 0xff };

#define PERIPH_ID(base, n) ((base) + 0xfe0 + 4 * (n))
#define PCELL_ID(base, n) ((base) + 0xff0 + 4 * (n))

#endif
