"""The paths that have bounds, and how each is measured.

Each figure is the best of several batches, as on an idle machine. Shares are relative to Unicorn alone
in the same run.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from time import process_time
from typing import TYPE_CHECKING, Final

from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_tools.bench import bare, loops
from cca_tools.bench.rig import BATCHES, CALL_PAGE, DATA_PAGE, PAGE, RAM, Bench, best
from cca_tools.bench.rows import Row

if TYPE_CHECKING:
    from cca_firmware.package.nsimage import NsImage

__all__ = ["ROWS"]

_HOST_CALL: Final = ((0, int(Rsi.HOST_CALL)), (1, RAM + CALL_PAGE * PAGE))
_SHARED: Final = 1 << 32
"""An IPA of the shared half of the Realms here."""
_PAYLOAD: Final = "hello"
_ENTRIES: Final = 0x9400_0000  # the word that tells ns_enter how many times


def _version_python(bench: Bench) -> float:
    rmi, fid = bench.machine.host.rmi, int(Rmi.VERSION)
    count = 5000

    def calls() -> None:
        for _ in range(count):
            rmi(fid, ABI_VERSION)

    return best(calls, count) * 1e6


def _version_real(bench: Bench) -> float:
    return _ns_each(_version_images, 10_000) * 1e6


def _rec_enter_real(bench: Bench) -> float:
    return _ns_each(_entry_images, 2_000) * 1e6


def _mmio_real(bench: Bench) -> float:
    return _ns_each(_store_images, 10_000) * 1e6


def _mmio(bench: Bench) -> float:
    vm, vcpu = bench.realm(loops.store_forever(_SHARED))
    count = 1000

    def store() -> None:
        for _ in range(count):
            vcpu.run()
            vcpu.mmio_result()

    try:
        store()
        return best(store, count) * 1e6
    finally:
        vm.destroy()


def _ns_each(images: "Callable[[int], list[NsImage]]", count: int) -> float:
    """Seconds per round of a program at NS-EL2, from two runs that differ by ``count`` rounds."""
    few, many = (min(_ns_run(images(rounds)) for _ in range(3)) for rounds in (100, count + 100))
    return (many - few) / count


def _version_images(rounds: int) -> "list[NsImage]":
    """Call RMI_VERSION this many times."""
    from cca_firmware.package.nsimage import NsImage

    calls = loops.call_many(rounds, ((0, int(Rmi.VERSION)), (1, ABI_VERSION)))
    return [NsImage(loops.code([*calls, *loops.call_forever(((0, int(Psci.SYSTEM_OFF)),))]))]


def _store_images(count: int) -> "list[NsImage]":
    """Send this many bytes by the first UART."""
    from cca_firmware.package.nsimage import NsImage
    from cca_platform.board import Board

    uart = next(row.base for row in Board.load("fvp").devices if row.name == "uart0")
    stores = loops.store_many(count, uart)
    return [NsImage(loops.code([*stores, *loops.call_forever(((0, int(Psci.SYSTEM_OFF)),))]))]


def _entry_images(rounds: int) -> "list[NsImage]":
    """The payload that enters a REC, and how many times."""
    from cca_firmware.package.nsimage import NsImage
    from realmlab.payloads import find_payload

    return [NsImage(find_payload("ns_enter").read_bytes()), NsImage(rounds.to_bytes(8, "little"), _ENTRIES)]


def _ns_run(images: "list[NsImage]") -> float:
    from cca_firmware.boot import boot
    from cca_platform.board import Board
    from cca_platform.machine.machine import Machine as Platform
    from cca_rmm.rmm import Rmm

    with closing(Platform(Board.load("fvp"))) as platform:
        boot(platform, rmm=Rmm(platform), ns_images=images)
        start = process_time()
        platform.run()
        return process_time() - start


def _delegate(bench: Bench) -> float:
    host = bench.machine.host
    pa, count = host.pages.take(), 2000
    there, back = int(Rmi.GRANULE_DELEGATE), int(Rmi.GRANULE_UNDELEGATE)

    def pairs() -> None:
        for _ in range(count):
            host.rmi(there, pa)
            host.rmi(back, pa)

    try:
        return best(pairs, count) * 1e6
    finally:
        host.pages.give(pa)


def _data_create(bench: Bench) -> float:
    from cca_host.kvm import Vm

    host, count = bench.machine.host, 256
    fid, times = int(Rmi.DATA_CREATE), []
    for _ in range(BATCHES):
        with Vm(host) as vm:
            vm.add_memory(RAM, 2 << 20)
            vm.init_ripas()
            vm.populate(RAM, bytes(PAGE))
            granules = [host.delegate() for _ in range(count)]
            rd, staging = vm.rd, vm.staging
            start = process_time()
            for number, data in enumerate(granules, 1):
                host.rmi(fid, rd, data, RAM + number * PAGE, staging, 1)
            times.append(process_time() - start)
    return min(times) / count * 1e6


def _build(bench: Bench) -> float:
    return min(bench_times(bench)[0]) * 1e3


def _build_destroy(bench: Bench) -> float:
    return min(bench_times(bench)[1]) * 1e3


def bench_times(bench: Bench, count: int = 30) -> tuple[list[float], list[float]]:
    """Seconds to build, and to build and destroy, a Realm of 4 pages and 1 REC."""
    words, builds, wholes = loops.call_forever(_HOST_CALL), [], []
    for _ in range(count):
        start = process_time()
        vm, _vcpu = bench.realm(words)
        builds.append(process_time() - start)
        vm.destroy()
        wholes.append(process_time() - start)
    return builds, wholes


def _rec_enter(bench: Bench) -> float:
    return bench.entries(loops.call_forever(_HOST_CALL), 1000) * 1e6


def _rsi_version(bench: Bench) -> float:
    count = 2000
    many = loops.call_many(count, ((0, int(Rsi.VERSION)), (1, ABI_VERSION)))
    return bench.entries(loops.call_forever(_HOST_CALL, many)) / count * 1e6


def _token(bench: Bench) -> float:
    """INIT and the CONTINUE that signs and copies, including the REC entry."""
    continued = ((0, int(Rsi.ATTESTATION_TOKEN_CONTINUE)), (1, RAM + DATA_PAGE * PAGE), (2, 0), (3, PAGE))
    words = [*loops.call(((0, int(Rsi.ATTESTATION_TOKEN_INIT)),)), *loops.call(continued)]
    return bench.entries(loops.call_forever(_HOST_CALL, words), 50) * 1e3


def _restore(bench: Bench) -> float:
    vm, vcpu = bench.realm(loops.call_forever(_HOST_CALL))
    vcpu.run()
    machine, times = bench.machine, []
    saved = machine.snapshot()
    for _ in range(20):
        vcpu.run()
        start = process_time()
        machine.restore(saved)
        times.append(process_time() - start)
    vm.destroy()
    return min(times) * 1e3


def _share(bench: Bench, words: Sequence[int]) -> float:
    realm = bench.entries(loops.call_forever(_HOST_CALL, words))
    return 100 * bare.best(words) / realm


def _arithmetic(bench: Bench) -> float:
    return _share(bench, loops.arithmetic(1_000_000))


def _load_store(bench: Bench) -> float:
    return _share(bench, loops.load_store(500_000, RAM + DATA_PAGE * PAGE))


_CHILD: Final = """
import resource, sys
from cca_tools.cli import main
status = main(["run", {payload!r}, "--quiet"])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1024)
try:  # Linux adds what the parent had when it made this process
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
except (OSError, StopIteration):
    pass
