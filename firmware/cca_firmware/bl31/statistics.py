"""PSCI_STAT_COUNT and PSCI_STAT_RESIDENCY: how often and how long PEs, clusters and the system were down.

The rules are those of TF-A: a state is counted when it ends, also that of a PE that CPU_ON turns on. A domain above the
PEs has been down since the last of its PEs went down.
"""

from typing import TYPE_CHECKING, Final

from cca_firmware.bl31.power_states import LocalState
from cca_platform.power import Level, Wake
from cca_platform.state import State

if TYPE_CHECKING:
    from cca_platform.machine.machine import Machine

__all__ = ["Statistics", "StatisticsState"]

_MEGA: Final = 1_000_000
_STANDBY: Final = LocalState(Level.PE, False)

_Domain = tuple[int, int, bool]
"""The level, the first PE of the domain, and whether it is about power-down."""


class StatisticsState(State, frozen=True, tag="firmware.statistics/1"):
    """``since`` is when each PE went down last; ``last`` are level and first PE of domains that are down, and the PE
    that took them down; ``entries`` are level, first PE, power-down, count and microseconds.
    """

    since: tuple[int, ...]
    last: tuple[tuple[int, int, int], ...]
    entries: tuple[tuple[int, int, bool, int, int], ...]


class Statistics:
    """The statistics, and the changes of the machine's power domains that they are about."""

    def __init__(self, machine: "Machine") -> None:
        self._clock = machine.clock
        self._power = machine.power
        self._since = [0] * len(machine.pes)
        self._last: dict[tuple[int, int], int] = {}
        self._entries: dict[_Domain, tuple[int, int]] = {}

    def count(self, pe: int, state: LocalState) -> int:
        """How often the domain of PE ``pe`` has been in ``state``."""
        return self._entry(pe, state)[0]

    def residency(self, pe: int, state: LocalState) -> int:
        """How long the domain of PE ``pe`` has been in ``state``, in microseconds."""
        return self._entry(pe, state)[1]

    def _entry(self, pe: int, state: LocalState) -> tuple[int, int]:
        return self._entries.get((state.level, self._first(pe, state.level), state.power_down), (0, 0))

    def _first(self, pe: int, level: int) -> int:
        return self._power.members(pe, level)[0]

    # -- changes ------------------------------------------------------------------------------------------------------
    def begin_standby(self, pe: int) -> None:
        """PE ``pe`` enters standby."""
        self._since[pe] = self._clock.now

    def end_standby(self, pe: int) -> None:
        """PE ``pe`` leaves standby."""
        self._add(pe, _STANDBY, self._since[pe])

    def down(self, pe: int, level: int) -> None:
        """PE ``pe`` goes down, and takes those domains up to ``level`` along of which it is the last."""
        self._power.down(pe, level)
        self._since[pe] = self._clock.now
        for above in range(Level.CLUSTER, level + 1):
            if not self._power.off(pe, above):
                break
            self._last[above, self._first(pe, above)] = pe

    def up(self, pe: int, why: Wake) -> int:
        """PE ``pe`` comes up; returns the highest level that was down."""
        self._add(pe, LocalState(Level.PE, True), self._since[pe])
        highest = int(Level.PE)
        for level in range(Level.CLUSTER, Level.SYSTEM + 1):
            if not self._power.off(pe, level):
                break
            highest = level
            last = self._last.pop((level, self._first(pe, level)), None)
            if last is not None:  # otherwise it has been down since the reset
                self._add(pe, LocalState(level, True), self._since[last])
        self._power.up(pe, why)
        return highest

    def _add(self, pe: int, state: LocalState, since: int) -> None:
        count, microseconds = self._entry(pe, state)
        spent = (self._clock.now - since) * _MEGA // self._clock.counter_hz
        domain = (state.level, self._first(pe, state.level), state.power_down)
        self._entries[domain] = (count + 1, microseconds + spent)

    # -- snapshots ----------------------------------------------------------------------------------------------------
    def save(self) -> StatisticsState:
        """State for a snapshot."""
        return StatisticsState(
            since=tuple(self._since),
            last=tuple((*domain, pe) for domain, pe in sorted(self._last.items())),
            entries=tuple((*domain, *entry) for domain, entry in sorted(self._entries.items())),
        )

    def restore(self, state: StatisticsState) -> None:
        """Restore what ``save`` returned."""
        self._since[:] = state.since
        self._last = {(level, first): pe for level, first, pe in state.last}
        self._entries = {
            (level, first, power_down): (count, microseconds)
            for level, first, power_down, count, microseconds in state.entries
        }
