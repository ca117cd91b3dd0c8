"""A virtio device behind the MMIO transport: registers, status, configuration, saved state; and memory it may reach."""

import pytest
from virtio_driver import BASE, LIVE, PROTECTED, SHARED, Bench, Driver

from cca_arch.types import GRANULE_SIZE
from cca_arch.virtio import DeviceId, DeviceStatus, Feature
from cca_arch.virtio.mmio import FRAME_SIZE, MAGIC
from cca_arch.virtio.mmio import MmioRegister as R
from cca_host.kvm import Vm
from cca_host.kvmtool.guestmemory import GuestMemory, OutsideMemory
from cca_host.kvmtool.layout import RAM_BASE
from cca_host.kvmtool.virtio.device import VirtioDevice
from cca_platform.errors import GranuleProtectionFault


class Notes(VirtioDevice):
    """Has a configuration that the driver may write, and changes it itself."""

    device_id = DeviceId.CONSOLE
    sizes = (8, 4)
    offers = 1 << 3

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.text = bytearray(b"0123456789")
        self.starts = self.stops = 0

    @property
    def config(self) -> bytes:
        return bytes(self.text)

    def write_config(self, offset: int, data: bytes) -> None:
        self.text[offset : offset + len(data)] = data

    def started(self) -> None:
        self.starts += 1

    def stopped(self) -> None:
        self.stops += 1


@pytest.fixture
def driver(bench: Bench) -> Driver:
    return Driver(bench, Notes("notes", bench.wiring(), bench.memory), size=4)


class TestRegisters:
    def test_identity(self, driver: Driver) -> None:
        """The first registers say what it is; each is a word, and is read as one."""
        assert (driver.read(R.MAGIC_VALUE), driver.read(R.VERSION), driver.read(R.DEVICE_ID)) == (MAGIC, 2, 3)
        assert driver.read(R.MAGIC_VALUE, 1) == driver.read(R.MAGIC_VALUE, 8) == 0
        assert driver.read(R.SHM_LEN_LOW) == 0xFFFF_FFFF, "there is no shared memory region"

    def test_features(self, driver: Driver) -> None:
        """Offered and accepted features are read and written by words."""
        words = []
        for word in range(3):
            driver.write(R.DEVICE_FEATURES_SEL, word)
            words.append(driver.read(R.DEVICE_FEATURES))
        rings = Feature.RING_EVENT_IDX.mask | Feature.RING_INDIRECT_DESC.mask
        assert words == [1 << 3 | rings, 3, 0]

    def test_queues(self, driver: Driver) -> None:
        """A queue that does not exist has no size, and notifying it does nothing."""
        sizes = []
        for queue in range(3):
            driver.write(R.QUEUE_SEL, queue)
            sizes.append((driver.read(R.QUEUE_NUM_MAX), driver.read(R.QUEUE_READY)))
        assert sizes == [(8, 1), (4, 1), (0, 0)]
        driver.write(R.QUEUE_NUM, 3)
        driver.write(R.QUEUE_READY, 1)
        driver.kick(2)
        driver.kick(0xFFFF_FFFF)
        assert driver.status == LIVE

    def test_configuration(self, bench: Bench, driver: Driver) -> None:
        """Fields of any size, zeroes behind the end; a change increments the generation and interrupts."""
        assert driver.config(0, 1) == 0x30 and driver.config(8, 4) == 0x3938 and driver.config(90, 8) == 0
        driver.write(R.CONFIG + 1, 0x41_42, 2)
        assert driver.config(0, 4) == 0x33_41_42_30
        before = driver.read(R.CONFIG_GENERATION)
        driver.device.changed()
        assert (driver.read(R.CONFIG_GENERATION), driver.read(R.INTERRUPT_STATUS)) == (before + 1, 2)
        assert bench.lines[-1]

    @pytest.mark.parametrize("offset", range(0, FRAME_SIZE, 4))
    @pytest.mark.parametrize("value", [0, 1, 0xFFFF_FFFF])
    def test_any_write(self, driver: Driver, offset: int, value: int) -> None:
        """Whatever is written anywhere, the device answers, and works after a reset."""
        for size in (1, 2, 4, 8):
            driver.write(offset, value, size)
            driver.read(offset, size)
        assert isinstance(driver.device, Notes)
        driver.device.text = bytearray(10)
        driver.start()
        assert driver.status == LIVE


