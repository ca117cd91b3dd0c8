"""The PCI transport: configuration space, BARs, capabilities, INTx and MSI-X; and messages at the GIC."""

import struct
from typing import Any

import pytest
from virtio_driver import BASE, LIVE, Bench, Driver

from cca_arch.pci import Capability, Config
from cca_arch.virtio import DeviceId, DeviceStatus
from cca_arch.virtio.mmio import MmioRegister as R
from cca_arch.virtio.pci import NO_VECTOR, CfgType, VirtioPciCap, VirtioPciCommonCfg
from cca_host.kvm.vgic import Vgic
from cca_host.kvm.vgic_mmio import VgicMmio
from cca_host.kvmtool.pci import Ecam, Window
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_host.kvmtool.virtio.pci import VirtioPci
from cca_host.kvmtool.virtio.queue import Chain

WINDOW = 0x5000_0000
COMMON = VirtioPciCommonCfg
ONES = 0xFFFF_FFFF


class Echo(VirtioDevice):
    """Returns what it is given."""

    device_id = DeviceId.BLOCK
    sizes = (16, 8)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.text = bytearray(b"0123456789")

    @property
    def config(self) -> bytes:
        return bytes(self.text)

    def write_config(self, offset: int, data: bytes) -> None:
        self.text[offset : offset + len(data)] = data

    def serve(self, index: int, chain: Chain) -> int:
        return self.memory.scatter(chain.writable, self.memory.gather(chain.readable))


class Bus:
    """A bus with two functions, seen as software sees it: ECAM and the window."""

    def __init__(self, bench: Bench) -> None:
        self.messages: list[tuple[int, int]] = []
        self.functions = [
            VirtioPci(Echo(f"echo{number}", bench.wiring(), bench.memory), self.send) for number in range(2)
        ]
        self.ecam = Ecam("pci", 0x4000_0000, bench.wiring(), self.functions)
        self.window = Window("pci-memory", WINDOW, 0x3000_0000, bench.wiring(), self.functions)

    def send(self, address: int, data: int) -> None:
        self.messages.append((address, data))

    def config(self, device: int, offset: int, size: int = 4, value: int | None = None) -> int:
        """Read or write configuration space."""
        at = device << 15 | offset
        if value is None:
            return self.ecam.read(at, size)
        self.ecam.write(at, size, value)
        return 0

    def place(self, device: int, number: int, address: int) -> int:
        """Size and place a BAR; returns its size."""
        at = Config.BAR0 + 4 * number
        self.config(device, at, 4, ONES)
        mask = self.config(device, at)
        self.config(device, at, 4, address)
        return -mask & ONES

    def capabilities(self, device: int) -> list[tuple[int, int]]:
        """Identifier and offset of each capability."""
        found, at = [], self.config(device, Config.CAPABILITIES, 1)
        while at:
            found.append((self.config(device, at, 1), at))
            at = self.config(device, at + 1, 1)
        return found

    def start(self, device: int = 0) -> "Bus":
        """Place the BARs, and let the function answer."""
        self.place(device, 0, WINDOW + 0x10_0000 * device)
        self.place(device, 1, WINDOW + 0x10_0000 * device + 0x8000)
        self.config(device, Config.COMMAND, 2, 6)
        return self

    def bar(self, offset: int, size: int, value: int | None = None, device: int = 0) -> int:
        """Read or write in BAR 0, or in BAR 1 from 0x8000 on."""
        at = 0x10_0000 * device + offset
        if value is None:
            return self.window.read(at, size)
        self.window.write(at, size, value)
        return 0


FIELDS = {
    R.DEVICE_FEATURES_SEL: "device_feature_select", R.DEVICE_FEATURES: "device_feature",
    R.DRIVER_FEATURES_SEL: "driver_feature_select", R.DRIVER_FEATURES: "driver_feature",
    R.QUEUE_SEL: "queue_select", R.QUEUE_NUM: "queue_size", R.QUEUE_READY: "queue_enable",
    R.STATUS: "device_status", R.QUEUE_DESC_LOW: "queue_desc", R.QUEUE_DRIVER_LOW: "queue_driver",
    R.QUEUE_DEVICE_LOW: "queue_device",
}  # fmt: skip
HIGH = {R.QUEUE_DESC_HIGH: "queue_desc", R.QUEUE_DRIVER_HIGH: "queue_driver", R.QUEUE_DEVICE_HIGH: "queue_device"}


