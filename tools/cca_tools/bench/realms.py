"""Rows of whole Realms: their pages, their build, their snapshot."""

from typing import Final

from cca_arch.rmi.v1_0 import Rmi
from cca_tools.bench import loops
from cca_tools.bench.rig import HOST_CALL, PAGE, RAM, Bench
from cca_tools.bench.rows import Row
from cca_tools.bench.took import BATCHES, Took, Watch, least

__all__ = ["ROWS"]

_SMALL: Final = 4  # pages
_LARGE: Final = 256


def _data_create(bench: Bench) -> Took:
    from cca_host.kvm import Vm

    host, count = bench.machine.host, 256
    fid, times = int(Rmi.DATA_CREATE), []
    for _ in range(BATCHES):
        with Vm(host) as vm:
            vm.add_memory(RAM, 2 << 20)
            vm.init_ripas()
            vm.populate(RAM, b"page" * (PAGE // 4))  # stays in the staging page: the RMM knows the hash of zeroes
            granules = [host.delegate() for _ in range(count)]
            rd, staging = vm.rd, vm.staging
            watch = Watch()
            for number, data in enumerate(granules, 1):
                host.rmi(fid, rd, data, RAM + number * PAGE, staging, 1)
            times.append(watch.took())
    return least(times).each(count)


def _fault(bench: Bench) -> Took:
    """Pages that a Realm touches before the Host has given them."""
    from cca_host.kvm import Vm

    words, times = [*loops.store_pages(_LARGE, RAM + PAGE), *loops.call_forever(HOST_CALL)], []
    for _ in range(BATCHES):
        with Vm(bench.machine.host) as vm:
            vm.add_memory(RAM, PAGE * (_LARGE + 1))
            vm.init_ripas()
            vm.populate(RAM, loops.code(words).ljust(PAGE, b"\0"))
            vcpu = vm.create_vcpu(RAM, [])
            vm.activate()
            watch = Watch()
            vcpu.run()
            times.append(watch.took())
    return least(times).each(_LARGE)


def _build(bench: Bench) -> Took:
    return _times(bench, _SMALL, 30)[0]


def _build_destroy(bench: Bench) -> Took:
    return _times(bench, _SMALL, 30)[1]


def _build_destroy_large(bench: Bench) -> Took:
    return _times(bench, _LARGE, BATCHES)[1]


def _times(bench: Bench, pages: int, count: int) -> tuple[Took, Took]:
    """To build, and to build and destroy, a Realm of 1 REC with as many measured pages."""
    words, builds, wholes = loops.call_forever(HOST_CALL), [], []
    for _ in range(count):
        watch = Watch()
        vm, _vcpu = bench.realm(words, pages)
        builds.append(watch.took())
        vm.destroy()
        wholes.append(watch.took())
    return least(builds), least(wholes)


def _restore(bench: Bench) -> Took:
    vm, vcpu = bench.realm(loops.call_forever(HOST_CALL))
    vcpu.run()
    machine, times = bench.machine, []
    saved = machine.snapshot()
    for _ in range(20):
        vcpu.run()
        watch = Watch()
        machine.restore(saved)
        times.append(watch.took())
    vm.destroy()
    return least(times)


ROWS = (
    Row("data-create", "DATA_CREATE, measured", "us", (22, 15), (15, 10), _data_create),
    Row("realm-fault", "a page that a Realm touches first: fault, DATA_CREATE_UNKNOWN, on", "us", 150, 75, _fault),
    Row("build", "a Realm of 4 pages: build", "ms", 1.5, 0.6, _build),
    Row("build-destroy", "a Realm of 4 pages: build and destroy", "ms", 1.2, 0.7, _build_destroy),
    Row("build-destroy-256", "a Realm of 256 pages: build and destroy", "ms", 20, 12, _build_destroy_large),
    Row("restore", "snapshot restore, little changed", "ms", 0.12, 0.05, _restore),
)
