"""The power states that CPU_SUSPEND takes, as TF-A's port to the Base FVP does.

In the original format: standby of a PE, and power-down of a PE, its cluster or the system, all with StateID 0. In the
extended format, which a board can choose, the StateIDs are those that DEN0022 recommends: four bits a level, 1 for
retention and 2 for power-down.
"""

from typing import Final, NamedTuple

from cca_arch.psci import ExtendedPowerState, PowerState
from cca_platform.power import Level

__all__ = ["LocalState", "decode"]


class LocalState(NamedTuple):
    """What a PE asks for: standby, or power-down of all domains up to ``level``."""

    level: int
    power_down: bool


_ORIGINAL: Final = {
    int(PowerState.make(level=level, power_down=power_down)): LocalState(level, power_down)
    for level, power_down in ((Level.PE, False), *((level, True) for level in Level))
}
_EXTENDED: Final = {
    int(ExtendedPowerState.make(state_id=state_id, power_down=power_down)): LocalState(level, power_down)
    for state_id, level, power_down in (
        (0x1, Level.PE, False),
        (0x2, Level.PE, True),
        (0x22, Level.CLUSTER, True),
        (0x222, Level.SYSTEM, True),
    )
}


def decode(power_state: int, extended: bool) -> LocalState | None:
    """What W1 of CPU_SUSPEND asks for; None if the board has no such state."""
    return (_EXTENDED if extended else _ORIGINAL).get(power_state & 0xFFFF_FFFF)
