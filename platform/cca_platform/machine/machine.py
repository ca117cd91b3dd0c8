"""The machine: board, memory, PEs, bus and clock, the programs of its exception levels, and its snapshots."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cca_arch.gic import GICD_SIZE, GICR_STRIDE
from cca_arch.types import Pas, SecurityState
from cca_platform.board import Bank, Board, nonvolatile_bank
from cca_platform.clock import Clock
from cca_platform.devices.kinds import Kinds
from cca_platform.errors import Closed, MachineError
from cca_platform.gic import Gic
from cca_platform.halt import Halt
from cca_platform.machine import saved
from cca_platform.machine.bus import Bus
from cca_platform.machine.events import EventQueue
from cca_platform.machine.inputs import Inputs, Journal
from cca_platform.machine.saved import Checkpoint, MachineState
from cca_platform.machine.scheduler import Scheduler
from cca_platform.machine.snapshot import Snapshot, Snapshots
from cca_platform.memory.memory import Memory
from cca_platform.memory.words import address_of, words
from cca_platform.models import DEFAULT, MODELS
from cca_platform.native import block as w
from cca_platform.pe.levels import Program
from cca_platform.pe.pe import Pe
from cca_platform.pe.traps import Traps
from cca_platform.power import Power
from cca_platform.state import AnyState
from cca_platform.trace.events import SystemReset
from cca_platform.trace.trace import Trace

__all__ = ["Machine", "Part"]


class Part(Protocol):
    """Python state that a snapshot must keep, as plain data."""

    def save(self) -> AnyState | None:
        """State for a snapshot; None if all of it is in memory."""

    def restore(self, data: Any) -> None:
        """Restore what ``save`` returned."""


class Machine:
    """The hardware of one board, without any software.

    ``clock`` is "virtual" or "host" (see :class:`cca_platform.clock.Clock`). ``cpu`` is the model of every PE, one of
    :data:`cca_platform.models.MODELS`. ``programs`` are the exception levels implemented in Python; every other level
    runs AArch64 code on the PE's engine. ``power`` tells which PEs are on. ``parts`` have further state for snapshots.
    ``scr`` is the SCR_EL3 of each security state. ``kinds`` are the device kinds that the board may use, by default
    those of Realmlab. ``record`` keeps a journal of all inputs; ``replay`` is a journal to take them from (see
    :mod:`cca_platform.machine.inputs`).
    """

    def __init__(
        self,
        board: Board,
        trace: Trace | None = None,
        clock: str = "virtual",
        cpu: str = DEFAULT,
        kinds: Kinds | None = None,
        record: bool = False,
        replay: Journal | None = None,
    ) -> None:
        self.board = board
        if cpu not in MODELS:
            raise MachineError(f"`cpu` must be {' or '.join(MODELS)}, not {cpu!r}")
        self.cpu = cpu
        self.model = MODELS[cpu]
        self.trace = Trace() if trace is None else trace
        self.memory = Memory(board)
        self.clock = Clock(self.memory, board.counter_hz, clock)
        self.trace.clock = self.clock.reader()
        self.events = EventQueue()
        self.inputs = Inputs(self.clock, self.events, record, replay)
        self.power = Power(board.pes)
        self.bus = Bus(
            board,
            self.memory,
            self.clock,
            self.events,
            self.inputs,
            self.power,
            self.trace,
            kinds or Kinds(),
            self.stop,
        )
        self.traps = Traps()
        self.memory.block[w.M_TRAPS] = address_of(self.traps.rows)
        self.memory.block[w.M_DEVICES] = address_of(self.bus.known.rows)
        self.programs: dict[tuple[int, int], Program] = {}
        self.parts: dict[str, Part] = {}
        self.at_close: list[Callable[[], object]] = []
        """What is called when the machine is closed: files that its software has open."""
        self.stopped: str | None = None
        self.halt = Halt.PAUSED  # the kind of ``stopped``, while that is not None
        self._nonvolatile = board.nonvolatile
        self.overwrite = False  # the next reset keeps no DRAM; firmware saves it
        self.fingerprint = saved.fingerprint(board, cpu)
        self.scr = [0] * len(SecurityState)
        self.gic = Gic(board.pes, board.gic.spis, self._signal)
        self.pes = [Pe(self, index, mpidr) for index, mpidr in enumerate(board.pes)]
        self._pe_blocks = words(len(self.pes), (pe.address for pe in self.pes))
        self.memory.block[w.M_PES], self.memory.block[w.M_PES_COUNT] = address_of(self._pe_blocks), len(self.pes)
        self.scheduler = Scheduler(self, self.clock, self.events, self.pes, self.inputs.idle)
        self.inputs.waits = self.trace.flush
        self.inputs.midway = lambda: any(pe.resumes for pe in self.pes)
        self._connect_gic()
        self._snapshots = Snapshots(self)

    def install(self, state: SecurityState, el: int, program: Program) -> None:
        """Install ``program`` as exception level ``el`` of a security state."""
        self.programs[int(state), el] = program
        self.note_programs()

    def note_programs(self) -> None:
        """``programs`` has changed, which native code must know."""
        self.memory.block[w.M_PROGRAMS] = sum(1 << 4 * state + el for state, el in self.programs)

    def program(self, state: SecurityState, el: int) -> Program | None:
        """The Python program of a level, or None if AArch64 code runs there."""
        return self.programs.get((int(state), el))

    def stop(self, reason: str, halt: Halt = Halt.FAILED) -> None:
        """Stop the machine: callers that wait for a PE get MachineStopped. The first reason counts.

        ``reason`` is for people; ``halt`` says whether the system is off, requests a reset, or only pauses.
        """
        if self.stopped is None:
            self.stopped, self.halt = reason, halt
            for pe in self.pes:
                pe.block[w.P_SLICE_END] = 0  # code that runs, with hooks that call Python, ends at its next block

    def go_on(self) -> None:
        """Resume a paused machine."""
        if self.stopped is not None and self.halt is Halt.PAUSED:
            self.stopped = None

    def reset(self, reason: str) -> None:
        """Reset the system: everything returns to its power-on state, DRAM too except ``nonvolatile``; time continues.

        ``overwrite`` is for one reset: it keeps none of DRAM. No software is left, so ``boot`` must be called again.
        Earlier snapshots can still be restored.
        """
        self._must_be_open("reset()")
        if self.trace.on:
            self.trace.emit(SystemReset(reason=reason))
        for pe in self.pes:
            pe.reset()
        self._snapshots.touch_all()
        self.memory.lose(() if self.overwrite else self.nonvolatile)
        self.overwrite = False
        self.programs.clear()
        self.note_programs()
        self.parts.clear()
        self.scr[:] = [0] * len(self.scr)
        self.power.reset()
        self.bus.reset()
        self.inputs.reset()
        self.gic.reset()
        self.scheduler.reset()
        self.stopped = None

    @property
    def nonvolatile(self) -> tuple[Bank, ...]:
        """Set the DRAM that a reset keeps, initially the board's; raises MachineError unless it is Non-secure DRAM."""
        return self._nonvolatile

    @nonvolatile.setter
    def nonvolatile(self, banks: Sequence[Bank]) -> None:
        try:
            self._nonvolatile = tuple(nonvolatile_bank(self.board, bank.base, bank.size) for bank in banks)
        except ValueError as error:
            raise MachineError(str(error)) from None

    def _connect_gic(self) -> None:
        """Its frames on the bus, one view for each Security state, and the lines of the devices to it."""
        gic, frames, bus = self.gic, self.board.gic, self.bus
        for pases, distributor, redistributors in (
            ((Pas.NON_SECURE, Pas.REALM), gic.distributor, gic.redistributors),
            ((Pas.SECURE, Pas.ROOT), gic.secure_distributor, gic.secure_redistributors),
        ):
            bus.attach("gicd", frames.distributor, GICD_SIZE, distributor, pases)
            bus.attach("gicr", frames.redistributors, GICR_STRIDE * len(self.board.pes), redistributors, pases)
        bus.signal = gic.set_line

    def _signal(self, index: int, signals: int) -> None:
        """Set the signals of the interrupt controller to a PE; if it is not that PE's turn, the turn ends early."""
        self.pes[index].signal(signals)
        if signals:
            self.scheduler.make_way(index)

    def run(self, max_insns: int | None = None) -> str:
        """Run the PEs that have code to run in turn until the machine stops; returns the reason.

        Raises InstructionLimit after ``max_insns`` instructions in all; a wait of every PE counts as one. The next run
        continues with the PE whose turn it was.
        """
        self._must_be_open("run()")
        with self.inputs.running():
            return self.scheduler.run(max_insns)

    # -- TLB maintenance from the levels in Python --------------------------------------------------------------------
    def tlbi_vmalls12(self, vmid: int) -> None:
        """TLBI VMALLS12E1OS for a VMID: stages 1 and 2 of one VM, on every PE."""
        for pe in self.pes:
            pe.tlb.tlbi_vmid(vmid)

    def tlbi_ipas2(self, vmid: int, ipa: int, size: int) -> None:
        """TLBI RIPAS2E1OS and the VMALLE1OS that it needs, for ``size`` bytes at ``ipa`` of one VM, on every PE."""
        for pe in self.pes:
            pe.tlb.tlbi_vmid(vmid)

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def snapshot(self) -> Snapshot:
        """Save the whole machine; the cost depends on what has changed since the last snapshot or restore."""
        self._must_be_open("snapshot()")
        return self._snapshots.take()

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a snapshot; all others remain. Raises ValueError for a snapshot of another machine."""
        self._must_be_open("restore()")
        self._snapshots.restore(snapshot)

    def checkpoint(self) -> Checkpoint:
        """The whole machine as plain data, for ``adopt`` of another machine with the same board and software."""
        self._must_be_open("checkpoint()")
        return self._snapshots.checkpoint()

    def adopt(self, checkpoint: Checkpoint, resume: Callable[[str, Any], Part] | None = None) -> None:
        """Be the machine that ``checkpoint`` is of; StateError, and nothing has changed, when it is another one's.

        The Python levels must be installed, as on a machine that has booted the same way. ``resume(name, state)``
        creates a part that this machine lacks; without it, every part must exist.
        """
        self._must_be_open("adopt()")
        self._snapshots.adopt(checkpoint, resume)

    def save(self) -> MachineState:
        """Everything but DRAM, as plain data."""
        self._must_be_open("save()")
        return saved.save(self)

    def load(self, state: MachineState) -> None:
        """Restore what ``save`` returned."""
        self._must_be_open("load()")
        saved.restore(self, state)

    def _must_be_open(self, what: str) -> None:
        """Raise Closed, a MachineError, if the machine is closed and cannot do ``what`` any more."""
        if self.memory.closed:
            raise Closed(what)

    def close(self) -> None:
        """Release engines and memory; the machine cannot be used afterwards."""
        self.stop("closed")
        self.inputs.close()
        for pe in self.pes:
            pe.close()
            pe.tlb.release()
        self.memory.close()
        for close in self.at_close:
            close()
