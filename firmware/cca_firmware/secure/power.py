"""Power: the payload prepares before a PE or the system goes down, and comes first on a PE that wakes."""

from typing import TYPE_CHECKING, Final

from cca_arch.psci import Psci
from cca_arch.smccc import FUNCTION
from cca_arch.tsp import Tsp, TspVector
from cca_arch.types import SecurityState
from cca_firmware.bl31.functions import Handler, unknown
from cca_firmware.bl31.suspend import SUSPEND_FIDS
from cca_firmware.secure.world import SecureState, SecureWorld

if TYPE_CHECKING:
    from cca_firmware.bl31.psci import PsciService
    from cca_platform.pe.pe import Pe

__all__ = ["PowerCalls"]

_W: Final = 0xFFFF_FFFF
_VECTORS: Final = {
    Psci.CPU_SUSPEND: TspVector.CPU_SUSPEND,
    Psci.CPU_SUSPEND_64: TspVector.CPU_SUSPEND,
    Psci.SYSTEM_SUSPEND: TspVector.CPU_SUSPEND,
    Psci.SYSTEM_SUSPEND_64: TspVector.CPU_SUSPEND,
    Psci.CPU_OFF: TspVector.CPU_OFF,
    Psci.SYSTEM_OFF: TspVector.SYSTEM_OFF,
    Psci.SYSTEM_RESET: TspVector.SYSTEM_RESET,
    Psci.SYSTEM_RESET2: TspVector.SYSTEM_RESET,
    Psci.SYSTEM_RESET2_64: TspVector.SYSTEM_RESET,
}
_OF_PE: Final = SUSPEND_FIDS | {Psci.CPU_OFF}
"""Calls for which a Python program at Non-secure EL2 cannot leave its PE, so that the payload is not asked."""
_TYPED: Final = frozenset({Psci.SYSTEM_RESET2, Psci.SYSTEM_RESET2_64})
"""Resets with a type in W1. Only type 0 exists; any other is refused at once."""
_PREEMPTED: Final = frozenset({SecureState.PREEMPTED, SecureState.MESSAGE_PREEMPTED})
_NS: Final = SecurityState.NON_SECURE
_SECURE: Final = SecurityState.SECURE


class PowerCalls:
    """Wraps handlers of ``psci``: with :attr:`handlers`, the payload gets those calls first.

    A preempted call is dropped before that. ``aborted`` handles ABORT_DONE of all other calls.
    """

    def __init__(self, world: SecureWorld, psci: "PsciService", aborted: Handler) -> None:
        self._world = world
        self._suspend = psci.suspend
        self._suspend.resumed = self._resume
        self._aborted = aborted
        asked = (fid for fid in _VECTORS if world.ns_is_code or fid not in _OF_PE)
        self._psci = {int(fid): psci.handlers[fid] for fid in asked}
        self.handlers: dict[int, Handler] = dict.fromkeys(self._psci, self._power)
        done = (Tsp.OFF_DONE, Tsp.SUSPEND_DONE, Tsp.SYSTEM_OFF_DONE, Tsp.SYSTEM_RESET_DONE)
        self.secure_handlers: dict[int, Handler] = {
            **dict.fromkeys(map(int, done), self._powered),
            Tsp.ABORT_DONE: self._dropped,
            Tsp.RESUME_DONE: self._resumed,
        }

    # -- going down ---------------------------------------------------------------------------------------------------
    def _power(self, pe: "Pe", x: memoryview) -> None:
        world, state = self._world, self._world.state[pe.index]
        if not world.vectors or state is SecureState.OFF or not self._goes_down(pe, x):
            self._psci[x[0] & FUNCTION](pe, x)
        elif state in _PREEMPTED:
            world.enter(pe, SecureState.DROPPING, TspVector.ABORT_YIELD_SMC)
        else:
            world.enter(pe, SecureState.POWER, _VECTORS[Psci(x[0] & FUNCTION)])

    def _goes_down(self, pe: "Pe", x: memoryview) -> bool:
        """True if the call is one that the payload is to prepare for."""
        fid = x[0] & FUNCTION
        if fid in SUSPEND_FIDS:
            return self._suspend.powers_down(pe, x)
        return not (fid in _TYPED and x[1] & _W)

    def _dropped(self, pe: "Pe", x: memoryview) -> None:
        """Handle ABORT_DONE of a call that was dropped because the PE goes down: prepare for that now."""
        world = self._world
        if world.state[pe.index] is not SecureState.DROPPING:
            self._aborted(pe, x)
            return
        self._leave(pe, SecureState.IDLE, SecureState.DROPPING)
        world.enter(pe, SecureState.POWER, _VECTORS[Psci(pe.x[0] & FUNCTION)])

    def _powered(self, pe: "Pe", x: memoryview) -> None:
        world = self._world
        if world.state[pe.index] is not SecureState.POWER:
            unknown(pe, x)
            return
        self._leave(pe, SecureState.OFF, SecureState.POWER)
        fid = pe.x[0] & FUNCTION
        if fid in SUSPEND_FIDS:
            world.state[pe.index] = SecureState.SUSPENDED
            self._suspend.power_down(pe, pe.x)
        else:
            self._psci[fid](pe, pe.x)

    def _leave(self, pe: "Pe", state: SecureState, reason: SecureState) -> None:
        world = self._world
        world.exchange(pe, state, _NS)
        world.switched(pe, _SECURE, _NS, reason.name)
        world.go_on(pe)

    # -- coming back --------------------------------------------------------------------------------------------------
    def _resume(self, pe: "Pe", level: int, entry: int, context_id: int) -> bool:
        """Enter the payload on a PE that wakes from power-down up to ``level``, if it was asked before that."""
        world = self._world
        if world.state[pe.index] is not SecureState.SUSPENDED:
            return False
        world.hand_over[pe.index] = (entry, context_id)
        world.enter(pe, SecureState.RESUMING, TspVector.CPU_RESUME, level)
        return True

    def _resumed(self, pe: "Pe", x: memoryview) -> None:
        """Handle RESUME_DONE: Non-secure software starts."""
        world, hand_over = self._world, self._world.hand_over[pe.index]
        if world.state[pe.index] is not SecureState.RESUMING or hand_over is None:
            unknown(pe, x)
            return
        self._leave(pe, SecureState.IDLE, SecureState.RESUMING)
        self._suspend.start(pe, *hand_over)
