"""Power-off: the payload prepares before a PE or the system is turned off."""

from typing import TYPE_CHECKING, Final

from cca_arch.psci import Psci
from cca_arch.smccc import FUNCTION
from cca_arch.tsp import Tsp, TspVector
from cca_arch.types import SecurityState
from cca_firmware.bl31.functions import Handler, unknown
from cca_firmware.secure.world import SecureState, SecureWorld

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cca_platform.pe.pe import Pe

__all__ = ["PowerOff"]

_W: Final = 0xFFFF_FFFF
_VECTORS: Final = {
    Psci.CPU_OFF: TspVector.CPU_OFF,
    Psci.SYSTEM_OFF: TspVector.SYSTEM_OFF,
    Psci.SYSTEM_RESET: TspVector.SYSTEM_RESET,
    Psci.SYSTEM_RESET2: TspVector.SYSTEM_RESET,
    Psci.SYSTEM_RESET2_64: TspVector.SYSTEM_RESET,
}
_TYPED: Final = frozenset({Psci.SYSTEM_RESET2, Psci.SYSTEM_RESET2_64})
"""Resets with a type in W1. Only type 0 exists; any other is refused at once."""


class PowerOff:
    """Wraps the PSCI handlers ``psci``: with :attr:`handlers`, the payload gets those calls first.

    A Python program at Non-secure EL2 cannot leave its PE, so the payload is not asked.
    """

    def __init__(self, world: SecureWorld, psci: "Mapping[int, Handler]") -> None:
        self._world = world
        asked = _VECTORS if world.ns_is_code else {fid: _VECTORS[fid] for fid in _VECTORS if fid != Psci.CPU_OFF}
        self._psci = {int(fid): psci[fid] for fid in asked}
        self.handlers: dict[int, Handler] = dict.fromkeys(self._psci, self._power)
        done = (Tsp.OFF_DONE, Tsp.SYSTEM_OFF_DONE, Tsp.SYSTEM_RESET_DONE)
        self.secure_handlers: dict[int, Handler] = dict.fromkeys(map(int, done), self._powered)

    def _power(self, pe: "Pe", x: memoryview) -> None:
        fid, world = x[0] & FUNCTION, self._world
        refused = fid in _TYPED and x[1] & _W
        if world.vectors and world.state[pe.index] is not SecureState.OFF and not refused:
            world.enter(pe, SecureState.POWER, _VECTORS[Psci(fid)])
        else:
            self._psci[fid](pe, x)

    def _powered(self, pe: "Pe", x: memoryview) -> None:
        world = self._world
        if world.state[pe.index] is not SecureState.POWER:
            unknown(pe, x)
            return
        world.exchange(pe, SecureState.OFF, SecurityState.NON_SECURE)
        world.switched(pe, SecurityState.SECURE, SecurityState.NON_SECURE, SecureState.POWER.name)
        world.go_on(pe)
        self._psci[pe.x[0] & FUNCTION](pe, pe.x)