class PciDriver(Driver):
    """The driver of function 0 by the registers of PCI: those of MMIO become fields of the common configuration."""

    def __init__(self, bench: Bench, bus: Bus, **options: Any) -> None:
        self.bus = bus
        super().__init__(bench, bus.functions[0].front.device, **options)

    def carrier(self) -> Any:
        return self.bus.functions[0]

    def at(self, register: int) -> tuple[int, int]:
        """Offset and size of the access."""
        if register in HIGH:
            return COMMON.offset(HIGH[R(register)]) + 4, 4
        name = FIELDS[R(register)]
        return COMMON.offset(name), min(COMMON.members[name].size, 4)

    def read(self, register: int, size: int = 4) -> int:
        if register == R.INTERRUPT_STATUS:
            return self.bus.bar(0x1000, 1)
        return self.bus.bar(*self.at(register))

    def write(self, register: int, value: int, size: int = 4) -> None:
        if register == R.QUEUE_NOTIFY:
            self.bus.bar(0x3000 + 4 * value, 2, value)
        else:
            self.bus.bar(*self.at(register), value)


@pytest.fixture
def bus(bench: Bench) -> Bus:
    return Bus(bench)


class TestConfiguration:
    def test_identity(self, bus: Bus) -> None:
        """A modern virtio function in each place; all ones where none is."""
        for device in range(2):
            assert bus.config(device, 0) == 0x1042_1AF4
            assert bus.config(device, Config.CLASS, 1) == 0 and bus.config(device, Config.CLASS + 2, 1) == 1
            assert bus.config(device, Config.INTERRUPT_PIN, 1) == 1 and bus.config(device, Config.REVISION, 1) == 1
        assert bus.config(2, 0) == ONES and bus.config(2, 0, 2) == 0xFFFF
        assert bus.ecam.read(1 << 12, 4) == ONES, "one function a device"
        bus.config(2, 0, 4, 0)

    def test_bars(self, bus: Bus) -> None:
        """Sized by writing ones; two of them, 32 bits, memory; the window finds them where they are placed."""
        assert [bus.place(0, number, WINDOW + number * 0x10000) for number in range(6)] == [0x4000, 0x1000, 0, 0, 0, 0]
        assert bus.bar(0, 4) == ONES, "not before memory accesses are on"
        bus.start()
        assert bus.bar(COMMON.offset("num_queues"), 2) == 2
        assert bus.bar(0x4000, 4) == bus.bar(0x3FFE, 4) == ONES, "beyond its end, and over it"
        bus.bar(0x4000, 4, 0)
        bus.place(0, 0, WINDOW + 0x20_0000)
        assert bus.bar(COMMON.offset("num_queues"), 2) == 0xFFFF
        assert bus.bar(0x20_0000 + COMMON.offset("num_queues"), 2) == 2

    def test_read_only(self, bus: Bus) -> None:
        """Identity and capabilities do not change, whatever is written."""
        before = [bus.config(0, at, 1) for at in range(0x100)]
        for at in range(0, 0x100, 4):
            bus.config(0, at, 4, ONES)
        after = [bus.config(0, at, 1) for at in range(0x100)]
        changed = {at & ~3 for at in range(0x100) if before[at] != after[at]}
        [msix] = [at for kind, at in bus.capabilities(0) if kind == Capability.MSIX]
        window = bus.capabilities(0)[-1][1]
        bars = {Config.BAR0, Config.BAR0 + 4}
        assert changed == bars | {Config.COMMAND, Config.INTERRUPT_LINE, msix, window + 4, window + 8, window + 12}

    def test_capabilities(self, bus: Bus) -> None:
        """MSI-X, and a capability for each structure of virtio, which lies inside its BAR."""
        kinds = {}
        for kind, at in bus.capabilities(0):
            if kind == Capability.VENDOR:
                row = VirtioPciCap.unpack(bytes(bus.config(0, at + byte, 1) for byte in range(VirtioPciCap.size)))
                kinds[CfgType(row.cfg_type)] = row.bar, row.offset, row.length
                assert row.offset + row.length <= 0x4000
        assert set(kinds) == set(CfgType)
        assert kinds[CfgType.COMMON] == (0, 0, COMMON.size)

    def test_window_in_configuration(self, bus: Bus) -> None:
        """What lies in BAR 0 is reached by configuration space as well, before BARs are placed."""
        window = bus.capabilities(0)[-1][1]
        bus.config(0, window + 4, 1, 0)
        bus.config(0, window + 8, 4, COMMON.offset("num_queues"))
        bus.config(0, window + 12, 4, 2)
        assert bus.config(0, window + 16) == 2
        bus.config(0, window + 8, 4, 0x2000)
        bus.config(0, window + 12, 4, 1)
        bus.config(0, window + 16, 4, 0x41)
        assert bus.config(0, window + 16) == 0x41
        for offset, length, bar in ((0x4000, 4, 0), (1, 2, 0), (0, 3, 0), (0, 4, 1)):
            bus.config(0, window + 4, 1, bar)
            bus.config(0, window + 8, 4, offset)
            bus.config(0, window + 12, 4, length)
            bus.config(0, window + 16, 4, 7)
            assert bus.config(0, window + 16) == 0

    @pytest.mark.parametrize("size", [1, 2, 4, 8])
    def test_any_access(self, bench: Bench, bus: Bus, size: int) -> None:
        """Whatever is read and written in the BARs, the function answers, and works after a reset."""
        bus.start()
        for value in (0, 1, (1 << 64) - 1):
            for at in [*range(0, 0x48), 0x1000, 0x2000, 0x3000, 0x3004, 0x3FF8, *range(0x8000, 0x8040, 4), 0x8800]:
                bus.bar(at, size, value)
                bus.bar(at, size)
        device = bus.functions[0].front.device
        assert isinstance(device, Echo)
        device.text = bytearray(10)
        assert PciDriver(bench, bus, size=8).call(0, b"echo", writable=(4,)) == b"echo"


