"""The paths that have a bound: measured, must, aim and verdict.

Each figure is the best of several batches, which is what a quiet machine would show. Shares compare with Unicorn alone
in the same run.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, TextIO

from cca_arch.psci import Psci
from cca_arch.rmi.v1_0 import ABI_VERSION, Rmi
from cca_arch.rsi.v1_0 import Rsi
from cca_tools import bare, loops

if TYPE_CHECKING:
    from cca_firmware.package.nsimage import NsImage
    from cca_host.kvm import Vcpu, Vm
    from realmlab.machine import Machine

__all__ = ["ROWS", "Measured", "Row", "measure", "table"]

_BATCHES = 5
_RAM = 0x8000_0000
_CODE_PAGE, _CALL_PAGE, _DATA_PAGE = 0, 1, 2
_PAGE = 0x1000
_HOST_CALL = ((0, int(Rsi.HOST_CALL)), (1, _RAM + _CALL_PAGE * _PAGE))
_PAYLOAD = "hello"
_ENTRIES = 0x9400_0000  # the word that tells ns_enter how often


@dataclass(frozen=True, slots=True)
class Row:
    """A path: ``must`` and ``aim`` in ``unit``; a share is better when larger, everything else when smaller."""

    name: str
    path: str
    unit: str
    must: float
    aim: float
    take: "Callable[[Bench], float]"

    @property
    def larger_is_better(self) -> bool:
        """Whether the bounds are lower bounds."""
        return self.unit == "% of bare"


@dataclass(frozen=True, slots=True)
class Measured:
    """A row and its figure; or why there is none."""

    row: Row
    value: float | None
    trouble: str = ""

    @property
    def verdict(self) -> str:
        """``aim``, ``must``, ``MISSED`` or ``no figure``."""
        if self.value is None:
            return f"no figure: {self.trouble}"
        sign = -1 if self.row.larger_is_better else 1
        if sign * self.value <= sign * self.row.aim:
            return "aim"
        return "must" if sign * self.value <= sign * self.row.must else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        row = self.row
        return {
            "name": row.name,
            "path": row.path,
            "unit": row.unit,
            "measured": self.value,
            "must": row.must,
            "aim": row.aim,
            "verdict": self.verdict,
        }


def _best(action: Callable[[], object], count: int = 1, batches: int = _BATCHES) -> float:
    """Seconds for one of ``count`` actions that ``action`` does, in the best batch."""
    times = []
    for _ in range(batches):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    return min(times) / count


class Bench:
    """One booted machine for all rows, and the Realms that they need."""

    @cached_property
    def machine(self) -> "Machine":
        """Booted on first use."""
        from realmlab.machine import Machine

        return Machine()

    def realm(self, words: Sequence[int], pages: int = 4, measure: bool = True) -> "tuple[Vm, Vcpu]":
        """An active Realm of ``pages`` pages with one REC at the start of ``words``."""
        from cca_host.kvm import Vm

        vm = Vm(self.machine.host)
        vm.add_memory(_RAM, pages * _PAGE)
        vm.init_ripas()
        vm.populate(_RAM, loops.code(words).ljust(pages * _PAGE, b"\0"), measure)
        vcpu = vm.create_vcpu(_RAM, [])
        vm.activate()
        return vm, vcpu

    def entries(self, words: Sequence[int], count: int = 1) -> float:
        """Seconds for one of ``count`` REC entries of a Realm whose code calls the Host for ever."""
        vm, vcpu = self.realm(words)

        def enter() -> None:
            for _ in range(count):
                vcpu.run()

        try:
            enter()
            return _best(enter, count)
        finally:
            vm.destroy()


def _version_python(bench: Bench) -> float:
    rmi, fid = bench.machine.host.rmi, int(Rmi.VERSION)
    count = 5000

    def calls() -> None:
        for _ in range(count):
            rmi(fid, ABI_VERSION)

    return _best(calls, count) * 1e6


def _version_real(bench: Bench) -> float:
    return _ns_each(_version_images, 10_000) * 1e6


def _rec_enter_real(bench: Bench) -> float:
    return _ns_each(_entry_images, 2_000) * 1e6


def _ns_each(images: "Callable[[int], list[NsImage]]", count: int) -> float:
    """Seconds for one of ``count`` rounds of a program at NS-EL2: two runs that differ by so many."""
    few, many = (min(_ns_run(images(rounds)) for _ in range(3)) for rounds in (100, count + 100))
    return (many - few) / count


def _version_images(rounds: int) -> "list[NsImage]":
    """RMI_VERSION, so often."""
    from cca_firmware.package.nsimage import NsImage

    calls = loops.call_many(rounds, ((0, int(Rmi.VERSION)), (1, ABI_VERSION)))
    return [NsImage(loops.code([*calls, *loops.call_forever(((0, int(Psci.SYSTEM_OFF)),))]))]


def _entry_images(rounds: int) -> "list[NsImage]":
    """The payload that enters a REC, and how often it does."""
    from cca_firmware.package.nsimage import NsImage
    from realmlab.payloads import find_payload

    return [NsImage(find_payload("ns_enter").read_bytes()), NsImage(rounds.to_bytes(8, "little"), _ENTRIES)]


def _ns_run(images: "list[NsImage]") -> float:
    from cca_firmware.boot import boot
    from cca_platform.machine.board import Board
    from cca_platform.machine.machine import Machine as Platform
    from cca_rmm.rmm import Rmm

    platform = Platform(Board.load("fvp"))
    boot(platform, rmm=Rmm(platform), ns_images=images)
    start = perf_counter()
    platform.run()
    return perf_counter() - start


def _delegate(bench: Bench) -> float:
    host = bench.machine.host
    pa, count = host.pages.take(), 2000
    there, back = int(Rmi.GRANULE_DELEGATE), int(Rmi.GRANULE_UNDELEGATE)

    def pairs() -> None:
        for _ in range(count):
            host.rmi(there, pa)
            host.rmi(back, pa)

    try:
        return _best(pairs, count) * 1e6
    finally:
        host.pages.give(pa)


def _data_create(bench: Bench) -> float:
    from cca_host.kvm import Vm

    host, count = bench.machine.host, 256
    fid, times = int(Rmi.DATA_CREATE), []
    for _ in range(_BATCHES):
        with Vm(host) as vm:
            vm.add_memory(_RAM, 2 << 20)
            vm.init_ripas()
            vm.populate(_RAM, bytes(_PAGE))
            granules = [host.delegate() for _ in range(count)]
            rd, staging = vm.rd, vm.staging
            start = perf_counter()
            for number, data in enumerate(granules, 1):
                host.rmi(fid, rd, data, _RAM + number * _PAGE, staging, 1)
            times.append(perf_counter() - start)
    return min(times) / count * 1e6


def _build(bench: Bench) -> float:
    return min(bench_times(bench)[0]) * 1e3


def _build_destroy(bench: Bench) -> float:
    return min(bench_times(bench)[1]) * 1e3


def bench_times(bench: Bench, count: int = 30) -> tuple[list[float], list[float]]:
    """Seconds to build, and to build and destroy, a Realm of 4 pages and 1 REC."""
    words, builds, wholes = loops.call_forever(_HOST_CALL), [], []
    for _ in range(count):
        start = perf_counter()
        vm, _vcpu = bench.realm(words)
        builds.append(perf_counter() - start)
        vm.destroy()
        wholes.append(perf_counter() - start)
    return builds, wholes


def _rec_enter(bench: Bench) -> float:
    return bench.entries(loops.call_forever(_HOST_CALL), 1000) * 1e6


def _rsi_version(bench: Bench) -> float:
    count = 2000
    many = loops.call_many(count, ((0, int(Rsi.VERSION)), (1, ABI_VERSION)))
    return bench.entries(loops.call_forever(_HOST_CALL, many)) / count * 1e6


def _token(bench: Bench) -> float:
    """INIT and the CONTINUE that signs and copies; the entry of the REC is part of it."""
    continued = ((0, int(Rsi.ATTESTATION_TOKEN_CONTINUE)), (1, _RAM + _DATA_PAGE * _PAGE), (2, 0), (3, _PAGE))
    words = [*loops.call(((0, int(Rsi.ATTESTATION_TOKEN_INIT)),)), *loops.call(continued)]
    return bench.entries(loops.call_forever(_HOST_CALL, words), 50) * 1e3


def _restore(bench: Bench) -> float:
    vm, vcpu = bench.realm(loops.call_forever(_HOST_CALL))
    vcpu.run()
    machine, times = bench.machine, []
    saved = machine.snapshot()
    for _ in range(20):
        vcpu.run()
        start = perf_counter()
        machine.restore(saved)
        times.append(perf_counter() - start)
    vm.destroy()
    return min(times) * 1e3


def _share(bench: Bench, words: Sequence[int]) -> float:
    realm = bench.entries(loops.call_forever(_HOST_CALL, words))
    return 100 * bare.best(words) / realm


def _arithmetic(bench: Bench) -> float:
    return _share(bench, loops.arithmetic(1_000_000))


def _load_store(bench: Bench) -> float:
    return _share(bench, loops.load_store(500_000, _RAM + _DATA_PAGE * _PAGE))


def _start(bench: Bench) -> float:
    """Seconds from the start of a process to the first byte of the payload's output."""
    command = [sys.executable, "-m", "cca_tools", "run", _PAYLOAD, "--quiet"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    times = []
    for _ in range(3):
        start = perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            first = process.stdout.read(1)
            times.append(perf_counter() - start)
            process.stdout.read()
        if not first:
            raise RuntimeError(f"{_PAYLOAD} printed nothing")
    return min(times)


def _trace_off(bench: Bench) -> float:
    """What the questions ``if trace.on`` cost in a run of the payload: a share of its time."""
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
    return 100 * len(listing) * _best(ask, count) / _best(lambda: run(_PAYLOAD))


ROWS = (
    Row("rmi-version-real", "RMI_VERSION from real NS-EL2 code", "us", 15, 6, _version_real),
    Row("rmi-version-python", "RMI_VERSION from the Python host", "us", 10, 4, _version_python),
    Row("delegate", "GRANULE_DELEGATE + UNDELEGATE", "us", 50, 20, _delegate),
    Row("data-create", "DATA_CREATE, measured", "us", 40, 20, _data_create),
    Row("build", "small Realm: build", "ms", 1.5, 0.6, _build),
    Row("build-destroy", "small Realm: build and destroy", "ms", 2.5, 1, _build_destroy),
    Row("rec-enter", "REC_ENTER, RSI_HOST_CALL, exit", "us", 60, 25, _rec_enter),
    Row("rec-enter-real", "the same from real NS-EL2 code", "us", 60, 25, _rec_enter_real),
    Row("rsi-version", "RSI_VERSION inside a Realm", "us", 6, 2, _rsi_version),
    Row("token", "attestation token, complete", "ms", 6, 2, _token),
    Row("restore", "snapshot restore", "ms", 1, 0.1, _restore),
    Row("arithmetic", "straight-line Realm code", "% of bare", 80, 95, _arithmetic),
    Row("load-store", "load/store-heavy Realm code", "% of bare", 80, 95, _load_store),
    Row("start", "process start to first output of a payload", "s", 0.9, 0.4, _start),
    Row("trace-off", "trace off, cost", "% of run", 2, 0.5, _trace_off),
)


def measure(names: Iterable[str] = ()) -> list[Measured]:
    """The rows whose name contains one of ``names``, or all; a row that cannot be measured says why."""
    wanted = list(names)
    bench, measured = Bench(), []
    for row in ROWS:
        if wanted and not any(name in row.name for name in wanted):
            continue
        try:
            measured.append(Measured(row, row.take(bench)))
        except Exception as error:
            measured.append(Measured(row, None, f"{type(error).__name__}: {error}"))
    return measured


def table(rows: Sequence[Measured], stream: TextIO | None = None) -> None:
    """Print the rows: in colour on a terminal, as text otherwise."""
    stream = stream or sys.stdout
    cells = [
        (item.row.path, "-" if item.value is None else f"{item.value:.3g}", f"{item.row.must:g}", f"{item.row.aim:g}",
         item.row.unit, item.verdict)
        for item in rows
    ]  # fmt: skip
    head = ("Path", "Measured", "Must", "Aim", "Unit", "Verdict")
    if not stream.isatty():
        widths = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head))]
        for line in (head, *cells):
            stream.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    grid = Table(*head, box=None, header_style="bold")
    colours = {"aim": "green", "must": "yellow"}
    for line in cells:
        grid.add_row(*line[:-1], f"[{colours.get(line[-1], 'red')}]{line[-1]}[/]")
    Console(file=stream).print(grid)