print(used.ru_utime + used.ru_stime, peak, file=sys.stderr)
sys.exit(status)
"""


def _child(bench: Bench) -> tuple[float, float]:
    """CPU seconds and peak memory in MiB of a process that runs the payload."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    found = []
    for _ in range(3):
        command = [sys.executable, "-c", _CHILD.format(payload=_PAYLOAD)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seconds, peak = map(float, done.stderr.split()[-2:])
        found.append((seconds, peak))
    return min(found)


def _start(bench: Bench) -> float:
    return _child(bench)[0]


def _memory(bench: Bench) -> float:
    return _child(bench)[1]


def _trace_off(bench: Bench) -> float:
    """The cost of the ``if trace.on`` checks in a run of the payload, as a share of its time."""
    from cca_platform.trace.sinks import Listing
    from cca_platform.trace.trace import Trace
    from realmlab.machine import Machine

    listing, count = Listing(), 100_000
    with Machine(trace=Trace(listing)) as machine:
        machine.run_realm(_PAYLOAD)
    trace = Trace()

    def ask() -> None:
        for _ in range(count):
            if trace.on:
                raise AssertionError

    run = bench.machine.run_realm
    run(_PAYLOAD)
    return 100 * len(listing) * best(ask, count) / best(lambda: run(_PAYLOAD))


ROWS = (
    Row("rmi-version-real", "RMI_VERSION from real NS-EL2 code", "us", 15, 6, _version_real),
    Row("rmi-version-python", "RMI_VERSION from the Python host", "us", 10, 4, _version_python),
    Row("delegate", "GRANULE_DELEGATE + UNDELEGATE", "us", 50, 20, _delegate),
    Row("data-create", "DATA_CREATE, measured", "us", 40, 20, _data_create),
    Row("build", "small Realm: build", "ms", 1.5, 0.6, _build),
    Row("build-destroy", "small Realm: build and destroy", "ms", 2.5, 1, _build_destroy),
    Row("rec-enter", "REC_ENTER, RSI_HOST_CALL, exit", "us", 60, 25, _rec_enter),
    Row("rec-enter-real", "the same from real NS-EL2 code", "us", 60, 25, _rec_enter_real),
    Row("mmio-real", "a byte from real NS-EL2 code to a UART", "us", 20, 10, _mmio_real),
    Row("mmio", "a Realm's access to a device, up to the VMM", "us", 100, 50, _mmio),
    Row("rsi-version", "RSI_VERSION inside a Realm", "us", 6, 2, _rsi_version),
    Row("token", "attestation token, complete", "ms", 6, 2, _token),
    Row("restore", "snapshot restore", "ms", 1, 0.1, _restore),
    Row("arithmetic", "straight-line Realm code", "% of bare", 80, 95, _arithmetic),
    Row("load-store", "load/store-heavy Realm code", "% of bare", 80, 95, _load_store),
    Row("start", "a whole run of `hello`, from the start of the process", "s", 0.6, 0.35, _start),
    Row("memory", "its peak memory", "MiB", 110, 80, _memory),
    Row("trace-off", "trace off, cost", "% of run", 2, 0.5, _trace_off),
)
