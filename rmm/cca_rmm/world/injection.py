"""Exceptions that the RMM lets a Realm take at EL1 instead of what it has done."""

from typing import TYPE_CHECKING, Final

from cca_arch.sysregs import AbortEsr, Ec, Fsc, Pstate, syndrome
from cca_platform.trace.events import ExceptionTake
from cca_rmm.base.core import Core

if TYPE_CHECKING:
    from cca_platform.pe.pe import Pe

__all__ = ["UNDEFINED", "inject", "sea_esr"]

UNDEFINED: Final = syndrome(Ec.UNKNOWN)
"""ESR_EL1 of an instruction that a Realm does not have."""
_EC: Final = AbortEsr.ec
_SAME_LEVEL: Final = Ec.DATA_ABORT ^ Ec.DATA_ABORT_SAME
_CLEARED: Final = AbortEsr.ec.mask | AbortEsr.fnv.mask | AbortEsr.s1ptw.mask | AbortEsr.fsc.mask
_EXTERNAL: Final = int(AbortEsr.make(ea=1, fsc=Fsc.EXTERNAL))


def inject(rmm: Core, pe: "Pe", esr: int, far: int | None = None) -> None:
    """Let the Realm take a synchronous exception at EL1."""
    elr, spsr = pe.elr, pe.spsr
    pe.inject(esr, far)
    if rmm.trace.on:
        event = ExceptionTake(kind="injected", esr=esr, far=far, elr=elr, spsr=spsr, target=1, vector=pe.elr)
        rmm.trace.emit(event, pe=pe)


def sea_esr(esr: int, spsr: int) -> int:
    """ESR_EL1 of a synchronous external abort injected in place of the abort ``esr`` that PSTATE ``spsr`` took."""
    ec = (esr & _EC.mask) >> _EC.low & ~_SAME_LEVEL
    if spsr & Pstate.el.mask:  # taken from EL1: the class of the same level
        ec |= _SAME_LEVEL
    return esr & ~_CLEARED | ec << _EC.low | _EXTERNAL
