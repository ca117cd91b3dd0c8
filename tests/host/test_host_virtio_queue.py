"""The split virtqueue: what a driver does right, and everything that it can do wrong."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from virtio_driver import BASE, LIVE, PROTECTED, REQUIRED, Bench, Driver

from cca_arch.virtio import DeviceId, DeviceStatus, Feature
from cca_arch.virtio.mmio import MmioRegister as R
from cca_arch.virtio.ring import DescFlags
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.queue import Chain
from cca_platform.state import decode, encode

NEXT, WRITE, INDIRECT = DescFlags.next.mask, DescFlags.write.mask, DescFlags.indirect.mask
EVENTS, TABLES = Feature.RING_EVENT_IDX.mask, Feature.RING_INDIRECT_DESC.mask
TOP = BASE + (64 << 12)
"""The end of what the guest shares."""


class Echo(VirtioDevice):
    """Returns what it is given, in capitals. What begins with a stroke waits for a thread."""

    device_id = DeviceId.CONSOLE
    sizes = (256,)

    def serve(self, index: int, chain: Chain) -> int | None:
        data = self.memory.gather(chain.readable)
        if data.startswith(b"/"):
            self.later(index, chain, data.upper, 100)
            return None
        written = self.memory.scatter(chain.writable, data.upper())
        self.note(index, "echo", len(data))
        return written

    def finished(self, index: int, chain: Chain, result: bytes) -> int:
        return self.memory.scatter(chain.writable, result)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.close()


def make(bench: Bench, **options: Any) -> Driver:
    bench.lines.clear()
    bench.memory.write(BASE, bytes(64 << 12))
    return Driver(bench, Echo("echo", bench.wiring(), bench.memory), **options)


@pytest.fixture
def driver(bench: Bench) -> Driver:
    return make(bench, features=TABLES)


def at(driver: Driver, index: int) -> None:
    """Both sides have used that many buffers."""
    state = driver.frame.save()
    [queue] = state.device.queues
    queue = replace(queue, taken=index, used=index, signalled=index)
    driver.frame.restore(replace(state, device=replace(state.device, queues=(queue,))))
    driver.tops[0] = driver.seen[0] = index
    for ring in driver.rings(0)[1:]:
        driver.memory.write(ring + 2, struct.pack("<H", index))


class TestChains:
    def test_pieces(self, driver: Driver) -> None:
        """A request of several pieces is answered into several pieces, directly or by an indirect table."""
        assert driver.call(0, b"hel", b"lo", writable=(2, 1, 9)) == b"HELLO"
        assert driver.call(0, b"hel", b"lo", writable=(2, 1, 9), indirect=True) == b"HELLO"
        assert driver.call(0, b"hello", writable=(3,)) == b"HEL"

    def test_pages(self, driver: Driver) -> None:
        """A buffer may go over pages, and may be empty."""
        text = bytes(range(97, 123)) * 400
        assert driver.call(0, b"", text, writable=(0, len(text))) == text.upper()

    def test_longest(self, driver: Driver) -> None:
        """A chain has as many descriptors as the queue; an indirect table may have more."""
        assert driver.call(0, *[b"x"] * 7, writable=(9,)) == b"X" * 7
        assert driver.call(0, *[b"x"] * 40, writable=(99,), indirect=True) == b"X" * 40

    def test_wraps(self, driver: Driver) -> None:
        """Both indices are free-running numbers of 16 bits."""
        at(driver, 0xFFFC)
        for _ in range(3):
            for _ in range(8):
                driver.send(0, b"a")
            driver.kick(0)
            assert len(driver.collect(0)) == 8

    @pytest.mark.parametrize("indirect", [False, True])
    def test_threads(self, bench: Bench, driver: Driver, indirect: bool) -> None:
        """What a thread does is returned when it is done, out of order with the rest; nothing blocks meanwhile."""
        late = driver.send(0, b"/late", writable=(9,), indirect=indirect)
        soon = driver.send(0, b"soon", writable=(9,))
        driver.kick(0)
        assert [found[0] for found in driver.collect(0)] == [soon]
        bench.finish()
        assert [(found[0], found[2][:5]) for found in driver.collect(0)] == [(late, b"/LATE")]

    def test_reset_forgets_threads(self, bench: Bench, driver: Driver) -> None:
        """What a thread brings after a reset is for nobody."""
        driver.send(0, b"/late", writable=(9,))
        driver.kick(0)
        driver = make(bench)
        bench.finish()
        assert not driver.collect(0) and driver.status == LIVE


class TestSuppression:
    def test_interrupts(self, bench: Bench, driver: Driver) -> None:
        """A level: up with what was used, down when the driver has acknowledged it; not up if it asks for none."""
        driver.send(0, b"a")
        driver.kick(0)
        assert (bench.lines, driver.read(R.INTERRUPT_STATUS)) == ([False, True], 1)
        driver.write(R.INTERRUPT_ACK, 1)
        assert (bench.lines[-1], driver.read(R.INTERRUPT_STATUS)) == (False, 0)
        driver.memory.write(driver.rings(0)[1], struct.pack("<H", 1))
        driver.send(0, b"a")
        driver.kick(0)
        assert driver.read(R.INTERRUPT_STATUS) == 0 and len(driver.collect(0)) == 2

    @pytest.mark.parametrize("start", [0, 0x7FFF, 0xFFFE])
    def test_event_index(self, bench: Bench, start: int) -> None:
        """With event indices, an interrupt comes once the used index has passed the one that the driver names."""
        driver = make(bench, features=EVENTS)
        _, available, used = driver.rings(0)
        at(driver, start)
        event = available + 4 + 2 * driver.size
        driver.memory.write(event, struct.pack("<H", start + 2 & 0xFFFF))
        told = []
        for _ in range(4):
            driver.send(0, b"a")
            driver.kick(0)
            told.append(driver.read(R.INTERRUPT_STATUS))
            driver.write(R.INTERRUPT_ACK, 1)
        assert told == [0, 0, 1, 0]
        asked = struct.unpack("<H", driver.memory.read(used + 4 + 8 * driver.size, 2))[0]
        assert asked == start + 4 & 0xFFFF, "the device wants to hear of the next one"

    def test_one_for_many(self, bench: Bench, driver: Driver) -> None:
        """Requests that are there together are answered with one interrupt, after one notification."""
        for _ in range(8):
            driver.send(0, b"a")
        before = len(bench.lines)
        driver.kick(0)
        assert len(driver.collect(0)) == 8 and bench.lines[before:] == [True]
        assert driver.suppressed == 0, "notifications are on again"


HOSTILE = {
    "head": "must be below 8",
    "next": "must be below 8",
    "loop": "at most 8 descriptors",
    "self": "at most 8 descriptors",
    "jump": "at most 8 ahead",
    "order": "before what it writes",
    "indirect and next": "both indirect and continued",
    "indirect size": "whole descriptors",
    "indirect empty": "whole descriptors",
    "indirect huge": "whole descriptors",
    "nested": "must not have indirect",
    "indirect loop": "is a loop",
    "indirect next": "below 2, its size",
    "indirect outside": "memory that the guest shares",
    "outside": "memory that the guest shares",
    "protected": "memory that the guest shares",
    "end": "memory that the guest shares",
    "wraps": "memory that the guest shares",
    "huge": "at most 0x100000000 bytes",
}


def break_rule(driver: Driver, rule: str) -> None:
    """Offer a chain that breaks a rule."""
    data = driver.put(b"data")
    one = driver.descriptor
    row = struct.Struct("<QIHH")
    offer = 0
    match rule:
        case "head":
            offer = 8
        case "next":
            one(0, 0, *data, NEXT, 8)
        case "loop":
            one(0, 0, *data, NEXT, 1)
            one(0, 1, *data, NEXT, 0)
        case "self":
            one(0, 0, *data, NEXT, 0)
        case "order":
            one(0, 0, *data, NEXT | WRITE, 1)
            one(0, 1, *data, 0, 0)
        case "outside":
            one(0, 0, 0x1234_5678_9ABC, 4, 0, 0)
        case "protected":
            one(0, 0, PROTECTED, 4, 0, 0)
        case "end":
            one(0, 0, TOP - 4, 5, 0, 0)
        case "wraps":
            one(0, 0, (1 << 64) - 4, 8, 0, 0)
        case "huge":
            one(0, 0, BASE, (1 << 32) - 1, NEXT, 1)
            one(0, 1, BASE, 16, 0, 0)
        case "indirect and next":
            one(0, 0, *driver.put(row.pack(*data, 0, 0)), INDIRECT | NEXT, 1)
        case "indirect size":
            one(0, 0, *driver.put(row.pack(*data, 0, 0) + b"x"), INDIRECT, 0)
        case "indirect empty":
            one(0, 0, BASE, 0, INDIRECT, 0)
        case "indirect huge":
            one(0, 0, BASE, 16 * 1025, INDIRECT, 0)
        case "nested":
            one(0, 0, *driver.put(row.pack(*data, INDIRECT, 0)), INDIRECT, 0)
        case "indirect loop":
            one(0, 0, *driver.put(row.pack(*data, NEXT, 1) + row.pack(*data, NEXT, 0)), INDIRECT, 0)
        case "indirect next":
            one(0, 0, *driver.put(row.pack(*data, NEXT, 2) + row.pack(*data, 0, 0)), INDIRECT, 0)
        case "indirect outside":
            one(0, 0, PROTECTED, 32, INDIRECT, 0)
    driver.offer(0, offer)
    if rule == "jump":
        driver.memory.write(driver.rings(0)[1] + 2, struct.pack("<H", driver.tops[0] + 8))


class TestHostile:
    @pytest.mark.parametrize("rule", HOSTILE)
    def test_rules(self, bench: Bench, driver: Driver, rule: str) -> None:
        """A broken rule costs the driver the device until a reset; what was used before is there, nothing after."""
        driver.send(0, b"good", writable=(4,))
        driver.free[0].remove(0) if 0 in driver.free[0] else None
        driver.kick(0)
        assert [data for _, _, data in driver.collect(0)] == [b"GOOD"]
        driver.write(R.INTERRUPT_ACK, 1)
        bench.events.clear()
        break_rule(driver, rule)
        driver.kick(0)
        assert driver.status == LIVE | DeviceStatus.needs_reset.mask
        assert driver.read(R.INTERRUPT_STATUS) == 2, "a notification of a change of the configuration"
        [fault] = [event for event in bench.events if event["event"] == "virtio.fault"]
        assert HOSTILE[rule] in str(fault["reason"]) and fault["queue"] == 0
        driver.kick(0)
        assert struct.unpack("<H", driver.memory.read(driver.rings(0)[2] + 2, 2)) == (1,)
        again = make(bench)
        assert again.call(0, b"good", writable=(4,)) == b"GOOD"

    def test_feeds_itself(self, bench: Bench) -> None:
        """A device whose answers make more chains available, as a disk can that has indices in it, comes to an end."""

        class Counter(VirtioDevice):
            device_id = DeviceId.BLOCK
            sizes = (8,)
            answers = 1

            def serve(self, index: int, chain: Chain) -> int:
                self.answers += 1
                return self.memory.scatter(chain.writable, struct.pack("<H", self.answers & 0xFFFF))

        bench.memory.write(BASE, bytes(64 << 12))
        driver = Driver(bench, device := Counter("counter", bench.wiring(), bench.memory))
        driver.offer(0, driver.chain(0, [], [(driver.rings(0)[1] + 2, 2)]))
        driver.kick(0)
        assert driver.status.needs_reset and device.answers == 1 + 8

    def test_not_negotiated(self, bench: Bench) -> None:
        """Indirect tables need their feature."""
        driver = make(bench)
        driver.send(0, b"a", indirect=True)
        driver.kick(0)
        assert driver.status.needs_reset

    @pytest.mark.parametrize("size", [0, 3, 512, 65536])
    def test_sizes(self, bench: Bench, size: int) -> None:
        """The size of a queue is a power of two, up to what the device has."""
        driver = make(bench, start=False)
        driver.write(R.STATUS, 1)
        driver.set_up(0, size=size)
        assert driver.status.needs_reset and not driver.read(R.QUEUE_READY)

    @pytest.mark.parametrize("part", range(3))
    def test_alignment(self, bench: Bench, part: int) -> None:
        """The parts of a queue are aligned."""
        driver = make(bench, start=False)
        rings = [*driver.rings(0)]
        rings[part] += 1
        driver.set_up(0, (rings[0], rings[1], rings[2]))
        assert driver.status.needs_reset and not driver.read(R.QUEUE_READY)

    @pytest.mark.parametrize("part", range(3))
    @pytest.mark.parametrize("address", [PROTECTED, TOP, (1 << 64) - 16])
    def test_rings_outside(self, bench: Bench, part: int, address: int) -> None:
        """A ring in protected memory, or in none, is found when it is used."""
        driver = make(bench, start=False)
        rings = [*driver.rings(0)]
        rings[part] = address
        driver.rings = lambda queue: (rings[0], rings[1], rings[2])  # type: ignore[method-assign]
        driver.start()
        good = make(bench, start=False).rings(0)
        driver.memory.write(good[0], struct.pack("<QIHH", BASE + 0x8000, 4, 0, 0))
        driver.memory.write(good[1], struct.pack("<3H", 0, 1, 0))
        driver.bench.model = driver.frame
        driver.kick(0)
        assert driver.status.needs_reset

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        table=st.lists(
            st.tuples(
                st.sampled_from([BASE, BASE + 0x8000, TOP - 8, PROTECTED, 0, (1 << 64) - 1]),
                st.sampled_from([0, 1, 16, 32, 4096, (1 << 32) - 1]),
                st.integers(0, 7),
                st.integers(0, 9),
            ),
            min_size=8,
            max_size=8,
        ),
        ring=st.lists(st.integers(0, 9), min_size=8, max_size=8),
        top=st.integers(0, 20),
        event=st.integers(0, 65535),
        features=st.sampled_from([0, TABLES, EVENTS, EVENTS | TABLES]),
    )
    def test_anything(
        self, bench: Bench, table: list[tuple[int, ...]], ring: list[int], top: int, event: int, features: int
    ) -> None:
        """Whatever is in the rings: the device answers, or needs a reset; and a reset mends it."""
        driver = make(bench, features=features)
        for at, row in enumerate(table):
            driver.descriptor(0, at, *row)
        driver.memory.write(driver.rings(0)[1], struct.pack("<11H", 0, top, *ring, event))
        driver.kick(0)
        used = struct.unpack("<H", driver.memory.read(driver.rings(0)[2] + 2, 2))[0]
        assert driver.status.needs_reset or used == top
        assert make(bench, features=features).call(0, b"good", writable=(4,)) == b"GOOD"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(
                st.just("send"),
                st.lists(st.binary(max_size=9), min_size=1, max_size=3),
                st.lists(st.integers(0, 9), max_size=3),
                st.booleans(),
            ),
            st.tuples(st.sampled_from(["kick", "collect", "finish", "save"])),
        ),
        max_size=60,
    ),
    features=st.sampled_from([TABLES, EVENTS | TABLES]),
)
def test_model(bench: Bench, steps: list[tuple[Any, ...]], features: int) -> None:
    """Any order of sending, notifying, collecting and threads, with saved state restored in between: as the model."""
    driver, expected = make(bench, features=features), dict[int, bytes]()

    def collect() -> None:
        for head, written, data in driver.collect(0):
            assert data[:written] == expected.pop(head)

    for step, *values in steps:
        match step:
            case "send":
                readable, writable, indirect = values
                if len(driver.free[0]) < (1 if indirect else len(readable) + len(writable)):
                    continue
                head = driver.send(0, *readable, writable=writable, indirect=indirect)
                expected[head] = b"".join(readable).upper()[: sum(writable)]
            case "kick":
                driver.kick(0)
            case "collect":
                collect()
            case "finish":
                bench.finish()
            case "save":
                saved = decode(encode(driver.frame.save()), type(driver.frame.save()))
                driver.device = Echo("echo", bench.wiring(), bench.memory)
                other = Driver(bench, driver.device, size=driver.size, start=False)
                driver.frame = bench.model = other.frame
                driver.frame.restore(saved)
    driver.kick(0)
    bench.finish()
    collect()
    assert not expected and driver.status == LIVE


class TestFeatures:
    @pytest.mark.parametrize(
        ("features", "agreed"),
        [
            (REQUIRED, True),
            (REQUIRED | EVENTS | TABLES, True),
            (Feature.VERSION_1.mask, False),
            (Feature.ACCESS_PLATFORM.mask, False),
            (REQUIRED | 1 << 5, False),
            (REQUIRED | Feature.RING_PACKED.mask, False),
        ],
    )
    def test_agreement(self, bench: Bench, features: int, agreed: bool) -> None:
        """FEATURES_OK stays only if nothing is accepted that was not offered, and what the device needs is."""
        driver = make(bench, start=False)
        for word in range(2):
            driver.write(R.DRIVER_FEATURES_SEL, word)
            driver.write(R.DRIVER_FEATURES, features >> 32 * word & 0xFFFF_FFFF)
        driver.write(R.STATUS, DeviceStatus.make(acknowledge=1, driver=1, features_ok=1))
        assert driver.status.features_ok == agreed

    def test_not_before(self, bench: Bench) -> None:
        """A device that is not set up takes nothing from its queues."""
        driver = make(bench, start=False)
        driver.set_up(0)
        driver.send(0, b"a")
        driver.kick(0)
        assert not driver.collect(0) and not bench.lines[1:]
