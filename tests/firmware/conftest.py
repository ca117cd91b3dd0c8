"""A booted machine for the tests of the firmware: real platform, real monitor, and programs that answer as told."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from cca_arch.el3 import BootCode, RmmEl3
from cca_firmware.boot import Firmware, boot
from cca_platform.machine.board import Board
from cca_platform.machine.machine import Machine
from cca_platform.pe.pe import Pe
from cca_platform.trace.trace import Trace


class Quiet:
    """A program that no exception reaches."""

    def on_sync(self, pe: Pe, esr: int, far: int, hpfar: int) -> None:
        raise AssertionError(f"unexpected exception {esr:#x}")

    def on_irq(self, pe: Pe) -> None:
        raise AssertionError("unexpected interrupt")

    def on_eret(self, pe: Pe) -> None:
        """Entered by EL3: go on after pe.smc."""


class Rmm(Quiet):
    """A program at R-EL2: it boots with the codes given, notes X0..X30 of each entry, and answers with ``answer``."""

    def __init__(self, codes: dict[int, int]) -> None:
        self.codes = codes
        self.entries: list[tuple[int, list[int]]] = []
        self.booted: set[int] = set()
        self.answer: Callable[[Pe], tuple[int, ...]] = lambda pe: (0, 0, 0, 0, 0)

    def on_eret(self, pe: Pe) -> None:
        self.entries.append((pe.index, pe.x.tolist()))
        if pe.index not in self.booted:
            self.booted.add(pe.index)
            pe.leave(RmmEl3.BOOT_COMPLETE, self.codes.get(pe.index, BootCode.SUCCESS))
            return
        pe.leave(RmmEl3.RMI_REQ_COMPLETE, *self.answer(pe))


class Records:
    """A trace sink that keeps the records."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def write(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def close(self) -> None:
        """Nothing to close."""


class Booted(NamedTuple):
    """A machine after boot, and who is on it."""

    machine: Machine
    firmware: Firmware
    rmm: Rmm
    records: list[dict[str, Any]]

    @property
    def pe(self) -> Pe:
        """The primary PE."""
        return self.machine.pes[0]


@pytest.fixture
def boot_machine() -> Iterator[Callable[..., Booted]]:
    """Boot a machine: ``boot_machine(board="fvp", codes={}, trace=False, ns_image=None, **arguments of boot)``."""
    machines: list[Machine] = []

    def start(board: str = "fvp", codes: dict[int, int] | None = None, trace: bool = False, **arguments: Any) -> Booted:
        sink = Records()
        machine = Machine(Board.load(board), trace=Trace(sink) if trace else None)
        machines.append(machine)
        rmm = Rmm(codes or {})
        if "ns_image" not in arguments:
            arguments.setdefault("ns_program", Quiet())
        return Booted(machine, boot(machine, rmm=rmm, **arguments), rmm, sink.records)

    yield start
    for machine in machines:
        machine.close()


@pytest.fixture
def booted(boot_machine: Callable[..., Booted]) -> Booted:
    """A machine booted with defaults."""
    return boot_machine()
