"""A booted machine for the tests of the firmware: real platform, real monitor, and programs that answer as told."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from programs import Quiet, Rmm
from secure_code import payload

from cca_firmware.boot import Firmware, boot
from cca_platform.board import Board
from cca_platform.machine.machine import Machine
from cca_platform.pe.pe import Pe
from cca_platform.trace.trace import Trace


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


@pytest.fixture
def start(boot_machine: Callable[..., Booted]) -> Callable[..., Booted]:
    """Boot with a Secure payload: ``start(code=payload(), **arguments of boot_machine)``."""

    def with_payload(code: bytes | None = None, **arguments: Any) -> Booted:
        return boot_machine(secure_image=payload() if code is None else code, **arguments)

    return with_payload
