"""EL3's view of the Secure world: what the payload does on each PE, and the switch to and from other worlds.

Both worlds use the EL1 registers of the PE, so a switch exchanges all of them; EL1 timers keep running for the world
that armed them.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import EL1H_MASKED, SCR_EL3_RES1, SCTLR_EL1_RES1, Pstate, Scr, encodings
from cca_arch.tsp import TspVector
from cca_arch.types import SecurityState
from cca_firmware.bl31.names import function_name
from cca_platform.state import State
from cca_platform.trace.events import SmcReturn, WorldSwitch

if TYPE_CHECKING:
    from cca_firmware.bl31.contexts import Contexts
    from cca_platform.board import Region
    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["ARGUMENTS", "PREEMPTIBLE", "SecureState", "SecureWorld", "SecureWorldState"]

ARGUMENTS: Final = 8
"""The number of registers of a call to the payload: X0..X7."""
_SECURE: Final = SecurityState.SECURE
_NS: Final = SecurityState.NON_SECURE
_ROOT: Final = SecurityState.ROOT
_W: Final = 0xFFFF_FFFF
_U64: Final = (1 << 64) - 1
_TRAPS: Final = int(Scr.make(ns=1, rw=1)) | SCR_EL3_RES1
"""SCR_EL3 for the engine while the Secure world runs. Without S-EL2, HVC is UNDEFINED (HCE = 0)."""
_EL: Final = Pstate.el.low


class SecureState(IntEnum):
    """What the Secure payload does on a PE."""

    OFF = 0
    STARTING = 1
    IDLE = 2
    FAST = 3
    YIELDING = 4
    PREEMPTED = 5
    ABORTING = 6
    MESSAGE = 7
    """It handles an FF-A direct message."""
    MESSAGE_PREEMPTED = 8
    INTERRUPT = 9
    POWER = 10
    """It prepares for CPU_OFF, SYSTEM_OFF, SYSTEM_RESET or the power-down of CPU_SUSPEND."""
    DROPPING = 11
    """It abandons a preempted call before it prepares for one of those."""
    SUSPENDED = 12
    """Its PE is powered down until it wakes."""
    RESUMING = 13


PREEMPTIBLE: Final = frozenset({SecureState.YIELDING, SecureState.MESSAGE})
"""The states in which EL3 takes interrupts of Non-secure software."""


class SecureWorldState(State, frozen=True, tag="firmware.secure/1"):
    """EL3's state of the Secure payload. Lists are by PE; ``below`` is what an interrupt was taken from."""

    vectors: int
    ready: bool
    is_partition: bool
    state: tuple[int, ...]
    hand_over: tuple[tuple[int, int] | None, ...]
    below: tuple[tuple[int, int], ...]


