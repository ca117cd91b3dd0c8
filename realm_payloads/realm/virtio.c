// virtio: drives virtio devices over MMIO from a Realm. It finds them in the device tree, shares pages with them for rings and
// buffers, reads random bytes, and reads and writes a disk if there is one (the second sector gets what the first one has). Of a
// folder that is shared by 9P it reads the file "hello". A balloon gets pages that the Realm has given up, and does not get one that it has not. Then it breaks rules: buffers and rings in protected memory, and a chain that is a loop. No device touches protected memory.
// Expects PASS lines only; exit status = number of failures.
// SPDX-License-Identifier: BSD-3-Clause
#include "abi/virtio.h"
#include "check.h"
#include "gic.h"
#include "mmu.h"
#include "rsi.h"
#include "runtime.h"
#include "share.h"

#define SLOTS 8                         // descriptors of a queue
#define FLUSH_TURNS 1000000
#define SECRET 0x5ec2e75ec2e75ec2ul
#define LIVE (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK)
#define LOW_FEATURES 0
#define HIGH_FEATURES (1u << (VIRTIO_F_VERSION_1 - 32) | 1u << (VIRTIO_F_ACCESS_PLATFORM - 32))

struct rings {                          // of one queue, in one page
    struct virtq_desc desc[SLOTS];
    u16 available[4 + SLOTS];           // flags, index, the ring, used_event
    u32 used[2 + 2 * SLOTS];            // flags and index, the ring, avail_event
};

struct request {                        // of a disk, in another page
    struct virtio_blk_req head;
    u8 status;
    u8 data[VIRTIO_BLK_SECTOR] __attribute__((aligned(16)));
};

static u8 pages[2][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));      // shared with the devices
static u64 given[4][PAGE_SIZE / sizeof(u64)] __attribute__((aligned(PAGE_SIZE)));
static u64 protected_page[PAGE_SIZE / sizeof(u64)] __attribute__((aligned(PAGE_SIZE)));
static volatile struct rings *rings;
static volatile u8 *buffer;
static u64 device;                      // the frame that is driven
static u16 sent;

static u32 get(u64 offset) { return read32(device + offset); }
static void put(u64 offset, u64 value) { write32(device + offset, (u32)value); }

static void put_address(u64 offset, u64 address)
{
    put(offset, address);
    put(offset + 4, address >> 32);
}

