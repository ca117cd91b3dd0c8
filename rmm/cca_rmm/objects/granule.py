"""Granules: those that the RMM tracks, their states, and the transitions between states.

The RMM's own Realm memory has one byte per tracked granule, in the order of the banks of the boot manifest. A
DELEGATED granule is zero: granules are scrubbed before they enter the state.
"""

from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final

from cca_arch.types import GRANULE_SIZE, Pas, SecurityState
from cca_platform.memory.memory import Memory
from cca_platform.trace.events import GranuleTransition
from cca_platform.trace.trace import Trace
from cca_rmm.costs import SCRUB, spend

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["GRANULE", "MOVES", "Granules", "Moves", "State", "moves"]


class State(IntEnum):
    """RmmGranuleState, with the contents of the granule in each state."""

    UNDELEGATED = 0  # not owned by the RMM; EL3 decides its PAS
    DELEGATED = 1  # Realm PAS, zero, unused
    RD = 2  # Realm Descriptor: cca_rmm.objects.realm
    REC = 3  # Realm Execution Context: cca_rmm.objects.rec
    REC_AUX = 4  # register file or attestation buffer of a REC
    DATA = 5  # a page of a Realm's protected memory
    RTT = 6  # 512 stage 2 descriptors: cca_rmm.objects.rtt


_U, _D = State.UNDELEGATED, State.DELEGATED

GRANULE: Final[dict[tuple[State, str], State]] = {
    (_U, "GRANULE_DELEGATE"): _D,
    (_D, "GRANULE_UNDELEGATE"): _U,
    (_D, "REALM_CREATE"): State.RD,
    (_D, "REC_CREATE"): State.REC,
    (_D, "REC_CREATE.aux"): State.REC_AUX,
    (_D, "DATA_CREATE"): State.DATA,
    (_D, "DATA_CREATE_UNKNOWN"): State.DATA,
    (_D, "REALM_CREATE.rtt"): State.RTT,
    (_D, "RTT_CREATE"): State.RTT,
    (State.RD, "REALM_DESTROY"): _D,
    (State.REC, "REC_DESTROY"): _D,
    (State.REC_AUX, "REC_DESTROY"): _D,
    (State.DATA, "DATA_DESTROY"): _D,
    (State.RTT, "REALM_DESTROY"): _D,
    (State.RTT, "RTT_DESTROY"): _D,
    (State.RTT, "RTT_FOLD"): _D,
}
"""(state, input) -> state; no other transition is possible. An input is a command or a part of one."""

Moves = Mapping[str, Mapping[int, int]]
"""Input -> state -> state: the table in the form used for look-ups."""


def moves(table: Mapping[tuple[State, str], State]) -> Moves:
    """Sort a table of transitions by input."""
    return {name: {int(old): int(new) for (old, one), new in table.items() if one == name} for _, name in table}


MOVES: Final = moves(GRANULE)


_NAMES: Final = tuple(state.name for state in State)


@cache
def _command(event: str) -> str:
    """The command that an input of the state machine is, or is a part of."""
    return event.partition(".")[0]


class Granules:
    """The states of all tracked granules, in ``memory`` from PA ``table`` on; ``banks`` are (base, size).

    ``moves`` are the transitions of the version in force.
    """

    def __init__(self, memory: Memory, trace: Trace, table: int, banks: list[tuple[int, int]]) -> None:
        self.port = memory.port(SecurityState.REALM, Pas.REALM)
        self.trace = trace
        self.moves: Moves = MOVES
        self.table = table
        self.banks = banks
        self.count = sum(size for _, size in banks) // GRANULE_SIZE
        self._states = self.port.lend(table, self.count)
        self._ranges: list[tuple[int, int, int]] = []
        first = 0
        for base, size in banks:
            self._ranges.append((base, base + size, first - (base >> 12)))
            first += size >> 12

    def slot(self, pa: int) -> int:
        """The PA of the state byte of the granule at ``pa``; 0 if it is not tracked."""
        number = self._number(pa)
        return 0 if number < 0 else self.table + number

    def _number(self, pa: int) -> int:
        """The number of the granule at ``pa`` in the order of the banks; -1 if it is not tracked."""
        for base, top, delta in self._ranges:
            if base <= pa < top:
                return (pa >> 12) + delta
        return -1

    def state(self, pa: int) -> int:
        """The State of the granule at ``pa``; -1, which is not a state, if it is not tracked."""
        for base, top, delta in self._ranges:
            if base <= pa < top:
                return self._states[(pa >> 12) + delta]
        return -1

    def move(self, pe: "Pe | None", pa: int, event: str) -> None:
        """Make the transition ``event``, which the caller has checked to be possible."""
        number = self._number(pa)
        old = self._states[number]
        new = self.moves[event].get(old)
        assert new is not None, f"granule {pa:#x} is {State(old).name}; {event} cannot move it"
        self.port.write8(self.table + number, new)
        if self.trace.on:
            change = GranuleTransition(pa=pa, old=_NAMES[old], new=_NAMES[new], input=event, cmd=_command(event))
            self.trace.emit(change, pe)

    def release(self, pe: "Pe | None", pa: int, event: str) -> None:
        """Scrub a granule and return it to DELEGATED by ``event``."""
        self.scrub(pe, pa)
        self.move(pe, pa, event)

    def scrub(self, pe: "Pe | None", pa: int) -> None:
        """Zero a granule, which takes time."""
        self.port.zero(pa, GRANULE_SIZE)
        if pe is not None:
            spend(pe.clock, SCRUB)