class TestStatus:
    def test_machine(self, driver: Driver) -> None:
        """A reset takes back status, features, queues and interrupts; DRIVER_OK starts it, once."""
        device = driver.device
        assert isinstance(device, Notes)
        device.changed()
        assert device.starts == 1
        driver.write(R.STATUS, LIVE | DeviceStatus.failed.mask)
        assert (device.starts, driver.status.failed) == (1, 1)
        stops = device.stops
        driver.write(R.STATUS, 0)
        assert (driver.status, driver.read(R.INTERRUPT_STATUS), device.features, device.stops) == (0, 0, 0, stops + 1)
        driver.write(R.QUEUE_SEL, 0)
        assert not driver.read(R.QUEUE_READY)

    def test_features_are_final(self, driver: Driver) -> None:
        """Once FEATURES_OK is set, features do not change; the driver cannot set DEVICE_NEEDS_RESET."""
        before = driver.device.features
        driver.write(R.DRIVER_FEATURES_SEL, 0)
        driver.write(R.DRIVER_FEATURES, 0xFFFF)
        driver.write(R.STATUS, 0xFFFF_FFFF)
        assert driver.device.features == before and not driver.status.needs_reset

    def test_saved(self, bench: Bench, driver: Driver) -> None:
        """A device that was restored stands where it stood, its registers too."""
        driver.write(R.QUEUE_SEL, 1)
        driver.write(R.DEVICE_FEATURES_SEL, 1)
        saved = driver.frame.save()
        other = Driver(bench, Notes("notes", bench.wiring(), bench.memory), size=4, start=False)
        other.frame.restore(saved)
        assert other.frame.save() == saved
        assert (other.status, other.read(R.QUEUE_NUM_MAX), other.read(R.DEVICE_FEATURES)) == (LIVE, 4, 3)


class TestMemory:
    def test_shared_half(self, realm, code) -> None:
        """Devices of a Realm reach its RAM with the shared bit, and get zeroed pages; nothing else."""
        vm: Vm = realm(code.loop(), memory=4 << 20)
        memory = GuestMemory(vm.system.port, vm)
        top = RAM_BASE + (4 << 20)
        assert memory.read(SHARED | RAM_BASE, 8) == bytes(8)
        memory.write(SHARED | RAM_BASE + GRANULE_SIZE - 2, b"over")
        assert memory.read(SHARED | RAM_BASE + GRANULE_SIZE - 2, 4) == b"over"
        for address in (RAM_BASE, 0, SHARED, SHARED | top, SHARED << 1 | RAM_BASE, SHARED << 1 | SHARED | RAM_BASE):
            with pytest.raises(OutsideMemory, match=f"not be {address:#x}"):
                memory.read(address, 1)
        with pytest.raises(OutsideMemory):
            memory.write(SHARED | top - 1, b"ab")
        assert memory.read(SHARED | top - 1, 1) == b"\0", "a write that does not fit writes nothing"

    def test_protected_pages_fault(self, realm, code) -> None:
        """The host itself reads no protected page of a Realm: granule protection refuses it."""
        vm: Vm = realm(code.loop())
        pa = vm.stage2.data[RAM_BASE]
        with pytest.raises(GranuleProtectionFault):
            vm.system.port.read(pa, 8)
        with pytest.raises(GranuleProtectionFault):
            vm.system.port.write(pa, b"x")

    def test_pieces(self, bench: Bench) -> None:
        """Pieces are read and written one after another, as far as they go."""
        pieces = [(BASE, 3), (BASE + GRANULE_SIZE - 1, 2), (BASE + 0x3000, 0), (BASE + 0x2000, 4)]
        assert bench.memory.scatter(pieces, b"abcdefg") == 7
        assert bench.memory.gather(pieces) == b"abcdefg\0\0"
        assert bench.memory.scatter(pieces, b"0123456789abcdef") == 9
        assert bench.memory.gather(pieces) == b"012345678"
        with pytest.raises(OutsideMemory):
            bench.memory.gather([(BASE, 1), (PROTECTED, 1)])

    def test_no_guest(self, bench: Bench) -> None:
        """Before its VM is built, a device has no memory."""
        bench.memory.guest = None
        with pytest.raises(OutsideMemory):
            bench.memory.read(BASE, 1)
