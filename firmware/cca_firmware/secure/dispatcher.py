"""The Secure payload dispatcher: a payload at S-EL1 on each PE, and the calls between it and the other worlds.

The interface is that of TF-A's dispatcher for its test payload (TSPD); its numbers are in
:mod:`cca_arch.tsp`. Calls of the Trusted OS owners enter the payload at a vector; the payload answers by SMC
with the same function identifier. A yielding call may be preempted: an interrupt of Non-secure software comes to EL3 as
FIQ, the caller gets PREEMPTED, and its RESUME lets the payload go on. FF-A is in :mod:`cca_firmware.secure.ffa`.

Both worlds use the EL1 registers of the PE, so a switch exchanges them all; EL1 timers go on for the world that has
armed them. Nothing of this is there on a machine without a Secure payload.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from cca_arch.psci import Psci
from cca_arch.smccc import NOT_SUPPORTED, SVE_HINT, Fid
from cca_arch.sysregs import EL1H_MASKED, SCR_EL3_RES1, SCTLR_EL1_RES1, Pstate, Scr, encodings
from cca_arch.tsp import ABORT, HANDLE_SEL1_INTR, PREEMPTED, RESUME, SMC64, TOS_OWNERS, Tsp, TspVector
from cca_arch.types import SecurityState
from cca_firmware.bl31.contexts import Contexts
from cca_firmware.bl31.names import function_name
from cca_firmware.bl31.psci import Handler
from cca_firmware.errors import BootError
from cca_platform.errors import MachineStopped
from cca_platform.machine.board import Region
from cca_platform.machine.state import State
from cca_platform.trace.events import SmcReturn, WorldSwitch

if TYPE_CHECKING:
    from collections.abc import Callable

    from cca_platform.machine.machine import Machine
    from cca_platform.pe.pe import Pe

__all__ = ["DispatcherState", "SecureDispatcher", "SecureState"]

_SECURE: Final = SecurityState.SECURE
_NS: Final = SecurityState.NON_SECURE
_ROOT: Final = SecurityState.ROOT
_W: Final = 0xFFFF_FFFF
_FUNCTION: Final = _W & ~SVE_HINT
_TRAPS: Final = int(Scr.make(ns=1, rw=1)) | SCR_EL3_RES1
"""SCR_EL3 for the engine while the Secure world runs: as there is no S-EL2, HVC is undefined (HCE = 0)."""
_EL: Final = Pstate.el.low
_START_LIMIT: Final = 100_000_000
"""Instructions within which the payload must be ready."""
_ARGUMENTS: Final = 8


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
    """It handles a direct message of FF-A."""
    MESSAGE_PREEMPTED = 8
    INTERRUPT = 9
    POWER = 10
    """It prepares for CPU_OFF, SYSTEM_OFF or SYSTEM_RESET."""


_PREEMPTIBLE: Final = frozenset({SecureState.YIELDING, SecureState.MESSAGE})
"""The states in which interrupts of Non-secure software are EL3's."""
_POWER: Final = {
    Psci.CPU_OFF: TspVector.CPU_OFF,
    Psci.SYSTEM_OFF: TspVector.SYSTEM_OFF,
    Psci.SYSTEM_RESET: TspVector.SYSTEM_RESET,
    Psci.SYSTEM_RESET2: TspVector.SYSTEM_RESET,
    Psci.SYSTEM_RESET2_64: TspVector.SYSTEM_RESET,
}
_TYPED: Final = frozenset({Psci.SYSTEM_RESET2, Psci.SYSTEM_RESET2_64})
"""Resets of a type in W1; there is type 0 alone, and any other is refused without further ado."""
_SAID: Final = {
    Tsp.ENTRY_DONE: SecureState.STARTING,
    Tsp.ON_DONE: SecureState.STARTING,
    Tsp.OFF_DONE: SecureState.POWER,
    Tsp.SYSTEM_OFF_DONE: SecureState.POWER,
    Tsp.SYSTEM_RESET_DONE: SecureState.POWER,
    Tsp.ABORT_DONE: SecureState.ABORTING,
    Tsp.HANDLED_S_EL1_INTR: SecureState.INTERRUPT,
}
"""What the payload may tell in which state; anything else is an unknown function to it."""


