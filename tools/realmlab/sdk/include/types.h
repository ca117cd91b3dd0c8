// Integer types, and macros for instructions that C cannot express: system registers, barriers, events, acquire and release.
// SPDX-License-Identifier: BSD-3-Clause
#ifndef TYPES_H
#define TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define PAGE_SIZE 4096ul
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define read_sysreg(name) ({ u64 v_; __asm__ volatile("mrs %0, " #name : "=r"(v_)); v_; })
#define write_sysreg(name, value) __asm__ volatile("msr " #name ", %0" ::"r"((u64)(value)))
#define isb() __asm__ volatile("isb" ::: "memory")
#define dsb(domain) __asm__ volatile("dsb " #domain ::: "memory")
#define wfe() __asm__ volatile("wfe" ::: "memory")
#define wfi() __asm__ volatile("wfi" ::: "memory")
#define sev() __asm__ volatile("dsb ish\n\tsev" ::: "memory")
#define load_acquire(at) ({ u64 v_; __asm__ volatile("ldar %0, [%1]" : "=r"(v_) : "r"(at) : "memory"); v_; })
#define store_release(at, value) __asm__ volatile("stlr %0, [%1]" ::"r"((u64)(value)), "r"(at) : "memory")

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#endif