class TestTransport:
    def test_requests(self, bench: Bench, bus: Bus) -> None:
        """The same device as over MMIO: features, queues with smaller sizes, notifications, configuration."""
        driver = PciDriver(bench, bus.start(), size=8)
        assert driver.call(0, b"hello", writable=(9,)) == b"hello"
        assert driver.call(1, b"there", writable=(9,)) == b"there"
        assert bus.bar(COMMON.offset("queue_notify_off"), 2) == 1 and bus.bar(COMMON.offset("queue_enable"), 2) == 1
        assert bus.bar(COMMON.offset("queue_desc"), 8) == BASE + 0x4000
        bus.bar(COMMON.offset("queue_select"), 2, 2)
        assert bus.bar(COMMON.offset("queue_size"), 2) == 0
        assert bus.bar(0x2000, 4) == 0x33323130 and driver.status == LIVE

    def test_intx(self, bench: Bench, bus: Bus) -> None:
        """A level that reading the reasons lowers; the command register turns it off, the status shows it."""
        driver = PciDriver(bench, bus.start(), size=8)
        driver.send(0, b"x")
        driver.kick(0)
        assert bench.lines[-1] and bus.config(0, Config.STATUS, 2) & 8
        bus.config(0, Config.COMMAND, 2, 6 | 1 << 10)
        assert not bench.lines[-1]
        bus.config(0, Config.COMMAND, 2, 6)
        assert bench.lines[-1]
        assert driver.read(R.INTERRUPT_STATUS) == 1 and driver.read(R.INTERRUPT_STATUS) == 0
        assert not bench.lines[-1] and not bus.config(0, Config.STATUS, 2) & 8

    def test_saved(self, bench: Bench, bus: Bus) -> None:
        """A function that was restored answers where the other one did, as the other one did."""
        driver = PciDriver(bench, bus.start(), size=8)
        bus.bar(0x8000, 4, 0x1234)
        driver.call(0, b"x", writable=(1,))
        other = Bus(bench)
        other.functions[0].restore(bus.functions[0].save())
        assert other.functions[0].save() == bus.functions[0].save()
        driver.bus, driver.device = other, other.functions[0].front.device
        assert driver.call(0, b"hello", writable=(9,)) == b"hello" and other.bar(0x8000, 4) == 0x1234


