"""Guest code: the loops of the payload ``guest_code``, run in a Realm, at Non-secure EL2, and by others.

Each figure is the CPU time of a turn of the loop: the difference of a long run and a short one, divided by the turns.
So neither the start of the emulator nor the translation of the code is in it.
"""

import math
import os
import resource
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Final

__all__ = ["LOOPS", "PLACES", "SHARED", "GuestLoop", "Qemu", "Timing", "mean", "measure_guest"]

SHARED: Final = frozenset({"alu10", "alu100", "branchy", "call", "load", "store", "3-in-12", "memcpy", "bytes",
                           "exclusive", "svc-eret", "fresh"})  # fmt: skip
"""The loops whose speed is compared with QEMU's."""
PLACES: Final = ("ns-el2", "realm", "bare", "qemu")
_PARAMETERS: Final = struct.Struct("<3Q")  # which loop, how many turns, a device's register
_OFFSET: Final = 8  # of the parameters, from the start of the payload
_SHORT: Final = 10  # a short run has as many fewer turns
_MORE: Final = 5  # times the turns in a run of QEMU, whose start is in it, and not in the others'
_MANY: Final = 200  # the same for loops that leave the engine here, and not there
_UART: Final = "uart0"
_FLAG: Final = 0x18  # UARTFR, of the PL011


@dataclass(frozen=True, slots=True)
class GuestLoop:
    """A loop: its number in the payload, what a turn does, and the turns of a run."""

    name: str
    number: int
    does: str
    turns: int
    device: bool = False
    bare: bool = True
    leaves: bool = False

    def turns_in(self, place: str) -> int:
        """The turns of a run there: so many that the work is most of it."""
        return self.turns * ((_MANY if self.leaves else _MORE) if place == "qemu" else 1)

    def where(self) -> tuple[str, ...]:
        """The places where it can run: a Realm has no device of the board, a bare engine neither levels nor devices."""
        return tuple(
            place
            for place in PLACES
            if not (place == "realm" and self.device) and not (place == "bare" and not self.bare)
        )


def _loops(*rows: tuple[str, str, int, str]) -> tuple[GuestLoop, ...]:
    return tuple(
        GuestLoop(name, number, does, turns, "device" in flags, not flags, "leaves" in flags)
        for number, (name, does, turns, flags) in enumerate(rows)
    )


LOOPS: Final = _loops(
    ("alu10", "10 instructions, no memory", 6_000_000, ""),
    ("alu100", "100 instructions, no memory", 2_000_000, ""),
    ("branchy", "9 short blocks, half of the branches taken", 1_500_000, ""),
    ("call", "3 calls and returns", 2_000_000, ""),
    ("load", "8 loads", 2_000_000, ""),
    ("store", "8 stores", 2_000_000, ""),
    ("3-in-12", "12 instructions, 3 of them loads and stores", 3_000_000, ""),
    ("memcpy", "4 KiB, by pairs of registers", 30_000, ""),
    ("bytes", "64 bytes, one by one", 200_000, ""),
    ("exclusive", "LDXR, STXR", 2_000_000, ""),
    ("svc-eret", "SVC, and the return from it", 200_000, "levels"),
    ("fresh", "4 KiB of new code, run once", 2_000, "levels"),
    ("rewritten", "an instruction that changes before it is run", 20_000, "levels"),
    ("walks", "loads from 4,096 pages, more than the TLB holds", 200, ""),
    ("tlbi", "TLBI by address, and a load there", 100_000, "levels"),
    ("cntvct", "a read of the virtual counter", 1_000_000, "levels"),
    ("fp", "6 floating-point and vector instructions", 1_000_000, ""),
    ("device-read", "a load from a register of the UART", 50_000, "device leaves"),
    ("device-write", "a store to a register of the UART that ignores it", 50_000, "device leaves"),
    ("thread-id", "a read and a write of TPIDR_EL1", 1_000_000, ""),
    ("icc-read", "a read of ICC_PMR_EL1", 50_000, "levels leaves"),
    ("icc-write", "a write of ICC_PMR_EL1", 50_000, "levels leaves"),
)
"""In the order of the payload's table."""


@dataclass(slots=True)
class Timing:
    """Nanoseconds a turn, one figure for each round, by place; why there is none."""

    loop: GuestLoop
    ns: dict[str, list[float]] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)

    def best(self, place: str) -> float | None:
        """The least of the rounds: what disturbs a run makes it longer."""
        return min(self.ns[place]) if self.ns.get(place) else None

    def share(self, place: str, of: str) -> float | None:
        """The speed there as a part of the speed in another place."""
        mine, other = self.best(place), self.best(of)
        return None if mine is None or other is None else other / mine


def mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def measure_guest(
    loops: Sequence[GuestLoop], rounds: int, qemu: "Qemu | None", tell: Callable[[str], None] = lambda what: None
) -> list[Timing]:
    """Measure the loops in every place; the places take turns, so that what changes meanwhile meets them all."""
    runs: dict[str, Callable[[GuestLoop, int], float]] = {"ns-el2": _run_ns, "realm": _run_realm, "bare": _run_bare}
    if qemu is not None:
        runs["qemu"] = qemu.run
    timings = [Timing(loop) for loop in loops]
    for turn in range(rounds):
        for timing in timings:
            tell(f"round {turn + 1} of {rounds}: {timing.loop.name}")
            _measure(timing, runs)
    return timings


def _measure(timing: Timing, runs: Mapping[str, Callable[[GuestLoop, int], float]]) -> None:
    loop = timing.loop
    for place, run in runs.items():
        if place not in loop.where() or place in timing.trouble:
            continue
        turns = loop.turns_in(place)
        try:
            seconds = run(loop, turns) - run(loop, turns // _SHORT)
        except Exception as error:
            timing.trouble[place] = f"{type(error).__name__}: {error}"
        else:
            timing.ns.setdefault(place, []).append(max(seconds, 1e-9) / (turns - turns // _SHORT) * 1e9)


def _payload(name: str, loop: GuestLoop, turns: int, device: int = 0) -> bytes:
    """The ELF file of a payload, told what to do."""
    import io

    from elftools.elf.elffile import ELFFile

    from realmlab.payloads import find_payload

    data = bytearray(find_payload(name).read_bytes())
    segment = next(one for one in ELFFile(io.BytesIO(data)).iter_segments() if one["p_type"] == "PT_LOAD")
    _PARAMETERS.pack_into(data, segment["p_offset"] + _OFFSET, loop.number, turns, device)
    return bytes(data)


def _device() -> int:
    """The address of the flag register of the first UART of `virt`, which a read does not change."""
    from cca_platform.board import Board

    return next(row.base for row in Board.load("virt").devices if row.name == _UART) + _FLAG


def _run_ns(loop: GuestLoop, turns: int) -> float:
    from cca_firmware.boot import boot
    from cca_firmware.package.nsimage import NsImage
    from cca_platform.board import Board
    from cca_platform.machine.machine import Machine as Platform
    from cca_rmm.rmm import Rmm

    with closing(Platform(Board.load("virt"))) as platform:
        image = NsImage(_payload("ns_guest_code_virt", loop, turns, _device()))
        boot(platform, rmm=Rmm(platform), ns_images=[image])
        start = process_time()
        platform.run()
        return process_time() - start


def _run_realm(loop: GuestLoop, turns: int) -> float:
    from realmlab.machine import Machine

    with tempfile.TemporaryDirectory() as folder, Machine() as machine:
        file = Path(folder) / "guest_code.elf"
        file.write_bytes(_payload("guest_code", loop, turns))
        start = process_time()
        result = machine.run_realm(file)
        seconds = process_time() - start
    if result.status:
        raise RuntimeError(result.message)
    return seconds


def _run_bare(loop: GuestLoop, turns: int) -> float:
    from cca_tools.bench import bare

    return bare.run_elf(_payload("guest_code", loop, turns))


class Qemu:
    """QEMU's plain ``virt`` board with EL2, and its version."""

    def __init__(self, name: str = "qemu-system-aarch64") -> None:
        """The program ``name``, a path or one of PATH; FileNotFoundError without it."""
        found = shutil.which(name)
        if found is None:
            raise FileNotFoundError(name)
        self.path = found
        told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = told.splitlines()[0].removeprefix("QEMU emulator version ")

    def run(self, loop: GuestLoop, turns: int) -> float:
        """CPU seconds of a whole run."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "guest_code.elf"
            file.write_bytes(_payload("ns_guest_code_virt", loop, turns, _device()))
            command = [
                self.path, "-machine", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72", "-m", "512",
                "-accel", "tcg,thread=single", "-nic", "none", "-display", "none", "-serial", "none", "-monitor",
                "none", "-kernel", os.fspath(file),
            ]  # fmt: skip
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, timeout=120, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
