"""Guest code: the loops of the payload ``guest_code``, and what a turn of each takes in every place.

A figure is the difference of a long run and a short one, divided by the turns. So neither the start of the emulator nor
the translation of the code is in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from cca_tools.bench.rows import Bound
from cca_tools.bench.took import Took

__all__ = [
    "BARE", "BOUNDS", "LOOPS", "NS", "PLACES", "QEMU", "REALM", "SHARED", "GuestLoop", "Place", "Shares", "Timing",
    "mean", "measure_guest", "turn",
]  # fmt: skip

SHARED: Final = frozenset({"alu10", "alu100", "branchy", "call", "load", "store", "3-in-12", "memcpy", "bytes",
                           "exclusive", "svc-eret", "fresh"})  # fmt: skip
"""The loops whose speed is compared with QEMU's."""
NS, REALM, BARE, QEMU = "ns-el2", "realm", "bare", "qemu"
PLACES: Final = (NS, REALM, BARE, QEMU)
_SHORT: Final = 10  # a short run has as many fewer turns
_LEAST: Final = 1e-3  # nanoseconds: a figure of nothing has no ratio
_NEARLY: Final = 0.7
_STEP: Final = 20  # times the turns, at most, from one trial to the next


class Shares(NamedTuple):
    """Shares of QEMU's speed over the loops of ``SHARED``: the geometric mean, and the worst."""

    mean: Bound
    worst: Bound


class Bounds(NamedTuple):
    """What must hold, and what we aim at."""

    must: Shares
    aim: Shares


BOUNDS: Final = Bounds(Shares((0.40, 0.75), (0.20, 0.45)), Shares((0.5, 1.0), (0.28, 0.8)))


@dataclass(frozen=True, slots=True)
class GuestLoop:
    """A loop: its number in the payload's table, what a turn does, and the turns of a first trial.

    ``region`` is what it accesses: "uart", "gic", or "protected", a page of Root; ``pes`` run it at the same time.
    """

    name: str
    number: int
    does: str
    turns: int
    places: tuple[str, ...]
    region: str = ""
    pes: int = 1


_HOSTED: Final = (NS, REALM, QEMU)  # Unicorn alone takes no exceptions, fills its TLB in Python, and ignores IC
_BOARD: Final = (NS, QEMU)  # needs EL2, or a device of the board

LOOPS: Final = (
    GuestLoop("alu10", 0, "10 instructions, no memory", 600_000, PLACES),
    GuestLoop("alu100", 1, "100 instructions, no memory", 200_000, PLACES),
    GuestLoop("branchy", 2, "9 short blocks, half of the branches taken", 150_000, PLACES),
    GuestLoop("call", 3, "3 calls and returns", 200_000, PLACES),
    GuestLoop("load", 4, "8 loads", 200_000, PLACES),
    GuestLoop("store", 5, "8 stores", 200_000, PLACES),
    GuestLoop("3-in-12", 6, "12 instructions, 3 of them loads and stores", 300_000, PLACES),
    GuestLoop("memcpy", 7, "4 KiB, by pairs of registers", 3_000, PLACES),
    GuestLoop("bytes", 8, "64 bytes, one by one", 20_000, PLACES),
    GuestLoop("exclusive", 9, "LDXR, STXR", 200_000, PLACES),
    GuestLoop("svc-eret", 10, "SVC, and the return from it", 20_000, _HOSTED),
    GuestLoop("fresh", 11, "4 KiB of new code, run once", 200, _HOSTED),
    GuestLoop("rewritten", 12, "an instruction that changes before it is run", 2_000, _HOSTED),
    GuestLoop("walks", 13, "loads from 4,096 pages, more than the TLB holds", 100, _HOSTED),
    GuestLoop("tlbi", 14, "TLBI by address, and a load there", 10_000, _HOSTED),
    GuestLoop("cntvct", 15, "a read of the virtual counter", 100_000, PLACES),
    GuestLoop("fp", 16, "6 floating-point and vector instructions", 100_000, PLACES),
    GuestLoop("pes-2", 6, "3-in-12 on 2 PEs, a turn on each", 150_000, _HOSTED, pes=2),
    GuestLoop("pes-4", 6, "3-in-12 on 4 PEs, a turn on each", 75_000, _HOSTED, pes=4),
    GuestLoop("device-read", 17, "a load from a register of the UART", 5_000, _BOARD, "uart"),
    GuestLoop("device-write", 18, "a store to a register of the UART that ignores it", 5_000, _BOARD, "uart"),
    GuestLoop("thread-id", 19, "a read and a write of TPIDR_EL1", 100_000, PLACES),
    GuestLoop("id-read", 23, "a read of ID_AA64PFR0_EL1", 20_000, PLACES),
    GuestLoop("icc-read", 20, "a read of ICC_PMR_EL1", 5_000, _HOSTED),
    GuestLoop("icc-write", 21, "a write of ICC_PMR_EL1", 5_000, _HOSTED),
    GuestLoop("el2-mrs", 25, "MRS at EL1 that HCR_EL2.TID3 traps to code at EL2, which skips it", 5_000, _BOARD),
    GuestLoop("el2-msr", 26, "MSR at EL1 that HCR_EL2.TVM traps to code at EL2, which skips it", 5_000, _BOARD),
    GuestLoop("gpf", 22, "a granule protection fault, taken at EL2, which skips the load", 2_000, (NS,), "protected"),
    GuestLoop("stage2", 24, "a stage 2 fault at EL1, and code at EL2 that maps the page", 2_048, _BOARD),
    GuestLoop("wfi", 27, "a timer of a microsecond, and a WFI that it ends", 500, _HOSTED, "gic"),
    GuestLoop("irq", 28, "an SGI to itself, taken", 500, _HOSTED, "gic"),
    GuestLoop("sgi", 29, "an SGI to another PE, which answers by one", 200, _HOSTED, "gic", pes=2),
)  # fmt: skip


