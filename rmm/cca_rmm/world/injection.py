"""Exceptions that the RMM injects into a Realm at EL1."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import AbortEsr, Ec, Fsc, Pstate, syndrome
from cca_platform.trace.events import ExceptionTake
from cca_rmm.base.core import Core

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["UNDEFINED", "inject", "sea_esr"]

UNDEFINED: Final = syndrome(Ec.UNKNOWN)
"""ESR_EL1 for an instruction that a Realm does not have."""
_EC: Final = AbortEsr.ec
_SAME_LEVEL: Final = Ec.DATA_ABORT ^ Ec.DATA_ABORT_SAME
_CLEARED: Final = AbortEsr.ec.mask | AbortEsr.fnv.mask | AbortEsr.s1ptw.mask | AbortEsr.fsc.mask
_EXTERNAL: Final = int(AbortEsr.make(ea=1, fsc=Fsc.EXTERNAL))


def inject(rmm: Core, pe: "Pe", esr: int, far: int | None = None) -> None:
    """Inject a synchronous exception into the Realm at EL1."""
    elr, spsr = pe.elr, pe.spsr
    if pe.inject(esr, far):
        event = ExceptionTake(kind="injected", esr=esr, far=far, elr=elr, spsr=spsr, target=1, vector=pe.elr)
        rmm.trace.emit(event, pe=pe)


def sea_esr(esr: int, spsr: int) -> int:
    """ESR_EL1 of a synchronous external abort, injected in place of the abort ``esr`` taken from PSTATE ``spsr``."""
    ec = (esr & _EC.mask) >> _EC.low & ~_SAME_LEVEL
    if spsr & Pstate.el.mask:  # taken from EL1: the class of the same level
        ec |= _SAME_LEVEL
    return esr & ~_CLEARED | ec << _EC.low | _EXTERNAL
