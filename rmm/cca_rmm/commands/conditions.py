"""Failure conditions that many commands share, and the statuses of the RMI under short names."""

from operator import attrgetter
from typing import Any, Final

from cca_arch.rmi.v1_0 import RmiStatus
from cca_arch.types import GRANULE_SIZE
from cca_rmm.base.command import Call, Check
from cca_rmm.commands.calls import RealmCall
from cca_rmm.objects.granule import State
from cca_rmm.objects.realm import RealmState

__all__ = ["RD", "REALM_ERROR", "REALM_NEW", "REC_ERROR", "RTT", "granule"]

REALM_ERROR: Final = RmiStatus.ERROR_REALM
REC_ERROR: Final = RmiStatus.ERROR_REC
RTT: Final = RmiStatus.ERROR_RTT
_OFFSET: Final = GRANULE_SIZE - 1
_NEW: Final = int(RealmState.NEW)


def granule(argument: str, state: State, prefix: str | None = None, last: str = "state") -> tuple[Check[Any], ...]:
    """Conditions of a granule: ``<prefix>_align``, ``<prefix>_bound`` and, for its state, ``<prefix>_<last>``.

    One look tells that none of them holds: a granule that is not tracked has no state.
    """
    prefix = argument if prefix is None else prefix
    wanted = int(state)
    get = attrgetter(argument)

    def misaligned(call: Call) -> int:
        pa: int = get(call)
        return pa & _OFFSET

    def untracked(call: Call) -> bool:
        return not call.rmm.granules.slot(get(call))

    def wrong_state(call: Call) -> bool:
        return call.rmm.granules.state(get(call)) != wanted

    def unfit(call: Call) -> bool:
        pa: int = get(call)
        return pa & _OFFSET != 0 or call.rmm.granules.state(pa) != wanted

    return (
        Check(f"{prefix}_align", misaligned, screen=unfit),
        Check(f"{prefix}_bound", untracked, screen=unfit),
        Check(f"{prefix}_{last}", wrong_state, screen=unfit),
    )


def not_new(call: RealmCall) -> bool:
    """The Realm is ACTIVE or SYSTEM_OFF."""
    return call.realm.state != _NEW


RD: Final = granule("rd", State.RD)
REALM_NEW: Final = Check("realm_state", not_new, REALM_ERROR)