class SecureWorld:
    """The ``state`` of the payload on each PE, and the ways in and out.

    ``vectors`` is the address of the payload's vectors, or 0; ``ready`` says that the payload serves calls, and
    ``is_partition`` that it takes part in FF-A. By PE, ``hand_over`` is where Non-secure software starts after the
    payload's start (None in the cold boot), and ``below`` is what a Secure interrupt was taken from.
    """

    def __init__(self, machine: "Machine", contexts: "Contexts", ns_is_code: bool) -> None:
        self._trace = machine.trace
        self._contexts = contexts
        self.ns_is_code = ns_is_code
        pes = len(machine.pes)
        self.vectors = 0
        self.ready = False
        self.is_partition = False
        self.state = [SecureState.OFF] * pes
        self.hand_over: list[tuple[int, int] | None] = [None] * pes
        self.below = [(SecureState.OFF, _NS)] * pes

    # -- the call in progress -----------------------------------------------------------------------------------------
    def called(self, pe: "Pe", x: memoryview) -> None:
        """Save X0..X7 of the call that the payload is about to get."""
        self._contexts.of(pe.index, _SECURE).x[:ARGUMENTS] = x[:ARGUMENTS]

    def caller(self, pe: "Pe") -> memoryview:
        """X0..X7 of the payload's latest call."""
        return self._contexts.of(pe.index, _SECURE).x[:ARGUMENTS]

    # -- the switch ---------------------------------------------------------------------------------------------------
    def begin(self, pe: "Pe", region: "Region") -> None:
        """Enter the payload from EL3 for the first time on ``pe``; ``region`` is its Secure memory."""
        entry = (self.vectors + 4 * TspVector.CPU_ON) & _U64 if self.vectors else region.base
        self._contexts.of(pe.index, _SECURE).reset(entry, EL1H_MASKED, sctlr_el1=SCTLR_EL1_RES1)
        pe.security = _NS
        self.enter(pe, SecureState.STARTING, None, pe.index, region.base, region.size)

    def begun(self, pe: "Pe", succeeded: bool) -> None:
        """Return ``pe`` to EL3 at the end of the payload's start."""
        self.ready = succeeded
        self.exchange(pe, SecureState.IDLE if succeeded else SecureState.OFF, _NS)
        self.switched(pe, _SECURE, _ROOT, SecureState.STARTING.name)
        pe.eret(_ROOT, 3)

    def enter(self, pe: "Pe", state: SecureState, vector: TspVector | None, *arguments: int) -> None:
        """Switch from the present world to the payload, at a vector or where it was, with ``arguments`` in X0 on."""
        index, source = pe.index, SecurityState(pe.security)
        here, secure = self._contexts.of(index, source), self._contexts.of(index, _SECURE)
        pe.save_el1(here.el1)
        pe.save_el2(here.el2)
        here.traps = pe.read_sysreg("scr_el3")
        secure.without_el2(here, pe.mpidr, pe.id_register(*encodings.MIDR_EL1))
        secure.take_timers(here)
        pe.restore_el2(secure.el2)
        pe.restore_el1(secure.el1)
        pe.write_sysreg("scr_el3", _TRAPS)
        for number, value in enumerate(arguments):
            pe.x[number] = value
        if vector is not None:
            pe.elr, pe.spsr = self.vectors + 4 * vector, EL1H_MASKED
        self.state[index] = state
        self.switched(pe, _ROOT if state is SecureState.STARTING else source, _SECURE, state.name)
        pe.eret(_SECURE, pe.spsr >> _EL & 3)
        if state in PREEMPTIBLE:
            pe.run_under(Scr(secure.scr).replace(fiq=1))

    def leave(self, pe: "Pe", state: SecureState, *results: int) -> None:
        """Return from the payload to the Non-secure caller with ``results`` in X0 on; preserves all other registers."""
        self.exchange(pe, state, _NS)
        fid = pe.x[0]
        for number, value in enumerate(results):
            pe.x[number] = value
        if self._trace.on:
            name = function_name(fid)
            self.switched(pe, _SECURE, _NS, name)
            self._trace.emit(SmcReturn(fid=fid & _W, name=name, results=list(pe.x[:4])), pe=pe, world=_NS)
        self.go_on(pe)

    def go_on(self, pe: "Pe") -> None:
        """Resume Non-secure software, whose registers are in place."""
        pe.eret(_NS, pe.spsr >> _EL & 3 if self.ns_is_code else 2)

    def interrupted(self, pe: "Pe") -> None:
        """Enter the payload for a Secure interrupt of another world, with its registers unchanged."""
        index = pe.index
        self.below[index] = (self.state[index], SecurityState(pe.security))
        self._contexts.of(index, _SECURE).keep_interrupted()

    def resume_interrupted(self, pe: "Pe", reason: str) -> None:
        """Return to the world that a Secure interrupt was taken from."""
        state, world = self.below[pe.index]
        self.exchange(pe, state, world)
        self._contexts.of(pe.index, _SECURE).resume_interrupted()
        self.switched(pe, _SECURE, world, reason)
        pe.eret(world, pe.spsr >> _EL & 3)

    def exchange(self, pe: "Pe", state: SecureState, world: SecurityState) -> None:
        """Save the registers of the payload and load those of ``world``."""
        secure, there = self._contexts.of(pe.index, _SECURE), self._contexts.of(pe.index, world)
        pe.save_el1(secure.el1)
        there.take_timers(secure)
        pe.restore_el2(there.el2)
        pe.restore_el1(there.el1)
        pe.write_sysreg("scr_el3", there.traps)
        self.state[pe.index] = state

    def switched(self, pe: "Pe", source: SecurityState, target: SecurityState, reason: str) -> None:
        """Emit the trace event of a switch."""
        if self._trace.on:
            self._trace.emit(WorldSwitch(source=source.name, target=target.name, reason=reason), pe, _ROOT, 3)

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def save(self) -> SecureWorldState:
        """The state, as plain data."""
        return SecureWorldState(
            vectors=self.vectors,
            ready=self.ready,
            is_partition=self.is_partition,
            state=tuple(int(state) for state in self.state),
            hand_over=tuple(self.hand_over),
            below=tuple((int(state), int(world)) for state, world in self.below),
        )

    def restore(self, state: SecureWorldState) -> None:
        """Restore what :meth:`save` returned."""
        self.vectors, self.ready, self.is_partition = state.vectors, state.ready, state.is_partition
        self.state[:] = [SecureState(number) for number in state.state]
        self.hand_over[:] = state.hand_over
        self.below[:] = [(SecureState(number), SecurityState(world)) for number, world in state.below]
