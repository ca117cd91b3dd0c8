// A reader for flattened device trees. It loads single bytes, so it works with the MMU off.
// SPDX-License-Identifier: BSD-3-Clause
#include "runtime.h"

#define FDT_MAGIC 0xd00dfeedu
#define FDT_BEGIN_NODE 1
#define FDT_END_NODE 2
#define FDT_PROP 3
#define FDT_NOP 4
#define MAX_DEPTH 8
#define DEFAULT_BASE 0x80000000ul
#define DEFAULT_SIZE 0x1000000ul

const void *device_tree;

static u32 big32(const void *at)
{
    const volatile u8 *b = at;

    return (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3];
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

// Node names match without their unit address: "memory" finds "memory@80000000".
static bool names_node(const char *node, const char *name)
{
    while (*name && *node == *name)
        node++, name++;
    return !*name && (!*node || *node == '@');
}

bool fdt_valid(const void *fdt) { return fdt && ((u64)fdt & 3) == 0 && big32(fdt) == FDT_MAGIC; }

// A property of the root ("") or of one of its children, NULL when there is none.
const void *fdt_property(const void *fdt, const char *node, const char *name, u32 *length)
{
    const char *at = (const char *)fdt + big32((const u8 *)fdt + 8);
    const char *strings = (const char *)fdt + big32((const u8 *)fdt + 12);
    unsigned depth = 0;
    bool inside = false;

    for (;;) {
        u32 token = big32(at);

        at += 4;
        if (token == FDT_BEGIN_NODE) {
            inside = *node ? depth == 1 && names_node(at, node) : depth == 0;
            depth++;
            at += (strlen(at) + 4) & ~3ul;
        } else if (token == FDT_END_NODE) {
            depth--;
            inside = false;
        } else if (token == FDT_PROP) {
            u32 size = big32(at);

            if (inside && same(strings + big32(at + 4), name)) {
                *length = size;
                return at + 8;
            }
            at += 8 + ((size + 3) & ~3u);
        } else if (token != FDT_NOP) {
            return NULL;
        }
    }
}

u64 fdt_cells(const void *property, unsigned first, unsigned count)
{
    u64 value = 0;

    for (unsigned i = 0; i < count; i++)
        value = value << 32 | big32((const u8 *)property + 4 * (first + i));
    return value;
}

const char *boot_arguments(void)
{
    u32 length;
    const char *text = device_tree ? fdt_property(device_tree, "chosen", "bootargs", &length) : NULL;

    return text ? text : "";
}

u64 boot_number(u64 otherwise)
{
    const char *text = boot_arguments();
    u64 value = 0;

    while (*text && (*text < '0' || *text > '9'))
        text++;
    if (!*text)
        return otherwise;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (u64)(*text - '0');
    return value;
}

void memory_range(u64 *base, u64 *size)
{
    u32 length = 0, cell_length;
    const void *reg = device_tree ? fdt_property(device_tree, "memory", "reg", &length) : NULL;
    const void *address_cells = device_tree ? fdt_property(device_tree, "", "#address-cells", &cell_length) : NULL;
    const void *size_cells = device_tree ? fdt_property(device_tree, "", "#size-cells", &cell_length) : NULL;
    unsigned na = address_cells ? big32(address_cells) : 2, ns = size_cells ? big32(size_cells) : 1;

    *base = DEFAULT_BASE;
    *size = DEFAULT_SIZE;
    if (reg && length >= 4 * (na + ns)) {
        *base = fdt_cells(reg, 0, na);
        *size = fdt_cells(reg, na, ns);
    }
}