class DispatcherState(State, frozen=True, tag="firmware.secure/1"):
    """What EL3 knows of the Secure payload; lists are by PE, ``below`` is what an interrupt was taken from."""

    vectors: int
    ready: bool
    is_partition: bool
    state: tuple[int, ...]
    hand_over: tuple[tuple[int, int] | None, ...]
    below: tuple[tuple[int, int], ...]


class SecureDispatcher:
    """The Secure world as EL3 sees it: ``state`` of each PE, and the handlers of both sides' calls.

    ``region`` is the Secure memory with the payload at its start. ``then(pe, entry, context_id)`` takes a PE on to
    Non-secure software. ``vectors`` is the address of the payload's vectors, 0 without; ``is_partition`` says that it
    takes part in FF-A.
    """

    def __init__(
        self,
        machine: "Machine",
        contexts: Contexts,
        region: Region,
        ns_is_code: bool,
        then: "Callable[[Pe, int, int], None]",
    ) -> None:
        self._machine = machine
        self._trace = machine.trace
        self._contexts = contexts
        self.region = region
        self._ns_is_code = ns_is_code
        self._then = then
        self._psci: dict[int, Handler] = {}
        pes = len(machine.pes)
        self.vectors = 0
        self.ready = False
        self.is_partition = False
        self.state = [SecureState.OFF] * pes
        self._hand_over: list[tuple[int, int] | None] = [None] * pes
        self._below = [(SecureState.OFF, _NS)] * pes
        self.preempted: dict[SecureState, Callable[[Pe], None]] = {SecureState.YIELDING: self._call_preempted}
        actions: dict[SecureState, Handler] = {
            SecureState.STARTING: self._started,
            SecureState.POWER: self._powered,
            SecureState.ABORTING: self._aborted,
            SecureState.INTERRUPT: self._interrupt_handled,
        }
        self._actions = {int(fid): (state, actions[state]) for fid, state in _SAID.items()}
        self.ns_handlers: dict[int, Handler] = dict.fromkeys(map(int, Tsp), _unknown)
        self.ns_handlers |= dict.fromkeys((RESUME, RESUME | SMC64), self._resume)
        self.ns_handlers |= dict.fromkeys((ABORT, ABORT | SMC64), self._abort)
        self.secure_handlers: dict[int, Handler] = dict.fromkeys(self._actions, self._said)
        self.secure_handlers |= {Tsp.PREEMPTED: self._gives_up, Tsp.GET_ARGS: self._get_args}

    # -- start --------------------------------------------------------------------------------------------------------
    def boot(self, pe: "Pe") -> None:
        """Run the payload's start on ``pe`` in the cold boot; BootError when it does not become ready."""
        if pe.index and not self.ready:
            return
        self._hand_over[pe.index] = None
        self._start(pe)
        first = pe.retired
        try:
            while self.state[pe.index] is SecureState.STARTING:
                pe.step()
                if pe.waiting or pe.retired - first > _START_LIMIT:
                    raise BootError(
                        f"the Secure payload must become ready on PE {pe.index} within {_START_LIMIT} instructions "
                        f"and without waiting, not be at {pe.elr:#x}; see cca_arch.tsp.py for how it says so"
                    )
        except MachineStopped as stopped:
            raise BootError(f"the Secure payload must become ready on PE {pe.index}, not end with {stopped}") from None

    def start(self, pe: "Pe", entry: int, context_id: int) -> None:
        """The warm boot of a PE that CPU_ON turns on: the payload first, then Non-secure software at ``entry``."""
        if not self.ready:
            self._then(pe, entry, context_id)
            return
        self._hand_over[pe.index] = (entry, context_id)
        self._start(pe)

    def _start(self, pe: "Pe") -> None:
        region, index = self.region, pe.index
        entry = self._vector(TspVector.CPU_ON) if self.vectors else region.base
        self._contexts.of(index, _SECURE).reset(entry, EL1H_MASKED, sctlr_el1=SCTLR_EL1_RES1)
        pe.security = _NS
        self.enter(pe, SecureState.STARTING, None, index, region.base, region.size)

    def _started(self, pe: "Pe", x: memoryview) -> None:
        if x[0] & _W == Tsp.ENTRY_DONE and not self.vectors:
            self.vectors = x[1]
        self.started(pe, bool(self.vectors))

    def started(self, pe: "Pe", succeeded: bool) -> None:
        """The payload is through with its start on ``pe``: the boot goes on."""
        index = pe.index
        self.ready = succeeded
        self._exchange(pe, SecureState.IDLE if succeeded else SecureState.OFF, _NS)
        self._switched(pe, _SECURE, _ROOT, SecureState.STARTING.name)
        pe.security = _ROOT
        hand_over = self._hand_over[index]
        if hand_over is not None:
            self._then(pe, *hand_over)

    # -- calls of Non-secure software ---------------------------------------------------------------------------------
    def ns_other(self, pe: "Pe", x: memoryview) -> None:
        """A function that no handler knows: one of the Trusted OS's goes to the payload."""
        fid = x[0] & _FUNCTION
        idle = self.vectors and self.state[pe.index] is SecureState.IDLE
        if not idle or Fid(fid).owner not in TOS_OWNERS or Fid(fid).zero:
            _unknown(pe, x)
            return
        self.called(pe, x)
        if Fid(fid).fast:
            self.enter(pe, SecureState.FAST, TspVector.FAST_SMC, *x[:_ARGUMENTS])
        else:
            self.enter(pe, SecureState.YIELDING, TspVector.YIELD_SMC, *x[:_ARGUMENTS])

    def called(self, pe: "Pe", x: memoryview) -> None:
        """Keep X0..X7 of the call that the payload is about to get."""
        self._contexts.of(pe.index, _SECURE).x[:_ARGUMENTS] = x[:_ARGUMENTS]

    def caller(self, pe: "Pe") -> memoryview:
        """X0..X7 of the call that the payload has got last."""
        return self._contexts.of(pe.index, _SECURE).x[:_ARGUMENTS]

    def _resume(self, pe: "Pe", x: memoryview) -> None:
        if self.state[pe.index] is SecureState.PREEMPTED:
            self.enter(pe, SecureState.YIELDING, None)
        else:
            _unknown(pe, x)

    def _abort(self, pe: "Pe", x: memoryview) -> None:
        if self.state[pe.index] is SecureState.PREEMPTED:
            self.enter(pe, SecureState.ABORTING, TspVector.ABORT_YIELD_SMC, x[0])
        else:
            _unknown(pe, x)

    def around(self, handlers: dict[int, Handler]) -> dict[int, Handler]:
        """PSCI ``handlers`` that let the payload prepare first, where the PE or the system goes off."""
        asked = _POWER if self._ns_is_code else {fid: _POWER[fid] for fid in _POWER if fid != Psci.CPU_OFF}
        self._psci = {int(fid): handlers[fid] for fid in asked}
        return handlers | dict.fromkeys(self._psci, self._power)

    def _power(self, pe: "Pe", x: memoryview) -> None:
        fid = x[0] & _FUNCTION
        refused = fid in _TYPED and x[1] & 0xFFFF_FFFF
        if self.vectors and self.state[pe.index] is not SecureState.OFF and not refused:
            self.enter(pe, SecureState.POWER, _POWER[Psci(fid)])
        else:
            self._psci[fid](pe, x)

    # -- calls of the payload -----------------------------------------------------------------------------------------
    def _said(self, pe: "Pe", x: memoryview) -> None:
        state, action = self._actions[x[0] & _FUNCTION]
        if self.state[pe.index] is state:
            action(pe, x)
        else:
            _unknown(pe, x)

    def secure_other(self, pe: "Pe", x: memoryview) -> None:
        """A function that no handler knows: the one in progress has its results in X1..X4."""
        called = self.state[pe.index] in (SecureState.FAST, SecureState.YIELDING)
        if called and (x[0] ^ self.caller(pe)[0]) & _FUNCTION == 0:
            self.leave(pe, SecureState.IDLE, *x[1:5])
        else:
            _unknown(pe, x)

    def _get_args(self, pe: "Pe", x: memoryview) -> None:
        x[0:2] = self.caller(pe)[1:3]

    def _gives_up(self, pe: "Pe", x: memoryview) -> None:
        if self.state[pe.index] in _PREEMPTIBLE:
            self.preempted[self.state[pe.index]](pe)
        else:
            _unknown(pe, x)

    def _call_preempted(self, pe: "Pe") -> None:
        self.leave(pe, SecureState.PREEMPTED, PREEMPTED)

    def _aborted(self, pe: "Pe", x: memoryview) -> None:
        self.leave(pe, SecureState.IDLE, 0)

    def _powered(self, pe: "Pe", x: memoryview) -> None:
        self._exchange(pe, SecureState.OFF, _NS)
        self._switched(pe, _SECURE, _NS, SecureState.POWER.name)
        self._return(pe)
        self._psci[pe.x[0] & _FUNCTION](pe, pe.x)

    # -- interrupts ---------------------------------------------------------------------------------------------------
    def on_interrupt(self, pe: "Pe") -> None:
        """An interrupt of another world than the one that runs came to EL3 as FIQ."""
        index = pe.index
        state = self.state[index]
        if pe.security == _SECURE and state in _PREEMPTIBLE:
            self.preempted[state](pe)
        elif pe.security != _SECURE and self.vectors and state is not SecureState.OFF:
            self._below[index] = (state, SecurityState(pe.security))
            self._contexts.of(index, _SECURE).keep_interrupted()
            self.enter(pe, SecureState.INTERRUPT, TspVector.SEL1_INTR, HANDLE_SEL1_INTR, pe.elr)
        else:
            self._machine.stop(f"EL3 panic: a Secure interrupt that nobody handles on PE {index}")

    def _interrupt_handled(self, pe: "Pe", x: memoryview) -> None:
        index = pe.index
        state, world = self._below[index]
        self._exchange(pe, state, world)
        self._contexts.of(index, _SECURE).resume_interrupted()
        self._switched(pe, _SECURE, world, Tsp.HANDLED_S_EL1_INTR.name)
        pe.eret(world, pe.spsr >> _EL & 3)

    # -- the switch ---------------------------------------------------------------------------------------------------
    def enter(self, pe: "Pe", state: SecureState, vector: TspVector | None, *arguments: int) -> None:
        """From the world that has ``pe`` to the payload: at a vector, or where it was, with ``arguments`` in X0 on."""
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
            pe.elr, pe.spsr = self._vector(vector), EL1H_MASKED
        self.state[index] = state
        self._switched(pe, _ROOT if state is SecureState.STARTING else source, _SECURE, state.name)
        pe.eret(_SECURE, pe.spsr >> _EL & 3)
        if state in _PREEMPTIBLE:
            pe.run_under(Scr(secure.scr).replace(fiq=1))

    def leave(self, pe: "Pe", state: SecureState, *results: int) -> None:
        """From the payload back to the Non-secure caller: ``results`` in X0 on, the other registers as they were."""
        self._exchange(pe, state, _NS)
        fid = pe.x[0]
        for number, value in enumerate(results):
            pe.x[number] = value
        if self._trace.on:
            name = function_name(fid)
            self._switched(pe, _SECURE, _NS, name)
            self._trace.emit(SmcReturn(fid=fid & _W, name=name, results=list(pe.x[:4])), pe=pe, world=_NS)
        self._return(pe)

    def _return(self, pe: "Pe") -> None:
        pe.eret(_NS, pe.spsr >> _EL & 3 if self._ns_is_code else 2)

    def _exchange(self, pe: "Pe", state: SecureState, world: SecurityState) -> None:
        """Put the registers of the payload away and those of ``world`` in place."""
        secure, there = self._contexts.of(pe.index, _SECURE), self._contexts.of(pe.index, world)
        pe.save_el1(secure.el1)
        there.take_timers(secure)
        pe.restore_el2(there.el2)
        pe.restore_el1(there.el1)
        pe.write_sysreg("scr_el3", there.traps)
        self.state[pe.index] = state

    def _switched(self, pe: "Pe", source: SecurityState, target: SecurityState, reason: str) -> None:
        if self._trace.on:
            self._trace.emit(WorldSwitch(source=source, target=target, reason=reason), pe=pe, world=_ROOT, el=3)

    def _vector(self, vector: TspVector) -> int:
        return self.vectors + 4 * vector

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def save(self) -> DispatcherState:
        """The state, as plain data."""
        return DispatcherState(
            vectors=self.vectors,
            ready=self.ready,
            is_partition=self.is_partition,
            state=tuple(int(state) for state in self.state),
            hand_over=tuple(self._hand_over),
            below=tuple((int(state), int(world)) for state, world in self._below),
        )

    def restore(self, state: DispatcherState) -> None:
        """Put back what :meth:`save` gave."""
        self.vectors, self.ready, self.is_partition = state.vectors, state.ready, state.is_partition
        self.state[:] = [SecureState(number) for number in state.state]
        self._hand_over[:] = state.hand_over
        self._below[:] = [(SecureState(number), SecurityState(world)) for number, world in state.below]


def _unknown(pe: "Pe", x: memoryview) -> None:
    x[0] = NOT_SUPPORTED
