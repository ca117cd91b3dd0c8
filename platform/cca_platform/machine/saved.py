"""The saved state of a whole machine: without DRAM for snapshots, which keep pages, and with DRAM for checkpoints."""

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
from cca_platform.power import PowerState
from cca_platform.state import AnyState, State

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine, Part

__all__ = ["Checkpoint", "MachineState", "check", "fingerprint", "restore", "save"]


class MachineState(State, frozen=True, tag="machine/2"):
    """The hardware, and the Python software that has state of its own.

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
    power: PowerState
    scr: tuple[int, ...]
    memory: MemoryState
    bus: BusState
    gic: GicState
    pes: tuple[PeState, ...]
    parts: dict[str, AnyState | None]


class Checkpoint(State, frozen=True, tag="checkpoint/1"):
    """A machine with its DRAM: the non-zero 4 KiB pages by address."""

    machine: MachineState
    pages: dict[int, bytes]


def fingerprint(board: Board, cpu: str) -> str:
    """The fingerprint that machines with interchangeable states share: the board and its CPU model."""
    digest = hashlib.sha256(repr((board, cpu)).encode()).hexdigest()[:16]
    return f"{board.name} {cpu} {digest}"


def _programs(machine: "Machine") -> tuple[str, ...]:
    found = sorted(machine.programs.items())
    return tuple(f"{state}/{el} {type(one).__module__}.{type(one).__qualname__}" for (state, el), one in found)


def save(machine: "Machine") -> MachineState:
    """The state of the machine without DRAM, as plain data."""
    return MachineState(
        board=machine.fingerprint,
        programs=_programs(machine),
        clock=machine.clock.save(),
        trace_seq=machine.trace.seq,
        stopped=machine.stopped,
        halt=machine.halt.value,
        scheduler=machine.scheduler.save(),
        inputs=machine.inputs.save(),
        power=machine.power.save(),
        scr=tuple(machine.scr),
        memory=machine.memory.save(),
        bus=machine.bus.save(),
        gic=machine.gic.save(),
        pes=tuple(pe.save() for pe in machine.pes),
        parts={name: part.save() for name, part in machine.parts.items()},
    )


def check(machine: "Machine", state: MachineState, more: bool) -> None:
    """Raise StateError unless ``state`` fits this machine: same board, CPU model and Python software.

    With ``more``, it may have parts that this machine lacks.
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
    """Restore what ``save`` returned; ``resume(name, state)`` creates a part that the machine lacks."""
    machine.clock.restore(state.clock)
    machine.memory.restore(state.memory)
    machine.stopped, machine.halt = state.stopped, Halt(state.halt)
    machine.scheduler.restore(state.scheduler)
    machine.inputs.restore(state.inputs)
    machine.power.restore(state.power)
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