class Place(Protocol):
    """Where loops run: an emulator, and a world. A run there should have ``enough`` seconds of work in it."""

    name: str
    enough: float

    def run(self, loop: GuestLoop, turns: int) -> Took:
        """A run of so many turns."""


def turn(place: Place, loop: GuestLoop, turns: int = 0) -> tuple[Took, int]:
    """What a turn of the loop takes there, and the turns of the run: found by trials, unless they are given."""
    trial = turns or loop.turns
    while True:
        few = trial // _SHORT
        took = place.run(loop, trial).without(place.run(loop, few))
        if turns or took.cpu >= place.enough * _NEARLY:
            return took.each(trial - few), trial
        trial *= min(_STEP, 1 + round(place.enough / max(took.cpu, place.enough / _STEP)))


@dataclass(slots=True)
class Timing:
    """Nanoseconds a turn, one figure for each round, by place, also on the wall; the turns; why there is no figure."""

    loop: GuestLoop
    ns: dict[str, list[float]] = field(default_factory=dict)
    walls: dict[str, list[float]] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)

    def best(self, place: str) -> float | None:
        """The least of the rounds: what disturbs a run makes it longer."""
        return min(self.ns[place]) if self.ns.get(place) else None

    def wall(self, place: str) -> float | None:
        """The least on the wall."""
        return min(self.walls[place]) if self.walls.get(place) else None

    def spread(self, place: str) -> float:
        """How far the worst of the rounds is from the best, as a part of the best."""
        rounds = self.ns.get(place)
        return max(rounds) / min(rounds) - 1 if rounds else 0.0

    def share(self, place: str, of: str) -> float | None:
        """The speed there as a part of the speed in another place."""
        mine, other = self.best(place), self.best(of)
        return None if mine is None or other is None else other / mine


def mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def measure_guest(
    loops: Sequence[GuestLoop],
    rounds: int,
    places: Sequence[Place],
    tell: Callable[[str], None] = lambda what: None,
) -> list[Timing]:
    """Measure the loops in every place; the places take turns, so that what changes meanwhile meets them all."""
    timings = [Timing(loop) for loop in loops]
    for number in range(rounds):
        for timing in timings:
            tell(f"round {number + 1} of {rounds}: {timing.loop.name}")
            for place in places:
                _measure(timing, place)
    return timings


def _measure(timing: Timing, place: Place) -> None:
    name = place.name
    if name not in timing.loop.places or name in timing.trouble:
        return
    try:
        took, timing.turns[name] = turn(place, timing.loop, timing.turns.get(name, 0))
    except Exception as error:
        timing.trouble[name] = f"{type(error).__name__}: {error}"
    else:
        timing.ns.setdefault(name, []).append(max(took.cpu * 1e9, _LEAST))
        timing.walls.setdefault(name, []).append(max(took.wall * 1e9, _LEAST))
