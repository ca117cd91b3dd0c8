// printf, panic and exit. Output goes through RSI host calls, or through a 16550 UART in unprotected memory.
// SPDX-License-Identifier: BSD-3-Clause
#include "rsi.h"
#include "runtime.h"
#include "uart.h"

static u64 uart;                // 0: host call

void console_use_uart(u64 base) { uart = base; }

// Single-register accesses without writeback: the only kind the Host can emulate.
static void uart_put(char c)
{
    u32 status;

    do
        __asm__ volatile("ldrb %w0, [%1]" : "=r"(status) : "r"(uart + UART_LSR) : "memory");
    while (!(status & UART_LSR_THRE));
    __asm__ volatile("strb %w0, [%1]" ::"r"(c), "r"(uart + UART_THR) : "memory");
}

void console_write(const char *text, size_t length)
{
    while (length) {
        size_t part = length < HOST_CONSOLE_MAX ? length : HOST_CONSOLE_MAX;

        if (uart)
            for (size_t i = 0; i < part; i++)
                uart_put(text[i]);
        else
            host_function(HOST_CONSOLE_WRITE, text, part, part);
        text += part;
        length -= part;
    }
}

// One printf is one write as long as it fits: lines of several vCPUs do not mix.
struct line {
    char text[HOST_CONSOLE_MAX];
    size_t length;
    int total;
};

static void put(struct line *line, char c)
{
    if (line->length == sizeof(line->text)) {
        console_write(line->text, line->length);
        line->length = 0;
    }
    line->text[line->length++] = c;
    line->total++;
}

static void put_padded(struct line *line, const char *text, size_t length, unsigned width, char pad)
{
    for (; width > length; width--)
        put(line, pad);
    for (size_t i = 0; i < length; i++)
        put(line, text[i]);
}

static void put_number(struct line *line, u64 value, unsigned base, bool negative, unsigned width, char pad)
{
    char digits[24];
    size_t at = sizeof(digits);

    do
        digits[--at] = "0123456789abcdef"[value % base];
    while (value /= base);
    if (negative)
        digits[--at] = '-';
    put_padded(line, digits + at, sizeof(digits) - at, width, pad);
}

// %d %u %x with l, %c, %s, %p, %%; width and zero padding.
static void format_line(struct line *line, const char *format, va_list arguments)
{
    for (; *format; format++) {
        unsigned width = 0;
        bool wide = false;
        char pad = ' ';
        s64 number;

        if (*format != '%') {
            put(line, *format);
            continue;
        }
        if (*++format == '0')
            pad = '0';
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (unsigned)(*format - '0');
        for (; *format == 'l'; format++)
            wide = true;
        switch (*format) {
        case 'd':
            number = wide ? va_arg(arguments, s64) : va_arg(arguments, int);
            put_number(line, number < 0 ? -(u64)number : (u64)number, 10, number < 0, width, pad);
            break;
        case 'u':
        case 'x':
            put_number(line, wide ? va_arg(arguments, u64) : va_arg(arguments, u32), *format == 'u' ? 10 : 16, false, width, pad);
            break;
        case 'p':
            put_padded(line, "0x", 2, 0, ' ');
            put_number(line, (u64)va_arg(arguments, void *), 16, false, width, pad);
            break;
        case 'c':
            put(line, (char)va_arg(arguments, int));
            break;
        case 's': {
            const char *text = va_arg(arguments, const char *);

            put_padded(line, text, strlen(text), width, ' ');
            break;
        }
        default:
            put(line, *format);
        }
    }
}

int printf(const char *format, ...)
{
    struct line line = {.length = 0};
    va_list arguments;

    va_start(arguments, format);
    format_line(&line, format, arguments);
    va_end(arguments);
    console_write(line.text, line.length);
    return line.total;
}

static _Noreturn void leave(u64 function, int status)
{
    host_function(function, NULL, 0, (u64)status);
    psci_system_off();
    for (;;)
        wfi();
}

void exit(int status)
{
    leave(HOST_EXIT, status);
}

void give_up(void)
{
    leave(HOST_GIVE_UP, EXIT_PANIC);
}

void panic(const char *format, ...)
{
    struct line line = {.length = 0};
    va_list arguments;

    va_start(arguments, format);
    format_line(&line, "panic: ", arguments);
    format_line(&line, format, arguments);
    va_end(arguments);
    put(&line, '\n');
    console_write(line.text, line.length);
    exit(EXIT_PANIC);
}
