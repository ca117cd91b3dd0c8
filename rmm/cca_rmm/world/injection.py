"""Exceptions that the RMM injects into a Realm at EL1."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import Ec, syndrome
from cca_platform.trace.events import ExceptionTake
from cca_rmm.base.core import Core

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["UNDEFINED", "inject"]

UNDEFINED: Final = syndrome(Ec.UNKNOWN)
"""ESR_EL1 for an instruction that a Realm does not have."""


def inject(rmm: Core, pe: "Pe", esr: int, far: int | None = None) -> None:
    """Inject a synchronous exception into the Realm at EL1."""
    elr, spsr = pe.elr, pe.spsr
    if pe.inject(esr, far):
        event = ExceptionTake(kind="injected", esr=esr, far=far, elr=elr, spsr=spsr, target=1, vector=pe.elr)
        rmm.trace.emit(event, pe=pe)
