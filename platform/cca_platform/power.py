"""Which power domains are on: PEs, their clusters, and the system.

EL3 decides (PSCI); devices and tools look. A PE that goes down says up to which level power may go with it. A domain is
off while every PE in it permits that: the last to go down takes it along, the first to come up brings it back.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from cca_arch.sysregs import Mpidr
from cca_platform.state import State

__all__ = ["Level", "Power", "PowerState", "Wake"]

_RUNS: Final = -1


class Level(IntEnum):
    """The levels of power domains, as PSCI numbers them on boards with clusters."""

    PE = 0
    CLUSTER = 1
    SYSTEM = 2


class Wake(IntEnum):
    """Why a PE came up last: the reset of the system, EL3's request, or an interrupt."""

    RESET = 0
    REQUEST = 2
    INTERRUPT = 3


class PowerState(State, frozen=True, tag="power/1"):
    """By PE, the level up to which it permits that domains are off, -1 while it runs, and why it came up last."""

    permits: tuple[int, ...]
    wakes: tuple[int, ...]


class Power:
    """The power domains of the PEs with these MPIDRs. At reset all are off.

    A cluster has the PEs with the same affinity above their own level: above Aff1 if MPIDR_EL1.MT says that Aff0 is a
    thread, else above Aff0.
    """

    def __init__(self, mpidrs: Sequence[int]) -> None:
        clusters = [_cluster(mpidr) for mpidr in mpidrs]
        everyone = tuple(range(len(mpidrs)))
        self._members = tuple(
            ((pe,), tuple(other for other in everyone if clusters[other] == clusters[pe]), everyone) for pe in everyone
        )
        self._permits = [int(Level.SYSTEM)] * len(everyone)
        self._wakes = [int(Wake.RESET)] * len(everyone)

    def members(self, pe: int, level: int) -> tuple[int, ...]:
        """The PEs of the domain at ``level`` that PE ``pe`` is in, ascending."""
        return self._members[pe][level]

    def off(self, pe: int, level: int = Level.PE) -> bool:
        """True if the domain at ``level`` that PE ``pe`` is in has no power."""
        return all(self._permits[member] >= level for member in self.members(pe, level))

    def down(self, pe: int, level: int) -> None:
        """PE ``pe`` goes down, and permits the same of its domains up to ``level``."""
        self._permits[pe] = int(level)

    def up(self, pe: int, why: Wake = Wake.RESET) -> None:
        """PE ``pe`` comes up, and with it every domain that it is in."""
        self._permits[pe] = _RUNS
        self._wakes[pe] = int(why)

    def wake(self, pe: int) -> Wake:
        """Why PE ``pe`` came up last."""
        return Wake(self._wakes[pe])

    def reset(self) -> None:
        """Handle a system reset: EL3 says which PEs come up."""
        self._permits[:] = [int(Level.SYSTEM)] * len(self._permits)
        self._wakes[:] = [int(Wake.RESET)] * len(self._wakes)

    def save(self) -> PowerState:
        """State for a snapshot."""
        return PowerState(tuple(self._permits), tuple(self._wakes))

    def restore(self, state: PowerState) -> None:
        """Restore what ``save`` returned."""
        self._permits[:] = state.permits
        self._wakes[:] = state.wakes


def _cluster(mpidr: int) -> tuple[int, ...]:
    fields = Mpidr(mpidr)
    return (fields.aff3, fields.aff2) if fields.mt else (fields.aff3, fields.aff2, fields.aff1)
