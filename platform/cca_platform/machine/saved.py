"""The saved state of a whole machine: without DRAM, whose pages snapshots keep, and with it, for another machine."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cca_platform.board import Board
from cca_platform.clock import ClockState
from cca_platform.errors import StateError
from cca_platform.gic import GicState
from cca_platform.halt import Halt
from cca_platform.machine.bus import BusState
from cca_platform.machine.inputs import InputsState
from cca_platform.machine.scheduler import SchedulerState
from cca_platform.memory.memory import MemoryState
from cca_platform.pe.saved import PeState
from cca_platform.state import AnyState, State

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine, Part

__all__ = ["Checkpoint", "MachineState", "check", "fingerprint", "restore", "save"]


class MachineState(State, frozen=True, tag="machine/1"):
    """Hardware, and the parts of software in Python that have state of their own.

    ``board`` and ``programs`` say which machine it fits: the fingerprint of the board and CPU model, and who implements
    each exception level in Python ("3/2 cca_rmm.rmm.Rmm" is Realm EL2). ``scr`` is SCR_EL3 by security state.
    """

    board: str
    programs: tuple[str, ...]
    clock: ClockState
    trace_seq: int
    stopped: str | None
    halt: str
    scheduler: SchedulerState
    inputs: InputsState
    scr: tuple[int, ...]
    memory: MemoryState
    bus: BusState
    gic: GicState
    pes: tuple[PeState, ...]
    parts: dict[str, AnyState | None]


class Checkpoint(State, frozen=True, tag="checkpoint/1"):
    """A machine with its DRAM, by the address of each page of 4 KiB that is not zero."""

    machine: MachineState
    pages: dict[int, bytes]


def fingerprint(board: Board, cpu: str) -> str:
    """What two machines that can exchange their states have in common: the board, and the model of its CPUs."""
    digest = hashlib.sha256(repr((board, cpu)).encode()).hexdigest()[:16]
    return f"{board.name} {cpu} {digest}"


def _programs(machine: "Machine") -> tuple[str, ...]:
    found = sorted(machine.programs.items())
    return tuple(f"{state}/{el} {type(one).__module__}.{type(one).__qualname__}" for (state, el), one in found)


def save(machine: "Machine") -> MachineState:
    """Everything of the machine but DRAM, as plain data."""
    return MachineState(
        board=machine.fingerprint,
        programs=_programs(machine),
        clock=machine.clock.save(),
        trace_seq=machine.trace.seq,
        stopped=machine.stopped,
        halt=machine.halt.value,
        scheduler=machine.scheduler.save(),
        inputs=machine.inputs.save(),
        scr=tuple(machine.scr),
        memory=machine.memory.save(),
        bus=machine.bus.save(),
        gic=machine.gic.save(),
        pes=tuple(pe.save() for pe in machine.pes),
        parts={name: part.save() for name, part in machine.parts.items()},
    )


def check(machine: "Machine", state: MachineState, more: bool) -> None:
    """StateError unless ``state`` is of a machine like this one: same board, CPU model, software in Python.

    With ``more`` it may have parts that this machine has not.
    """
    parts = [name for name in state.parts if name in machine.parts or not more]
    for what, own, other in (
        ("board", machine.fingerprint, state.board),
        ("software in Python", _programs(machine), state.programs),
        ("parts", sorted(machine.parts), sorted(parts)),
    ):
        if own != other:
            raise StateError(f"saved state must have the {what} of this machine, {own}, not {other}")


def restore(machine: "Machine", state: MachineState, resume: "Callable[[str, Any], Part] | None" = None) -> None:
    """Put back what ``save`` gave; ``resume(name, state)`` makes a part that the machine has not."""
    machine.clock.restore(state.clock)
    machine.memory.restore(state.memory)
    machine.stopped, machine.halt = state.stopped, Halt(state.halt)
    machine.scheduler.restore(state.scheduler)
    machine.inputs.restore(state.inputs)
    machine.scr[:] = state.scr
    machine.trace.seq = state.trace_seq
    machine.bus.restore(state.bus)
    machine.gic.restore(state.gic)
    for pe, one in zip(machine.pes, state.pes, strict=True):
        pe.restore(one)
    for name, part in state.parts.items():
        if name in machine.parts or resume is None:
            machine.parts[name].restore(part)
        else:
            machine.parts[name] = resume(name, part)
