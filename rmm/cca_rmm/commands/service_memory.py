"""Services that access memory of the Realm: finding the memory, and the conditions for its address."""

from typing import Final

from cca_arch.rmi.v1_0 import RecExitReason
from cca_arch.rsi.v1_0 import RsiStatus
from cca_arch.types import GRANULE_SIZE, INSTRUCTION_SIZE
from cca_rmm.base.command import Check, loaded
from cca_rmm.commands.calls import ServiceCall
from cca_rmm.objects import rtt
from cca_rmm.objects.rtt import Walk
from cca_rmm.world.exit import leave
from cca_rmm.world.realm_memory import fault_ipa, rtt_abort, walk_data

__all__ = ["ADDR_BOUND", "PAGE_ALIGN", "RIPAS", "MemoryCall", "page"]

_INPUT: Final = RsiStatus.ERROR_INPUT


class MemoryCall(ServiceCall):
    """A service that uses the Realm's page at ``addr``."""

    addr: int

    @loaded
    def w(self) -> Walk:
        """The walk to the page."""
        return rtt.walk(self.rmm.port, self.realm, self.addr, 3)

    @loaded
    def target(self) -> int | None:
        """The PA of ``addr``: 0 if its RIPAS is EMPTY, None if the Host must act first."""
        return walk_data(self.w, self.addr)


def page(call: MemoryCall) -> int | None:
    """The PA of ``addr``. If there is none, the REC exits as for a Data Abort and executes the SMC again."""
    target = call.target
    if target is None:
        esr, hpfar = rtt_abort(call.w.level, call.addr)
        call.pe.elr -= INSTRUCTION_SIZE
        leave(call.rmm, call.pe, RecExitReason.SYNC, esr=esr, hpfar=hpfar, ipa=fault_ipa(hpfar))
    return target


def unprotected(call: MemoryCall) -> bool:
    """``addr`` is not in the protected half of the IPA space."""
    return call.addr >= call.realm.protected_top


def ripas_empty(call: MemoryCall) -> bool:
    """The Realm has set the RIPAS at ``addr`` to EMPTY."""
    return call.target == 0


PAGE_ALIGN: Final[Check[MemoryCall]] = Check("addr_align", lambda c: c.addr & (GRANULE_SIZE - 1), _INPUT)
ADDR_BOUND: Final[Check[MemoryCall]] = Check("addr_bound", unprotected, _INPUT)
RIPAS: Final[Check[MemoryCall]] = Check("ripas", ripas_empty, _INPUT)