// Resets the device and sets its first queue up, with the descriptor table, available ring and used ring at these places.
static bool start(const volatile void *desc, const volatile void *available, const volatile void *used)
{
    put(VIRTIO_MMIO_STATUS, 0);
    put(VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    put(VIRTIO_MMIO_DRIVER_FEATURES, LOW_FEATURES);
    put(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    put(VIRTIO_MMIO_DRIVER_FEATURES, HIGH_FEATURES);
    put(VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK);
    if (!(get(VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_FEATURES_OK))
        return false;
    for (unsigned i = 0; i < sizeof(*rings); i++)
        ((volatile u8 *)rings)[i] = 0;
    sent = 0;
    put(VIRTIO_MMIO_QUEUE_SEL, 0);
    put(VIRTIO_MMIO_QUEUE_NUM, SLOTS);
    put_address(VIRTIO_MMIO_QUEUE_DESC_LOW, (u64)desc);
    put_address(VIRTIO_MMIO_QUEUE_DRIVER_LOW, (u64)available);
    put_address(VIRTIO_MMIO_QUEUE_DEVICE_LOW, (u64)used);
    put(VIRTIO_MMIO_QUEUE_READY, 1);
    put(VIRTIO_MMIO_STATUS, LIVE);
    return get(VIRTIO_MMIO_STATUS) == LIVE;
}

static bool restart(void) { return start(rings->desc, rings->available, rings->used); }

static void describe(unsigned slot, u64 address, u32 size, u16 flags, u16 next)
{
    rings->desc[slot] = (struct virtq_desc){address, size, flags, next};
}

// Makes the chain that begins in slot 0 available, and notifies. The device serves it at once; a flush takes a while.
static void send(void)
{
    rings->available[2 + sent++ % SLOTS] = 0;
    dsb(ish);
    rings->available[1] = sent;
    dsb(ish);
    put(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

static bool is_used(void) { return (rings->used[0] >> 16) == sent; }
static bool broken(void) { return get(VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_NEEDS_RESET; }

static bool is_secret(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(protected_page); i++)
        if (protected_page[i] != SECRET + i)
            return false;
    return true;
}

// The frame of the first device of a type, or 0.
static u64 find(u32 type)
{
    u32 length = 0;
    const void *reg = fdt_property(device_tree, "virtio", "reg", &length);
    u64 frame = reg ? fdt_cells(reg, 0, 2) | realm_shared_bit() : 0;

    if (!frame)
        return 0;
    for (unsigned i = 0; i < PAGE_SIZE / VIRTIO_MMIO_FRAME_SIZE; i++, frame += VIRTIO_MMIO_FRAME_SIZE) {
        struct fault fault = {0};
        u32 magic = 0, found = 0;

        CATCH(fault) {
            magic = read32(frame);
            found = read32(frame + VIRTIO_MMIO_DEVICE_ID);
        }
        if (fault.taken || magic != VIRTIO_MMIO_MAGIC)
            return 0;
        if (found == type)
            return frame;
    }
    return 0;
}

static void test_entropy(void)
{
    u64 sum = 0;

    check("the entropy device starts", restart());
    describe(0, (u64)buffer, 64, VIRTQ_DESC_WRITE, 0);
    send();
    for (unsigned i = 0; i < 64; i++)
        sum += buffer[i];
    check("it has filled the buffer", is_used() && rings->used[2] == 64 && sum);
    check_equal("it interrupts", get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_INTERRUPT_USED);
    put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_INTERRUPT_USED);
    check_equal("until that is acknowledged", get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

// Random bytes would show in protected memory if the device wrote there.
static void test_protected(void)
{
    describe(0, (u64)protected_page, 64, VIRTQ_DESC_WRITE, 0);
    send();
    check("a buffer in protected memory breaks the device", broken() && !is_used());
    check("it has not been written", is_secret());
    check("a reset mends that", restart());
    describe(0, (u64)buffer, 64, VIRTQ_DESC_WRITE | VIRTQ_DESC_NEXT, 1);
    describe(1, (u64)buffer, 64, VIRTQ_DESC_WRITE | VIRTQ_DESC_NEXT, 0);
    send();
    check("so does a chain that is a loop", broken() && !is_used());
    check("and a used ring in protected memory", start(rings->desc, rings->available, protected_page));
    describe(0, (u64)buffer, 64, VIRTQ_DESC_WRITE, 0);
    send();
    check("which has not been written", broken() && is_secret());
    check("and a descriptor table there", start(protected_page, rings->available, rings->used));
    send();
    check("which has not been read", broken() && is_secret());
}

static u8 disk(u32 type, u64 sector, u64 data, u32 size)
{
    volatile struct request *request = (volatile struct request *)buffer;
    u16 direction = type == VIRTIO_BLK_T_IN ? VIRTQ_DESC_WRITE : 0;

    request->head.type = type;
    request->head.sector = sector;
    request->status = 0xff;
    describe(0, (u64)&request->head, sizeof(request->head), VIRTQ_DESC_NEXT, 1);
    describe(1, data, size, VIRTQ_DESC_NEXT | direction, 2);
    describe(2, (u64)&request->status, 1, VIRTQ_DESC_WRITE, 0);
    send();
    return is_used() ? request->status : 0xff;
}

// A flush is done by the Host while the Realm runs.
static bool flush(void)
{
    volatile struct request *request = (volatile struct request *)buffer;

    request->head.type = VIRTIO_BLK_T_FLUSH;
    request->head.sector = 0;
    request->status = 0xff;
    describe(0, (u64)&request->head, sizeof(request->head), VIRTQ_DESC_NEXT, 1);
    describe(1, (u64)&request->status, 1, VIRTQ_DESC_WRITE, 0);
    send();
    for (unsigned i = 0; i < FLUSH_TURNS && !is_used(); i++)
        isb();
    return is_used() && request->status == VIRTIO_BLK_S_OK;
}

static void test_disk(void)
{
    u64 data = (u64) & ((volatile struct request *)buffer)->data;

    check("the disk starts", restart());
    check_equal("its first sector is read", disk(VIRTIO_BLK_T_IN, 0, data, VIRTIO_BLK_SECTOR), VIRTIO_BLK_S_OK);
    check_equal("and written to the second one", disk(VIRTIO_BLK_T_OUT, 1, data, VIRTIO_BLK_SECTOR), VIRTIO_BLK_S_OK);
    check("a flush has been done", flush());
    check_equal("what lies beyond the end is an error", disk(VIRTIO_BLK_T_IN, ~0ul, data, VIRTIO_BLK_SECTOR), VIRTIO_BLK_S_IOERR);
    check_equal("so is reading to protected memory",
                disk(VIRTIO_BLK_T_IN, 0, (u64)protected_page, VIRTIO_BLK_SECTOR), VIRTIO_BLK_S_IOERR);
    check_equal("and writing from there",
                disk(VIRTIO_BLK_T_OUT, 2, (u64)protected_page, VIRTIO_BLK_SECTOR), VIRTIO_BLK_S_IOERR);
    check("which the disk has not touched", is_secret() && !broken());
}

static void test_balloon(void)
{
    u32 *numbers = (u32 *)buffer;
    u64 base = (u64)given, top = base + sizeof(given);

    check("the balloon starts", restart());
    for (unsigned i = 0; i < ARRAY_SIZE(given); i++)
        given[i][0] = SECRET;
    check("pages are given up", realm_set_ripas(base, top, RSI_EMPTY, RSI_NO_CHANGE_DESTROYED));
    for (unsigned i = 0; i < ARRAY_SIZE(given); i++)
        numbers[i] = (u32)(((u64)given[i]) / PAGE_SIZE);
    numbers[ARRAY_SIZE(given)] = (u32)((u64)protected_page / PAGE_SIZE);
    describe(0, (u64)numbers, sizeof(u32) * (ARRAY_SIZE(given) + 1), 0, 0);
    send();
    put(VIRTIO_MMIO_CONFIG + 4, ARRAY_SIZE(given));
    check("the balloon has them", is_used() && get(VIRTIO_MMIO_CONFIG + 4) == ARRAY_SIZE(given));
    check("but no page that is not given up", is_secret());
    check("pages are RAM again", realm_set_ripas(base, top, RSI_RAM, RSI_CHANGE_DESTROYED));
    check_equal("and zero", *(volatile u64 *)given[0], 0);
}

// Sends a request of 9P, and returns the type of the answer, 0 if there is none. Then it is in the second half of the buffer.
static u8 ask(u8 type, const u8 *body, u32 size)
{
    volatile u8 *answer = buffer + PAGE_SIZE / 2;

    *(volatile u32 *)buffer = size + 7;
    buffer[4] = type;
    for (u32 i = 0; i < size; i++)
        buffer[7 + i] = body[i];
    describe(0, (u64)buffer, size + 7, VIRTQ_DESC_NEXT, 1);
    describe(1, (u64)answer, PAGE_SIZE / 2, VIRTQ_DESC_WRITE, 0);
    send();
    return is_used() ? answer[4] : 0;
}

static void test_share(void)
{
    static const u8 version[] = "\0\040\0\0\010\0009P2000.L", attach[] = "\0\0\0\0\377\377\377\377\0\0\0\0\0\0\0\0";
    static const u8 walk[] = "\0\0\0\0\1\0\0\0\1\0\5\0hello", up[] = "\0\0\0\0\2\0\0\0\1\0\011\000../secret";
    static const u8 open[] = "\1\0\0\0\0\0\0\0", read[] = "\1\0\0\0\0\0\0\0\0\0\0\0\144\0\0\0";
    volatile u8 *data = buffer + PAGE_SIZE / 2 + 11;

    check("the shared folder starts", restart());
    check_equal("a version is agreed on", ask(100, version, sizeof(version) - 1), 101);
    check_equal("the folder is attached", ask(104, attach, sizeof(attach) - 1), 105);
    check_equal("a file is found", ask(110, walk, sizeof(walk) - 1), 111);
    check_equal("nothing outside is", ask(110, up, sizeof(up) - 1), 7);
    check_equal("the file is opened", ask(12, open, sizeof(open) - 1), 13);
    check_equal("it is read", ask(116, read, sizeof(read) - 1), 117);
    data[data[-4]] = 0;
    printf("read: %s\n", (const char *)data);
    describe(1, (u64)protected_page, PAGE_SIZE, VIRTQ_DESC_WRITE, 0);
    send();
    check("an answer to protected memory breaks the device", broken() && is_secret());
}

int main(void)
{
    u32 length = 0;
    const void *reg = fdt_property(device_tree, "virtio", "reg", &length);

    if (!reg) {
        printf("no virtio device: run it with --rng --transport mmio\n");
        return 1;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(protected_page); i++)
        protected_page[i] = SECRET + i;
    mmu_map((fdt_cells(reg, 0, 2) | realm_shared_bit()) & -PAGE_SIZE, (fdt_cells(reg, 0, 2) | realm_shared_bit()) & -PAGE_SIZE,
            PAGE_SIZE, MAP_DEVICE);
    rings = share_pages(pages[0], PAGE_SIZE);
    buffer = share_pages(pages[1], PAGE_SIZE);
    check("pages are shared", rings && buffer);
    device = find(VIRTIO_ID_ENTROPY);
    check("there is an entropy device", device);
    if (device) {
        test_entropy();
        test_protected();
    }
    device = find(VIRTIO_ID_BLOCK);
    if (device)
        test_disk();
    device = find(VIRTIO_ID_BALLOON);
    if (device)
        test_balloon();
    device = find(VIRTIO_ID_NINE_P);
    if (device)
        test_share();
    return check_failures();
}
