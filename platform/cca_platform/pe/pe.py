"""A processing element: one engine, four worlds, and the exceptions that move it between them.

A level is either a Python program (the monitor at EL3, the RMM at R-EL2, the host at NS-EL2) or AArch64 code on the
engine. Both are entered by an exception and left by ERET. While Python has the PE, its general registers are ``x``, and
``elr``/``spsr`` are the return address and PSTATE of the interrupted code.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import REGISTERS
from cca_arch.types import Instructions, SecurityState
from cca_platform.engine import timers
from cca_platform.engine.registers import CNTHCTL_RESET
from cca_platform.engine.tlb import Tlb
from cca_platform.errors import Closed
from cca_platform.memory.words import address_of, words, zero
from cca_platform.models import COMMON
from cca_platform.native import block as w
from cca_platform.pe import controls, delivery, levels, running, saved
from cca_platform.pe.events import Watch
from cca_platform.pe.gic import access_gic
from cca_platform.pe.identification import IdRegisters
from cca_platform.pe.pmu import MDCR_RESET, load_pmu, pmu_shows, reset_pmu, save_pmu, withdraw_pmu
from cca_platform.pe.refused import Refused
from cca_platform.unmodelled import CONTROLS

if TYPE_CHECKING:
    from cca_platform.engine.engine import Engine
    from cca_platform.gic import CpuInterface
    from cca_platform.machine.machine import Machine

__all__ = ["Pe"]

_U64: Final = (1 << 64) - 1
_FEATURES: Final = {
    "FEAT_PAN2": w.HAS_PAN, "FEAT_PAuth": w.HAS_PAUTH, "FEAT_LOR": w.HAS_LOR, "FEAT_DPB2": w.HAS_DPB,
    "FEAT_DIT": w.HAS_SOFT, "FEAT_LRCPC2": w.HAS_RCPC,
}  # fmt: skip


class Pe:
    """One PE of a machine. ``security`` and ``el`` are its current state; at EL3, ``security`` reflects SCR_EL3.

    ``on`` says whether it runs code of its own (PSCI), ``waiting`` whether that code sits in WFI or WFE, ``wfe`` what
    it watches in WFE, ``stuck`` whether it takes exceptions without end: then, as in WFI, only an interrupt changes
    anything.
    ``paused`` is set when it stops before an instruction; the code that handles the stop clears it.
    ``x`` are X0..X30 and ``interrupted_at`` is (``elr``, ``spsr``), both in place.

    This class holds the state; what a PE does stands in a module for each reason: :mod:`~cca_platform.pe.levels`,
    :mod:`~cca_platform.pe.controls`, :mod:`~cca_platform.pe.delivery` (interrupts and timers),
    :mod:`~cca_platform.pe.running` and :mod:`~cca_platform.pe.saved`. For those modules alone: ``moves`` counts changes
    of level by ERET, ``reloaded`` says that registers were replaced under the engine, ``turn_over`` that the PE has to
    make way, ``fruitless`` counts runs since ``progress`` instructions had been retired, and ``restored`` is
    the state that was put back last. ``recent``, or ``noted`` as
    unsigned words, are the exceptions it has taken last, which :mod:`~cca_platform.pe.recent` reads;
    ``refused`` are the calls of its software that were refused last.
    """

    smc, start_call, call_done = levels.smc, levels.start_call, property(levels.call_done)
    leave, eret, stay = levels.leave, levels.eret, levels.stay
    take, inject, is_python = levels.take, levels.inject, levels.is_python

    save_el1, restore_el1 = controls.save_el1, controls.restore_el1
    save_el2, restore_el2 = controls.save_el2, controls.restore_el2
    set_el2, run_under = controls.set_el2, controls.run_under
    save_pmu, load_pmu, reset_pmu = save_pmu, load_pmu, reset_pmu
    pmu_shows, withdraw_pmu = property(pmu_shows), withdraw_pmu
    forget_keys = controls.forget_keys
    access_gic = access_gic
    read_sysreg, write_sysreg = controls.read_sysreg, controls.write_sysreg

    signal, raise_serror, clear_exclusive = delivery.signal, delivery.raise_serror, delivery.clear_exclusive
    raise_virtual_serror = delivery.raise_virtual_serror
    withdraw_virtual_serror = delivery.withdraw_virtual_serror
    host_timer, mask_timers, deadline = delivery.host_timer, delivery.mask_timers, delivery.deadline
    el1_timers = delivery.el1_timers
    interrupted, asleep, lost = delivery.interrupted, delivery.asleep, delivery.lost
    look = delivery.look

    run, step, end_turn = running.run, running.step, running.end_turn
    interrupt, follow = running.interrupt, running.follow
    count_fruitless, retire_one = running.count_fruitless, running.retire_one

    save, restore = saved.save, saved.restore

    def __init__(self, machine: "Machine", index: int, mpidr: int) -> None:
        self.machine = machine
        self.index = index
        self.mpidr = mpidr
        self.trace = machine.trace
        self.programs = machine.programs
        self.clock = machine.clock
        self.cpu_interface = machine.gic.cpus[index]
        self.block = words(w.P_WORDS)
        self.address = address_of(self.block)
        self.words = memoryview(self.block).cast("B").cast("Q")
        self.recent = words(w.R_WORDS)
        self.noted = memoryview(self.recent).cast("B").cast("Q")
        self.x = self.words[w.P_X : w.P_X + 31]
        self.interrupted_at = self.words[w.P_PC : w.P_PSTATE + 1]
        self.tlb = Tlb(self, machine.memory)
        self._engine: Engine | None = None
        self._stops: frozenset[int] = frozenset()
        self.moves = 0
        self.restored: saved.Restored | None = None
        self._power_on()
        self.ids = IdRegisters(machine.board, mpidr, machine.model)

    def _power_on(self) -> None:
        self.security = SecurityState.NON_SECURE
        self.el = 2
        self.on = False
        self.waiting = False
        self.wfe: Watch | None = None
        self.stuck = False
        self.fruitless = 0
        self.progress = -1
        self.reloaded = False
        self.turn_over = False
        self.paused = False
        self.refused: tuple[Refused, ...] = ()
        block, era = self.block, self.block[w.P_TLB_ERA]
        zero(block)
        zero(self.recent)
        block[w.P_RECENT] = address_of(self.recent)
        block[w.P_MACHINE] = self.machine.memory.block_address
        block[w.P_TLB_PAGES] = self.tlb.address
        block[w.P_GIC_VALUES] = address_of(self.cpu_interface.values)
        block[w.P_TLB_ERA] = max(era, 1)
        block[w.P_COUNTER_HZ] = self.machine.board.counter_hz
        block[w.P_HCR] = controls.HCR_RW
        block[w.P_MDCR] = MDCR_RESET
        block[w.P_CNTHCTL] = CNTHCTL_RESET
        block[w.P_SECURITY] = -1
        features = frozenset(row.name for row in (*COMMON, *self.machine.model.features))
        for at, (name, register) in enumerate(CONTROLS.items()):
            kept = register.kept(name, features)
            block[w.P_CONTROLS + 2 * at], block[w.P_CONTROLS + 2 * at + 1] = kept, register.ones & ~kept
        block[w.P_FEATURES] = sum(bit for name, bit in _FEATURES.items() if self.machine.model.has(name))

    def __repr__(self) -> str:
        return f"Pe({self.index}, {SecurityState(self.security).name}, EL{self.el}, elr={self.elr:#x})"

    @property
    def elr(self) -> int:
        """The return address of the exception that is being handled, where the interrupted code resumes."""
        return self.words[w.P_PC]

    @elr.setter
    def elr(self, value: int) -> None:
        self.words[w.P_PC] = value & _U64

    @property
    def spsr(self) -> int:
        """The PSTATE of the interrupted code."""
        return self.words[w.P_PSTATE]

    @spsr.setter
    def spsr(self, value: int) -> None:
        self.words[w.P_PSTATE] = value & 0xFFFF_FFFF

    @property
    def retired(self) -> Instructions:
        """The number of instructions that this PE has retired."""
        return Instructions(self.words[w.P_RETIRED])

    @property
    def engine(self) -> "Engine":
        """The processor, created on first use."""
        if self._engine is None:
            if self.machine.memory.closed:
                raise Closed("its registers")
            from cca_platform.engine.engine import Engine

            machine = self.machine
            on_time = self.follow if self.clock.mode == "host" else None
            self._engine = Engine(
                machine.memory, self.block, self.interrupt, self.access_gic, machine.model, on_time
            )
            machine.memory.block[w.M_PES_USED] += 1
            machine.memory.requesters.append(self.tlb)
            self._id_table = self.ids.table()
            self.block[w.P_ID_TABLE] = address_of(self._id_table)
            for name, value in self.ids.reset().items():
                self._engine.write_system(REGISTERS[name], value)
            self._engine.stop_before(self._stops)
        return self._engine

    @property
    def has_engine(self) -> bool:
        """True if code has run on this PE since its reset."""
        return self._engine is not None

    def stop_before(self, addresses: Collection[int]) -> None:
        """Stop the machine, with the reason ``BREAKPOINT``, before each instruction at these virtual addresses.

        In any world and translation regime; the next run executes the instruction. Other code does not run slower.
        """
        self._stops = frozenset(addresses)
        if self._engine is not None:
            self._engine.stop_before(self._stops)

    @property
    def passing(self) -> int:
        """The address of the last stop, which the next run passes; -1 for none."""
        return -1 if self._engine is None else self._engine.passing

    @passing.setter
    def passing(self, address: int) -> None:
        if self._engine is not None:
            self._engine.passing = address

    @property
    def resumes(self) -> bool:
        """True if it has stopped in the middle of a block, the rest of which runs first."""
        words = self.words
        return words[w.P_BLOCK_END] != 0 and words[w.P_BLOCK_PC] < words[w.P_PC] < words[w.P_BLOCK_END]

    def rearm(self) -> None:
        """Stop again at the last stop, because the PC has changed or must be checked again."""
        self.stop_before(self._stops)

    def id_register(self, op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
        """The PE's own value of an identification register; unallocated encodings read as zero."""
        return self.ids.read(op0, op1, crn, crm, op2)

    @property
    def gic(self) -> "CpuInterface":
        """The CPU interface of the interrupt controller, updated with the signals of this PE's timers."""
        delivery.tell_timers(self)
        return self.cpu_interface

    def power_off(self) -> None:
        """Turn the PE off; its timers and pending SErrors are lost."""
        self.on = False
        words = self.words
        for timer in range(len(timers.INTIDS)):
            words[w.P_TIMERS + 2 * timer] = 0
        words[w.P_TIMER_MASK] = 0
        self.reset_pmu()
        words[w.P_SIGNALS] &= ~w.SIGNAL_SERROR
        delivery.tell_timers(self)

    def reset(self) -> None:
        """Reset to the power-on state: off, without previous registers, translations or pending exceptions."""
        self.close()
        self._power_on()
        self.tlb.reset()
        self.moves += 1

    def close(self) -> None:
        """Release the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            self.block[w.P_UC] = 0
            self.machine.memory.block[w.M_PES_USED] -= 1
            self.machine.memory.requesters.remove(self.tlb)
