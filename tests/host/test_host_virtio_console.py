"""The console and the entropy device."""

import pytest
from virtio_driver import BASE, LIVE, PROTECTED, Bench, Driver

from cca_arch.virtio import Feature
from cca_arch.virtio.console import RECEIVE, TRANSMIT
from cca_arch.virtio.mmio import MmioRegister as R
from cca_host.kvmtool.virtio.console import VirtioConsole
from cca_host.kvmtool.virtio.rng import Rng


@pytest.fixture
def console(bench: Bench) -> VirtioConsole:
    return VirtioConsole("console", bench.wiring(), bench.memory)


@pytest.fixture
def sent(console: VirtioConsole) -> list[bytes]:
    found: list[bytes] = []
    console.on_output = found.append
    return found


class TestConsole:
    def test_output(self, bench: Bench, console: VirtioConsole, sent: list[bytes]) -> None:
        """A notification sends lines; a long one comes in parts, in order; one interrupt for all of them."""
        driver = Driver(bench, console)
        long = bytes(range(256)) * 300
        driver.send(TRANSMIT, b"hello ", b"world\n")
        driver.send(TRANSMIT, long)
        before = len(bench.lines)
        driver.kick(TRANSMIT)
        assert b"".join(sent) == b"hello world\n" + long
        assert [written for _, written, _ in driver.collect(TRANSMIT)] == [0, 0]
        assert bench.lines[before:] == [True]

    def test_input(self, bench: Bench, console: VirtioConsole) -> None:
        """What is typed waits until the driver listens, then for its buffers, and fills as many as it needs."""
        console.received(b"early ")
        driver = Driver(bench, console)
        for size in (4, 4):
            driver.send(RECEIVE, writable=(size,))
        driver.kick(RECEIVE)
        assert not driver.collect(RECEIVE) and not console.listens
        driver.call(TRANSMIT, b"\n")
        console.receive(b"and late")
        assert [data[:written] for _, written, data in driver.collect(RECEIVE)] == [b"earl", b"y "]
        driver.send(RECEIVE, writable=(99,))
        driver.kick(RECEIVE)
        assert [data[:written] for _, written, data in driver.collect(RECEIVE)] == [b"and late"]

    def test_silent(self, bench: Bench, console: VirtioConsole) -> None:
        """A driver that sends nothing is taken to listen after a second."""
        looks: list[bool] = []
        console.on_look = lambda: looks.append(console.listens)
        driver = Driver(bench, console)
        console.receive(b"typed")
        driver.send(RECEIVE, writable=(9,))
        due = driver.frame.deadline
        assert due == bench.machine.clock.now + bench.machine.clock.counter_hz
        driver.frame.advance(due - 1)
        assert not looks and not driver.collect(RECEIVE)
        driver.frame.advance(due)
        assert looks == [True] and driver.frame.deadline is None
        assert [data[:written] for _, written, data in driver.collect(RECEIVE)] == [b"typed"]

    def test_saved(self, bench: Bench, console: VirtioConsole) -> None:
        """What was typed and not read is in the saved state, and comes to the driver after the restore."""
        driver = Driver(bench, console)
        console.receive(b"typed")
        other = Driver(bench, VirtioConsole("console", bench.wiring(), bench.memory), start=False)
        other.frame.restore(driver.frame.save())
        other.call(TRANSMIT, b"\n")
        other.send(RECEIVE, writable=(99,))
        other.kick(RECEIVE)
        assert [data[:written] for _, written, data in other.collect(RECEIVE)] == [b"typed"]

    def test_size(self, bench: Bench, console: VirtioConsole) -> None:
        """The size of the terminal is in the configuration, whose change interrupts."""
        driver = Driver(bench, console)
        console.resize(132, 43)
        assert (driver.config(0, 2), driver.config(2, 2), driver.read(R.INTERRUPT_STATUS)) == (132, 43, 2)

    def test_protected(self, bench: Bench, console: VirtioConsole, sent: list[bytes]) -> None:
        """Text in protected memory is not read, and input is not written there: the device needs a reset."""
        for queue in (TRANSMIT, RECEIVE):
            driver = Driver(bench, console)
            driver.call(TRANSMIT, b"")
            place = [(PROTECTED, 4)]
            driver.offer(queue, driver.chain(queue, *([place, []] if queue == TRANSMIT else [[], place])))
            console.receive(b"x")
            driver.kick(queue)
            assert driver.status.needs_reset and not sent

    def test_same_pages(self, bench: Bench, console: VirtioConsole, sent: list[bytes]) -> None:
        """A guest that names the same pages a thousand times gets no thousandfold work for it."""
        driver = Driver(bench, console, features=Feature.RING_INDIRECT_DESC.mask)
        driver.offer(TRANSMIT, driver.chain(TRANSMIT, [(BASE, 1 << 17)] * 1024, [], indirect=True))
        driver.kick(TRANSMIT)
        assert driver.status.needs_reset and not sent


class TestRng:
    def test_host(self, bench: Bench) -> None:
        """Random bytes of the host, as many as were asked for, and at most 64 KiB."""
        driver = Driver(bench, Rng("rng", bench.wiring(), bench.memory))
        first, second = driver.call(0, writable=(40, 60)), driver.call(0, writable=(100,))
        assert len(first) == len(second) == 100 and first != second
        assert len(driver.call(0, writable=(70000,))) == 65536

    def test_seed(self, bench: Bench) -> None:
        """A seed fixes the stream, which goes on after a restore; another seed gives another one."""
        streams = []
        for seed in (b"a", b"a", b"b"):
            driver = Driver(bench, Rng("rng", bench.wiring(), bench.memory, seed))
            streams.append([driver.call(0, writable=(32,)) for _ in range(3)])
        assert streams[0] == streams[1] and streams[0][0] != streams[0][1] and streams[0][0] != streams[2][0]
        driver = Driver(bench, Rng("rng", bench.wiring(), bench.memory, b"a"))
        driver.call(0, writable=(32,))
        other = Driver(bench, Rng("rng", bench.wiring(), bench.memory, b"a"), start=False)
        other.frame.restore(driver.frame.save())
        other.tops, other.seen = driver.tops, driver.seen
        assert [other.call(0, writable=(32,)) for _ in range(2)] == streams[0][1:]

    def test_nothing_to_write(self, bench: Bench) -> None:
        """A buffer without a place is returned empty."""
        driver = Driver(bench, Rng("rng", bench.wiring(), bench.memory))
        assert driver.call(0, b"x") == b"" and driver.status == LIVE
