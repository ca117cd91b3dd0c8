"""The balloon: pages of plain VMs and of Realms."""

import struct
from collections.abc import Iterator

import pytest
from host_code import SHARED
from virtio_driver import REQUIRED, Bench, Driver

from cca_arch.types import GRANULE_SIZE
from cca_arch.virtio import DeviceStatus, Feature
from cca_arch.virtio.balloon import DEFLATE, INFLATE
from cca_arch.virtio.mmio import MmioRegister as R
from cca_host.kvm import Vm
from cca_host.kvm.plain.vm import PlainVm
from cca_host.kvmtool.layout import RAM_BASE
from cca_host.kvmtool.virtio.balloon import Balloon


class Given(Bench):
    """Notes what is given back."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[tuple[int, int]] = []

    def give_back(self, base: int, top: int) -> None:
        self.ranges.append((base, top))


@pytest.fixture
def bench() -> Iterator[Given]:
    one = Given()
    yield one
    one.close()


def numbers(*pages: int) -> bytes:
    return struct.pack(f"<{len(pages)}I", *pages)


class TestDevice:
    def test_requests(self, bench: Given) -> None:
        """Named pages go back, neighbours together, in any order; those that are taken again cost nothing."""
        driver = Driver(bench, Balloon("balloon", bench.wiring(), bench.memory, 5 << 12))
        assert driver.config(0, 4) == 5
        driver.call(INFLATE, numbers(9, 7, 8, 3, 9), numbers(4))
        assert bench.ranges == [(3 << 12, 5 << 12), (7 << 12, 10 << 12)]
        driver.write(R.CONFIG + 4, 5)
        driver.call(DEFLATE, numbers(3, 4))
        driver.call(INFLATE, b"")
        assert len(bench.ranges) == 2 and driver.config(4, 4) == 5 and not driver.status.needs_reset

    def test_resize(self, bench: Given) -> None:
        """The host asks for another size: the configuration changes, and interrupts."""
        balloon = Balloon("balloon", bench.wiring(), bench.memory)
        driver = Driver(bench, balloon)
        balloon.resize(1 << 20)
        assert (driver.config(0, 4), driver.read(R.INTERRUPT_STATUS)) == (256, 2)
        other = Driver(bench, Balloon("balloon", bench.wiring(), bench.memory), start=False)
        other.frame.restore(driver.frame.save())
        assert other.config(0, 4) == 256

    @pytest.mark.parametrize("data", [b"abc", bytes((1 << 16) + 4)])
    def test_malformed(self, bench: Given, data: bytes) -> None:
        """Half a page number, or too many of them: the device needs a reset."""
        driver = Driver(bench, Balloon("balloon", bench.wiring(), bench.memory))
        driver.send(INFLATE, data)
        driver.kick(INFLATE)
        assert driver.status.needs_reset and not bench.ranges

    @pytest.mark.parametrize("protected", [True, False])
    def test_linux(self, bench: Given, protected: bool) -> None:
        """Linux's driver declines ACCESS_PLATFORM: it has a balloon in a plain VM, and none in a Realm."""
        driver = Driver(bench, Balloon("balloon", bench.wiring(), bench.memory, 0, protected), start=False)
        driver.write(R.DRIVER_FEATURES_SEL, 1)
        driver.write(R.DRIVER_FEATURES, (REQUIRED & ~Feature.ACCESS_PLATFORM.mask) >> 32)
        driver.write(R.STATUS, DeviceStatus.make(acknowledge=1, driver=1, features_ok=1))
        assert driver.status.features_ok != protected


class TestRealm:
    def test_pages(self, realm, code) -> None:
        """Shared pages go back to the host, also in a range with pages of the Realm's own, which stay."""
        vm: Vm = realm(code.loop())
        used = vm.system.pages.used
        for number in (0, 1, 3):
            assert vm.shared_page(SHARED | RAM_BASE + number * GRANULE_SIZE)
        assert vm.system.pages.used >= used + 3
        vm.give_back(0, RAM_BASE + 2 * GRANULE_SIZE)
        assert list(vm.stage2.shared) == [RAM_BASE + 3 * GRANULE_SIZE] and RAM_BASE in vm.stage2.data
        vm.give_back(RAM_BASE, 1 << 60)
        assert not vm.stage2.shared


class TestPlain:
    def test_pages(self, system) -> None:
        """A page of a block goes back, the rest of the block stays; what the guest finds next is zero."""
        with PlainVm(system) as vm:
            vm.add_memory(RAM_BASE, 4 << 20)
            pa = vm.shared_page(RAM_BASE)
            assert pa is not None
            system.port.write(pa, b"secret")
            used = system.pages.used
            vm.give_back(0, RAM_BASE + GRANULE_SIZE)
            assert system.pages.used < used + 1
            again = vm.shared_page(RAM_BASE)
            assert again is not None and system.port.read(again, 6) == bytes(6)