class TestMessages:
    @pytest.fixture
    def driver(self, bench: Bench, bus: Bus) -> PciDriver:
        """A driver with MSI-X: vector n for queue n, the last one for the configuration."""
        driver = PciDriver(bench, bus.start(), size=8)
        [msix] = [at for kind, at in bus.capabilities(0) if kind == Capability.MSIX]
        self.control = msix + 2
        for vector in range(3):
            for at, value in enumerate((0x3FFF_0040, 0, 64 + vector, 0)):
                bus.bar(0x8000 + 16 * vector + 4 * at, 4, value)
        bus.config(0, self.control, 2, 1 << 15)
        for queue in range(2):
            bus.bar(COMMON.offset("queue_select"), 2, queue)
            bus.bar(COMMON.offset("queue_msix_vector"), 2, queue)
        bus.bar(COMMON.offset("config_msix_vector"), 2, 2)
        return driver

    def test_sent(self, bench: Bench, bus: Bus, driver: PciDriver) -> None:
        """A message for each queue and for the configuration, and no line."""
        before = len(bench.lines)
        driver.call(1, b"x")
        driver.call(0, b"x")
        driver.device.changed()
        assert bus.messages == [(0x3FFF_0040, 65), (0x3FFF_0040, 64), (0x3FFF_0040, 66)]
        assert not any(bench.lines[before:]) and driver.read(R.INTERRUPT_STATUS) == 0

    def test_masked(self, bus: Bus, driver: PciDriver) -> None:
        """A masked vector is pending until it is not masked: by its entry, or the function's control."""
        bus.bar(0x800C, 4, 1)
        driver.call(0, b"x")
        driver.call(0, b"x")
        assert not bus.messages and bus.bar(0x8800, 8) == 1
        bus.bar(0x800C, 4, 0)
        assert bus.messages == [(0x3FFF_0040, 64)] and bus.bar(0x8800, 4) == 0
        bus.config(0, self.control, 2, 3 << 14)
        driver.call(0, b"x")
        assert len(bus.messages) == 1
        bus.config(0, self.control, 2, 1 << 15)
        assert len(bus.messages) == 2

    def test_no_vector(self, bus: Bus, driver: PciDriver) -> None:
        """A vector that the function does not have leaves none, and a reset takes them all back."""
        bus.bar(COMMON.offset("queue_select"), 2, 0)
        bus.bar(COMMON.offset("queue_msix_vector"), 2, 3)
        assert bus.bar(COMMON.offset("queue_msix_vector"), 2) == NO_VECTOR
        driver.call(0, b"x")
        assert not bus.messages
        driver.write(R.STATUS, 0)
        assert bus.bar(COMMON.offset("config_msix_vector"), 2) == NO_VECTOR

    def test_broken(self, bus: Bus, driver: PciDriver) -> None:
        """A driver that breaks a rule hears of it by the message of the configuration."""
        driver.offer(0, 99)
        driver.kick(0)
        assert driver.status == LIVE | DeviceStatus.needs_reset.mask and bus.messages == [(0x3FFF_0040, 66)]


class TestGic:
    @pytest.mark.parametrize("edge", [True, False])
    def test_message(self, edge: bool) -> None:
        """SETSPI makes an SPI pending, an edge once, a level until CLRSPI; other numbers do nothing."""
        vgic = Vgic()
        vgic.add_vcpu(0)
        frames = VgicMmio(vgic, 0x3FFF_0000, 0x3FFD_0000)
        if edge:
            frames.write(0x3FFF_0000 + 0xC10, 4, 0xAAAA_AAAA)
        assert frames.takes_message(0x3FFF_0040) and not frames.takes_message(0x3FFF_0050)
        for intid in (64, 31, 200, 0xFFFF_FFFF):
            frames.write(0x3FFF_0040, 4, intid)
        assert vgic.spis.pending == 1 << 64
        frames.write(0x3FFF_0048, 4, 64)
        assert vgic.spis.pending == 0
        assert struct.pack("<I", frames.read(0x3FFF_0040, 4)) == bytes(4)
